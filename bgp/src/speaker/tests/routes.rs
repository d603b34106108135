use std::collections::BTreeMap;

use super::net::*;
use crate::policy::{
    Actions, Clause, Import, Match, MeshImport, Policy, PrefixList, PrefixRule, Untold,
};
use crate::rib::{Fate, Reach, Refusal, Rule};
use crate::speaker::{Input, Origination};
use crate::wire::{Community, RefreshKind};

/// 2 is in the middle: 1 (65001) - 2 (65002) - 3 (65003).
fn chain() -> Net {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002)])),
        (2, config(2, 65002, &[(1, 65001), (3, 65003)])),
        (3, config(3, 65003, &[(2, 65002)])),
    ]);
    net.settle();
    net
}

#[test]
fn routes_go_through_an_as_with_its_number_and_its_address_and_come_back_out() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24", "198.51.100.0/24"]);
    net.settle();
    assert_eq!(net.hops(3, "192.0.2.0/24"), ["10.99.0.2"]);
    let explained = net.nodes[&3]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap();
    assert_eq!(
        explained.paths[0].attributes.as_path.to_string(),
        "65002 65001"
    );
    assert_eq!(explained.paths[0].fate, Fate::Best(Rule::OnlyPath));
    net.originate(1, &["198.51.100.0/24"]);
    net.settle();
    assert_eq!(
        net.nodes[&3]
            .kernel
            .keys()
            .map(|p| p.to_string())
            .collect::<Vec<_>>(),
        ["198.51.100.0/24"]
    );
    assert_eq!(net.nodes[&1].kernel.len(), 0);
}

#[test]
fn both_families_go_over_one_session() {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002)])),
        (2, config(2, 65002, &[(1, 65001)])),
    ]);
    let mut changed = net.nodes[&1].config.clone();
    changed.addresses.v6 = Some("fd99::1".parse().unwrap());
    net.input(1, Input::Reconfigure(Box::new(changed)));
    net.originate(1, &["192.0.2.0/24", "2001:db8::/48"]);
    net.settle();
    assert_eq!(net.hops(2, "2001:db8::/48"), ["fd99::1"]);
    net.originate(1, &[]);
    net.settle();
    assert_eq!(net.nodes[&2].kernel.len(), 0);
}

#[test]
fn equally_good_paths_are_installed_together() {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002), (3, 65003)])),
        (2, config(2, 65002, &[(1, 65001)])),
        (3, config(3, 65003, &[(1, 65001)])),
    ]);
    net.originate(2, &["192.0.2.0/24"]);
    net.originate(3, &["192.0.2.0/24"]);
    net.settle();
    assert_eq!(net.hops(1, "192.0.2.0/24"), ["10.99.0.2", "10.99.0.3"]);
    net.originate(2, &[]);
    net.settle();
    assert_eq!(net.hops(1, "192.0.2.0/24"), ["10.99.0.3"]);
}

#[test]
fn a_peer_whose_own_route_becomes_the_best_is_told_to_forget_the_other() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24"]);
    net.settle();
    assert!(
        net.nodes[&3]
            .speaker
            .rib()
            .count(net.id(3, 2), crate::Family::Ipv4)
            .received
            == 1
    );
    // A shorter path from 3 itself than any by 1.
    net.input(
        2,
        Input::NextHops(vec![(address(1).into(), Reach::Unreachable)]),
    );
    net.originate(3, &["192.0.2.0/24"]);
    net.settle();
    assert_eq!(
        net.nodes[&3]
            .speaker
            .rib()
            .count(net.id(3, 2), crate::Family::Ipv4)
            .received,
        0
    );
    assert_eq!(net.hops(2, "192.0.2.0/24"), ["10.99.0.3"]);
}

fn mesh_peer(n: u8, blocks: &[&str]) -> crate::speaker::PeerConfig {
    let mesh = MeshImport {
        blocks: blocks.iter().map(|b| prefix(b)).collect(),
        next_hops: vec![address(n).into()],
        ..MeshImport::default()
    };
    crate::speaker::PeerConfig {
        import: Import::Mesh(mesh),
        ..open_peer(n, 65000)
    }
}

