//! The tables, with [`RouteKey`]s and [`Route`]s outside.

use std::time::Instant;

use crate::change::{Change, Refusal};
use crate::delta::{Contest, Delta, Due, Refused, State};
use crate::entry::{Family, NexthopId, Route, RouteKey, RouteTarget};

use super::RouteDump;
use super::compact::{Key, Key4, Key6, Name, OfFamily, Target, Targets};

/// A [`Delta`] of routes.
#[derive(Debug)]
pub(crate) struct Routes {
    v4: Delta<Key4, Target>,
    v6: Delta<Key6, Target>,
    targets: Targets,
}

/// Does something with the table of a route and its name there.
macro_rules! in_table {
    ($routes:ident, $key:expr, |$table:ident, $name:ident| $what:expr) => {
        match OfFamily::from($key) {
            OfFamily::V4($name) => {
                let $table = &mut $routes.v4;
                $what
            }
            OfFamily::V6($name) => {
                let $table = &mut $routes.v6;
                $what
            }
        }
    };
}

impl Routes {
    /// Knows of none; those of the protocol `ours` take the least memory.
    pub(crate) fn new(ours: u8) -> Routes {
        Routes {
            v4: Delta::default(),
            v6: Delta::default(),
            targets: Targets::new(ours),
        }
    }

    /// As [`Delta::want`].
    pub(crate) fn want(&mut self, key: &RouteKey, route: Route) -> bool {
        let target = self.targets.number(route);
        in_table!(self, key, |table, name| table.want(name, target))
    }

    /// As [`Delta::unwant`].
    pub(crate) fn unwant(&mut self, key: &RouteKey) {
        in_table!(self, key, |table, name| table.unwant(&name));
    }

    /// As [`Delta::take_back`].
    pub(crate) fn take_back(&mut self, key: &RouteKey) {
        in_table!(self, key, |table, name| table.take_back(&name));
    }

    /// As [`Delta::observe`].
    pub(crate) fn observe(&mut self, key: &RouteKey, route: Route) {
        let target = self.targets.number(route);
        in_table!(self, key, |table, name| table.observe(name, target));
    }

    /// As [`Delta::observe_gone`].
    pub(crate) fn observe_gone(&mut self, key: &RouteKey) {
        in_table!(self, key, |table, name| table.observe_gone(&name));
    }

    /// As [`Delta::resync`], with the routes of the protocol `ours`; returns the
    /// others. Dumps leave out what was taken over from others and is still to
    /// go.
    pub(crate) fn resync(&mut self, dump: RouteDump, ours: u8) -> Vec<(RouteKey, Route)> {
        let mut others = Vec::new();
        let (targets, dumped) = (&mut self.targets, &dump.targets);
        let v4 = dump.v4.into_iter();
        let v4 = v4.filter_map(|at| translate((targets, dumped), ours, at, &mut others));
        let mut v4: Vec<_> = v4.collect();
        let v6 = dump.v6.into_iter();
        let v6 = v6.filter_map(|at| translate((targets, dumped), ours, at, &mut others));
        let mut v6: Vec<_> = v6.collect();
        v4.extend(taken_over(&self.v4, &self.targets, ours));
        v6.extend(taken_over(&self.v6, &self.targets, ours));
        self.v4.resync(v4);
        self.v6.resync(v6);
        others
    }

    /// As [`Delta::sent`].
    pub(crate) fn sent(&mut self, key: &RouteKey, now: Instant) -> Option<Contest<Route>> {
        let Contest { times, instead } =
            in_table!(self, key, |table, name| table.sent(&name, now))?;
        let instead = instead.map(|target| self.targets.route(target));
        Some(Contest { times, instead })
    }

    /// As [`Delta::done`].
    pub(crate) fn done(&mut self, key: &RouteKey, have: Option<Route>) {
        let have = have.map(|route| self.targets.number(route));
        in_table!(self, key, |table, name| table.done(&name, have));
    }

    /// As [`Delta::refuse`].
    pub(crate) fn refuse(&mut self, key: &RouteKey, refusal: Refusal, now: Instant) -> u32 {
        in_table!(self, key, |table, name| table.refuse(&name, refusal, now))
    }

    /// As [`Delta::release`].
    pub(crate) fn release(&mut self, due: Due, now: Instant) {
        self.v4.release(due, now);
        self.v6.release(due, now);
    }

    /// As [`Delta::forgive`].
    pub(crate) fn forgive(&mut self) {
        self.v4.forgive();
        self.v6.forgive();
    }

