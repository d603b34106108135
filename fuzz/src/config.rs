//! The `[bgp]` table of the daemon's configuration, and what it is read with.

#[path = "../../daemon/src/config/bgp/mod.rs"]
mod bgp;
#[path = "../../daemon/src/config/error.rs"]
mod error;
#[path = "../../daemon/src/config/near.rs"]
mod near;
#[path = "../../daemon/src/config/sources.rs"]
mod sources;
#[path = "../../daemon/src/config/values.rs"]
mod values;

use error::ConfigError;
use sources::Source;
use values::Secret;

/// Reads the table for a node; the number of its peers and ranges there, or why it is refused.
pub(crate) fn read(table: &toml::Table) -> Option<Result<usize, String>> {
    let labels = [("rack".to_owned(), "a".to_owned())].into();
    let file = Source::File("twill.toml".into());
    let read = bgp::resolve(table.get("bgp")?, &file, "node-1", &labels);
    Some(
        read.map(|(own, _)| own.peers.len() + own.listen.len())
            .map_err(|why| why.to_string()),
    )
}
