//! What makes a pod's link, as messages. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::attachment::Mac;
use crate::netlink::wire::*;
use crate::netlink::{LinkView, Message};

/// A pod's link as it shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PodLink {
    /// Its name on the node.
    pub(crate) host: String,
    /// Its name in the pod.
    pub(crate) pod: String,
    pub(crate) host_mac: Mac,
    pub(crate) pod_mac: Mac,
    /// In bytes, both ends.
    pub(crate) mtu: u32,
    /// The pod's addresses, at most one of each family.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whose it is, for people.
    pub(crate) alias: String,
    /// The protocol number of its routes.
    pub(crate) protocol: u8,
}

/// Where pods send everything: the same for all, and nobody's own.
pub(crate) fn gateway(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::new(169, 254, 1, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(),
    }
}

impl PodLink {
    /// Whether it has an address of IPv6.
    pub(crate) fn has_v6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// Makes both ends at once, from inside the pod; `host_namespace` is a file descriptor of the node's namespace.
    pub(crate) fn creation(&self, host_namespace: i32) -> Message {
        let what = format!("to make the links {} and {}", self.pod, self.host);
        let mut message = Message::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, what);
        message.link_header(0, 0);
        self.end(&mut message, &self.pod, self.pod_mac);
        message.nested(IFLA_LINKINFO, |info| {
            info.attr(IFLA_INFO_KIND, b"veth");
            info.nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.link_header(0, 0);
                    self.end(peer, &self.host, self.host_mac);
                    peer.attr(IFLA_NET_NS_FD, &host_namespace.to_ne_bytes());
                });
            });
        });
        message
    }

    fn end(&self, message: &mut Message, name: &str, mac: Mac) {
        message.text_attr(IFLA_IFNAME, name);
        message.attr(IFLA_MTU, &self.mtu.to_ne_bytes());
        message.attr(IFLA_ADDRESS, &mac.0);
    }

    /// All that the pod needs, for the end with this number. A link-local address comes without a wait for duplicates.
    pub(crate) fn pod_side(&self, index: u32) -> Vec<Message> {
        let mut batch = Vec::new();
        if self.has_v6() {
            batch.push(no_own_addresses(index, &self.pod));
        }
        batch.push(up(index, &self.pod));
        for own in &self.addresses {
            batch.push(new_address(
                index,
                (*own, host_length(*own), RT_SCOPE_UNIVERSE),
            ));
        }
        if self.has_v6() {
            batch.push(new_address(
                index,
                (link_local(self.pod_mac), 64, RT_SCOPE_LINK),
            ));
        }
        for own in &self.addresses {
            batch.push(neighbour(index, gateway(*own), self.host_mac));
            batch.push(self.default_route(index, gateway(*own)));
        }
        batch
    }

    /// All that the node needs, for the end with this number. The alias comes last: a link that has one is whole.
    pub(crate) fn host_side(&self, index: u32) -> Vec<Message> {
        let mut batch = Vec::new();
        if self.has_v6() {
            batch.push(no_own_addresses(index, &self.host));
        }
        batch.push(up(index, &self.host));
        for own in &self.addresses {
            batch.push(neighbour(index, *own, self.pod_mac));
            batch.push(self.host_route(index, *own));
        }
        let mut alias = Message::new(
            RTM_SETLINK,
            0,
            format!("to name link {} after its pod", self.host),
        );
        alias.link_header(index, 0);
        alias.attr(IFLA_IFALIAS, self.alias.as_bytes());
        batch.push(alias);
        batch
    }

    fn default_route(&self, index: u32, via: IpAddr) -> Message {
        let mut message = Message::new(
            RTM_NEWROUTE,
            NLM_F_CREATE | NLM_F_EXCL,
            format!("a default route via {via} in the pod"),
        );
        self.route_header(
            &mut message,
            (family(via), 0),
            (RT_SCOPE_UNIVERSE, RTNH_F_ONLINK),
        );
        message.address_attr(RTA_GATEWAY, via);
        message.attr(RTA_OIF, &index.to_ne_bytes());
        message
    }

    fn host_route(&self, index: u32, to: IpAddr) -> Message {
        let what = format!("a route to {to} by link {}", self.host);
        let mut message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, what);
        self.route_header(
            &mut message,
            (family(to), host_length(to)),
            (RT_SCOPE_LINK, 0),
        );
        message.address_attr(RTA_DST, to);
        message.attr(RTA_OIF, &index.to_ne_bytes());
        message
    }

    /// `struct rtmsg`.
    fn route_header(
        &self,
        message: &mut Message,
        (family, length): (u8, u8),
        (scope, flags): (u8, u32),
    ) {
        message.put(&[family, length, 0, 0]);
        message.put(&[RT_TABLE_MAIN, self.protocol, scope, RTN_UNICAST]);
        message.put(&flags.to_ne_bytes());
    }
}

