//! Graceful restart in both roles (RFC 4724).

use crate::scene::{Between, Pair, ROUTE};
use crate::{SOON, with_each};
use lab::eventually;
use netns_tests::measure::RouteMonitor;
use netns_tests::peers::{Brand, Neighbour};
use std::net::Ipv4Addr;
use std::time::Duration;

const KEPT: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 0);
const SECONDS: u16 = 60;

fn graceful(neighbour: &mut Neighbour) {
    neighbour.graceful_restart = Some(SECONDS);
}

/// A peer that is killed: its routes stay until it is back and has told all; what it does not tell again goes.
#[test]
fn routes_of_a_peer_that_restarts_stay_and_what_it_does_not_tell_again_goes() {
    let restarting = Brand::ALL
        .into_iter()
        .filter(|brand| brand.restarts_gracefully());
    with_each(restarting, |brand| {
        let mut pair = Pair::new(brand, &Between::default(), graceful);
        pair.speaker
            .announce("10.3.0.0/16".parse().unwrap())
            .unwrap();
        pair.is_up();
        pair.routes_go_both_ways();
        pair.scene.has("10.3.0.0/16", "10.99.0.2");
        let monitor = RouteMonitor::open(pair.scene.node.namespace()).unwrap();
        pair.speaker.kill().unwrap();
        eventually("Twill knows that it is gone", SOON, || {
            !pair.scene.is_up("other")
        })
        .unwrap();
        assert!(pair.scene.route(ROUTE).is_some());
        assert!(pair.scene.route("10.3.0.0/16").is_some());
        // It will not have been told to originate this one.
        let _ = pair.speaker.withdraw("10.3.0.0/16".parse().unwrap());
        pair.speaker.restart().unwrap();
        pair.is_up();
        pair.scene.has_not("10.3.0.0/16");
        pair.routes_go_both_ways();
        // GoBGP gets its routes by command, after its session may have come up.
        let gone = monitor.heard_of(KEPT, false, Duration::from_millis(1));
        assert!(
            gone.is_none() || brand == Brand::Gobgp,
            "it went for a while"
        );
    });
}

#[test]
fn a_peer_keeps_our_routes_while_twill_is_killed_and_restarted() {
    keeps_ours(|pair| pair.scene.kill());
}

#[test]
fn a_peer_keeps_our_routes_while_twill_is_stopped_and_restarted() {
    keeps_ours(|pair| pair.scene.terminate());
}

fn keeps_ours(end: impl Fn(&mut Pair) + Sync) {
    let keeping = Brand::ALL.into_iter().filter(|brand| brand.keeps_routes());
    with_each(keeping, |brand| {
        let mut pair = Pair::new(brand, &Between::default(), graceful);
        pair.is_up();
        pair.routes_go_both_ways();
        let monitor = RouteMonitor::open(pair.scene.node.namespace()).unwrap();
        let block = pair.scene.blocks()[0];
        end(&mut pair);
        eventually("it knows that Twill is gone", SOON, || {
            !pair.speaker.is_up(pair.twill)
        })
        .unwrap();
        assert!(pair.knows(block), "{brand} should keep it");
        pair.scene.start();
        assert!(pair.knows(block), "{brand} should still have it");
        pair.is_up();
        pair.routes_go_both_ways();
        assert!(
            monitor
                .heard_of(KEPT, false, Duration::from_millis(1))
                .is_none()
        );
    });
}
