//! Whether a pod's link is as it was made: reading it, and comparing. What later plugins add is let be.

use std::net::IpAddr;

use crate::attachment::Mac;
use crate::netlink::{Answer, Attrs, LinkView, Message, Socket, address, u16_at, u32_at, wire::*};
use crate::netns::Netns;
use crate::spec::CniError;

use super::plan::{PodLink, gateway};

/// One end of a link with all that hangs on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) link: LinkView,
    pub(crate) addresses: Vec<(IpAddr, u8)>,
    pub(crate) routes: Vec<SeenRoute>,
    /// Permanent ones only.
    pub(crate) neighbours: Vec<(IpAddr, Mac)>,
}

/// A route by a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SeenRoute {
    pub(crate) to: Option<IpAddr>,
    pub(crate) length: u8,
    pub(crate) via: Option<IpAddr>,
    pub(crate) protocol: u8,
}

/// Both ends; one that is not there is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) host: Option<End>,
    pub(crate) pod: Option<End>,
}

/// Reads both ends of a link.
pub(crate) fn look(link: &PodLink, netns: &Netns, host: &mut Socket) -> Result<Seen, CniError> {
    let mut pod = netns.run(Socket::open)??;
    Ok(Seen {
        host: end(host, &link.host)?,
        pod: end(&mut pod, &link.pod)?,
    })
}

/// What is missing or wrong, in words; nothing when all is there.
pub(crate) fn drift(want: &PodLink, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    match (&seen.host, &seen.pod) {
        (None, _) => wrong.push(format!("link {} is not on the node", want.host)),
        (_, None) => wrong.push(format!("interface {} is not in the pod", want.pod)),
        (Some(host), Some(pod)) => {
            wrong.extend(of_links(want, host, pod));
            wrong.extend(
                want.addresses
                    .iter()
                    .flat_map(|own| of_address(want, *own, (host, pod))),
            );
        }
    }
    wrong
}

fn of_links(want: &PodLink, host: &End, pod: &End) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut unless = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };
    unless(
        pod.link.peer == Some(host.link.index),
        format!(
            "{} in the pod is not the other end of {}",
            want.pod, want.host
        ),
    );
    unless(host.link.up, format!("link {} is down", want.host));
    unless(pod.link.up, format!("interface {} is down", want.pod));
    let macs = [
        (&want.pod, &pod.link, want.pod_mac),
        (&want.host, &host.link, want.host_mac),
    ];
    for (name, link, mac) in macs {
        let has = link.mac.map_or("none".into(), |mac| mac.to_string());
        unless(
            link.mac == Some(mac),
            format!("{name} has the MAC address {has}, not {mac}"),
        );
        unless(
            link.mtu == want.mtu,
            format!("{name} has an MTU of {}, not {}", link.mtu, want.mtu),
        );
    }
    wrong
}

fn of_address(want: &PodLink, own: IpAddr, (host, pod): (&End, &End)) -> Vec<String> {
    let via = gateway(own);
    let is_default = |route: &SeenRoute| route.length == 0 && route.via == Some(via);
    let is_ours = |route: &SeenRoute| {
        (route.to, route.length, route.protocol) == (Some(own), host_length(own), want.protocol)
    };
    let facts = [
        (
            pod.addresses.contains(&(own, host_length(own))),
            format!("the pod does not have {own}"),
        ),
        (
            pod.routes.iter().any(is_default),
            format!("the pod has no default route via {via}"),
        ),
        (
            pod.neighbours.contains(&(via, want.host_mac)),
            format!("the pod does not know {via} at {}", want.host_mac),
        ),
        (
            host.routes.iter().any(is_ours),
            format!(
                "the node has no route to {own} by {} of protocol {}",
                want.host, want.protocol
            ),
        ),
        (
            host.neighbours.contains(&(own, want.pod_mac)),
            format!("the node does not know {own} at {}", want.pod_mac),
        ),
    ];
    facts
        .into_iter()
        .filter(|(right, _)| !right)
        .map(|(_, what)| what)
        .collect()
}

fn end(socket: &mut Socket, name: &str) -> Result<Option<End>, CniError> {
    let Some(link) = socket.link(name)? else {
        return Ok(None);
    };
    let index = link.index;
    let mut addresses = Message::new(RTM_GETADDR, 0, "to list addresses");
    addresses.put(&[0; 4]);
    addresses.put(&index.to_ne_bytes());
    let mut neighbours = Message::new(RTM_GETNEIGH, 0, "to list neighbours");
    neighbours.put(&[0; 12]);
    neighbours.attr(NDA_IFINDEX, &index.to_ne_bytes());
    let mut routes = Vec::new();
    for family in [AF_INET, AF_INET6] {
        let mut question = Message::new(RTM_GETROUTE, 0, "to list routes");
        question.put(&[family, 0, 0, 0, RT_TABLE_MAIN, 0, 0, 0, 0, 0, 0, 0]);
        question.attr(RTA_OIF, &index.to_ne_bytes());
        routes.extend(socket.dump(&question, |answer| route(answer, index))?);
    }
    Ok(Some(End {
        link,
        addresses: socket.dump(&addresses, |answer| own_address(answer, index))?,
        routes,
        neighbours: socket.dump(&neighbours, |answer| permanent(answer, index))?,
    }))
}

