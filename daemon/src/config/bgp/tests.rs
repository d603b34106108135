//! A file in, what the node does by BGP out.

use std::path::Path;
use std::time::Duration;

use bgp::policy::{AnyCommunity, Import, Learned, Policy};
use bgp::wire::{Community, ExtendedCommunity, LargeCommunity};
use bgp::{Asn, Families, Peering, Prefix};

use super::super::{Config, FileConfig, Flags, Secret, Sources, resolve};
use super::*;

/// A peer in another AS, with whatever else is said of it.
fn tor(lines: &str) -> String {
    format!(
        "[[bgp.peer]]\nname = \"tor1\"\naddress = \"10.0.0.254\"\nas = 65001\nimport = \"all\"\nexport = \"own\"\n{lines}\n"
    )
}

fn resolved(text: &str) -> Result<(Config, Sources), String> {
    let file = FileConfig::parse(Path::new("twill.toml"), text).map_err(|e| e.to_string())?;
    resolve(&Flags::default(), |_| None, Some(&file), "node-1").map_err(|e| e.to_string())
}

fn choice(text: &str) -> BgpChoice {
    resolved(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .0
        .bgp
}

fn peer(lines: &str) -> PeerChoice {
    choice(&tor(lines)).peers.remove(0)
}

/// The error without the file, which all have in front.
fn error(text: &str) -> String {
    let error = resolved(text).map(|_| ()).expect_err(text);
    let (file, rest) = error.split_once(": ").expect("a place");
    assert_eq!(file, "file twill.toml");
    rest.into()
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect(text)
}

#[test]
fn without_a_table_there_is_a_mesh_of_the_usual_as() {
    let (config, sources) = resolved("mtu = 1500").expect("a good file");
    assert_eq!(config.bgp, BgpChoice::default());
    assert_eq!(
        (config.bgp.asn, config.bgp.port, config.bgp.mesh),
        (Asn(64_512), 179, true)
    );
    assert!(!sources.to_string().contains("bgp."));
    assert_eq!(choice("[bgp]"), BgpChoice::default());
}

#[test]
fn every_key_of_the_table_is_followed() {
    let all = choice(
        "[bgp]\nas = 4200000000\nrouter-id = \"10.0.0.9\"\nport = 1179\nmesh = false\npassword = \"hunter2\"\n\
         hold-time = \"30s\"\ngraceful-restart = false\nrestart-time = \"2m\"\nsync-time = 30\nhelper-time = \"1h\"\n\
         metric = 50\nmax-paths = 4\nannounce-block = false\nmore-specifics = [\"10.244.3.128/25\"]\n\
         announce = [\"10.96.0.0/12\", { prefix = \"fd00::/64\", med = 5, local-pref = 200, communities = [\"64512:7\"] }]",
    );
    let said = bgp::speaker::Origination {
        med: Some(5),
        local_pref: Some(200),
        communities: vec![AnyCommunity::Standard(Community(64_512 << 16 | 7))],
    };
    let announce = [
        (prefix("10.96.0.0/12"), Default::default()),
        (prefix("fd00::/64"), said),
    ];
    let wanted = BgpChoice {
        asn: Asn(4_200_000_000),
        router_id: Some(bgp::RouterId([10, 0, 0, 9].into())),
        port: 1179,
        mesh: false,
        key: Some(Secret::from("hunter2".to_owned())),
        key_file: None,
        hold_time: 30,
        graceful_restart: false,
        restart_time: Duration::from_secs(120),
        sync_time: Duration::from_secs(30),
        helper_time: Duration::from_secs(3600),
        metric: 50,
        max_paths: 4,
        announce: announce.into_iter().collect(),
        announce_block: false,
        more_specifics: vec![prefix("10.244.3.128/25")],
        peers: Vec::new(),
        listen: Vec::new(),
    };
    assert_eq!(all, wanted);
}

#[test]
fn every_key_of_a_peer_is_followed() {
    let one = peer(
        "port = 1179\nsource = \"10.0.0.1\"\npassword-file = \"/etc/twill/tor.key\"\nttl-security = 1\npassive = true\n\
         hold-time = 0\ngraceful-restart = false\nfamilies = [\"ipv4\"]\nallow-own-as = 1\nenforce-first-as = false\n\
         next-hop-self = true\nmax-prefixes = { limit = 1000, warn = 900, restart = \"5m\" }\nshutdown = \"maintenance\"",
    );
    assert_eq!(
        (&*one.name, one.tcp.port, one.tcp.ttl),
        ("tor1", 1179, Ttl::Security(1))
    );
    assert_eq!(one.tcp.source, Some([10, 0, 0, 1].into()));
    assert_eq!(
        one.tcp.key_file.as_deref(),
        Some(Path::new("/etc/twill/tor.key"))
    );
    let peer = one.peer;
    assert_eq!(
        (peer.address, peer.asn),
        ([10, 0, 0, 254].into(), Asn(65_001))
    );
    assert!(peer.passive && peer.next_hop_self && !peer.graceful_restart && !peer.enforce_first_as);
    assert_eq!(
        (peer.hold_time, peer.allow_own_as, peer.families),
        (0, 1, Families::IPV4)
    );
    let max = peer.max_prefixes.expect("a limit");
    assert_eq!(
        (max.limit, max.warn, max.restart),
        (1000, 900, Some(Duration::from_secs(300)))
    );
    assert_eq!(peer.shutdown.as_deref(), Some("maintenance"));
    assert_eq!(peer.import, Import::Policy(Policy::everything()));
    assert_eq!(peer.export, Some(Policy::originated()));
}

#[test]
fn a_peer_takes_from_the_table_what_it_does_not_say() {
    let text = format!(
        "[bgp]\nhold-time = 9\ngraceful-restart = false\n{}",
        tor("")
    );
    let peer = &choice(&text).peers[0].peer;
    assert_eq!((peer.hold_time, peer.graceful_restart), (9, false));
}

#[test]
fn another_as_is_one_hop_away_and_our_own_anywhere() {
    assert_eq!(peer("").tcp.ttl, Ttl::Hops(1));
    assert_eq!(peer("multihop = 4").tcp.ttl, Ttl::Hops(4));
    let internal = choice("[[bgp.peer]]\nname = \"rr\"\naddress = \"fd00::1\"\nas = 64512")
        .peers
        .remove(0);
    assert_eq!(internal.tcp.ttl, Ttl::Hops(64));
}

#[test]
fn nothing_is_taken_and_nothing_told_in_another_as_unless_somebody_says_so() {
    let bare = "address = \"10.0.0.254\"\nimport = \"none\"\nexport = \"none\"\n[[bgp.peer]]\nname = \"tor2\"\naddress = \"10.0.0.253\"\nas = 65001";
    let two = choice(&format!(
        "[[bgp.peer]]\nname = \"tor1\"\nas = 65001\n{bare}"
    ));
    assert_eq!(two.peers[0].peer.import, Import::Policy(Policy::default()));
    assert_eq!(two.peers[0].peer.export, Some(Policy::default()));
    assert_eq!(
        (&two.peers[1].peer.import, &two.peers[1].peer.export),
        (&Import::Unset, &None)
    );
    let advice = two.advice();
    assert_eq!(
        advice,
        [
            r#"BGP peer tor2 is in another AS and has no import policy: nothing is taken from it (RFC 8212); write import = "all", a list of rules, or "none" if that is meant"#,
            r#"BGP peer tor2 is in another AS and has no export policy: it is told nothing (RFC 8212); write export = "own", a list of rules, or "none" if that is meant"#,
        ]
    );
    let internal = choice("[[bgp.peer]]\nname = \"rr\"\naddress = \"10.0.0.2\"\nas = 64512");
    assert_eq!(internal.peers[0].peer.export, Some(Policy::originated()));
    assert!(internal.advice().is_empty());
}

#[test]
fn a_default_route_that_is_announced_to_nobody_is_advised_about() {
    let advice = choice("[bgp]\nannounce = [\"0.0.0.0/0\"]").advice();
    assert!(
        advice[0].starts_with("bgp.announce has 0.0.0.0/0"),
        "{advice:?}"
    );
}

#[test]
fn rules_are_clauses_in_their_order() {
    let text = "[[bgp.peer]]\nname = \"x\"\naddress = \"10.0.0.7\"\nas = 65002\nimport = [\
        { prefixes = [\"10.66.0.0/16 le 24\"], refuse = true }, \
        { prefixes = [\"10.0.0.0/8 ge 9 le 24\", \"0.0.0.0/0\"], communities = [\"no-export\"], local-pref = 200 }]\n\
        export = [{ learned = \"ibgp\", med = 10, prepend = 2, add = [\"64512:1:2\"], remove = [\"rt:64512:5\"], next-hop-self = true }]";
    let peer = choice(text).peers.remove(0).peer;
    let Import::Policy(import) = peer.import else {
        panic!("no policy")
    };
    assert_eq!(import.clauses[0].actions, None);
    let taken = &import.clauses[1];
    let list = taken.matches.prefixes.as_ref().expect("prefixes");
    for (text, is) in [
        ("10.0.0.0/8", false),
        ("10.1.2.0/24", true),
        ("10.1.2.0/25", false),
        ("0.0.0.0/0", true),
    ] {
        assert_eq!(list.matches(prefix(text)), is, "{text}");
    }
    assert_eq!(
        taken.matches.communities,
        [AnyCommunity::Standard(Community::NO_EXPORT)]
    );
    assert_eq!(taken.actions.as_ref().and_then(|a| a.local_pref), Some(200));
    let told = &peer.export.expect("a policy").clauses[0];
    assert_eq!(told.matches.learned, Some(Learned::From(Peering::Internal)));
    let actions = told.actions.as_ref().expect("actions");
    assert_eq!(
        (actions.med, actions.prepend, actions.next_hop_self),
        (Some(10), 2, true)
    );
    assert_eq!(
        actions.add,
        [AnyCommunity::Large(LargeCommunity([64_512, 1, 2]))]
    );
    let target = ExtendedCommunity([0, 2, 0xfc, 0, 0, 0, 0, 5]);
    assert_eq!(actions.remove, [AnyCommunity::Extended(target)]);
}

#[test]
fn whoever_connects_from_a_range_is_a_peer() {
    let text =
        "[[bgp.listen]]\nrange = \"10.9.0.0/24\"\nas = 65010\npassword = \"k\"\nimport = \"all\"";
    let one = choice(text).listen.remove(0);
    assert_eq!(one.range.range, prefix("10.9.0.0/24"));
    assert!(one.range.peer.passive && one.tcp.key.is_some());
    assert_eq!(choice(text).advice().len(), 1);
}

#[test]
fn peers_are_those_of_the_nodes_name_and_labels() {
    let peers = "[[bgp.peer]]\nname = \"a\"\naddress = \"10.0.0.1\"\nas = 1\nlabels = { rack = \"a\" }\n\
                 [[bgp.peer]]\nname = \"b\"\naddress = \"10.0.0.1\"\nas = 1\nlabels = { rack = \"b\" }\n\
                 [[bgp.peer]]\nname = \"c\"\naddress = \"10.0.0.3\"\nas = 1\nnodes = [\"x\", \"node-*\"]\n\
                 [[bgp.listen]]\nrange = \"10.9.0.0/24\"\nas = 2\nnodes = [\"x\"]";
    let (config, sources) =
        resolved(&format!("node-label = [\"rack=b\", \"zone=z\"]\n{peers}")).expect("a good file");
    let names: Vec<_> = config.bgp.peers.iter().map(|peer| &*peer.name).collect();
    assert_eq!(names, ["b", "c"]);
    assert!(config.bgp.listen.is_empty());
    let shown = sources.to_string();
    assert!(
        shown.contains("not on this node: only labels rack=a"),
        "{shown}"
    );
}

#[test]
fn two_of_a_name_an_address_or_a_range_are_refused_where_a_node_has_both() {
    let two = |one: &str, other: &str| {
        format!("[[bgp.peer]]\nas = 1\n{one}\n[[bgp.peer]]\nas = 1\n{other}")
    };
    let a = "name = \"a\"\naddress = \"10.0.0.1\"";
    for (other, says) in [
        (
            "name = \"a\"\naddress = \"10.0.0.2\"",
            r#"bgp.peer "a": name = a is not allowed: another peer has the name: want one for each"#,
        ),
        (
            "name = \"b\"\naddress = \"10.0.0.1\"",
            r#"bgp.peer "b": address = 10.0.0.1 is not allowed: it is that of bgp.peer "a""#,
        ),
        (
            "name = \"a\"\naddress = \"10.0.0.2\"\nnodes = [\"node-1\"]",
            r#"bgp.peer "a": name = a"#,
        ),
    ] {
        let error = error(&two(a, other));
        assert!(error.starts_with(says), "{error}");
    }
    let elsewhere = "\nnodes = [\"x\"]";
    assert!(resolved(&two(a, &format!("{a}{elsewhere}"))).is_ok());
    let error_there = error(&two(&format!("{a}{elsewhere}"), &format!("{a}{elsewhere}")));
    assert!(
        error_there.contains("another peer has the name"),
        "{error_there}"
    );
    let range = "[[bgp.listen]]\nrange = \"10.9.0.0/24\"\nas = 2\n";
    assert!(
        error(&format!("{range}{range}"))
            .starts_with(r#"bgp.listen "10.9.0.0/24": range = 10.9.0.0/24"#)
    );
}

#[test]
fn an_error_says_where_the_value_stands_and_what_is_wanted() {
    for (line, says) in [
        (
            "as = 0",
            "bgp.as = 0 is not allowed: want the number of an AS, 1 to 4294967294",
        ),
        (
            "as = 23456",
            "bgp.as = 23456 is not allowed: want the number",
        ),
        (
            "as = 4294967295",
            "bgp.as = 4294967295 is not allowed: want the number",
        ),
        (
            "as = \"1.10\"",
            "bgp.as = \"1.10\" is not allowed: want the number of an AS, 1 to 4294967294, without dots",
        ),
        (
            "router-id = \"0.0.0.0\"",
            "bgp.router-id = \"0.0.0.0\" is not allowed",
        ),
        (
            "hold-time = \"2s\"",
            "bgp.hold-time = \"2s\" is not allowed: want 0, or 3s to 65535s",
        ),
        ("hold-time = 65536", "bgp.hold-time = 65536 is not allowed"),
        (
            "restart-time = \"4096s\"",
            "bgp.restart-time = \"4096s\" is not allowed: want 1s to 4095s",
        ),
        (
            "max-paths = 0",
            "bgp.max-paths = 0 is not allowed: want a number from 1 to 128",
        ),
        ("max-paths = 129", "bgp.max-paths = 129 is not allowed"),
        (
            "port = 65536",
            "bgp.port = 65536 is not allowed: want a number from 0 to 65535",
        ),
        (
            "port = 0",
            "bgp.port = 0 is not allowed: the nodes of the mesh connect to it",
        ),
        (
            "mesh = \"yes\"",
            "bgp.mesh = \"yes\" is not allowed: want true or false",
        ),
        (
            "announce = [\"10.0.0.0/8\", \"10.1.0.0/8\"]",
            "bgp.announce[1] = \"10.1.0.0/8\" is not allowed: it has bits beyond its length: want 10.0.0.0/8",
        ),
        (
            "announce = [\"10.0.0.0/8\", { prefix = \"10.0.0.0/8\" }]",
            "bgp.announce[1] = 10.0.0.0/8 is not allowed: it is in the list twice",
        ),
        (
            "announce = [{ med = 1 }]",
            "bgp.announce[0].prefix = nothing is not allowed: it must be given",
        ),
        (
            "announce = [{ prefix = \"10.0.0.1\" }]",
            "bgp.announce[0].prefix = \"10.0.0.1\" is not allowed: want a prefix such as 10.0.0.0/8 or 2001:db8::/32; 10.0.0.1/32 for this one address",
        ),
        (
            "announce = \"10.0.0.0/8\"",
            "bgp.announce = \"10.0.0.0/8\" is not allowed: want a list: [ ... ]",
        ),
        (
            "more-specifics = [1]",
            "bgp.more-specifics[0] = 1 is not allowed: want a text in quotes",
        ),
        ("asn = 1", "bgp: unknown key \"asn\"; did you mean \"as\"?"),
        (
            "hold_time = 1",
            "bgp: unknown key \"hold_time\"; did you mean \"hold-time\"?",
        ),
        (
            "xyzzy = 1",
            "bgp: unknown key \"xyzzy\"; the keys here are as, router-id",
        ),
        (
            "peer = { name = \"a\" }",
            "bgp.peer = a table is not allowed: want [[bgp.peer]], in double brackets, for each",
        ),
        (
            "listen = [1]",
            "bgp.listen = a list of 1 is not allowed: want [[bgp.listen]]",
        ),
    ] {
        let error = error(&format!("[bgp]\n{line}"));
        assert!(error.starts_with(says), "{line}: {error}");
    }
    assert_eq!(error("bgp = 5"), "bgp = 5 is not allowed: want a table");
}

#[test]
fn an_error_in_a_peer_says_which_peer() {
    for (line, says) in [
        (
            "port = 0",
            "port = 0 is not allowed: want a number from 1 to 65535",
        ),
        (
            "source = \"fd00::1\"",
            "source = \"fd00::1\" is not allowed: want an address of the family of 10.0.0.254, the peer's",
        ),
        (
            "ttl-security = 1\nmultihop = 2",
            "multihop = given is not allowed: ttl-security says already",
        ),
        (
            "ttl-security = 255",
            "ttl-security = 255 is not allowed: want a number from 1 to 254",
        ),
        (
            "families = []",
            "families = a list of 0 is not allowed: want at least one",
        ),
        (
            "families = [\"vpn\"]",
            "families[0] = \"vpn\" is not allowed: want ipv4 or ipv6",
        ),
        (
            "nodes = \"node-1\"",
            "nodes = \"node-1\" is not allowed: want a list",
        ),
        (
            "labels = { rack = 1 }",
            "labels.rack = 1 is not allowed: want a text in quotes",
        ),
        (
            "max-prefixes = 0",
            "max-prefixes = 0 is not allowed: want a number from 1",
        ),
        (
            "max-prefixes = { limit = 5, warn = 5 }",
            "max-prefixes.warn = 5 is not allowed: want a number from 0 to 4: below the limit",
        ),
        (
            "max-prefixes = { warn = 5 }",
            "max-prefixes.limit = nothing is not allowed: it must be given",
        ),
        (
            "shutdown = 5",
            "shutdown = 5 is not allowed: want a text that the peer is told, true or false",
        ),
        ("allow-own-as = 11", "allow-own-as = 11 is not allowed"),
        (
            "adress = \"10.0.0.1\"",
            "unknown key \"adress\"; did you mean \"address\"?",
        ),
        (
            "range = \"10.0.0.0/8\"",
            "unknown key \"range\"; the keys here are name, address",
        ),
    ] {
        let error = error(&tor(line));
        assert!(
            error.starts_with(&format!("bgp.peer \"tor1\": {says}")),
            "{line}: {error}"
        );
    }
    assert!(
        error("[[bgp.peer]]\nas = 1")
            .starts_with("bgp.peer[0].name = nothing is not allowed: it must be given")
    );
    assert!(
        error("[[bgp.listen]]\nas = 1\nrange = \"10.0.0.0/8\"\naddress = \"10.0.0.1\"")
            .starts_with("bgp.listen \"10.0.0.0/8\": unknown key \"address\"")
    );
}

#[test]
fn an_address_is_that_of_one_machine_without_a_scope() {
    for (address, says) in [
        ("fe80::1%eth0", "link-local addresses are not supported"),
        ("fe80::1", "link-local addresses are not supported"),
        ("0.0.0.0", "want the address of one machine"),
        ("::", "want the address of one machine"),
        ("224.0.0.1", "want the address of one machine"),
        ("255.255.255.255", "want the address of one machine"),
        ("::ffff:10.0.0.1", "want it as 10.0.0.1"),
        ("tor1.example", "want an IPv4 or IPv6 address"),
        ("10.0.0.1/24", "want an IPv4 or IPv6 address"),
    ] {
        let error = error(&format!(
            "[[bgp.peer]]\nname = \"a\"\nas = 1\naddress = \"{address}\""
        ));
        assert_eq!(
            error,
            format!(
                "bgp.peer \"a\": address = \"{address}\" is not allowed: {says}{}",
                rest(&error, says)
            )
        );
    }
}

/// What an error says behind these words.
fn rest<'a>(error: &'a str, says: &str) -> &'a str {
    error.split_once(says).map_or("", |(_, rest)| rest)
}

