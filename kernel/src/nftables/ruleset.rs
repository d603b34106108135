//! From what is wanted ([`Firewall`]) to sets, chains and rules, and from there
//! to one batch that replaces the table.

use ipnetwork::IpNetwork;

use super::batch::Batch;
use super::firewall::{Family, Firewall, Masquerade, TableName, TunnelGuard};
use super::rule::{End, Match, Rule, Verdict};
use super::set::Set;
use super::wire::*;

/// What kube-proxy marks, it masquerades itself (`KUBE-MARK-MASQ`).
const KUBERNETES_MASQUERADES: u32 = 0x4000;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ruleset {
    pub(super) sets: Vec<Set>,
    pub(super) chains: Vec<Chain>,
}

/// A base chain with policy accept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
    pub(super) rules: Vec<Rule>,
}

impl Firewall {
    pub(super) fn ruleset(&self) -> Ruleset {
        let mut ruleset = Ruleset::default();
        if let Some(masquerade) = &self.masquerade {
            ruleset.add_masquerade(masquerade);
        }
        if let Some(tunnel) = &self.tunnel {
            ruleset.add_tunnel_guard(tunnel);
        }
        ruleset
    }
}

impl Ruleset {
    fn add_masquerade(&mut self, wanted: &Masquerade) {
        let mark = Match::Marked(KUBERNETES_MASQUERADES);
        let mut rules = vec![Rule::new(
            vec![mark],
            Verdict::Return,
            "kube-proxy masquerades it",
        )];
        for family in Family::BOTH {
            if wanted.pools.iter().any(|pool| family.holds(pool)) {
                self.sets.extend(masquerade_sets(family, wanted));
                rules.extend(masquerade_rules(family, wanted.random_fully));
            }
        }
        self.chains.push(Chain {
            name: "postrouting",
            kind: "nat",
            hook: NF_INET_POST_ROUTING,
            priority: 100,
            rules,
        });
    }

    /// At the input hook a packet is for this machine (what is forwarded is
    /// other people's tunnel) and IPv4 is whole again. What is too short to
    /// have a VNI, such as the first fragment of an IPv6 packet, is not let off
    /// by the first rule.
    fn add_tunnel_guard(&mut self, wanted: &TunnelGuard) {
        let vxlan = Match::UdpTo(wanted.port);
        let other = vec![vxlan.clone(), Match::OtherVni(wanted.vni)];
        let mut rules = vec![Rule::new(other, Verdict::Return, "not our VNI")];
        for family in Family::BOTH {
            let set = names(family).vteps;
            self.sets
                .push(Set::of_addresses(set, family, &wanted.vteps));
            let unknown = vec![
                vxlan.clone(),
                Match::Is(family),
                Match::In(End::Source, family, false, set),
            ];
            rules.push(Rule::new(unknown, Verdict::Drop, "sender is no known VTEP"));
        }
        self.chains.push(Chain {
            name: "tunnel",
            kind: "filter",
            hook: NF_INET_LOCAL_IN,
            priority: -10,
            rules,
        });
    }

    /// The batch that puts this in the place of the table, whatever is there:
    /// a table must exist to be deleted, so it is made first.
    pub(super) fn write_replacement(&self, batch: &mut Batch, table: &TableName, comment: &str) {
        write_table(batch, table, None);
        write_deletion(batch, table);
        write_table(batch, table, Some(comment));
        for (set, id) in self.sets.iter().zip(1..) {
            set.write(batch, table, id);
        }
        for chain in &self.chains {
            chain.write(batch, table);
        }
    }

    /// Chain and comment of each rule, in their order.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let label = |chain: &Chain, rule: &Rule| (chain.name.to_owned(), rule.comment.clone());
        self.chains
            .iter()
            .flat_map(|chain| chain.rules.iter().map(|rule| label(chain, rule)))
            .collect()
    }
}

/// The batch that removes the table, if it is there.
pub(super) fn write_removal(batch: &mut Batch, table: &TableName) {
    write_table(batch, table, None);
    write_deletion(batch, table);
}

