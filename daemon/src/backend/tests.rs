use super::*;
use kernel::{Hop, HopName};
use subnet_alloc::{Hold, Lease, LeaseAttrs, LeaseId, Revision};

const ETH0: IfIndex = IfIndex(2);
const VXLAN: Devices = Devices([Some(IfIndex(7)), Some(IfIndex(8))]);
const NO_DEVICES: Devices = Devices([None, None]);
const MAC: Mac = Mac([0xfe, 0xd9, 0xbd, 0xbd, 0xf9, 0x6d]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn block(key: &str) -> Block {
    Block::from_key(key).unwrap()
}

fn local(backend: Backend) -> Local {
    Local {
        backend,
        underlay: Underlay {
            link: ETH0,
            name: "eth0".into(),
            mtu: 1500,
            v4: Some([10, 99, 0, 1].into()),
            v6: None,
            public_v4: Some([10, 99, 0, 1].into()),
            public_v6: None,
            connected: vec!["10.99.0.1/24".parse().unwrap()],
            why: String::new(),
        },
        pools: ["10.244.0.0/16".parse().ok(), None],
        block: Some(block("10.244.72.0-24")),
        macs: [Mac([2; 6]); 2],
        node: "node1".into(),
    }
}

fn vxlan(direct_routing: bool) -> Backend {
    Backend::Vxlan(vxlan::Options {
        direct_routing,
        ..vxlan::Options::default()
    })
}

fn lease(value: &str) -> Lease {
    Lease {
        block: block("10.244.60.0-24"),
        attrs: LeaseAttrs::from_json(value.as_bytes()).unwrap(),
        hold: Hold::Leased(LeaseId(1)),
        revision: Revision(5),
    }
}

fn vxlan_value(underlay: &str) -> String {
    format!(
        r#"{{"PublicIP":"{underlay}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{MAC}"}}}}"#
    )
}

fn way(local: &Local, value: &str) -> Result<Way, NoWay> {
    let lease = lease(value);
    let remote = Remote::read(&lease, local).unwrap();
    local.way(lease.block.v4().unwrap().into(), &remote, VXLAN)
}

#[test]
fn vxlan_goes_through_the_tunnel() {
    let local = local(vxlan(false));
    assert_eq!(
        way(&local, &vxlan_value("10.99.0.2")),
        Ok(Way::Tunnel(IfIndex(7), MAC, ip("10.99.0.2")))
    );
}

#[test]
fn direct_routing_leaves_the_tunnel_out_only_where_the_node_is_on_link() {
    let local = local(vxlan(true));
    assert_eq!(
        way(&local, &vxlan_value("10.99.0.2")),
        Ok(Way::Direct(ip("10.99.0.2")))
    );
    assert_eq!(
        way(&local, &vxlan_value("10.98.0.2")),
        Ok(Way::Tunnel(IfIndex(7), MAC, ip("10.98.0.2")))
    );
}

#[test]
fn host_gw_needs_the_node_on_link() {
    let local = local(Backend::HostGw);
    let value = |ip| format!(r#"{{"PublicIP":"{ip}","PublicIPv6":null,"BackendType":"host-gw"}}"#);
    assert_eq!(
        way(&local, &value("10.99.0.2")),
        Ok(Way::Direct(ip("10.99.0.2")))
    );
    assert_eq!(
        way(&local, &value("10.98.0.2")),
        Err(NoWay::NotOnLink(ip("10.98.0.2")))
    );
}

#[test]
fn a_host_gw_lease_is_a_hop_and_a_route() {
    let local = local(Backend::HostGw);
    let lease = lease(r#"{"PublicIP":"10.99.0.2","PublicIPv6":null,"BackendType":"host-gw"}"#);
    let remote = Remote::read(&lease, &local).unwrap();
    let name = HopName(ip("10.99.0.2"));
    let hop = Hop {
        gateway: ip("10.99.0.2"),
        link: ETH0,
        onlink: false,
    };
    let key = RouteKey {
        prefix: "10.244.60.0/24".parse().unwrap(),
        metric: 0,
    };
    let wanted = [Entry::Hop(name, hop), Entry::Route(key, To::Via(name))];
    assert_eq!(
        local.remote_entries(&lease.block, &remote, NO_DEVICES),
        wanted
    );
}

#[test]
fn without_a_device_nothing_is_wanted_of_it() {
    let local = local(vxlan(false));
    let lease = lease(&vxlan_value("10.99.0.2"));
    let remote = Remote::read(&lease, &local).unwrap();
    assert_eq!(local.remote_entries(&lease.block, &remote, NO_DEVICES), []);
}

#[test]
fn what_the_own_block_does_not_use_is_unreachable() {
    let own = local(Backend::HostGw).own_entries(NO_DEVICES);
    let key = RouteKey {
        prefix: "10.244.72.0/24".parse().unwrap(),
        metric: u32::MAX,
    };
    assert!(own.contains(&Entry::Route(key, To::Unreachable)));
}

#[test]
fn leases_that_name_no_node_are_passed_over() {
    let local = local(vxlan(false));
    let read = |value: &str| Remote::read(&lease(value), &local).map(|_| ());
    assert_eq!(
        read(&vxlan_value("10.99.0.1")),
        Err(Skipped::OwnAddress(ip("10.99.0.1")))
    );
    assert_eq!(
        read(&vxlan_value("127.0.0.1")),
        Err(Skipped::BadAddress(ip("127.0.0.1")))
    );
    assert_eq!(
        read(&vxlan_value("224.0.0.1")),
        Err(Skipped::BadAddress(ip("224.0.0.1")))
    );
    let host_gw = r#"{"PublicIP":"10.99.0.2","BackendType":"host-gw"}"#;
    assert_eq!(
        read(host_gw),
        Err(Skipped::OtherBackend(Some("host-gw".into())))
    );
    assert_eq!(
        read(r#"{"PublicIP":"10.99.0.2"}"#),
        Err(Skipped::OtherBackend(None))
    );
    let multicast = vxlan_value("10.99.0.2").replace("fe:d9", "01:d9");
    assert!(matches!(read(&multicast), Err(Skipped::BadData(_))));
}

#[test]
fn a_block_outside_of_the_pool_is_passed_over() {
    let outside = Lease {
        block: block("10.99.0.0-24"),
        ..lease(&vxlan_value("10.99.0.2"))
    };
    assert_eq!(
        Remote::read(&outside, &local(vxlan(false))),
        Err(Skipped::OutsidePool)
    );
    let wider = Lease {
        block: block("10.0.0.0-8"),
        ..lease(&vxlan_value("10.99.0.2"))
    };
    assert_eq!(
        Remote::read(&wider, &local(vxlan(false))),
        Err(Skipped::OutsidePool)
    );
}

#[test]
fn leases_that_would_mislead_packets_are_passed_over() {
    let local = local(vxlan(false));
    let read = |key: &str, value: &str| {
        let lease = Lease {
            block: block(key),
            ..lease(value)
        };
        Remote::read(&lease, &local).map(drop).unwrap_err()
    };
    let (key, good) = ("10.244.60.0-24", vxlan_value("10.99.0.2"));
    for address in ["10.99.0.0", "10.99.0.255", "255.255.255.255"] {
        assert_eq!(
            read(key, &vxlan_value(address)),
            Skipped::BadAddress(ip(address))
        );
    }
    let v6_only = good.replace("null", r#""fe80::2""#);
    assert_eq!(read(key, &v6_only), Skipped::BadAddress(ip("fe80::2")));
    assert_eq!(
        read(key, &vxlan_value("10.244.60.5")),
        Skipped::InOwnBlock(ip("10.244.60.5"))
    );
    let [ours, other] = [1, 7].map(|n| vxlan::Vni::try_from(n).unwrap());
    assert_eq!(
        read(key, &good.replace(r#""VNI":1"#, r#""VNI":7"#)),
        Skipped::OtherVni(other, ours)
    );
    assert_eq!(
        read(key, &good.replace(&MAC.to_string(), "02:02:02:02:02:02")),
        Skipped::OwnMac(Mac([2; 6]))
    );
    let long = good.replace(r#""VNI":1"#, &format!(r#""VNI":"{}""#, "x".repeat(9000)));
    assert!(read(key, &long).to_string().len() < 200);
}

#[test]
fn a_key_whose_value_has_nothing_of_its_family_is_passed_over() {
    let mut local = local(vxlan(false));
    local.pools[1] = "fd00:244::/48".parse().ok();
    let read = |key: &str, value: &str| {
        let lease = Lease {
            block: block(key),
            ..lease(value)
        };
        Remote::read(&lease, &local).map(drop)
    };
    let v6_key = "0.0.0.0-0&fd00:244:0:5::-64";
    let good = vxlan_value("10.99.0.2");
    assert_eq!(read(v6_key, &good), Err(Skipped::NoAddress("IPv6")));
    let no_vtep = good.replace("null", r#""fd99::2""#);
    assert_eq!(read(v6_key, &no_vtep), Err(Skipped::NoVtep("IPv6")));
    assert_eq!(read("10.244.60.0-24&fd00:244:0:5::-64", &good), Ok(()));
}

#[test]
fn a_node_without_ipv6_uses_the_ipv4_part_of_a_block() {
    let local = local(vxlan(false));
    let dual = Lease {
        block: block("10.244.60.0-24&fd00:244:0:5::-64"),
        ..lease(&vxlan_value("10.99.0.2").replace("null", r#""fd99::2""#))
    };
    let remote = Remote::read(&dual, &local).unwrap();
    assert_eq!(local.remote_entries(&dual.block, &remote, VXLAN).len(), 4);
}

#[test]
fn a_block_that_holds_the_underlay_is_passed_over() {
    let mut local = local(vxlan(false));
    local.pools[0] = "10.0.0.0/8".parse().ok();
    for key in ["10.99.0.0-24", "10.99.0.0-16", "10.99.0.0-31"] {
        let lease = Lease {
            block: block(key),
            ..lease(&vxlan_value("10.98.0.2"))
        };
        let skipped = Remote::read(&lease, &local).unwrap_err();
        assert!(matches!(skipped, Skipped::HoldsUnderlay(_)), "{skipped}");
    }
}

#[test]
fn what_is_published_is_flannels_value_with_our_name_at_its_end() {
    let local = local(vxlan(false));
    let attrs = local
        .backend
        .attrs(&local.underlay, local.macs, &local.node);
    let text = String::from_utf8(attrs.to_json()).unwrap();
    let expected = r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:02:02:02:02:02"},"NodeName":"node1"}"#;
    assert_eq!(text, expected);
}

#[test]
fn pods_get_what_the_tunnel_leaves() {
    assert_eq!(local(vxlan(false)).pod_mtu(), 1450);
    assert_eq!(local(Backend::HostGw).pod_mtu(), 1500);
    let mut dual = local(vxlan(false));
    dual.underlay.v6 = Some("fd99::1".parse().unwrap());
    assert_eq!(dual.pod_mtu(), 1430);
}

#[test]
fn the_own_lease_is_lost_when_it_is_gone_or_another_nodes() {
    let local = local(vxlan(false));
    let its = block("10.244.72.0-24");
    let own = |value: &str| Lease {
        block: its,
        ..lease(value)
    };
    let mine = own(&vxlan_value("10.99.0.1"));
    let foreign = own(&vxlan_value("10.99.0.2"));
    for (event, lost) in [
        (LeaseEvent::Gone(its), true),
        (LeaseEvent::Gone(block("10.244.60.0-24")), false),
        (LeaseEvent::Put(mine.clone()), false),
        (LeaseEvent::Put(foreign.clone()), true),
        (LeaseEvent::Reset(vec![mine]), false),
        (LeaseEvent::Reset(vec![foreign]), true),
        (LeaseEvent::Reset(vec![]), true),
    ] {
        assert_eq!(local.loses_its_lease_by(&event), lost, "{event:?}");
    }
}
