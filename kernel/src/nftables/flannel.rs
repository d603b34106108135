//! What an older flannel left in nftables: tables of its own (`EnableNFTables`),
//! or chains and rules that iptables-nft made for it. What the legacy iptables
//! holds is not in nftables and cannot be reached from here.

use std::fmt;

use crate::netlink::decode::Message;

use super::batch::Batch;
use super::decode::{self, Place};
use super::error::NfTablesError;
use super::forward::{family_name, rules_in, write_rule_removal};
use super::socket::Requests;
use super::wire::*;

const TABLES: [(u8, &str); 2] = [
    (NFPROTO_IPV4, "flannel-ipv4"),
    (NFPROTO_IPV6, "flannel-ipv6"),
];
/// Table, the chain of iptables, flannel's own chain that it jumps to.
const CHAINS: [(&str, &str, &str); 2] = [
    ("nat", "POSTROUTING", "FLANNEL-POSTRTG"),
    ("filter", "FORWARD", "FLANNEL-FWD"),
];
/// Older flannels put their rules straight into the chains of iptables.
const COMMENTS: [&str; 2] = ["flanneld masq", "flanneld forward"];

/// Something that flannel left.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FlannelLeftover(Kind);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Rule(Place, u64),
    Chain(Place),
    Table(u8, &'static str),
}

impl fmt::Display for FlannelLeftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Table(family, name) => write!(f, "table {} {name}", family_name(*family)),
            Kind::Chain(at) => {
                write!(
                    f,
                    "chain {} {} {}",
                    family_name(at.family),
                    at.table,
                    at.chain
                )
            }
            Kind::Rule(at, handle) => write!(
                f,
                "rule {} {} {} handle {handle}",
                family_name(at.family),
                at.table,
                at.chain
            ),
        }
    }
}

/// Rules first, for a chain that a rule jumps to cannot be removed.
pub(super) fn find(requests: &mut Requests) -> Result<Vec<FlannelLeftover>, NfTablesError> {
    let mut found = Vec::new();
    for (family, name) in TABLES {
        let named = |m: &mut super::batch::Attributes<'_>| m.text(NFTA_TABLE_NAME, name);
        if requests
            .find((GETTABLE, family), named, decode::table)?
            .is_some()
        {
            found.push(FlannelLeftover(Kind::Table(family, name)));
        }
    }
    for family in [NFPROTO_IPV4, NFPROTO_IPV6] {
        for (table, base, own) in CHAINS {
            let place = |chain: &str| Place {
                family,
                table: table.into(),
                chain: chain.into(),
            };
            let rules = rules_in(requests, &place(base))?;
            let of_flannel = rules.into_iter().filter(|rule| is_flannels(rule, own));
            found.extend(of_flannel.map(|r| FlannelLeftover(Kind::Rule(r.place, r.handle))));
            if is_there(requests, &place(own))? {
                found.push(FlannelLeftover(Kind::Chain(place(own))));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what was found, all of it or nothing.
pub(super) fn remove(
    requests: &mut Requests,
    found: &[FlannelLeftover],
) -> Result<(), NfTablesError> {
    requests.transact("the removal of flannel's rules", |batch| {
        for leftover in found {
            leftover.write_removal(batch);
        }
    })
}

impl FlannelLeftover {
    fn write_removal(&self, batch: &mut Batch) {
        match &self.0 {
            Kind::Rule(at, handle) => write_rule_removal(batch, at, *handle),
            Kind::Chain(at) => {
                // A rule's removal without a handle removes all of the chain.
                batch.message((DELRULE, 0, at.family), |m| {
                    m.text(NFTA_RULE_TABLE, &at.table);
                    m.text(NFTA_RULE_CHAIN, &at.chain);
                });
                batch.message((DELCHAIN, 0, at.family), |m| {
                    m.text(NFTA_CHAIN_TABLE, &at.table);
                    m.text(NFTA_CHAIN_NAME, &at.chain);
                });
            }
            Kind::Table(family, name) => batch.message((DELTABLE, 0, *family), |m| {
                m.text(NFTA_TABLE_NAME, name);
            }),
        }
    }
}

fn is_flannels(rule: &decode::Rule, own_chain: &str) -> bool {
    let jumps = rule.jump.as_deref() == Some(own_chain);
    let says_so = |comment: &str| COMMENTS.contains(&comment);
    jumps || rule.comment.as_deref().is_some_and(says_so)
}

fn is_there(requests: &mut Requests, place: &Place) -> Result<bool, NfTablesError> {
    let named = |m: &mut super::batch::Attributes<'_>| {
        m.text(NFTA_CHAIN_TABLE, &place.table);
        m.text(NFTA_CHAIN_NAME, &place.chain);
    };
    let read = |m: &Message<'_>| decode::chain(m);
    Ok(requests
        .find((GETCHAIN, place.family), named, read)?
        .is_some())
}
