//! The edge to the kernel: what it says, and what can be asked of it.

use std::future::Future;
use std::net::IpAddr;

use crate::change::{Change, Refusal};
use crate::entry::{Hop, Nexthop, NexthopId, Route, RouteKey};
use crate::link::{Address, IfIndex, Link, Mac};
use crate::routes::RouteDump;
use crate::sysctl::Sysctl;

/// What a dump shall contain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interest {
    /// Routes and nexthop objects of this `rtm_protocol`.
    pub protocol: u8,
    /// Neighbours and FDB entries of these links.
    pub links: Vec<IfIndex>,
    /// How many of each there may be: of thousands, no more memory is taken than they need.
    pub neighbours: usize,
    /// Also routes of `proto boot`, which is what flannel leaves behind.
    pub boot_routes: bool,
    /// The sysctls to read.
    pub sysctls: Vec<Sysctl>,
}

/// All that the kernel holds of what is of interest, read in one go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dump {
    /// Permanent neighbours.
    pub neighbours: Vec<((IfIndex, IpAddr), Mac)>,
    /// Permanent FDB entries.
    pub fdb: Vec<((IfIndex, Mac), IpAddr)>,
    /// Nexthop objects of our protocol; `None` when this kernel has no such
    /// objects (before Linux 5.3).
    pub nexthops: Option<Vec<(NexthopId, Nexthop)>>,
    /// Ids of nexthop objects of others.
    pub foreign_nexthops: Vec<NexthopId>,
    /// Routes.
    pub routes: RouteDump,
    /// Sysctls that could be read.
    pub sysctls: Vec<(Sysctl, u32)>,
}

/// Something that the kernel told of its own accord.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notification {
    /// A link is new or changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// An address is there.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A permanent neighbour is there.
    Neighbour(IfIndex, IpAddr, Mac),
    /// A neighbour is gone, or not permanent any more.
    NeighbourGone(IfIndex, IpAddr),
    /// A permanent FDB entry is there.
    Fdb(IfIndex, Mac, IpAddr),
    /// An FDB entry is gone.
    FdbGone(IfIndex, Mac),
    /// A nexthop object is there; its protocol is the last value. It has no
    /// content when it is something that we never make, as a blackhole.
    Nexthop(NexthopId, Option<Nexthop>, u8),
    /// A nexthop object is gone, and with it every route that named it. Groups
    /// go on with their other members, and are told of if somebody removed it.
    NexthopGone(NexthopId),
    /// A route is there; `replaced` when it took the place of another one.
    Route {
        /// Destination and metric.
        key: RouteKey,
        /// Where it leads, and whose it is.
        route: Route,
        /// It took the place of the route of the same name.
        replaced: bool,
    },
    /// A route is gone.
    RouteGone(RouteKey, Route),
    /// Routes that are not ours have come, gone or changed, or links or addresses
    /// have, with which routes go in silence: other ways may lead to a next hop.
    /// One for however many there were, and only if
    /// [`asked for`](crate::Reader::watch_foreign_routes).
    ForeignRoutes,
    /// A sysctl has this value.
    Sysctl(Sysctl, u32),
    /// The kernel said more than we could take in, or a table changed each time
    /// that it was read: only a dump tells the state.
    Overrun,
}

/// The way to an address as the kernel would go it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// Where packets go next: the gateway is the address itself when that is
    /// on-link, else the router's.
    pub hop: Hop,
    /// The metric of the route that leads there.
    pub metric: u32,
}

/// Why the kernel could not be spoken to at all; a refused change is a
/// [`Refusal`] instead.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The netlink socket could not be set up.
    #[error("cannot open a netlink socket ({step}): {source}; twill needs CAP_NET_ADMIN")]
    Open {
        /// What was being done.
        step: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// Sending or receiving failed.
    #[error("netlink {step} failed: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
}

/// The kernel, or a fake of it.
pub trait Kernel {
    /// All links and all addresses.
    fn links(&mut self) -> Result<(Vec<Link>, Vec<Address>), KernelError>;

    /// What the kernel holds of what is of interest.
    fn dump(&mut self, interest: &Interest) -> Result<Dump, KernelError>;

    /// Carries out the changes in order, in as few calls as possible. One that
    /// is refused stops none of the others.
    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Refusal>, KernelError>;

    /// Has the kernel tell of changes from here on. What changed before is seen
    /// by a dump only.
    fn listen(&mut self) -> Result<(), KernelError>;

    /// The way to each address that a route of another protocol than ours leads
    /// to; see [`Reader::resolve`](crate::Reader::resolve).
    fn resolve(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<Vec<(IpAddr, Option<Resolved>)>, KernelError>;

    /// Waits for notifications, and returns all that are there. Changes that
    /// this speaker made itself are left out where the kernel lets us tell.
    /// Dropping the future loses none.
    fn notifications(&mut self) -> impl Future<Output = Result<Vec<Notification>, KernelError>>;
}