/// The sets of a family.
pub(super) struct SetNames {
    pools: &'static str,
    blocks: &'static str,
    direct: &'static str,
    pub(super) vteps: &'static str,
}

pub(super) fn names(family: Family) -> SetNames {
    match family {
        Family::V4 => SetNames {
            pools: "pools4",
            blocks: "blocks4",
            direct: "direct4",
            vteps: "vteps4",
        },
        Family::V6 => SetNames {
            pools: "pools6",
            blocks: "blocks6",
            direct: "direct6",
            vteps: "vteps6",
        },
    }
}

fn masquerade_sets(family: Family, wanted: &Masquerade) -> [Set; 3] {
    let names = names(family);
    [
        Set::of_networks(names.pools, family, &wanted.pools),
        Set::of_networks(names.blocks, family, &wanted.blocks),
        Set::of_networks(names.direct, family, &wanted.direct),
    ]
}

/// What flannel's iptables rules do, but for pod to pod of which neither end is
/// this node's own: flannel translates it, we do not.
fn masquerade_rules(family: Family, random_fully: bool) -> Vec<Rule> {
    let names = names(family);
    let source = |within, set| Match::In(End::Source, family, within, set);
    let destination = |set| Match::In(End::Destination, family, true, set);
    let translate = Verdict::Masquerade { random_fully };
    let beyond = Match::Within(End::Destination, false, multicast(family));
    [
        (
            vec![source(true, names.pools), destination(names.pools)],
            Verdict::Return,
            "pod to pod",
        ),
        (
            vec![destination(names.blocks)],
            Verdict::Return,
            "outside to a pod of this node",
        ),
        (
            vec![source(true, names.pools), destination(names.direct)],
            Verdict::Return,
            "destinations that take pod addresses",
        ),
        (
            vec![source(true, names.pools), beyond],
            translate,
            "pod to outside",
        ),
        (
            vec![source(false, names.pools), destination(names.pools)],
            translate,
            "outside to a pod of another node",
        ),
    ]
    .into_iter()
    .map(|(mut matches, verdict, comment)| {
        matches.insert(0, Match::Is(family));
        Rule::new(matches, verdict, comment)
    })
    .collect()
}

fn multicast(family: Family) -> IpNetwork {
    let (ip, length) = match family {
        Family::V4 => ([224, 0, 0, 0].into(), 4),
        Family::V6 => ([0xff00, 0, 0, 0, 0, 0, 0, 0].into(), 8),
    };
    IpNetwork::new(ip, length).expect("4 and 8 are lengths of prefixes")
}

fn write_table(batch: &mut Batch, table: &TableName, comment: Option<&str>) {
    batch.message((NEWTABLE, NLM_F_CREATE, NFPROTO_INET), |m| {
        m.text(NFTA_TABLE_NAME, table.as_str());
        if let Some(comment) = comment {
            m.comment(NFTA_TABLE_USERDATA, comment);
        }
    });
}

fn write_deletion(batch: &mut Batch, table: &TableName) {
    batch.message((DELTABLE, 0, NFPROTO_INET), |m| {
        m.text(NFTA_TABLE_NAME, table.as_str());
    });
}

impl Chain {
    fn write(&self, batch: &mut Batch, table: &TableName) {
        batch.message((NEWCHAIN, NLM_F_CREATE, NFPROTO_INET), |m| {
            m.text(NFTA_CHAIN_TABLE, table.as_str());
            m.text(NFTA_CHAIN_NAME, self.name);
            m.nest(NFTA_CHAIN_HOOK, |hook| {
                hook.number(NFTA_HOOK_HOOKNUM, self.hook);
                hook.put(NFTA_HOOK_PRIORITY, &self.priority.to_be_bytes());
            });
            m.number(NFTA_CHAIN_POLICY, NF_ACCEPT);
            m.text(NFTA_CHAIN_TYPE, self.kind);
        });
        for rule in &self.rules {
            batch.message((NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET), |m| {
                m.text(NFTA_RULE_TABLE, table.as_str());
                m.text(NFTA_RULE_CHAIN, self.name);
                rule.write(m);
            });
        }
    }
}
