//! flannel's layout in etcd, spelled out here so that the tests do not borrow it from the code under test.

use lab::Stack;

/// The default etcd prefix of flannel and of Twill.
pub const PREFIX: &str = "/coreos.com/network";

/// A network config with this `Backend`: `config(Stack::V4, r#"{"Type":"vxlan"}"#)`.
pub fn config(stack: Stack, backend: &str) -> String {
    let networks = match stack {
        Stack::V4 => r#""Network":"10.244.0.0/16""#,
        Stack::V6 => r#""EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:244::/48""#,
        Stack::Dual => {
            r#""Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:244::/48""#
        }
    };
    format!(r#"{{{networks},"Backend":{backend}}}"#)
}

/// The key of a block: `subnet_key("10.244.60.0-24")`.
pub fn subnet_key(block: &str) -> String {
    format!("{PREFIX}/subnets/{block}")
}
