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
                rules.extend(masquerade_rules(family, wanted));
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
            let set = vteps(family);
            self.sets.push(Set::new(set, family, &wanted.vteps));
            let unknown = vec![
                vxlan.clone(),
                Match::Is(family),
                Match::SourceNotIn(family, set),
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

/// The set of known VTEPs of a family.
pub(super) fn vteps(family: Family) -> &'static str {
    match family {
        Family::V4 => "vteps4",
        Family::V6 => "vteps6",
    }
}

/// What flannel's iptables rules do, but for pod to pod of which neither end is
/// this node's own: flannel translates it, we do not.
///
/// The networks stand in the rules, not in sets: rules take effect all at once
/// when the transaction is committed, elements of a set of networks later.
fn masquerade_rules(family: Family, wanted: &Masquerade) -> Vec<Rule> {
    let of_family = |all: &[IpNetwork]| -> Vec<IpNetwork> {
        all.iter().copied().filter(|n| family.holds(n)).collect()
    };
    let pools = of_family(&wanted.pools);
    let from = |pool| Match::Within(End::Source, true, pool);
    let to = |network| Match::Within(End::Destination, true, network);
    let mut rules = Vec::new();
    let mut rule = |matches, verdict, comment| rules.push(Rule::new(matches, verdict, comment));

    for (source, destination) in pairs(&pools, &pools) {
        let matches = vec![from(source), to(destination)];
        rule(matches, Verdict::Return, "pod to pod");
    }
    for block in of_family(&wanted.blocks) {
        let comment = "outside to a pod of this node";
        rule(vec![to(block)], Verdict::Return, comment);
    }
    for (source, destination) in pairs(&pools, &of_family(&wanted.direct)) {
        let matches = vec![from(source), to(destination)];
        let comment = "destination that takes pod addresses";
        rule(matches, Verdict::Return, comment);
    }
    let translate = Verdict::Masquerade {
        random_fully: wanted.random_fully,
    };
    for pool in &pools {
        let beyond = Match::Within(End::Destination, false, multicast(family));
        rule(vec![from(*pool), beyond], translate, "pod to outside");
    }
    for pool in &pools {
        let outside = |pool: &IpNetwork| Match::Within(End::Source, false, *pool);
        let matches = pools.iter().map(outside).chain([to(*pool)]).collect();
        rule(matches, translate, "outside to a pod of another node");
    }
    for rule in &mut rules {
        rule.matches.insert(0, Match::Is(family));
    }
    rules
}

fn pairs<'a>(
    left: &'a [IpNetwork],
    right: &'a [IpNetwork],
) -> impl Iterator<Item = (IpNetwork, IpNetwork)> + 'a {
    left.iter()
        .flat_map(|a| right.iter().map(move |b| (*a, *b)))
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
