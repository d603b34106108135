//! Whether a kernel holds certain routes, asked one by one: costs the same beside ten routes and beside a million.

use super::FibGauge;
use super::netlink::Message;
use lab::{LabError, Namespace};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const AF_INET: u8 = 2;
/// The entry that a packet would take, not a route made for that packet.
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// Between two looks at the samples.
const LOOK: Duration = Duration::from_millis(1);
/// Reading the counter walks the whole trie: this many times its cost is left between two readings.
const SPARING: u32 = 20;

/// Asks one kernel.
pub struct RouteProbe {
    socket: Socket,
    gauge: FibGauge,
}

impl RouteProbe {
    /// Asks the kernel of `namespace`.
    pub fn open(namespace: &Namespace) -> Result<Self, LabError> {
        let opened = namespace.run(|| -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        })?;
        let socket = opened.map_err(|source| LabError::System {
            what: format!("ask for routes in {}", namespace.label()),
            source,
        })?;
        Ok(Self {
            socket,
            gauge: FibGauge::open(namespace)?,
        })
    }

    /// Whether there is a route of exactly this length to this network.
    pub fn has(&self, network: Ipv4Addr, length: u8) -> bool {
        self.ask(network).is_ok_and(|found| found == Some(length))
    }

    /// How many IPv4 prefixes there are.
    pub fn count(&mut self) -> u64 {
        self.gauge.count()
    }

    /// Waits until all `samples` (networks of length 24) are there, or none of them, and the kernel has `count` prefixes;
    /// returns when that was. `None` after `patience`.
    pub fn settled(
        &mut self,
        samples: &[Ipv4Addr],
        (present, count): (bool, u64),
        patience: Duration,
    ) -> Option<Instant> {
        let deadline = Instant::now() + patience;
        let mut pending = samples.to_vec();
        loop {
            while pending
                .pop_if(|network| self.has(*network, 24) == present)
                .is_some()
            {}
            let looked = Instant::now();
            if pending.is_empty() {
                if self.count() == count {
                    return Some(looked);
                }
                // Samples cannot tell: the counter is asked as often as it may be.
                thread::sleep(looked.elapsed() * SPARING);
            } else {
                thread::sleep(LOOK);
            }
            if looked > deadline {
                return None;
            }
        }
    }

    /// The length of the route that packets to this address take.
    fn ask(&self, address: Ipv4Addr) -> io::Result<Option<u8>> {
        let mut body = [AF_INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        body[8..].copy_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
        let question = Message::new(RTM_GETROUTE, &body).attribute(RTA_DST, &address.octets());
        self.socket.send(&question.request(), 0)?;
        let (answer, _) = self.socket.recv_from_full()?;
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        Ok((kind == RTM_NEWROUTE).then(|| answer[17]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::ip_batch;

    #[test]
    fn exactly_what_is_there_is_seen() {
        let namespace = Namespace::new("probe").unwrap();
        let lines = [
            "link add under0 up type bridge",
            "addr add 10.98.0.1/15 dev under0",
            "route add 1.0.0.0/24 via 10.98.0.2",
            "route add 2.0.0.0/16 via 10.98.0.2",
        ];
        let mut probe = RouteProbe::open(&namespace).unwrap();
        let before = probe.count();
        ip_batch(&namespace, &lines.map(str::to_owned)).unwrap();
        let network = |first: u8| Ipv4Addr::new(first, 0, 0, 0);
        assert_eq!(
            [1, 2, 3].map(|first| probe.has(network(first), 24)),
            [true, false, false]
        );
        let count = probe.count();
        assert!(count >= before + 3);
        let settled = probe.settled(&[network(1)], (true, count), Duration::from_secs(5));
        assert!(settled.is_some());
    }
}