#[test]
fn a_node_of_the_mesh_announces_its_lease_and_no_more_and_the_refusal_is_explained() {
    let mut net = Net::mesh(2);
    net.input(
        1,
        Input::SetPeer(name(2), Box::new(mesh_peer(2, &["10.244.2.0/24"]))),
    );
    net.originate(
        2,
        &[
            "10.244.2.0/24",
            "10.244.3.0/24",
            "0.0.0.0/0",
            "10.244.2.128/25",
        ],
    );
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 1);
    let explained = net.nodes[&1]
        .speaker
        .explain(prefix("10.244.3.0/24"))
        .unwrap();
    assert_eq!(explained.paths[0].fate, Fate::Refused(Refusal::NotInLease));
}

#[test]
fn a_lease_that_comes_after_its_announcement_lets_it_in_at_once_and_without_asking() {
    let mut net = Net::mesh(2);
    net.input(1, Input::SetPeer(name(2), Box::new(mesh_peer(2, &[]))));
    net.settle();
    assert_eq!(net.nodes[&1].kernel.len(), 0);
    net.input(
        1,
        Input::SetPeer(name(2), Box::new(mesh_peer(2, &["10.244.2.0/24"]))),
    );
    net.settle();
    assert_eq!(net.hops(1, "10.244.2.0/24"), ["10.99.0.2"]);
    assert_eq!((net.downs(1), net.nodes[&1].sent.get(&5)), (0, None));
}

#[test]
fn another_export_policy_tells_the_difference_and_nothing_else() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24", "198.51.100.0/24"]);
    net.settle();
    let sent = net.nodes[&2].sent[&2];
    let only: PrefixList = [PrefixRule::exact(prefix("192.0.2.0/24"))]
        .into_iter()
        .collect();
    let mut changed = open_peer(3, 65003);
    changed.export = Some(Policy::prefixes(only.clone()));
    net.input(2, Input::SetPeer(name(3), Box::new(changed.clone())));
    net.settle();
    assert_eq!(net.nodes[&3].kernel.len(), 1);
    assert_eq!(net.nodes[&2].sent[&2] - sent, 23 + 4);
    let longer = Actions {
        prepend: 2,
        ..Actions::default()
    };
    let clause = |list: Option<PrefixList>, actions| Clause {
        matches: Match {
            prefixes: list,
            ..Match::default()
        },
        actions,
    };
    changed.export = Some(Policy {
        clauses: vec![
            clause(Some(only), Some(longer)),
            clause(None, Some(Actions::default())),
        ],
    });
    net.input(2, Input::SetPeer(name(3), Box::new(changed)));
    net.settle();
    let hops = |net: &Net, p| {
        net.nodes[&3].speaker.explain(prefix(p)).unwrap().paths[0]
            .attributes
            .as_path
            .hops()
    };
    assert_eq!(
        (hops(&net, "192.0.2.0/24"), hops(&net, "198.51.100.0/24")),
        (4, 2)
    );
    assert_eq!(net.downs(2), 0);
}

#[test]
fn another_import_policy_counts_for_what_came_before() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24", "198.51.100.0/24"]);
    net.settle();
    let worse = Actions {
        local_pref: Some(7),
        ..Actions::default()
    };
    let only: PrefixList = [PrefixRule::exact(prefix("192.0.2.0/24"))]
        .into_iter()
        .collect();
    let matches = Match {
        prefixes: Some(only),
        ..Match::default()
    };
    let mut changed = open_peer(1, 65001);
    changed.import = Import::Policy(Policy {
        clauses: vec![Clause {
            matches,
            actions: Some(worse),
        }],
    });
    net.input(2, Input::SetPeer(name(1), Box::new(changed)));
    net.settle();
    assert_eq!(
        (net.nodes[&2].kernel.len(), net.nodes[&3].kernel.len()),
        (1, 1)
    );
    let kept = net.nodes[&2]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap();
    assert_eq!(kept.paths[0].attributes.local_pref, Some(7));
    assert_eq!(kept.paths[0].received.as_ref().unwrap().local_pref, None);
    net.input(2, Input::SetPeer(name(1), Box::new(open_peer(1, 65001))));
    net.settle();
    assert_eq!(
        (net.nodes[&2].kernel.len(), net.nodes[&3].kernel.len()),
        (2, 2)
    );
    assert_eq!(net.downs(2), 0);
}

