//! Traffic that enters and leaves the pod network: masquerade (`--ip-masq`), the
//! way through `FORWARD` chains that drop by policy, and who may tunnel to this
//! node.
//!
//! ```text
//!   agent ---> wanted.rs ---> kernel::NfTables    our table, rules in iptables-nft's FORWARD
//!                   \-------> legacy.rs           the same FORWARD rule where iptables is the old one
//! ```
//!
//! It acts once for many events, at most every 100 ms, and less often when it
//! fails or somebody else undoes what it does.

mod legacy;
mod legacy_script;
mod pace;
mod removal;
mod wanted;

use std::time::Instant;

use kernel::{Firewall, NfTables, NfTablesError, NfTablesNotification, TableDrift, TableName};
use tracing::{debug, error, info, warn};

use crate::agent::Agent;
use crate::backend::Local;
use crate::config::{Config, OutsideChoice};

use legacy::Legacy;
use pace::Pace;
pub(crate) use removal::remove;
use wanted::{Step, Wanted, guards};

/// Keeps nftables, and the legacy iptables where that is in use, as wanted.
pub(crate) struct Outside {
    nftables: NfTables,
    /// The kernel tells of no change any more.
    deaf: bool,
    legacy: Legacy,
    choice: OutsideChoice,
    table: TableName,
    wanted: Wanted,
    seen: Option<Seen>,
    todo: Todo,
    /// When the agent is looked at.
    following: Pace,
    /// When what differs is put right: failures slow it down, and who undoes it.
    mending: Pace,
    failure: Once,
    shut: Once,
}

/// What was last looked at of the agent: nothing it has for us changes without
/// one of these.
#[derive(PartialEq)]
struct Seen {
    local: Local,
    lease_events: u64,
    changes: u64,
}

/// What may not be as wanted.
#[derive(Default)]
struct Todo {
    table: bool,
    /// The table because of somebody else.
    undone: bool,
    forward: bool,
    flannels: bool,
    legacy: bool,
}

impl Outside {
    /// Opens nftables. Where that cannot be, says so, and what is lost by it.
    pub(crate) fn open(config: &Config, local: &Local) -> Option<Outside> {
        let (table, choice) = (table_name(config.route_protocol), config.outside.clone());
        let nftables = NfTables::open(table.clone())
            .map_err(|error| say_what_is_lost(&error, &choice, local))
            .ok()?;
        Some(Outside {
            nftables,
            deaf: false,
            legacy: Legacy::default(),
            choice,
            table,
            wanted: Wanted::default(),
            seen: None,
            todo: Todo {
                flannels: true,
                ..Todo::default()
            },
            following: Pace::default(),
            mending: Pace::default(),
            failure: Once::default(),
            shut: Once::default(),
        })
    }

    /// Follows the agent and puts right what differs, unless it is too soon.
    pub(crate) fn tend(&mut self, agent: &Agent, now: Instant) {
        let differs = !self.seen.as_ref().is_some_and(|seen| seen.is_of(agent));
        if self.following.lets(now, differs) {
            self.look(agent);
            self.following.did(now, true, false);
        }
        if self.mending.lets(now, self.todo.any()) {
            let result = self.mend(now);
            self.mending.did(now, result.is_ok(), self.todo.any());
            self.failure.say(result.err().map(|error| {
                let longest = pace::LONGEST.as_secs();
                format!("{error}; trying again, at last every {longest} s")
            }));
        }
    }

