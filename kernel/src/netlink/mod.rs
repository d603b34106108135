//! The only netlink speaker: batches out, dumps and notifications in.
//!
//! ```text
//!   Netlink = Writer (changes) + Reader (dumps, notifications)
//!   split: the Writer on a thread of its own, as Worker
//! ```

pub(crate) mod decode;
mod decode_link;
mod decode_route;
mod encode;
mod foreign;
#[cfg(feature = "fuzz")]
pub(crate) mod fuzz;
mod links;
mod monitor;
mod reader;
mod request;
pub(crate) mod sockopt;
mod sysctls;
mod wire;
mod worker;
mod writer;

use std::net::IpAddr;

use crate::change::{Change, Refusal};
use crate::link::{Address, Link};
use crate::speaker::{Dump, Interest, Kernel, KernelError, Notification, Resolved};

use monitor::Monitor;
pub use reader::Reader;
use request::Requests;
pub use worker::{Carried, Worker};
use writer::Writer;

/// How to speak to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct NetlinkOptions {
    /// The `rtm_protocol` of our routes and nexthop objects.
    pub protocol: u8,
    /// Use nexthop objects where the kernel has them.
    pub nexthop_objects: bool,
}

/// The kernel of the network namespace in which this was opened.
pub struct Netlink {
    reader: Reader,
    writer: Writer,
}

impl Netlink {
    /// Opens the sockets. Needs a tokio runtime around it.
    pub fn open(options: NetlinkOptions) -> Result<Netlink, KernelError> {
        let (reads, writes) = (Requests::open()?, Requests::open()?);
        let monitor = Monitor::open(writes.port(), options.protocol)?;
        Ok(Netlink {
            reader: Reader::new(options, reads, monitor),
            writer: Writer::new(options.protocol, writes),
        })
    }

    /// Changes are carried out on a thread of their own from here on, so that
    /// the next ones are found out while the kernel works.
    pub fn split(self) -> Result<(Reader, Worker), KernelError> {
        Ok((self.reader, Worker::start(self.writer)?))
    }
}

impl Kernel for Netlink {
    fn links(&mut self) -> Result<(Vec<Link>, Vec<Address>), KernelError> {
        self.reader.links()
    }

    fn dump(&mut self, interest: &Interest) -> Result<Dump, KernelError> {
        self.reader.dump(interest)
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Refusal>, KernelError> {
        self.writer.apply(changes)
    }

    fn listen(&mut self) -> Result<(), KernelError> {
        self.reader.listen()
    }

    fn resolve(
        &mut self,
        addresses: &[IpAddr],
    ) -> Result<Vec<(IpAddr, Option<Resolved>)>, KernelError> {
        self.reader.resolve(addresses)
    }

    async fn notifications(&mut self) -> Result<Vec<Notification>, KernelError> {
        self.reader.notifications().await
    }
}
