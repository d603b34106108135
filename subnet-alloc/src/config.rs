//! The network config: flannel's JSON at `<prefix>/config`, checked by flannel's rules (its `pkg/subnet/config.go`).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnetwork::{Ipv4Network, Ipv6Network};

use crate::backend::BackendConfig;
use crate::block::Block;
use crate::json::{BadJson, Fields};
use crate::pool::{Misfit, Pool, PoolText};

/// What every node of the network has in common.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// The IPv4 pool; `None` when `EnableIPv4` is false.
    pub v4: Option<Pool<Ipv4Network>>,
    /// The IPv6 pool; `None` unless `EnableIPv6` is true.
    pub v6: Option<Pool<Ipv6Network>>,
    /// How nodes reach each other's blocks.
    pub backend: BackendConfig,
    /// `EnableNFTables`: masquerade by nftables instead of iptables.
    pub enable_nftables: bool,
}

/// Why a network config cannot be used. The texts name the key, the value and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not readable as flannel's JSON.
    #[error("network config: {0}; correct it in the store")]
    Json(#[from] BadJson),
    /// A pool that cannot be divided as asked.
    #[error("network config: {key} is {value}: {why}")]
    Value {
        /// The key in flannel's spelling.
        key: &'static str,
        /// Its value, cut to 80 characters.
        value: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// An enabled family without a network.
    #[error(
        "network config: {key} is missing; set it, for example to {example}, or set {switch} to false"
    )]
    Missing {
        /// The key in flannel's spelling.
        key: &'static str,
        /// A value that would do.
        example: &'static str,
        /// The key that turns the family off.
        switch: &'static str,
    },
    /// Nothing to give out.
    #[error(
        "network config: EnableIPv4 is false and EnableIPv6 is not true; enable at least one of them"
    )]
    NoFamily,
}

/// The largest config that is read, in bytes.
const LARGEST: usize = 1 << 20;

impl NetworkConfig {
    /// Reads flannel's JSON: keys in any case, unknown ones ignored, at most 1 MiB and 32 levels deep.
    pub fn parse(text: &[u8]) -> Result<NetworkConfig, ConfigError> {
        let fields = Fields::read(text, LARGEST)?;
        let v4_on = fields.take("EnableIPv4")?.unwrap_or(true);
        let v6_on = fields.take("EnableIPv6")?.unwrap_or(false);
        if !v4_on && !v6_on {
            return Err(ConfigError::NoFamily);
        }
        Ok(NetworkConfig {
            v4: v4_on.then(|| v4_pool(&fields)).transpose()?,
            v6: v6_on.then(|| v6_pool(&fields)).transpose()?,
            enable_nftables: fields.take("EnableNFTables")?.unwrap_or(false),
            backend: BackendConfig::read(&fields)?,
        })
    }

    /// Whether a block is one of those that this config gives out: exactly the enabled families, each part a block
    /// of its pool.
    pub fn fits(&self, block: &Block) -> Result<(), Misfit> {
        part_fits(self.v4.as_ref(), block.v4())?;
        part_fits(self.v6.as_ref(), block.v6())
    }
}

fn part_fits<N: crate::family::Prefix>(
    pool: Option<&Pool<N>>,
    part: Option<N>,
) -> Result<(), Misfit> {
    match (pool, part) {
        (Some(pool), Some(part)) => pool.fits(part),
        (Some(_), None) => Err(Misfit::FamilyMissing(N::FAMILY)),
        (None, Some(_)) => Err(Misfit::FamilyExtra(N::FAMILY)),
        (None, None) => Ok(()),
    }
}

fn v4_pool(fields: &Fields<'_>) -> Result<Pool<Ipv4Network>, ConfigError> {
    let text = PoolText {
        keys: ["Network", "SubnetLen", "SubnetMin", "SubnetMax"],
        network: fields.take("Network")?,
        length: fields.take("SubnetLen")?,
        min: fields.take("SubnetMin")?,
        max: fields.take("SubnetMax")?,
    };
    let missing = ConfigError::Missing {
        key: "Network",
        example: "\"10.244.0.0/16\"",
        switch: "EnableIPv4",
    };
    text.pool(
        |text| {
            text.parse::<Ipv4Addr>()
                .ok()
                .map(|ip| u128::from(u32::from(ip)))
        },
        missing,
    )
}