#[test]
fn an_error_in_a_rule_says_which_rule() {
    for (policy, says) in [
        (
            "import = [{}, {}, { prefixes = [\"10.0.0.1/8\"] }]",
            "import[2].prefixes[0] = \"10.0.0.1/8\" is not allowed: it has bits beyond its length: want 10.0.0.0/8",
        ),
        (
            "import = [{ prefixes = [\"10.0.0.0/8 le 4\"] }]",
            "import[0].prefixes[0] = \"10.0.0.0/8 le 4\" is not allowed: want 8 <= ge <= le <= 32",
        ),
        (
            "import = [{ prefixes = [\"10.0.0.0/8 ge 24 le 16\"] }]",
            "import[0].prefixes[0]",
        ),
        (
            "import = [{ prefixes = [\"fd00::/8 le 129\"] }]",
            "import[0].prefixes[0]",
        ),
        (
            "import = [{ prefixes = [\"10.0.0.0/8 upto 24\"] }]",
            "import[0].prefixes[0] = \"10.0.0.0/8 upto 24\" is not allowed: want a prefix, alone or with lengths",
        ),
        (
            "import = [{ prefixes = [] }]",
            "import[0].prefixes = a list of 0 is not allowed: want at least one",
        ),
        (
            "import = [{ communities = [\"64512\"] }]",
            "import[0].communities[0] = \"64512\" is not allowed: want 64512:7",
        ),
        (
            "import = [{ learned = \"ebgp\" }]",
            "import[0].learned = \"ebgp\" is not allowed: it says something of what is told: want it in export only",
        ),
        (
            "import = [{ next-hop-self = true }]",
            "import[0].next-hop-self = true is not allowed",
        ),
        (
            "import = \"own\"",
            "import = \"own\" is not allowed: what is our own does not come from a peer",
        ),
        (
            "import = true",
            "import = true is not allowed: want \"none\", \"all\" or a list of rules",
        ),
        (
            "import = [\"10.0.0.0/8\"]",
            "import[0] = \"10.0.0.0/8\" is not allowed: want a table",
        ),
        (
            "export = \"everything\"",
            "export = \"everything\" is not allowed: want \"none\", \"own\", \"all\" or a list",
        ),
        (
            "export = [{ refuse = true, med = 1 }]",
            "export[0].med = 1 is not allowed: the rule refuses the routes",
        ),
        (
            "export = [{ prepend = 17 }]",
            "export[0].prepend = 17 is not allowed: want a number from 0 to 16",
        ),
        (
            "export = [{ local-pref = 4294967296 }]",
            "export[0].local-pref = 4294967296 is not allowed",
        ),
        (
            "export = [{ localpref = 1 }]",
            "export[0]: unknown key \"localpref\"; did you mean \"local-pref\"?",
        ),
        (
            "export = [{ add = [\"rt:70000:70000\"] }]",
            "export[0].add[0] = \"rt:70000:70000\" is not allowed: want AS:NUMBER or IPV4:NUMBER",
        ),
        (
            "export = [{ learned = \"bgp\" }]",
            "export[0].learned = \"bgp\" is not allowed: want here, ibgp or ebgp",
        ),
    ] {
        let error = error(&format!(
            "[[bgp.peer]]\nname = \"a\"\nas = 1\naddress = \"10.0.0.1\"\n{policy}"
        ));
        assert!(
            error.starts_with(&format!("bgp.peer \"a\": {says}")),
            "{policy}: {error}"
        );
    }
}

