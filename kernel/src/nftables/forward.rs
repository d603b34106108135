//! Pods' traffic through a host whose `FORWARD` policy is drop.
//!
//! `accept` in a chain of ours would have no effect: a packet must be accepted
//! by every base chain of a hook. So a rule must stand in the very chain that
//! drops; and at its end, so that it counts only against the policy and every
//! rule of others, such as a network policy, comes first. We do so in the
//! chains `FORWARD` of iptables-nft, where programs are used to share, and only
//! name the other chains that drop.

use std::fmt;

use ipnetwork::IpNetwork;

use crate::netlink::decode::Message;

use super::batch::Batch;
use super::decode::{self, Chain, Place};
use super::error::NfTablesError;
use super::firewall::{Family, TableName};
use super::rule::{End, Match, Rule, Verdict};
use super::socket::Requests;
use super::wire::*;

const TABLE: &str = "filter";
const CHAIN: &str = "FORWARD";

/// What was found at the forward hook, and done about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forwarding {
    /// Chains `FORWARD` that drop by policy and let the pools' traffic through.
    pub open: Vec<ChainName>,
    /// Chains of others that drop by policy, and that we do not touch: pods'
    /// traffic passes only if a rule there accepts it.
    pub shut: Vec<ChainName>,
}

/// A chain of somebody else's, as in `nft list chain ip filter FORWARD`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ChainName(pub(super) Place);

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            family,
            table,
            chain,
        } = &self.0;
        write!(f, "{} {table} {chain}", family_name(*family))
    }
}

pub(super) fn family_name(family: u8) -> &'static str {
    match family {
        NFPROTO_INET => "inet",
        NFPROTO_IPV4 => "ip",
        NFPROTO_IPV6 => "ip6",
        _ => "other",
    }
}

/// Makes each chain `FORWARD` have our rules, and no others of ours: one pair
/// for each pool where the policy is drop, else none.
pub(super) fn open_forward(
    requests: &mut Requests,
    owner: &TableName,
    pools: &[IpNetwork],
) -> Result<Forwarding, NfTablesError> {
    let mut forwarding = Forwarding::default();
    let mut plan = Plan::default();
    for chain in forward_chains(requests)? {
        if !is_shared(&chain.place) {
            if chain.drops {
                forwarding.shut.push(ChainName(chain.place));
            }
            continue;
        }
        let wanted = if chain.drops {
            rules(owner, &chain.place, pools)
        } else {
            Vec::new()
        };
        if !wanted.is_empty() {
            forwarding.open.push(ChainName(chain.place.clone()));
        }
        let found = rules_in(requests, &chain.place)?;
        plan.add(owner, &chain.place, wanted, found);
    }
    requests.transact("rules that let pods' traffic through FORWARD", |batch| {
        plan.write(batch);
    })?;
    Ok(forwarding)
}

/// The chains that have rules of ours.
pub(super) fn opened(
    requests: &mut Requests,
    owner: &TableName,
) -> Result<Vec<ChainName>, NfTablesError> {
    let mark = owner.mark();
    let ours = |rule: &decode::Rule| {
        let comment = rule.comment.as_deref();
        comment.is_some_and(|comment| comment.starts_with(&mark))
    };
    let mut opened = Vec::new();
    for chain in forward_chains(requests)? {
        if is_shared(&chain.place) && rules_in(requests, &chain.place)?.iter().any(ours) {
            opened.push(ChainName(chain.place));
        }
    }
    Ok(opened)
}

/// Whether a notification is about a chain `FORWARD` of iptables.
pub(super) fn concerns_forwarding(message: &Message<'_>) -> bool {
    match message.kind {
        NEWRULE | DELRULE => decode::rule(message).is_some_and(|rule| is_shared(&rule.place)),
        NEWCHAIN | DELCHAIN => decode::chain(message).is_some_and(|chain| is_shared(&chain.place)),
        _ => false,
    }
}

/// The rules of a chain.
pub(super) fn rules_in(
    requests: &mut Requests,
    place: &Place,
) -> Result<Vec<decode::Rule>, NfTablesError> {
    let of = |m: &mut super::batch::Attributes<'_>| {
        m.text(NFTA_RULE_TABLE, &place.table);
        m.text(NFTA_RULE_CHAIN, &place.chain);
    };
    // Old kernels ignore what narrows the dump down.
    let read = |m: &Message<'_>| decode::rule(m).filter(|rule| rule.place == *place);
    requests.dump((GETRULE, place.family), of, read)
}

pub(super) fn write_rule_removal(batch: &mut Batch, place: &Place, handle: u64) {
    batch.message((DELRULE, 0, place.family), |m| {
        m.text(NFTA_RULE_TABLE, &place.table);
        m.text(NFTA_RULE_CHAIN, &place.chain);
        m.put(NFTA_RULE_HANDLE, &handle.to_be_bytes());
    });
}

fn forward_chains(requests: &mut Requests) -> Result<Vec<Chain>, NfTablesError> {
    let read = |m: &Message<'_>| {
        decode::chain(m).filter(|chain| {
            let routed = [NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6];
            chain.hook == Some(NF_INET_FORWARD) && routed.contains(&chain.place.family)
        })
    };
    requests.dump((GETCHAIN, NFPROTO_UNSPEC), |_| (), read)
}

fn is_shared(place: &Place) -> bool {
    place.family != NFPROTO_INET && place.table == TABLE && place.chain == CHAIN
}

fn rules(owner: &TableName, place: &Place, pools: &[IpNetwork]) -> Vec<Rule> {
    let of_family = |pool: &&IpNetwork| Family::of(pool.ip()).protocol() == place.family;
    pools
        .iter()
        .filter(of_family)
        .flat_map(|pool| {
            [(End::Source, "from"), (End::Destination, "to")].map(|(end, word)| {
                let matches = vec![Match::Within(end, true, *pool)];
                let comment = format!("{}{word} {pool}", owner.mark());
                Rule::new(matches, Verdict::Accept, comment)
            })
        })
        .collect()
}

/// What to append, and what to remove.
#[derive(Default)]
struct Plan {
    missing: Vec<(Place, Rule)>,
    stale: Vec<(Place, u64)>,
}

impl Plan {
    fn add(
        &mut self,
        owner: &TableName,
        place: &Place,
        mut wanted: Vec<Rule>,
        found: Vec<decode::Rule>,
    ) {
        let mark = owner.mark();
        for rule in found {
            let Some(comment) = rule.comment.filter(|comment| comment.starts_with(&mark)) else {
                continue;
            };
            match wanted.iter().position(|rule| rule.comment == comment) {
                Some(at) => drop(wanted.remove(at)),
                None => self.stale.push((place.clone(), rule.handle)),
            }
        }
        self.missing
            .extend(wanted.into_iter().map(|rule| (place.clone(), rule)));
    }

    fn write(&self, batch: &mut Batch) {
        for (place, rule) in &self.missing {
            let header = (NEWRULE, NLM_F_CREATE | NLM_F_APPEND, place.family);
            batch.message(header, |m| {
                m.text(NFTA_RULE_TABLE, &place.table);
                m.text(NFTA_RULE_CHAIN, &place.chain);
                rule.write(m);
            });
        }
        for (place, handle) in &self.stale {
            write_rule_removal(batch, place, *handle);
        }
    }
}
