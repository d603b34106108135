//! The network config of a cluster: flannel's `net-conf.json`, with blocks as long as the cluster gives them.

use serde_json::{Map, Value};

use crate::block::Block;

/// The config with what the cluster decides: how long blocks are, and that the first one is given out as well. What cannot be
/// read stays as it is, for whoever checks it.
pub(super) fn with_lengths(text: &[u8], own: &Block) -> Vec<u8> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(text) else {
        return text.to_vec();
    };
    let (v4, v6) = (
        own.v4().map(|part| part.prefix()),
        own.v6().map(|part| part.prefix()),
    );
    for (family, length) in [("", v4), ("IPv6", v6)] {
        let first = value(&fields, &format!("{family}Network"))
            .and_then(Value::as_str)
            .and_then(|network| network.split_once('/'))
            .map(|(first, _)| first.to_owned());
        set(
            &mut fields,
            &format!("{family}SubnetLen"),
            length.map(Value::from),
        );
        set(
            &mut fields,
            &format!("{family}SubnetMin"),
            first.map(Value::from),
        );
        set(&mut fields, &format!("{family}SubnetMax"), None);
    }
    Value::Object(fields).to_string().into_bytes()
}

/// Which families a config enables: flannel's defaults where it says nothing.
pub(super) fn families(text: &[u8]) -> (bool, bool) {
    let fields: Map<String, Value> = serde_json::from_slice(text).unwrap_or_default();
    let flag = |key| value(&fields, key).and_then(Value::as_bool);
    (
        flag("EnableIPv4").unwrap_or(true),
        flag("EnableIPv6").unwrap_or(false),
    )
}

/// Keys are written in any case.
fn value<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let mut found = fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(key));
    found.next_back().map(|(_, value)| value)
}

fn set(fields: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    fields.retain(|name, _| !name.eq_ignore_ascii_case(key));
    fields.extend(value.map(|value| (key.to_owned(), value)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NetworkConfig;

    #[test]
    fn blocks_are_as_long_as_the_clusters() {
        let text = br#"{"Network":"10.244.0.0/16","subnetlen":24,"SubnetMin":"10.244.9.0","EnableIPv6":true,"IPv6Network":"fd00:244::/48","Backend":{"Type":"vxlan"}}"#;
        let own = Block::from_key("10.244.0.0-26&fd00:244:0:1::-64").unwrap();
        assert!(NetworkConfig::parse(text).unwrap().fits(&own).is_err());
        let config = NetworkConfig::parse(&with_lengths(text, &own)).unwrap();
        assert_eq!(config.v4.unwrap().block_len, 26);
        assert_eq!(families(text), (true, true));
    }

    #[test]
    fn what_is_no_json_stays_for_who_checks_it() {
        let own = Block::from_key("10.244.0.0-24").unwrap();
        assert_eq!(with_lengths(b"{", &own), b"{");
        assert_eq!(families(b"{"), (true, false));
    }
}