#[test]
fn a_node_that_does_not_listen_has_nobody_who_must_connect() {
    let none = "[bgp]\nport = 0\nmesh = false\n";
    assert_eq!(choice(none).port, 0);
    assert!(
        error(&format!("{none}{}", tor("passive = true"))).contains("bgp.peer \"tor1\" is passive")
    );
    assert!(
        error(&format!(
            "{none}[[bgp.listen]]\nrange = \"10.0.0.0/8\"\nas = 1"
        ))
        .contains("there is a bgp.listen")
    );
}

#[test]
fn a_limit_alone_warns_at_four_fifths_and_shuts_for_good() {
    for (limit, warn) in [(1000, 800), (1, 0), (7, 5), (4_294_967_295, 3_435_973_836)] {
        let max = peer(&format!("max-prefixes = {limit}"))
            .peer
            .max_prefixes
            .expect("a limit");
        assert_eq!((max.limit, max.warn, max.restart), (limit, warn, None));
    }
}

#[test]
fn a_shutdown_needs_no_reason() {
    assert_eq!(peer("shutdown = true").peer.shutdown.as_deref(), Some(""));
    assert_eq!(peer("shutdown = false").peer.shutdown, None);
    assert!(
        error(&tor(&format!("shutdown = \"{}\"", "x".repeat(256)))).contains("at most 255 octets")
    );
}

