//! What the operator and the underlay change under a running daemon: the
//! network config, the settings, addresses and MTU. Each ends in a plan that is
//! checked as a whole and then followed, or refused as a whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kernel::Link;
use tracing::{error, info, warn};

use crate::agent::{Grace, Input};
use crate::backend::Local;
use crate::bgp::fabric;
use crate::config::{Config, Reload};
use crate::outside::Outside;
use crate::start::{self, Plan};
use crate::store::Store;
use crate::tenure::Begin;

use super::Driver;
use super::leases::{Following, Holding};

/// Addresses and links come and go in several steps; what they come to counts.
const SETTLING: Duration = Duration::from_millis(300);

impl Driver {
    /// The network config was written, or deleted.
    pub(super) fn take_config(&mut self, document: Option<Vec<u8>>) {
        let Some(document) = document else {
            return warn!("the network config was deleted; going on with the one of before");
        };
        if document == self.document {
            self.daemon.refused = None;
            return;
        }
        match self.plan_for(&self.config, &document) {
            Ok(plan) => {
                self.document = document;
                self.daemon.refused = None;
                self.adopt(plan, "the network config has changed");
            }
            Err(why) => {
                error!("the new network config is refused: {why}; going on with the one of before");
                self.daemon.refused = Some(format!("network config: {why}"));
            }
        }
    }

    /// Something has happened to links or addresses.
    pub(super) fn heed_underlay(&mut self) {
        if self.is_underlay_as_planned() {
            self.underlay_due = None;
            if self.daemon.underlay_trouble.take().is_some() {
                info!("the underlay is what it was: {}", self.plan.underlay);
            }
        } else if self.underlay_due.is_none() && self.listening {
            self.underlay_due = Some(Instant::now() + SETTLING);
        }
    }

    /// Follows the underlay when it is another one than planned.
    pub(super) fn follow_underlay(&mut self) {
        if self.is_underlay_as_planned() {
            return;
        }
        match self.plan_for(&self.config, &self.document) {
            Ok(plan) => {
                self.daemon.underlay_trouble = None;
                self.adopt(plan, "the underlay has changed");
            }
            Err(why) if self.daemon.underlay_trouble.as_ref() != Some(&why) => {
                let before = &self.plan.underlay;
                warn!("the underlay is not what it was: {why}; going on with {before}");
                self.daemon.underlay_trouble = Some(why);
            }
            Err(_) => {}
        }
    }

    fn is_underlay_as_planned(&self) -> bool {
        let reconciler = self.plane.agent.reconciler();
        let link = reconciler.links().get(&self.plan.underlay.link);
        self.plan.still_holds(link, reconciler.link_addresses())
    }

    /// SIGHUP: everything is looked at anew.
    pub(super) fn hang_up(&mut self) {
        if let Err(why) = self.reload() {
            error!("the settings cannot be read again: {why}; going on with those of before");
        }
        self.tell(Input::Doubt);
        self.outside.iter_mut().for_each(Outside::doubt);
    }

    /// Reads flags, variables and files anew and follows what can be followed.
    /// Says what that was, and what needs a restart.
    pub(super) fn reload(&mut self) -> Result<String, String> {
        let fresh = (self.load)().map_err(|error| error.to_string())?;
        self.files.doubt();
        let Reload {
            config,
            followed,
            waiting,
        } = self.config.reloaded_by(fresh);
        if !followed.is_empty() {
            self.follow_settings(config)?;
        }
        let mut said = match followed[..] {
            [] => "no setting has changed that can be followed".to_owned(),
            _ => format!("following {}", followed.join(", ")),
        };
        if !waiting.is_empty() {
            said += &format!(
                "; changed, but only a restart follows: {}",
                waiting.join(", ")
            );
        }
        info!("settings read again: {said}");
        Ok(said)
    }

    /// Everything that can fail comes first.
    fn follow_settings(&mut self, config: Config) -> Result<(), String> {
        let plan = self.plan_for(&config, &self.document)?;
        let store = if config.store == self.config.store {
            None
        } else {
            Some(Store::open(&config).map_err(|error| error.to_string())?)
        };
        let before = std::mem::replace(&mut self.config, Arc::new(config));
        if let Some(store) = store {
            self.store = Arc::new(store);
            self.daemon.store_name = start::describe_store(&self.config);
        }
        self.daemon.ttl = self.config.lease_ttl;
        self.tell(Input::Grace(Grace(self.config.vanished_grace)));
        if before.bgp != self.config.bgp {
            self.follow_choice(&before.bgp);
        }
        if before.outside != self.config.outside {
            self.outside = Outside::open(&self.config, self.plane.agent.local());
        }
        if !self.adopt(plan, "the settings have changed") {
            self.restart_tasks();
        }
        Ok(())
    }

    /// A plan for other settings, another network config or another underlay, if
    /// this node keeps its block with it.
    fn plan_for(&self, config: &Config, document: &[u8]) -> Result<Plan, String> {
        let reconciler = self.plane.agent.reconciler();
        let links: Vec<Link> = reconciler.links().values().cloned().collect();
        let addresses = reconciler.link_addresses();
        let plan = start::plan(config, document, (&links, addresses))
            .map_err(|error| error.to_string())?;
        let block = self.plane.agent.local().block;
        match block.and_then(|block| Some((block, plan.misfit(&block)?))) {
            None => Ok(plan),
            Some((block, why)) => Err(format!(
                "this node's block {block} is none that it gives out ({why}); its pods would lose their addresses: write a config that has it, or restart twill to take another block and recreate the pods"
            )),
        }
    }

    /// Goes on with another plan and the same block. Says whether that is another
    /// one at all.
    fn adopt(&mut self, plan: Plan, why: &str) -> bool {
        let reconciler = self.plane.agent.reconciler();
        let links: Vec<Link> = reconciler.links().values().cloned().collect();
        let own: Vec<_> = self.plane.agent.own().cloned().into_iter().collect();
        let macs = plan.macs(&self.config, &links, &own, start::new_macs());
        let block = self.plane.agent.local().block;
        let local = plan.local(block, macs, &self.config.node_name);
        let is_same = local == *self.plane.agent.local() && plan.network == self.plan.network;
        let before = std::mem::replace(&mut self.plan, plan);
        if is_same {
            return false;
        }
        info!("{why}: {self}");
        if !before.underlay.has_addresses_of(&self.plan.underlay) {
            self.reopen_store();
        }
        self.tell_local(local);
        self.restart_tasks();
        true
    }

    /// This node's side is another one.
    pub(super) fn tell_local(&mut self, local: Local) {
        self.tell(Input::Local(Box::new(local.clone())));
        self.tell_fabric(fabric::Input::Local(Box::new(local)));
    }

    /// A connection from an address that is gone would only be given up after
    /// seconds.
    fn reopen_store(&mut self) {
        match Store::open(&self.config) {
            Ok(store) => self.store = Arc::new(store),
            Err(error) => warn!("{error}; going on with the connection to the store as it is"),
        }
    }

    /// The lease is published as it has to be now, and every other one read
    /// again: what they mean depends on the plan.
    fn restart_tasks(&mut self) {
        let macs = self.plane.agent.local().macs;
        if let Some(own) = self.plane.agent.own().cloned() {
            let lease = (own, Begin::Publishing);
            self.holding = Holding::begin(&self.store, &self.config, (&self.plan, macs), lease);
        }
        self.following = Following::begin(&self.store, &self.document, None);
    }
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Plan {
            backend, underlay, ..
        } = &self.plan;
        write!(f, "backend {backend}, underlay {underlay}")
    }
}