fn v6_pool(fields: &Fields<'_>) -> Result<Pool<Ipv6Network>, ConfigError> {
    let text = PoolText {
        keys: [
            "IPv6Network",
            "IPv6SubnetLen",
            "IPv6SubnetMin",
            "IPv6SubnetMax",
        ],
        network: fields.take("IPv6Network")?,
        length: fields.take("IPv6SubnetLen")?,
        min: fields.take("IPv6SubnetMin")?,
        max: fields.take("IPv6SubnetMax")?,
    };
    let missing = ConfigError::Missing {
        key: "IPv6Network",
        example: "\"fd00:244::/48\"",
        switch: "EnableIPv6",
    };
    text.pool(
        |text| text.parse::<Ipv6Addr>().ok().map(u128::from),
        missing,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NetworkConfig, ConfigError> {
        NetworkConfig::parse(text.as_bytes())
    }

    fn shown<N: crate::family::Prefix>(pool: Option<Pool<N>>) -> String {
        pool.map_or("none".to_owned(), |pool| {
            format!(
                "{} /{} {}..{}",
                pool.network, pool.block_len, pool.min, pool.max
            )
        })
    }

    #[test]
    fn a_network_alone_gives_flannels_defaults() {
        let config = parse(r#"{"Network":"10.244.0.0/16"}"#).expect("valid");
        assert_eq!(
            shown(config.v4),
            "10.244.0.0/16 /24 10.244.1.0/24..10.244.255.0/24"
        );
        assert_eq!(shown(config.v6), "none");
        assert_eq!(config.backend.kind, "vxlan");
        assert!(!config.backend.kind_given);
        assert!(!config.enable_nftables);
    }

    #[test]
    fn dual_stack_with_any_case_unknown_keys_and_nulls_is_read() {
        let config = parse(
            r#"{"network":"10.244.3.7/16","subnetlen":26,"SUBNETMIN":"10.244.10.0","SubnetMax":"10.244.20.0",
                "EnableIpv6":true,"IPv6Network":"fd00:244::/48","comment":{"a":[1]},"IPv6SubnetLen":null,
                "enablenftables":true,"backend":{"type":"VXLAN","vni":7,"DirectRouting":true}}"#,
        )
        .expect("valid");
        assert_eq!(
            shown(config.v4),
            "10.244.0.0/16 /26 10.244.10.0/26..10.244.20.0/26"
        );
        assert_eq!(
            shown(config.v6),
            "fd00:244::/48 /64 fd00:244:0:1::/64..fd00:244:0:ffff::/64"
        );
        assert!(config.enable_nftables);
        assert_eq!(config.backend.number("VNI"), Ok(Some(7)));
        assert_eq!(config.backend.flag("directrouting"), Ok(Some(true)));
        assert_eq!(config.backend.flag("GBP"), Ok(None));
    }

    #[test]
    fn small_networks_are_cut_in_four() {
        let v4 = parse(r#"{"Network":"10.0.0.0/28"}"#).expect("valid").v4;
        assert_eq!(shown(v4), "10.0.0.0/28 /30 10.0.0.4/30..10.0.0.12/30");
        let v6 = parse(r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/124"}"#)
            .expect("valid")
            .v6;
        assert_eq!(shown(v6), "fd00::/124 /126 fd00::4/126..fd00::c/126");
    }

    #[test]
    fn huge_networks_are_read() {
        let v6 = parse(r#"{"EnableIPv6":true,"Network":"0.0.0.0/1","IPv6Network":"fd00::/8","IPv6SubnetLen":126}"#)
            .expect("valid")
            .v6;
        assert!(shown(v6).starts_with("fd00::/8 /126 fd00::4/126..fdff:"));
    }

    #[test]
    fn every_mistake_is_named_with_its_key_and_value() {
        for (text, says) in [
            ("", "it is empty"),
            ("[]", "not a JSON object"),
            ("{}", "Network is missing"),
            (r#"{"EnableIPv4":false}"#, "enable at least one"),
            (r#"{"EnableIPv4":"no"}"#, "EnableIPv4 is \"no\""),
            (
                r#"{"Network":"10.244.0.0/16","EnableIPv6":true}"#,
                "IPv6Network is missing",
            ),
            (r#"{"Network":"10.244.0.0"}"#, "Network is 10.244.0.0"),
            (r#"{"Network":"10.244.0.0/33"}"#, "Network is 10.244.0.0/33"),
            (r#"{"Network":"fd00::/48"}"#, "Network is fd00::/48"),
            (r#"{"Network":"0.0.0.0/0"}"#, "Network is 0.0.0.0/0"),
            (r#"{"Network":"10.0.0.0/29"}"#, "Network is 10.0.0.0/29"),
            (
                r#"{"Network":"10.0.0.0/16","SubnetLen":31}"#,
                "SubnetLen is 31",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetLen":17}"#,
                "SubnetLen is 17",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetLen":-1}"#,
                "SubnetLen is -1",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetMin":"10.1.0.0"}"#,
                "SubnetMin is 10.1.0.0",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetMin":"10.0.5.1"}"#,
                "SubnetMin is 10.0.5.1",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetMax":"x"}"#,
                "SubnetMax is x",
            ),
            (
                r#"{"Network":"10.0.0.0/16","SubnetMin":"10.0.9.0","SubnetMax":"10.0.8.0"}"#,
                "SubnetMax is 10.0.8.0",
            ),
            (
                r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48","IPv6SubnetLen":127}"#,
                "IPv6SubnetLen is 127",
            ),
            (r#"{"Network":"10.0.0.0/16","Backend":5}"#, "Backend is 5"),
            (
                r#"{"Network":"10.0.0.0/16","Backend":{"Type":5}}"#,
                "Type is 5",
            ),
        ] {
            let refused = parse(text).expect_err(says).to_string();
            assert!(refused.contains(says), "{text}: {refused}");
        }
    }

    #[test]
    fn oversized_and_deep_configs_are_refused() {
        let large = format!(r#"{{"Network":"{}"}}"#, " ".repeat(LARGEST));
        assert!(
            parse(&large)
                .expect_err("large")
                .to_string()
                .contains("1048576")
        );
        let deep = format!(r#"{{"Backend":{}"#, "{\"a\":".repeat(100_000));
        assert!(
            parse(&deep)
                .expect_err("deep")
                .to_string()
                .contains("nested")
        );
    }

    #[test]
    fn a_block_fits_when_it_is_one_of_those_given_out() {
        let config = parse(
            r#"{"Network":"10.244.0.0/16","SubnetMax":"10.244.9.0","EnableIPv6":true,"IPv6Network":"fd00:244::/48"}"#,
        )
        .expect("valid");
        let fits = |key| config.fits(&Block::from_key(key).expect(key));
        assert_eq!(fits("10.244.9.0-24&fd00:244:0:1::-64"), Ok(()));
        for key in [
            "10.244.10.0-24&fd00:244:0:1::-64",
            "10.244.0.0-24&fd00:244:0:1::-64",
            "10.244.9.0-25&fd00:244:0:1::-64",
            "10.244.9.0-24&fd00:244:1:1::-64",
        ] {
            assert!(fits(key).is_err(), "{key}");
        }
        assert_eq!(
            fits("10.244.9.0-24"),
            Err(Misfit::FamilyMissing(crate::Family::V6))
        );
        let v4_only = parse(r#"{"Network":"10.244.0.0/16"}"#).expect("valid");
        assert_eq!(
            v4_only.fits(&Block::from_key("10.244.9.0-24&fd00:1::-64").expect("valid")),
            Err(Misfit::FamilyExtra(crate::Family::V6))
        );
    }
}