#[test]
fn passwords_are_never_printed() {
    let text = format!(
        "[bgp]\npassword = \"hunter2\"\n{}",
        tor("password = \"hunter3\"")
    );
    let (config, sources) = resolved(&text).expect("a good file");
    let json = serde_json::to_string(&sources).expect("JSON");
    for shown in [sources.to_string(), json, format!("{config:?}")] {
        assert!(
            shown.contains("********") && !shown.contains("hunter"),
            "{shown}"
        );
    }
    let key = |choice: &BgpChoice| {
        choice.peers[0]
            .tcp
            .key
            .as_ref()
            .map(|key| key.expose().to_owned())
    };
    assert_eq!(key(&config.bgp).as_deref(), Some("hunter3"));
    for bad in [
        "password = 1234567".to_owned(),
        "password = [\"1234567\"]".into(),
        "password = { is = \"1234567\" }".into(),
        format!("password = \"{}\"", "1234567".repeat(12)),
        "password = \"1234567\"\npassword-file = \"/etc/key\"".into(),
    ] {
        for text in [format!("[bgp]\n{bad}"), tor(&bad)] {
            let error = error(&text);
            assert!(
                error.contains("password = ********") && !error.contains("1234567"),
                "{error}"
            );
        }
    }
    assert!(error("[bgp]\npassword = \"\"").contains("it has 0 octets: want 1 to 80"));
}

