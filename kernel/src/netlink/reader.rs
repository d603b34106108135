//! What the kernel holds: dumps of its tables, and what it tells by itself.

use std::net::IpAddr;

use crate::link::{Address, IfIndex, Link, is_link_local};
use crate::routes::RouteDump;
use crate::speaker::{Dump, Interest, KernelError, Notification, Resolved};

use super::NetlinkOptions;
use super::decode;
use super::decode_link;
use super::decode_route::{self, Object};
use super::encode::{DumpOf, Messages};
use super::foreign::ForeignRoutes;
use super::monitor::Monitor;
use super::request::Requests;
use super::sysctls::Sysctls;
use super::wire::*;

/// Questions in one `sendmsg`: all answers fit into a receive buffer of the
/// default size.
const QUESTIONS: usize = 64;

/// Reads the kernel's tables and listens to its notifications.
pub struct Reader {
    options: NetlinkOptions,
    requests: Requests,
    monitor: Monitor,
    sysctls: Sysctls,
    foreign_routes: Option<ForeignRoutes>,
}

impl Reader {
    pub(super) fn new(options: NetlinkOptions, requests: Requests, monitor: Monitor) -> Reader {
        Reader {
            options,
            requests,
            monitor,
            sysctls: Sysctls::default(),
            foreign_routes: None,
        }
    }

    /// All links and all addresses.
    pub fn links(&mut self) -> Result<(Vec<Link>, Vec<Address>), KernelError> {
        let links = self
            .requests
            .dump(DumpOf::Links, |m| match decode::notification(m)? {
                Notification::Link(link) => Some(link),
                _ => None,
            })?;
        let addresses = self
            .requests
            .dump(DumpOf::Addresses, |m| decode_link::link_address(m.payload))?;
        Ok((links, addresses))
    }

    /// What the kernel holds of what is of interest.
    pub fn dump(&mut self, interest: &Interest) -> Result<Dump, KernelError> {
        let mut dump = Dump::default();
        dump.neighbours.reserve_exact(interest.neighbours);
        dump.fdb.reserve_exact(interest.neighbours);
        for link in &interest.links {
            self.dump_neighbours(*link, &mut dump)?;
        }
        self.dump_nexthops(&mut dump)?;
        dump.routes = self.dump_routes(interest)?;
        dump.sysctls = self.sysctls.follow(&interest.sysctls);
        Ok(dump)
    }

    /// Has the kernel tell of changes from here on. What changed before is seen
    /// by a dump only.
    pub fn listen(&mut self) -> Result<(), KernelError> {
        self.monitor.listen()
    }

    /// Waits for notifications, and returns all that are there, without those of
    /// changes that the `Writer` made. Dropping the future loses none.
    pub async fn notifications(&mut self) -> Result<Vec<Notification>, KernelError> {
        if self.requests.doubt() {
            return Ok(vec![Notification::Overrun]);
        }
        loop {
            let (mut notifications, all) = tokio::select! {
                told = self.monitor.next() => {
                    let told = told?;
                    (told.notifications, told.forwarding.then_some(true))
                }
                told = foreign_routes(&mut self.foreign_routes) => {
                    told?;
                    (vec![Notification::ForeignRoutes], None)
                }
                () = self.sysctls.look_is_due() => (Vec::new(), Some(false)),
            };
            if let Some(foreign_routes) = &mut self.foreign_routes {
                foreign_routes.hear(&notifications);
            }
            if let Some(all) = all {
                notifications.extend(self.sysctls.changes(all));
            }
            if !notifications.is_empty() {
                return Ok(notifications);
            }
        }
    }

