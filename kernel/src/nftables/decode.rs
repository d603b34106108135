//! Reading what nftables holds: only names, comments and jumps, never what a
//! rule does.

use std::net::IpAddr;

use crate::netlink::decode::{Message, address, attrs};

use super::wire::*;

/// Where a rule stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) family: u8,
    pub(super) table: String,
    pub(super) chain: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chain {
    pub(super) place: Place,
    /// It is a base chain at this hook.
    pub(super) hook: Option<u32>,
    /// What comes to its end is dropped.
    pub(super) drops: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) place: Place,
    pub(super) handle: u64,
    pub(super) comment: Option<String>,
    /// The chain to which it jumps or goes.
    pub(super) jump: Option<String>,
}

/// The family and the name of the table that a message of any kind is about.
pub(super) fn table(message: &Message<'_>) -> Option<(u8, String)> {
    let family = *message.payload.first()?;
    // NFTA_TABLE_NAME and every other kind's NFTA_*_TABLE are the same number.
    let name = attribute(body(message)?, NFTA_TABLE_NAME)?;
    Some((family, text(name)))
}

pub(super) fn table_comment(message: &Message<'_>) -> Option<String> {
    comment(attribute(body(message)?, NFTA_TABLE_USERDATA)?)
}

pub(super) fn chain(message: &Message<'_>) -> Option<Chain> {
    let attributes = body(message)?;
    let hook = attribute(attributes, NFTA_CHAIN_HOOK)
        .and_then(|hook| number(attribute(hook, NFTA_HOOK_HOOKNUM)?));
    let policy = attribute(attributes, NFTA_CHAIN_POLICY).and_then(number);
    Some(Chain {
        place: place(message, NFTA_CHAIN_NAME)?,
        hook,
        drops: hook.is_some() && policy == Some(NF_DROP),
    })
}

pub(super) fn rule(message: &Message<'_>) -> Option<Rule> {
    let attributes = body(message)?;
    let handle = attribute(attributes, NFTA_RULE_HANDLE)?.try_into().ok()?;
    let expressions = attribute(attributes, NFTA_RULE_EXPRESSIONS).unwrap_or_default();
    let of_nft = attribute(attributes, NFTA_RULE_USERDATA).and_then(comment);
    Some(Rule {
        place: place(message, NFTA_RULE_CHAIN)?,
        handle: u64::from_be_bytes(handle),
        comment: of_nft.or_else(|| find_expression(expressions, iptables_comment)),
        jump: find_expression(expressions, jump),
    })
}

/// The addresses in one message of a set's elements.
pub(super) fn elements(message: &Message<'_>) -> Vec<IpAddr> {
    let list = body(message).and_then(|a| attribute(a, NFTA_SET_ELEM_LIST_ELEMENTS));
    attrs(list.unwrap_or_default())
        .filter_map(|(_, element)| {
            let key = attribute(element, NFTA_SET_ELEM_KEY)?;
            address(attribute(key, NFTA_DATA_VALUE)?)
        })
        .collect()
}

/// The attributes behind `struct nfgenmsg`.
fn body<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    message.payload.get(4..)
}

fn place(message: &Message<'_>, chain: u16) -> Option<Place> {
    let (family, table) = table(message)?;
    let chain = text(attribute(body(message)?, chain)?);
    Some(Place {
        family,
        table,
        chain,
    })
}

fn find_expression<T>(list: &[u8], read: impl Fn(&str, &[u8]) -> Option<T>) -> Option<T> {
    attrs(list).find_map(|(_, expression)| {
        let name = text(attribute(expression, NFTA_EXPR_NAME)?);
        read(&name, attribute(expression, NFTA_EXPR_DATA)?)
    })
}

fn jump(name: &str, data: &[u8]) -> Option<String> {
    let data = attribute(data, NFTA_IMMEDIATE_DATA).filter(|_| name == "immediate")?;
    let verdict = attribute(data, NFTA_DATA_VERDICT)?;
    attribute(verdict, NFTA_VERDICT_CHAIN).map(text)
}

/// iptables-nft keeps its comments in a match of iptables' own (`struct
/// xt_comment_info`).
fn iptables_comment(name: &str, data: &[u8]) -> Option<String> {
    let is_comment = name == "match" && text(attribute(data, NFTA_MATCH_NAME)?) == "comment";
    attribute(data, NFTA_MATCH_INFO)
        .filter(|_| is_comment)
        .map(text)
}

/// The comment among the fields of user data: type, length, value.
fn comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == UDATA_COMMENT {
            return Some(text(value));
        }
        data = &rest[value.len()..];
    }
    None
}

fn attribute(attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    attrs(attributes)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Up to the first NUL.
fn text(value: &[u8]) -> String {
    let until = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..until]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::decode::messages;
    use crate::nftables::batch::Batch;
    use crate::nftables::firewall::{Family, TableName};
    use crate::nftables::set::Set;
    use proptest::prelude::*;

    #[test]
    fn the_elements_that_are_written_read_back() {
        let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap(), [192, 0, 2, 9].into()];
        let mut batch = Batch::starting_at(0);
        Set::new("vteps4", Family::V4, &addresses).write(&mut batch, &TableName::default(), 1);
        let read: Vec<IpAddr> = messages(batch.bytes())
            .filter(|m| m.kind == NEWSETELEM)
            .flat_map(|m| elements(&m))
            .collect();
        assert_eq!(read, addresses);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
            let message = Message { kind: NEWRULE, flags: 0, seq: 0, payload: &payload };
            let _ = (table(&message), table_comment(&message), chain(&message));
            let _ = (rule(&message), elements(&message));
            let _ = (comment(&payload), find_expression(&payload, jump));
        }
    }
}
