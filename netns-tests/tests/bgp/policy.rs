//! What the operator says: changed policies, limits, drain, shutdown; next hops that cannot be reached.

use crate::SOON;
use crate::scene::{Scene, TWILL, TWILL_AS, peer};
use lab::ip;
use netns_tests::raw_bgp::{Announced, Heard, RawPeer, RawSetup};
use std::time::Duration;

const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

fn through(number: u8, asn: u32) -> Announced {
    Announced::new(format!("10.99.0.{number}").parse().unwrap(), [asn])
}

fn hears(raw: &RawPeer, what: &str, is_so: impl Fn(&Heard) -> bool) {
    raw.hears(what, SOON, is_so).unwrap();
}

#[test]
fn a_changed_import_is_followed_at_once_and_nobody_has_to_tell_again() {
    let second = peer("b", "10.99.0.3", 65_003, "");
    let scene = Scene::new(&(peer("a", "10.99.0.2", 65_002, "") + &second));
    let (a, b) = (scene.raw(2, 65_002), scene.raw(3, 65_003));
    a.announce(&["10.7.0.0/16", "10.8.0.0/16"], &through(2, 65_002))
        .unwrap();
    scene.has("10.7.0.0/16", "10.99.0.2");
    let refusing = r#"import = [{ prefixes = ["10.7.0.0/16"], refuse = true }, {}]"#;
    let first = peer("a", "10.99.0.2", 65_002, "").replace("import = \"all\"", refusing);
    scene.reload(&(first + &second));
    scene.has_not("10.7.0.0/16");
    scene.has("10.8.0.0/16", "10.99.0.2");
    scene.reload(&(peer("a", "10.99.0.2", 65_002, "") + &second));
    scene.has("10.7.0.0/16", "10.99.0.2");
    for raw in [&a, &b] {
        assert!(!raw.heard().closed);
        assert_eq!(raw.heard().refreshes, 0);
    }
}

#[test]
fn a_changed_export_is_told_at_once_without_a_new_session() {
    let second = peer("b", "10.99.0.3", 65_003, "");
    let scene = Scene::new(&(peer("a", "10.99.0.2", 65_002, "") + &second));
    let (a, b) = (scene.raw(2, 65_002), scene.raw(3, 65_003));
    let block = scene.blocks()[0];
    for raw in [&a, &b] {
        hears(raw, "the block", |heard| heard.routes.contains_key(&block));
    }
    let before = b.heard().updates;
    let marking = r#"export = [{ learned = "here", add = ["64512:7"], med = 5 }]"#;
    let first = peer("a", "10.99.0.2", 65_002, "").replace("export = \"own\"", marking);
    scene.reload(&(first + &second));
    hears(&a, "the mark", |heard| {
        let route = &heard.routes[&block];
        route.communities == [64_512 << 16 | 7] && route.med == Some(5)
    });
    assert!(!a.heard().closed && !b.heard().closed);
    assert_eq!(b.heard().updates, before);
}

#[test]
fn another_password_ends_that_session_and_no_other() {
    let (first, second) = (
        peer("a", "10.99.0.2", 65_002, "passive = true"),
        peer("b", "10.99.0.3", 65_003, ""),
    );
    let both = first.clone() + &second;
    let scene = Scene::new(&both);
    let (machine, b) = (scene.machine(2), scene.raw(3, 65_003));
    let a = scene.raw_on(&machine, 65_002, |_| ());
    scene.reload(&(first + "password = \"a-secret\"\n" + &second));
    hears(&a, "the end", |heard| heard.notification.is_some());
    let ended = a.heard().notification.clone().unwrap();
    assert_eq!((ended.code, ended.subcode), (6, 4));
    drop(a);
    let setup = RawSetup::new(machine.addresses.v4.unwrap().into(), TWILL, 65_002);
    let again = RawPeer::open(&machine.namespace, &setup, Duration::from_millis(100));
    assert!(again.is_err(), "it has no key");
    scene.reload(&both);
    drop(scene.raw_on(&machine, 65_002, |_| ()));
    assert!(!b.heard().closed);
}

#[test]
fn other_timers_and_limits_end_no_session() {
    let scene = Scene::new(&peer("a", "10.99.0.2", 65_002, ""));
    let raw = scene.raw(2, 65_002);
    raw.announce(&["10.7.0.0/16"], &through(2, 65_002)).unwrap();
    scene.has("10.7.0.0/16", "10.99.0.2");
    let timers = "hold-time = \"30s\"\nrestart-time = \"90s\"\nsync-time = \"20s\"\nmax-paths = 2\nmetric = 50\n";
    let limits = "hold-time = \"60s\"\nmax-prefixes = 100\nallow-own-as = 1";
    let said = scene.reload(&(timers.to_owned() + &peer("a", "10.99.0.2", 65_002, limits)));
    assert!(said.contains("following bgp"), "{said}");
    assert!(
        said.contains("only a restart follows: bgp.metric"),
        "{said}"
    );
    raw.announce(&["10.8.0.0/16"], &through(2, 65_002)).unwrap();
    scene.has("10.8.0.0/16", "10.99.0.2");
    scene.has("10.7.0.0/16", "10.99.0.2");
    assert!(!raw.heard().closed && scene.is_up("a"));
}

