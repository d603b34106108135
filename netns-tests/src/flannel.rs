//! flannel's layout in etcd, spelled out here so that the tests do not borrow it from the code under test.

use lab::Stack;

/// The default etcd prefix of flannel and of Twill.
pub const PREFIX: &str = "/coreos.com/network";

/// A network config with this `Backend`: `config(Stack::V4, r#"{"Type":"vxlan"}"#)`. No daemon draws one of the blocks that
/// tests give to nodes which are not there, 10.244.60.0/24 and fd00:244:0:22::/64 among them.
pub fn config(stack: Stack, backend: &str) -> String {
    let v4 = r#""Network":"10.244.0.0/16","SubnetMax":"10.244.50.0""#;
    let v6 =
        r#""EnableIPv6":true,"IPv6Network":"fd00:244::/48","IPv6SubnetMin":"fd00:244:0:100::""#;
    let networks = match stack {
        Stack::V4 => v4.to_owned(),
        Stack::V6 => format!(r#""EnableIPv4":false,{v6}"#),
        Stack::Dual => format!("{v4},{v6}"),
    };
    format!(r#"{{{networks},"Backend":{backend}}}"#)
}

/// The key of a block: `subnet_key("10.244.60.0-24")`.
pub fn subnet_key(block: &str) -> String {
    format!("{PREFIX}/subnets/{block}")
}
