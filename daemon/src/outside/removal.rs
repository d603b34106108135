//! Taking everything down again: `twill cleanup`.

use kernel::{NfTables, NfTablesError, TableName};

use crate::removal::Removal;

use super::{legacy, table_name};

/// Removes all that is ours, and what flannel left, from nftables and the legacy
/// iptables.
pub(crate) fn remove(protocol: u8, dry_run: bool) -> Removal {
    let (mut removal, table) = (Removal::default(), table_name(protocol));
    match remove_from_nftables(&table, dry_run) {
        Ok(removed) => removal.removed = removed,
        Err(error) => removal.failed.push(error.to_string()),
    }
    legacy::remove(&table, dry_run, &mut removal);
    removal
}

fn remove_from_nftables(table: &TableName, dry_run: bool) -> Result<Vec<String>, NfTablesError> {
    let mut nftables = NfTables::open(table.clone())?;
    let mut removed = Vec::new();
    if nftables.read()?.is_some() {
        removed.push(format!("nftables table inet {table}"));
    }
    let opened = nftables.find_opened()?;
    removed.extend(
        opened
            .iter()
            .map(|chain| format!("rules in nftables chain {chain}")),
    );
    let flannels = if dry_run {
        nftables.find_flannels()?
    } else {
        nftables.delete()?;
        nftables.remove_flannels()?
    };
    removed.extend(
        flannels
            .iter()
            .map(|left| format!("flannel's nftables {left}")),
    );
    Ok(removed)
}