#[test]
fn too_many_prefixes_end_a_session_for_a_while() {
    let limit = r#"max-prefixes = { limit = 10, warn = 8, restart = "1s" }"#;
    let scene = Scene::new(&peer(
        "a",
        "10.99.0.2",
        65_002,
        &format!("{limit}\npassive = true"),
    ));
    let machine = scene.machine(2);
    let raw = scene.raw_on(&machine, 65_002, |_| ());
    let many: Vec<String> = (1..=11)
        .map(|number| format!("10.{number}.0.0/16"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    raw.announce(&many, &through(2, 65_002)).unwrap();
    hears(&raw, "the end", |heard| heard.notification.is_some());
    let ended = raw.heard().notification.clone().unwrap();
    assert_eq!((ended.code, ended.subcode), (6, 1));
    scene.has_not("10.1.0.0/16");
    drop(raw);
    drop(scene.raw_on(&machine, 65_002, |_| ()));
}

#[test]
fn drain_asks_for_other_paths_and_ends() {
    let scene =
        Scene::new(&(peer("a", "10.99.0.2", 65_002, "") + &peer("i", "10.99.0.3", TWILL_AS, "")));
    let (external, internal) = (scene.raw(2, 65_002), scene.raw(3, TWILL_AS));
    let block = scene.blocks()[0];
    let drained = |heard: &Heard| {
        let route = heard.routes.get(&block);
        route.is_some_and(|route| route.communities.contains(&GRACEFUL_SHUTDOWN))
    };
    hears(&external, "the block", |heard| {
        heard.routes.contains_key(&block)
    });
    scene.says(&["bgp", "drain"]);
    hears(&external, "the community", drained);
    hears(&internal, "no preference", |heard| {
        heard
            .routes
            .get(&block)
            .is_some_and(|route| route.local_pref == Some(0))
    });
    scene.says(&["bgp", "drain", "--off"]);
    hears(&external, "no community", |heard| !drained(heard));
    hears(&internal, "the usual preference", |heard| {
        heard
            .routes
            .get(&block)
            .is_some_and(|route| route.local_pref == Some(100))
    });
    assert!(!external.heard().closed && !internal.heard().closed);
}

#[test]
fn a_peer_that_is_shut_down_or_reset_is_told_why() {
    let scene = Scene::new(&peer("a", "10.99.0.2", 65_002, "passive = true"));
    let machine = scene.machine(2);
    let raw = scene.raw_on(&machine, 65_002, |_| ());
    scene.says(&["bgp", "reset", "a", "--reason", "new cable"]);
    hears(&raw, "the reason", |heard| {
        heard.shutdown_text().as_deref() == Some("new cable")
    });
    let ended = raw.heard().notification.clone().unwrap();
    assert_eq!((ended.code, ended.subcode), (6, 4));
    drop(raw);
    let raw = scene.raw_on(&machine, 65_002, |_| ());
    scene.reload(&peer(
        "a",
        "10.99.0.2",
        65_002,
        "passive = true\nshutdown = \"maintenance\"",
    ));
    hears(&raw, "the text", |heard| {
        heard.shutdown_text().as_deref() == Some("maintenance")
    });
    let ended = raw.heard().notification.clone().unwrap();
    assert_eq!((ended.code, ended.subcode), (6, 2));
}

#[test]
fn a_route_whose_next_hop_cannot_be_reached_is_kept_and_installed_when_it_can() {
    let scene = Scene::new(&peer("i", "10.99.0.2", TWILL_AS, ""));
    let raw = scene.raw(2, TWILL_AS);
    let mut route = Announced::new("10.98.0.1".parse().unwrap(), [65_002]);
    route.local_pref = Some(100);
    raw.announce(&["192.0.3.0/24"], &route).unwrap();
    let mut near = Announced::new("10.99.0.2".parse().unwrap(), [65_002]);
    near.local_pref = Some(100);
    raw.announce(&["192.0.4.0/24"], &near).unwrap();
    scene.has("192.0.4.0/24", "10.99.0.2");
    assert_eq!(scene.route("192.0.3.0/24"), None);
    let said = scene.says(&["show", "rib", "192.0.3.0/24"]);
    assert!(
        said.contains("10.98.0.1") && said.contains("unreachable"),
        "{said}"
    );
    let node = scene.node.namespace();
    ip(node, &["route", "add", "10.98.0.0/24", "via", "10.99.0.3"]).unwrap();
    scene.has("192.0.3.0/24", "10.99.0.3");
    ip(node, &["route", "del", "10.98.0.0/24", "via", "10.99.0.3"]).unwrap();
    scene.has_not("192.0.3.0/24");
    let said = scene.says(&["show", "rib", "192.0.3.0/24"]);
    assert!(said.contains("unreachable"), "{said}");
}

#[test]
fn who_connects_from_a_range_is_a_peer_while_the_session_lasts() {
    let scene = Scene::new(
        "[[bgp.listen]]\nrange = \"10.99.0.0/26\"\nas = 65010\nimport = \"all\"\nexport = \"own\"\ngraceful-restart = false\n",
    );
    let raw = scene.raw(7, 65_010);
    raw.announce(&["10.7.0.0/16"], &through(7, 65_010)).unwrap();
    scene.has("10.7.0.0/16", "10.99.0.7");
    let block = scene.blocks()[0];
    hears(&raw, "the block", |heard| heard.routes.contains_key(&block));
    drop(raw);
    scene.has_not("10.7.0.0/16");
}