#[test]
fn a_reload_follows_the_table_and_sees_a_key_that_has_changed() {
    let of = |key: &str| {
        let text = format!(
            "node-label = \"rack=a\"\n{}",
            tor(&format!("password = \"{key}\""))
        );
        resolved(&text).expect("a good file").0
    };
    assert!(of("k").reloaded_by(of("k")).followed.is_empty());
    let reload = of("k").reloaded_by(of("other"));
    assert_eq!(reload.followed, ["bgp"]);
    assert_eq!(reload.config.bgp, of("other").bgp);
}

#[test]
fn show_config_has_a_row_for_each_key_and_each_peer() {
    let text = format!(
        "[bgp]\nas = 64513\npassword-file = \"/etc/key\"\n{}",
        tor("ttl-security = 1\npassword = \"k\"")
    );
    let shown = resolved(&text).expect("a good file").1.to_string();
    let row = |name: &str| {
        let line = shown
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        line.map(|line| {
            line.split_whitespace()
                .skip(1)
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(row("bgp.as").as_deref(), Some("64513 file twill.toml"));
    assert_eq!(row("bgp.hold-time").as_deref(), Some("90s default"));
    assert_eq!(row("bgp.password").as_deref(), Some("- default"));
    assert_eq!(
        row("bgp.password-file").as_deref(),
        Some("/etc/key file twill.toml")
    );
    assert_eq!(
        row("bgp.peer.tor1").as_deref(),
        Some("10.0.0.254, AS 65001, ttl-security 1, MD5, import all, export own file twill.toml")
    );
    for key in table::KEYS
        .iter()
        .filter(|key| !["peer", "listen"].contains(key))
    {
        assert!(row(&format!("bgp.{key}")).is_some(), "{key}");
    }
}

/// Numbers beyond all ranges, lists in lists, tables in tables, texts with everything in them.
#[test]
fn no_key_takes_a_value_of_every_shape() {
    let shapes = [
        "-1",
        "1e300",
        "nan",
        "99999999999999999999",
        "1979-05-27T07:32:00Z",
        "\"\\u0000\"",
        "[[[[]]]]",
        "[[1], [2]]",
        "{}",
        "{ a = { b = [1] } }",
        "\"\"",
    ];
    let long = format!("\"{}\"", "é".repeat(100_000));
    let keys = table::KEYS
        .iter()
        .map(|key| (String::from("[bgp]\n"), *key));
    let of_peer = peer::PEER_KEYS.iter().map(|key| {
        let lines = tor("");
        let without: Vec<_> = lines
            .lines()
            .filter(|line| !line.starts_with(&format!("{key} =")))
            .collect();
        (without.join("\n") + "\n", *key)
    });
    let of_rule = policy::KEYS.iter().map(|key| (String::from("rule"), *key));
    for (head, key) in keys.chain(of_peer).chain(of_rule) {
        let mut refused = 0;
        for shape in shapes.iter().copied().chain([&*long]) {
            let text = match &*head {
                "rule" => format!(
                    "[[bgp.peer]]\nname = \"a\"\nas = 1\naddress = \"10.0.0.1\"\nexport = [{{ {key} = {shape} }}]"
                ),
                head => format!("{head}{key} = {shape}"),
            };
            let Err(error) = resolved(&text) else {
                continue;
            };
            refused += 1;
            assert!(
                error.contains(key) || error.contains("line "),
                "{key} = {shape}: {error}"
            );
            assert!(
                error.chars().count() < 2000 && !error.contains(char::is_control),
                "{error:?}"
            );
        }
        assert!(refused >= 8, "{key} takes nearly anything");
    }
}

#[test]
fn whoever_has_no_password_within_a_range_with_one_is_refused() {
    let around = "[[bgp.listen]]\nrange = \"10.9.0.0/16\"\nas = 2\npassword = \"k\"\n";
    let range = "[[bgp.listen]]\nrange = \"10.9.1.0/24\"\nas = 3\n";
    let signed = format!("{range}password = \"l\"\n");
    assert_eq!(
        error(&format!("{range}{around}")),
        "bgp.listen \"10.9.1.0/24\": range = 10.9.1.0/24 is not allowed: bgp.listen 10.9.0.0/16 has a password, and \
         whoever connects from there without one is dropped by the kernel: want a password here, too"
    );
    assert_eq!(choice(&format!("{signed}{around}")).listen.len(), 2);
    let near = tor("").replace("10.0.0.254", "10.9.0.1");
    assert!(error(&format!("{near}{around}")).starts_with("bgp.peer \"tor1\": address = 10.9.0.1"));
    let near = tor("password = \"k\"").replace("10.0.0.254", "10.9.0.1");
    assert_eq!(choice(&format!("{near}{around}")).peers.len(), 1);
    assert_eq!(choice(&format!("{}{around}", tor(""))).peers.len(), 1);
    let elsewhere = format!("{range}nodes = [\"x\"]\n");
    assert_eq!(choice(&format!("{elsewhere}{around}")).listen.len(), 1);
}

#[test]
fn another_metric_waits_for_a_restart() {
    let of = |text: &str| resolved(text).expect(text).0;
    let reload = of("[bgp]").reloaded_by(of("[bgp]\nmetric = 7"));
    assert_eq!(
        (reload.followed, reload.waiting),
        (vec![], vec!["bgp.metric"])
    );
    assert_eq!(reload.config.bgp.metric, 0);
    let reload = of("[bgp]").reloaded_by(of("[bgp]\nmetric = 7\nmax-paths = 2"));
    assert_eq!(
        (reload.followed, reload.waiting),
        (vec!["bgp"], vec!["bgp.metric"])
    );
}