/// Removes the link of that name, and so its other end, its addresses, routes and neighbours.
pub(super) fn removal(host: &str) -> Message {
    let mut message = Message::new(RTM_DELLINK, 0, format!("to remove link {host}"));
    message.link_header(0, 0);
    message.text_attr(IFLA_IFNAME, host);
    message
}

fn up(index: u32, name: &str) -> Message {
    let mut message = Message::new(RTM_SETLINK, 0, format!("to set link {name} up"));
    message.link_header(index, IFF_UP);
    message
}

/// The kernel makes no link-local address, and so asks nobody whether it has it.
fn no_own_addresses(index: u32, name: &str) -> Message {
    let what = format!("to turn automatic addresses of link {name} off");
    let mut message = Message::new(RTM_SETLINK, 0, what);
    message.link_header(index, 0);
    message.nested(IFLA_AF_SPEC, |spec| {
        spec.nested(AF_INET6.into(), |v6| {
            v6.attr(IFLA_INET6_ADDR_GEN_MODE, &[IN6_ADDR_GEN_MODE_NONE]);
        });
    });
    message
}

fn new_address(index: u32, (ip, length, scope): (IpAddr, u8, u8)) -> Message {
    let what = format!("the address {ip}/{length} in the pod");
    let mut message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, what);
    message.put(&[family(ip), length, IFA_F_NODAD, scope]);
    message.put(&index.to_ne_bytes());
    message.address_attr(IFA_LOCAL, ip);
    message.address_attr(IFA_ADDRESS, ip);
    message
}

fn neighbour(index: u32, ip: IpAddr, mac: Mac) -> Message {
    let what = format!("a permanent neighbour {ip} at {mac}");
    let mut message = Message::new(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, what);
    neighbour_header(&mut message, index, (ip, NUD_PERMANENT, 0));
    message.attr(NDA_LLADDR, &mac.0);
    message
}

/// The node answers on this link whoever asks for `ip`.
pub(super) fn answer(link: &LinkView, ip: IpAddr) -> Message {
    let what = format!("to answer for {ip} on link {}", link.name);
    let mut message = Message::new(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, what);
    neighbour_header(&mut message, link.index, (ip, 0, NTF_PROXY));
    message
}

/// It does so no more.
pub(super) fn no_answer(index: u32, ip: IpAddr) -> Message {
    let what = format!("to answer for {ip} no more");
    let mut message = Message::new(RTM_DELNEIGH, 0, what);
    neighbour_header(&mut message, index, (ip, 0, NTF_PROXY));
    message
}

/// `struct ndmsg`, and whose neighbour it is.
fn neighbour_header(message: &mut Message, index: u32, (ip, state, flags): (IpAddr, u16, u8)) {
    message.put(&[family(ip), 0, 0, 0]);
    message.put(&index.to_ne_bytes());
    message.put(&state.to_ne_bytes());
    message.put(&[flags, 0]);
    message.address_attr(NDA_DST, ip);
}

/// RFC 4291, appendix A: the modified EUI-64 of a MAC address.
fn link_local(mac: Mac) -> IpAddr {
    let [a, b, c, d, e, f] = mac.0;
    let two = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        two(a ^ 2, b),
        two(c, 0xff),
        two(0xfe, d),
        two(e, f),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> PodLink {
        PodLink {
            host: "twabc".into(),
            pod: "eth0".into(),
            host_mac: Mac([2, 0, 0, 0, 0, 1]),
            pod_mac: Mac([2, 0, 0, 0, 0, 2]),
            mtu: 1450,
            addresses: vec!["10.1.0.2".parse().unwrap()],
            alias: "shop/web".into(),
            protocol: 85,
        }
    }

    #[test]
    fn the_creation_reads_as_a_link_of_that_name_mac_and_mtu() {
        let view = LinkView::read(link().creation(3).payload()).unwrap();
        assert_eq!((view.name.as_str(), view.mtu), ("eth0", 1450));
        assert_eq!(view.mac, Some(link().pod_mac));
        assert_eq!(view.kind.as_deref(), Some("veth"));
    }

    #[test]
    fn the_alias_comes_last_because_it_says_that_all_is_there() {
        let batch = link().host_side(7);
        assert!(batch.last().unwrap().what().contains("after its pod"));
    }

    #[test]
    fn a_link_local_address_is_that_of_rfc_4291() {
        let mac = Mac([0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde]);
        assert_eq!(link_local(mac).to_string(), "fe80::3656:78ff:fe9a:bcde");
    }
}
