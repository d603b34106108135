//! What the Linux kernel can hold for a pod network, and how to make it so.
//!
//! The crate knows routes, nexthop objects, neighbours, FDB entries, VXLAN
//! devices, addresses and sysctls; it does not know why any of them is wanted.
//!
//! * [`Entry`] and [`Key`]: one thing that the kernel can hold, and its name.
//! * [`Delta`]: want against have for one table.
//! * [`Reconciler`]: all tables, what is ours, and the order of changes. Pure.
//! * [`Kernel`]: the edge. [`Netlink`] is the real one, [`FakeKernel`] the one
//!   for tests.
//! * [`Firewall`]: what is wanted of nftables. [`NfTables`] speaks to it.

mod change;
mod delta;
mod entry;
mod fake;
mod fights;
mod link;
mod netlink;
mod nexthops;
mod nftables;
mod reconcile;
mod routes;
mod speaker;
mod sysctl;

pub use change::{Change, Refusal};
pub use delta::{Contest, Delta, Due, State, Wish};
pub use entry::{
    Entry, Family, GroupName, Hop, HopName, Key, Nexthop, NexthopId, Route, RouteKey, RouteTarget,
    To,
};
pub use fake::FakeKernel;
pub use link::{Address, IfIndex, Link, Mac, OUR_ALIAS, ParseMacError, VxlanDevice};
pub use netlink::{Carried, Netlink, NetlinkOptions, Reader, Worker};
pub use nftables::{
    ChainName, Firewall, FlannelLeftover, Forwarding, Masquerade, NfTables, NfTablesError,
    NfTablesNotification, ParseTableNameError, Reason, TableDrift, TableName, TableState,
    TunnelGuard, legacy_iptables_tables,
};
pub use reconcile::{Detail, Fight, Held, Ownership, Reconciler, Row, Scope, Status};
pub use routes::RouteDump;
pub use speaker::{Dump, Interest, Kernel, KernelError, Notification, Resolved};
pub use sysctl::Sysctl;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub use {netlink::fuzz::netlink as fuzz_netlink, nftables::fuzz::nftables as fuzz_nftables};