fn own_address(answer: &Answer<'_>, index: u32) -> Option<(IpAddr, u8)> {
    let payload = answer.payload;
    let mut attrs = Attrs(payload.get(8..)?);
    let (_, value) = attrs.find(|(kind, _)| *kind == IFA_ADDRESS)?;
    (u32_at(payload, 4)? == index).then_some((address(value)?, *payload.get(1)?))
}

fn permanent(answer: &Answer<'_>, index: u32) -> Option<(IpAddr, Mac)> {
    let payload = answer.payload;
    if u32_at(payload, 4)? != index || u16_at(payload, 8)? & NUD_PERMANENT == 0 {
        return None;
    }
    let (mut ip, mut mac) = (None, None);
    for (kind, value) in Attrs(payload.get(12..)?) {
        match kind {
            NDA_DST => ip = address(value),
            NDA_LLADDR => mac = value.try_into().ok().map(Mac),
            _ => {}
        }
    }
    Some((ip?, mac?))
}

fn route(answer: &Answer<'_>, index: u32) -> Option<SeenRoute> {
    let payload = answer.payload;
    let mut route = SeenRoute {
        to: None,
        length: *payload.get(1)?,
        via: None,
        protocol: *payload.get(5)?,
    };
    let mut by = None;
    for (kind, value) in Attrs(payload.get(12..)?) {
        match kind {
            RTA_DST => route.to = address(value),
            RTA_GATEWAY => route.via = address(value),
            RTA_OIF => by = u32_at(value, 0),
            _ => {}
        }
    }
    (by == Some(index)).then_some(route)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want() -> PodLink {
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

    fn view(index: u32, (name, mac, peer): (&str, Mac, u32)) -> LinkView {
        LinkView {
            index,
            name: name.into(),
            mac: Some(mac),
            mtu: 1450,
            up: true,
            alias: None,
            kind: Some("veth".into()),
            peer: Some(peer),
        }
    }

    fn whole() -> (End, End) {
        let (want, own) = (want(), want().addresses[0]);
        let host = End {
            link: view(7, (&want.host, want.host_mac, 2)),
            addresses: vec![],
            routes: vec![SeenRoute {
                to: Some(own),
                length: 32,
                via: None,
                protocol: 85,
            }],
            neighbours: vec![(own, want.pod_mac)],
        };
        let pod = End {
            link: view(2, (&want.pod, want.pod_mac, 7)),
            addresses: vec![(own, 32)],
            routes: vec![SeenRoute {
                to: None,
                length: 0,
                via: Some(gateway(own)),
                protocol: 85,
            }],
            neighbours: vec![(gateway(own), want.host_mac)],
        };
        (host, pod)
    }

    fn told(change: impl FnOnce(&mut End, &mut End)) -> Vec<String> {
        let (mut host, mut pod) = whole();
        change(&mut host, &mut pod);
        drift(
            &want(),
            &Seen {
                host: Some(host),
                pod: Some(pod),
            },
        )
    }

    #[test]
    fn a_whole_link_has_no_drift_and_more_than_that_is_let_be() {
        assert_eq!(told(|_, _| ()), [""; 0]);
        let more =
            |_: &mut End, pod: &mut End| pod.addresses.push(("10.9.9.9".parse().unwrap(), 24));
        assert_eq!(told(more), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_missing_is_named_alone() {
        type Harm = (&'static str, fn(&mut End, &mut End));
        let changes: [Harm; 9] = [
            ("does not have 10.1.0.2", |_, pod| pod.addresses.clear()),
            ("no default route", |_, pod| pod.routes.clear()),
            ("does not know 169.254.1.1", |_, pod| pod.neighbours.clear()),
            ("no route to 10.1.0.2", |host, _| {
                host.routes[0].protocol = 3
            }),
            ("does not know 10.1.0.2", |host, _| host.neighbours.clear()),
            ("link twabc is down", |host, _| host.link.up = false),
            ("interface eth0 is down", |_, pod| pod.link.up = false),
            ("MTU of 1500", |_, pod| pod.link.mtu = 1500),
            ("not the other end", |_, pod| pod.link.peer = None),
        ];
        for (what, change) in changes {
            let wrong = told(change);
            assert!(
                wrong.len() == 1 && wrong[0].contains(what),
                "{what}: {wrong:?}"
            );
        }
    }

    #[test]
    fn an_end_that_is_gone_is_named_and_nothing_else() {
        let (host, _) = whole();
        let seen = Seen {
            host: Some(host),
            pod: None,
        };
        assert_eq!(drift(&want(), &seen), ["interface eth0 is not in the pod"]);
        let seen = Seen {
            host: None,
            pod: None,
        };
        assert_eq!(drift(&want(), &seen), ["link twabc is not on the node"]);
    }
}
