//! Pod traffic to the outside: masquerade (`--ip-masq`), and the way through a
//! `FORWARD` chain that drops by policy.

use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use kernel::{Firewall, Masquerade, NfTables, NfTablesError, TableDrift, TableName};
use tracing::{info, warn};

use crate::backend::{Local, networks};
use crate::config::Config;

/// What nftables refused is tried again after this long.
const RETRY: Duration = Duration::from_secs(10);

/// Keeps nftables as it is wanted.
pub(crate) struct Outside {
    nftables: NfTables,
    masquerade: bool,
    wanted: Option<Wanted>,
    /// When something is to be done that nobody else asks for.
    due: Option<Instant>,
    /// What was last said to the operator, so that it is said once.
    said: Option<String>,
}

/// What is wanted for one block and its pools.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    firewall: Firewall,
    pools: Vec<IpNetwork>,
}

impl Outside {
    /// Opens nftables and removes what an older flannel left there.
    pub(crate) fn open(config: &Config) -> Result<Outside, NfTablesError> {
        let mut nftables = NfTables::open(table_name(config.route_protocol))?;
        for leftover in nftables.remove_flannels()? {
            info!("removed what flannel left in nftables: {leftover}");
        }
        Ok(Outside {
            nftables,
            masquerade: config.ip_masq,
            wanted: None,
            due: None,
            said: None,
        })
    }

    /// Makes nftables follow this node's side of the data plane.
    pub(crate) fn follow(&mut self, local: &Local, now: Instant) {
        let wanted = wanted(local, self.masquerade);
        if self.wanted.as_ref() != Some(&wanted) {
            self.wanted = Some(wanted);
            self.repair(now);
        }
    }

    /// Puts right what differs from what is wanted.
    pub(crate) fn repair(&mut self, now: Instant) {
        let result = self.try_repair();
        self.due = result.is_err().then_some(now + RETRY);
        let words = match result {
            Ok(words) => words,
            Err(error) => Some(format!("{error}; trying again every {} s", RETRY.as_secs())),
        };
        if let Some(words) = words
            .as_ref()
            .filter(|words| self.said.as_ref() != Some(words))
        {
            warn!("{words}");
        }
        self.said = words;
    }

    /// When a repair is due again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Waits until somebody else changes what concerns us.
    pub(crate) async fn changed(&mut self) {
        if let Err(error) = self.nftables.notifications().await {
            warn!("{error}; drift in nftables is seen at the next restart only");
            std::future::pending().await
        }
    }

    /// What the operator should know, if anything.
    fn try_repair(&mut self) -> Result<Option<String>, NfTablesError> {
        let Some(Wanted { firewall, pools }) = &self.wanted else {
            return Ok(None);
        };
        if firewall.masquerade.is_none() {
            // A run with --ip-masq may have left its table.
            if self.nftables.read()?.is_some() {
                self.nftables.delete()?;
            }
        } else if self.nftables.drift(firewall)? != TableDrift::None {
            self.nftables.replace(firewall)?;
        }
        let shut = self.nftables.open_forward(pools)?.shut;
        let names: Vec<String> = shut.iter().map(ToString::to_string).collect();
        Ok((!names.is_empty()).then(|| {
            format!("nftables chain {} drops what it does not accept; pods reach each other only if a rule there accepts them", names.join(", "))
        }))
    }
}

/// Removes all that is ours from nftables; says whether there was anything.
pub(crate) fn remove(protocol: u8, dry_run: bool) -> Result<bool, NfTablesError> {
    let mut nftables = NfTables::open(table_name(protocol))?;
    let is_there = nftables.read()?.is_some();
    if !dry_run {
        nftables.delete()?;
    }
    Ok(is_there)
}

/// Several daemons in one network namespace have a table each.
pub(crate) fn table_name(protocol: u8) -> TableName {
    if protocol == 84 {
        return TableName::default();
    }
    format!("twill-{protocol}")
        .parse()
        .expect("a letter, then letters, a dash and digits")
}

fn wanted(local: &Local, masquerade: bool) -> Wanted {
    let pools: Vec<IpNetwork> = local.pools.iter().copied().flatten().collect();
    let masquerade = masquerade.then(|| Masquerade {
        pools: pools.clone(),
        blocks: networks(&local.block).collect(),
        direct: Vec::new(),
        random_fully: true,
    });
    Wanted {
        firewall: Firewall {
            masquerade,
            tunnel: None,
        },
        pools,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_protocol_has_the_plain_table() {
        assert_eq!(table_name(84).as_str(), "twill");
        assert_eq!(table_name(85).as_str(), "twill-85");
    }
}