#[test]
fn a_node_that_drains_is_used_last() {
    let mut net = Net::new(vec![
        (1, config(1, 65001, &[(2, 65002), (3, 65003)])),
        (2, config(2, 65002, &[(1, 65001)])),
        (3, config(3, 65003, &[(1, 65001)])),
    ]);
    net.originate(2, &["192.0.2.0/24"]);
    net.originate(3, &["192.0.2.0/24"]);
    net.input(2, Input::Drain(true));
    net.settle();
    assert_eq!(net.hops(1, "192.0.2.0/24"), ["10.99.0.3"]);
    let explained = net.nodes[&1]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap();
    assert_eq!(explained.paths[1].fate, Fate::Lost(Rule::LocalPref));
    assert!(
        explained.paths[1]
            .attributes
            .has(Community::GRACEFUL_SHUTDOWN)
    );
    net.input(2, Input::Drain(false));
    net.settle();
    assert_eq!(net.hops(1, "192.0.2.0/24").len(), 2);
}

#[test]
fn a_next_hop_that_goes_takes_its_routes_out_of_the_kernel_and_not_out_of_the_rib() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24"]);
    net.settle();
    net.input(
        2,
        Input::NextHops(vec![(address(1).into(), Reach::Unreachable)]),
    );
    net.settle();
    assert_eq!(
        (net.nodes[&2].kernel.len(), net.nodes[&3].kernel.len()),
        (0, 0)
    );
    let explained = net.nodes[&2]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap();
    assert_eq!(explained.paths[0].fate, Fate::Unreachable);
    net.input(
        2,
        Input::NextHops(vec![(address(1).into(), Reach::Metric(1))]),
    );
    net.settle();
    assert_eq!(
        (net.nodes[&2].kernel.len(), net.nodes[&3].kernel.len()),
        (1, 1)
    );
}

#[test]
fn what_is_originated_carries_what_is_said_about_it() {
    let mut net = chain();
    let said = Origination {
        med: Some(5),
        local_pref: None,
        communities: vec![crate::policy::AnyCommunity::Standard(Community(7))],
    };
    net.input(
        1,
        Input::Originate(BTreeMap::from([(prefix("192.0.2.0/24"), said)])),
    );
    net.settle();
    let at_2 = net.nodes[&2]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap()
        .paths
        .remove(0)
        .attributes;
    assert_eq!((at_2.med, at_2.communities), (Some(5), vec![Community(7)]));
    let at_3 = net.nodes[&3]
        .speaker
        .explain(prefix("192.0.2.0/24"))
        .unwrap()
        .paths
        .remove(0)
        .attributes;
    assert_eq!((at_3.med, at_3.communities), (None, vec![Community(7)]));
}

#[test]
fn a_refresh_tells_everything_again_between_marks_and_removes_nothing() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24"]);
    net.settle();
    let sent = net.nodes[&1].sent[&2];
    net.input(2, Input::Refresh(name(1)));
    net.settle();
    assert!(net.nodes[&1].sent[&2] > sent);
    assert_eq!(
        net.nodes[&1].sent[&5],
        4 * 23,
        "{:?}",
        [RefreshKind::Begin, RefreshKind::End]
    );
    assert_eq!((net.nodes[&2].kernel.len(), net.downs(2)), (1, 0));
}

#[test]
fn a_peer_is_told_again_between_marks_without_having_asked() {
    let mut net = chain();
    net.originate(1, &["192.0.2.0/24"]);
    net.settle();
    let sent = |net: &Net, kind: u8| net.nodes[&1].sent[&kind];
    let before = (sent(&net, 2), net.nodes[&1].sent.get(&5).copied());
    net.input(1, Input::TellAgain(name(2)));
    net.settle();
    assert!(sent(&net, 2) > before.0);
    assert_eq!(sent(&net, 5) - before.1.unwrap_or(0), 4 * 23);
    assert_eq!((net.nodes[&2].kernel.len(), net.downs(2)), (1, 0));
}

#[test]
fn peers_that_are_told_the_same_are_one_group() {
    let net = Net::mesh(6);
    assert_eq!(net.nodes[&1].speaker.groups(), 1);
    let told = net.nodes[&1]
        .speaker
        .told(net.id(1, 4), prefix("10.244.1.0/24"))
        .unwrap();
    assert_eq!(told.next_hop.to_string(), "10.99.0.1");
    assert_eq!(
        net.nodes[&1]
            .speaker
            .told(net.id(1, 4), prefix("10.244.2.0/24")),
        Err(Untold::Internal)
    );
}
