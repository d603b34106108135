//! The routes of a dump.

use crate::entry::{Route, RouteKey};

use super::compact::{Key4, Key6, Name, OfFamily, Target, Targets};

/// Routes as they were read from the kernel, in a sixth of the memory of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteDump {
    pub(super) v4: Vec<(Key4, Target)>,
    pub(super) v6: Vec<(Key6, Target)>,
    pub(super) targets: Targets,
}

impl RouteDump {
    /// None yet. Those of this `rtm_protocol` take less memory than others.
    pub fn of(protocol: u8) -> RouteDump {
        RouteDump {
            v4: Vec::new(),
            v6: Vec::new(),
            targets: Targets::new(protocol),
        }
    }

    /// Adds one.
    pub fn push(&mut self, key: &RouteKey, route: Route) {
        let target = self.targets.number(route);
        match key.into() {
            OfFamily::V4(key) => self.v4.push((key, target)),
            OfFamily::V6(key) => self.v6.push((key, target)),
        }
    }

    /// All of them, IPv4 first, otherwise in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (RouteKey, Route)> + '_ {
        let v4 = self.v4.iter().map(|(key, to)| (key.route_key(), *to));
        let v6 = self.v6.iter().map(|(key, to)| (key.route_key(), *to));
        v4.chain(v6).map(|(key, to)| (key, self.targets.route(to)))
    }

    /// How many there are of each family.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }

    /// Forgets those that came after there were so many.
    pub(crate) fn truncate(&mut self, (v4, v6): (usize, usize)) {
        self.v4.truncate(v4);
        self.v6.truncate(v6);
    }
}

impl Default for RouteDump {
    fn default() -> Self {
        RouteDump::of(0)
    }
}

impl FromIterator<(RouteKey, Route)> for RouteDump {
    fn from_iter<I: IntoIterator<Item = (RouteKey, Route)>>(routes: I) -> Self {
        let mut dump = RouteDump::default();
        for (key, route) in routes {
            dump.push(&key, route);
        }
        dump
    }
}