    /// When [`tend`](Self::tend) has something to do even if nothing happens.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.following
            .due()
            .into_iter()
            .chain(self.mending.due())
            .min()
    }

    /// Somebody doubts that all is as it is wanted.
    pub(crate) fn doubt(&mut self) {
        self.todo.all();
    }

    /// Waits until somebody else changes what concerns us.
    pub(crate) async fn changed(&mut self) {
        if self.deaf {
            std::future::pending().await
        }
        match self.nftables.notifications().await {
            Ok(notifications) => notifications.into_iter().for_each(|n| self.todo.note(n)),
            Err(error) => {
                self.deaf = true;
                warn!("{error}; drift in nftables is put right at SIGHUP and restarts only");
            }
        }
    }

    fn look(&mut self, agent: &Agent) {
        let wanted = Wanted::of(&self.choice, agent.local(), agent.vteps());
        let first = self.seen.replace(Seen::of(agent)).is_none();
        let before = std::mem::replace(&mut self.wanted, wanted);
        if first {
            self.announce();
            return self.todo.all();
        }
        match self.wanted.step_from(&before) {
            Step::Nothing => {}
            Step::Everything => self.todo.all(),
            Step::Vteps { add, remove } => {
                debug!("{} VTEPs become known, {} unknown", add.len(), remove.len());
                // The set may be full, or somebody has removed it.
                self.todo.table |= self.nftables.update_vteps(&add, &remove).is_err();
            }
        }
    }

    /// Each part by itself: one that fails holds up no other.
    fn mend(&mut self, now: Instant) -> Result<(), NfTablesError> {
        let table = self.mend_table(now);
        let forward = self.mend_forward();
        // flannel's rules serve until ours are there.
        let flannels = if table.is_ok() {
            self.remove_flannels()
        } else {
            Ok(())
        };
        if self.todo.legacy {
            self.todo.legacy = !self.legacy.tend(&self.table, &self.wanted.forwarded);
        }
        table.and(forward).and(flannels)
    }

    fn mend_table(&mut self, now: Instant) -> Result<(), NfTablesError> {
        if !self.todo.table {
            return Ok(());
        }
        if self.wanted.firewall == Firewall::default() {
            // A run with other settings may have left its table.
            if self.nftables.read()?.is_some() {
                self.nftables.delete_table()?;
            }
        } else if self.bring_table()? && self.todo.undone && self.mending.undone(now) {
            warn!(
                "another program changes nftables table inet {} again and again; it is put back about once a second: find out who (`nft monitor`)",
                self.table
            );
        }
        (self.todo.table, self.todo.undone) = (false, false);
        Ok(())
    }

    /// Makes our table as wanted; says whether it was not.
    fn bring_table(&mut self) -> Result<bool, NfTablesError> {
        let firewall = &self.wanted.firewall;
        match self.nftables.drift(firewall)? {
            TableDrift::None => return Ok(false),
            TableDrift::Vteps { add, remove }
                if self.nftables.update_vteps(&add, &remove).is_ok() => {}
            TableDrift::Vteps { .. } | TableDrift::Rules => self.nftables.replace(firewall)?,
        }
        Ok(true)
    }

    fn mend_forward(&mut self) -> Result<(), NfTablesError> {
        if !self.todo.forward {
            return Ok(());
        }
        let shut = self.nftables.open_forward(&self.wanted.forwarded)?.shut;
        self.todo.forward = false;
        let names: Vec<String> = shut.iter().map(ToString::to_string).collect();
        self.shut.say((self.choice.open_forward && !names.is_empty()).then(|| {
            format!("nftables chain {} drops what it does not accept; pods reach each other only if a rule there accepts them", names.join(", "))
        }));
        Ok(())
    }

    fn remove_flannels(&mut self) -> Result<(), NfTablesError> {
        if self.todo.flannels {
            for leftover in self.nftables.remove_flannels()? {
                info!("removed what flannel left in nftables: {leftover}");
            }
            self.todo.flannels = false;
        }
        Ok(())
    }

    fn announce(&self) {
        if let Some(guard) = &self.wanted.firewall.tunnel {
            info!(
                "only nodes may tunnel: {} addresses of other nodes are let in at UDP port {} with VNI {} (--tunnel-guard)",
                guard.vteps.len(),
                guard.port,
                guard.vni
            );
        }
    }
}

impl Seen {
    fn of(agent: &Agent) -> Seen {
        let counts = agent.counts();
        Seen {
            local: agent.local().clone(),
            lease_events: counts.lease_events,
            changes: counts.changes,
        }
    }

    fn is_of(&self, agent: &Agent) -> bool {
        let counts = agent.counts();
        (self.lease_events, self.changes) == (counts.lease_events, counts.changes)
            && self.local == *agent.local()
    }
}

impl Todo {
    fn any(&self) -> bool {
        self.table || self.forward || self.flannels || self.legacy
    }

    fn all(&mut self) {
        (self.table, self.forward, self.legacy) = (true, true, true);
    }

    fn note(&mut self, notification: NfTablesNotification) {
        use NfTablesNotification::{Forward, Overrun, Table};
        self.table |= matches!(notification, Table | Overrun);
        self.undone |= notification == Table;
        self.forward |= matches!(notification, Forward | Overrun);
    }
}

/// Words for the operator that are said once, until there are others.
#[derive(Default)]
struct Once(Option<String>);

impl Once {
    fn say(&mut self, words: Option<String>) {
        if let Some(words) = words
            .as_ref()
            .filter(|words| self.0.as_ref() != Some(words))
        {
            warn!("{words}");
        }
        self.0 = words;
    }
}

fn say_what_is_lost(error: &NfTablesError, choice: &OutsideChoice, local: &Local) {
    if choice.masquerade.is_some() {
        error!("{error}; pods of this node do not reach the outside (--ip-masq)");
    }
    if guards(choice, local) {
        warn!("{error}; whoever reaches this node may send to its pods (--tunnel-guard)");
    } else {
        debug!("{error}; nothing is done about a FORWARD policy that drops");
    }
}

/// Several daemons in one network namespace have a table each.
fn table_name(protocol: u8) -> TableName {
    if protocol == 84 {
        return TableName::default();
    }
    format!("twill-{protocol}")
        .parse()
        .expect("a letter, then letters, a dash and digits")
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
