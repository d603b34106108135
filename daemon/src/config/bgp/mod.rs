//! What the node does by BGP: the `[bgp]` table of the `--config` file.
//!
//! ```text
//! text.rs     one parser per kind of value         reader.rs   a table key by key, errors by the path of the key
//!      +---------------------+---------------------------+
//!          table.rs  [bgp]   peer.rs  [[bgp.peer]], [[bgp.listen]]   policy.rs  import, export
//!      +---------------------+---------------------------+
//!                 choice.rs: BgpChoice              of_node: which of it is this node's (filter.rs, twins.rs, signed.rs)
//!                    /            \
//!               rows.rs         keys.rs              what `twill show config` says of it; keys that stand in files
//! ```

mod choice;
mod filter;
mod keys;
mod peer;
mod policy;
mod reader;
mod rows;
mod signed;
mod table;
mod text;
mod twins;

use std::collections::BTreeMap;

use super::sources::Row;
use super::{ConfigError, Source};
pub(crate) use choice::{BgpChoice, ListenChoice, PeerChoice, TcpChoice, Ttl};
pub(crate) use filter::NodeFilter;
use twins::Among;

/// What the `[bgp]` table says for this node, and what `twill show config` says of it.
pub(super) fn resolve(
    value: &toml::Value,
    file: &Source,
    node: &str,
    labels: &BTreeMap<String, String>,
) -> Result<(BgpChoice, Vec<Row>), ConfigError> {
    let all = table::read(value, file)?;
    twins::refuse(&all, Among::SameFilter, file)?;
    signed::refuse(&all, Among::SameFilter, file)?;
    let own = all.of_node(node, labels);
    twins::refuse(&own, Among::OneNode, file)?;
    signed::refuse(&own, Among::OneNode, file)?;
    let given = value.as_table().cloned().unwrap_or_default();
    let rows = rows::rows(&all, &own, &given, file);
    Ok((own, rows))
}

#[cfg(test)]
mod tests;