    /// As [`Delta::next_due`].
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = [self.v4.next_due(), self.v6.next_due()];
        due.into_iter().flatten().min()
    }

    /// As [`Delta::drift`].
    pub(crate) fn drift(&self) -> usize {
        self.v4.drift() + self.v6.drift()
    }

    /// As [`Delta::refusal`].
    pub(crate) fn refusal(&self, key: &RouteKey) -> Option<&Refused> {
        match OfFamily::from(key) {
            OfFamily::V4(name) => self.v4.refusal(&name),
            OfFamily::V6(name) => self.v6.refusal(&name),
        }
    }

    /// As [`Delta::entry`].
    pub(crate) fn entry(&self, key: &RouteKey) -> Option<State<Route>> {
        let state = match OfFamily::from(key) {
            OfFamily::V4(name) => self.v4.entry(&name),
            OfFamily::V6(name) => self.v6.entry(&name),
        };
        Some(self.state(state?))
    }

    /// As [`Delta::iter`], IPv4 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RouteKey, State<Route>)> + '_ {
        let v4 = self.v4.iter().map(|(name, to)| (name.route_key(), to));
        let v6 = self.v6.iter().map(|(name, to)| (name.route_key(), to));
        v4.chain(v6).map(|(key, state)| (key, self.state(state)))
    }

    /// The routes that are to be put and are due, in order.
    pub(crate) fn puts(&self) -> impl Iterator<Item = Change> + '_ {
        self.puts_of(&self.v4).chain(self.puts_of(&self.v6))
    }

    /// The routes that are to be removed and are due, unless somebody `keeps` those
    /// of this family that lead there and were not taken back. One whose prefix is wanted with another
    /// metric stays until that is there.
    pub(crate) fn removals<'a>(
        &'a self,
        keeps: impl Fn(Family, &Route) -> bool + Copy + 'a,
    ) -> impl Iterator<Item = Change> + 'a {
        let v4 = self.removals_of(&self.v4, move |route| keeps(Family::V4, route));
        let v6 = self.removals_of(&self.v6, move |route| keeps(Family::V6, route));
        v4.chain(v6)
    }

    /// The nexthop objects that routes in the kernel name which are to stay.
    pub(crate) fn nexthops(&self) -> impl Iterator<Item = NexthopId> + '_ {
        let v4 = self.v4.iter().map(|(_, state)| state);
        let v6 = self.v6.iter().map(|(_, state)| state);
        let there = v4.chain(v6).filter_map(State::there_to_stay);
        there.filter_map(|target| match self.targets.route(*target).target {
            RouteTarget::Nexthop(id) => Some(id),
            _ => None,
        })
    }

    fn state(&self, state: &State<Target>) -> State<Route> {
        state.map(|target| self.targets.route(*target))
    }

    fn puts_of<'a, K: Name + 'a>(
        &'a self,
        table: &'a Delta<K, Target>,
    ) -> impl Iterator<Item = Change> + 'a {
        table.wishes().map(|wish| Change::PutRoute {
            key: wish.key.route_key(),
            route: self.targets.route(*wish.want),
            replace: wish.replace,
        })
    }

    fn removals_of<'a, A: Copy + Ord>(
        &'a self,
        table: &'a Delta<Key<A>, Target>,
        keeps: impl Fn(&Route) -> bool + 'a,
    ) -> impl Iterator<Item = Change> + 'a
    where
        Key<A>: Name,
    {
        let groups = table.removals(move |target| keeps(&self.targets.route(*target)));
        let groups = groups.map(|(target, names)| (self.targets.route(*target), names));
        groups.flat_map(move |(route, names)| {
            let gone = names.filter(|name| !is_awaited(table, name));
            gone.map(move |name| Change::RemoveRoute {
                key: name.route_key(),
                route: route.clone(),
            })
        })
    }
}

/// Whether the prefix of a stale route is wanted with another metric that is not
/// there.
fn is_awaited<A: Copy + Ord>(table: &Delta<Key<A>, Target>, name: &Key<A>) -> bool {
    let (first, last) = name.of_prefix();
    table
        .range(first..=last)
        .any(|(_, state)| state.want().is_some() && state.have().is_none())
}

/// A route of a dump with a number of ours; one of others goes there.
fn translate<K: Name>(
    (targets, dumped): (&mut Targets, &Targets),
    ours: u8,
    (name, target): (K, Target),
    others: &mut Vec<(RouteKey, Route)>,
) -> Option<(K, Target)> {
    let route = dumped.route(target);
    if route.protocol != ours {
        others.push((name.route_key(), route));
        return None;
    }
    Some((name, targets.number(route)))
}

/// What others had installed, and we took for ours.
fn taken_over<'a, K: Name + 'a>(
    table: &'a Delta<K, Target>,
    targets: &'a Targets,
    ours: u8,
) -> impl Iterator<Item = (K, Target)> + 'a {
    table.iter().filter_map(move |(name, state)| {
        let have = state.have()?;
        (targets.route(*have).protocol != ours).then_some((*name, *have))
    })
}