    /// The way to each address that a route of another protocol than ours leads
    /// to, as the kernel would go it; `None` when there is none. Several hops of
    /// one route count as their first.
    ///
    /// What the kernel matches best counts alone. If that is a route of ours, the
    /// address is out of reach, whatever less specific routes of others there
    /// are: a next hop that a BGP peer told of must not depend on what it, or
    /// another peer, told of (so BIRD has it, too; FRR would go on to the
    /// less specific route). Out of reach are also addresses of this machine,
    /// those of unreachable, blackhole and prohibit routes, and IPv6 link-local
    /// ones, which are nothing without a link.
    pub fn resolve(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<Vec<(IpAddr, Option<Resolved>)>, KernelError> {
        let mut ways: Vec<_> = addresses.iter().map(|address| (*address, None)).collect();
        for ways in ways.chunks_mut(QUESTIONS) {
            let mut questions = Messages::default();
            for (address, _) in ways.iter() {
                questions.way_to(self.requests.next_seq(), *address);
            }
            let ours = self.options.protocol;
            self.requests.ask(&questions, |at, answer| {
                let (address, way) = &mut ways[at];
                *way = match is_link_local(*address) {
                    true => None,
                    false => decode_route::resolved(answer.payload, *address, ours),
                };
            })?;
        }
        Ok(ways)
    }

    /// Has [`Notification::ForeignRoutes`] told from here on: at once, and then at
    /// most every 100 ms, so that it costs next to nothing however many routes
    /// somebody changes. Whether our own routes have hidden or uncovered a way
    /// is not told: whoever changes them knows.
    pub fn watch_foreign_routes(&mut self) -> Result<(), KernelError> {
        if self.foreign_routes.is_none() {
            self.foreign_routes = Some(ForeignRoutes::listen(self.options.protocol)?);
        }
        Ok(())
    }

    fn dump_neighbours(&mut self, link: IfIndex, dump: &mut Dump) -> Result<(), KernelError> {
        for family in [AF_INET, AF_INET6, AF_BRIDGE] {
            let (neighbours, fdb) = (dump.neighbours.len(), dump.fdb.len());
            let restart = |dump: &mut Dump| {
                dump.neighbours.truncate(neighbours);
                dump.fdb.truncate(fdb);
            };
            let read = |dump: &mut Dump, m: &decode::Message<'_>| match decode::notification(m) {
                Some(Notification::Neighbour(at, ip, mac)) if at == link => {
                    dump.neighbours.push(((at, ip), mac));
                }
                Some(Notification::Fdb(at, mac, dst)) if at == link => {
                    dump.fdb.push(((at, mac), dst));
                }
                _ => {}
            };
            let of = DumpOf::Neighbours { family, link };
            self.requests.dump_into(of, dump, restart, read)?;
        }
        Ok(())
    }

    fn dump_nexthops(&mut self, dump: &mut Dump) -> Result<(), KernelError> {
        if !self.options.nexthop_objects {
            return Ok(());
        }
        let protocol = self.options.protocol;
        let restart = |(ours, foreign): &mut (Vec<_>, Vec<_>)| {
            ours.clear();
            foreign.clear();
        };
        let read = |(ours, foreign): &mut (Vec<_>, Vec<_>), m: &decode::Message<'_>| {
            match decode_route::object(m.payload) {
                Some(Object {
                    id,
                    nexthop: Some(nexthop),
                    protocol: of,
                }) if of == protocol => ours.push((id, nexthop)),
                Some(object) => foreign.push(object.id),
                None => {}
            }
        };
        let mut objects = (Vec::new(), Vec::new());
        let dumped = self
            .requests
            .dump_into(DumpOf::Nexthops, &mut objects, restart, read);
        match dumped {
            Err(error) if is_unsupported(&error) => return Ok(()),
            other => other?,
        }
        dump.nexthops = Some(objects.0);
        dump.foreign_nexthops = objects.1;
        Ok(())
    }

    fn dump_routes(&mut self, interest: &Interest) -> Result<RouteDump, KernelError> {
        let boot = interest
            .boot_routes
            .then_some(crate::reconcile::PROTOCOL_BOOT);
        let mut routes = RouteDump::of(interest.protocol);
        for protocol in std::iter::once(interest.protocol).chain(boot) {
            for family in [AF_INET, AF_INET6] {
                let read = |routes: &mut RouteDump, m: &decode::Message<'_>| {
                    let route = decode_route::route(m.payload);
                    let of_interest = route.filter(|(_, route)| route.protocol == protocol);
                    if let (RTM_NEWROUTE, Some((key, route))) = (m.kind, of_interest) {
                        routes.push(&key, route);
                    }
                };
                let before = routes.lengths();
                let restart = |routes: &mut RouteDump| routes.truncate(before);
                let of = DumpOf::Routes { family, protocol };
                self.requests.dump_into(of, &mut routes, restart, read)?;
            }
        }
        Ok(routes)
    }
}

async fn foreign_routes(watched: &mut Option<ForeignRoutes>) -> Result<(), KernelError> {
    match watched {
        Some(routes) => routes.told().await,
        None => std::future::pending().await,
    }
}

fn is_unsupported(error: &KernelError) -> bool {
    let errno = match error {
        KernelError::Io { source, .. } => source.raw_os_error(),
        KernelError::Open { .. } => None,
    };
    matches!(errno, Some(libc::EOPNOTSUPP | libc::EINVAL))
}
