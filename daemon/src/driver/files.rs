//! What is written once all is in the kernel: `subnet.env`, `node.json`, the
//! CNI plugin, `READY=1`.

use subnet_alloc::Block;
use tracing::{error, info, warn};

use crate::agent::Agent;
use crate::backend::Backend;
use crate::config::Config;
use crate::inspect::Daemon;
use crate::notify;
use crate::plugin::{self, Installed};
use crate::start::Plan;
use crate::state::State;
use crate::subnet_env::SubnetEnv;

/// What was written and said.
#[derive(Default)]
pub(super) struct Files {
    announced: bool,
    written: Option<SubnetEnv>,
    remembered: Option<State>,
    /// Why subnet.env could not be written, as it was last said.
    trouble: Option<String>,
    /// The CNI plugin was installed, or that was tried.
    plugin_seen_to: bool,
}

impl Files {
    /// Writes what differs from what was written, once the agent is ready. Says whether it has come to be.
    pub(super) fn follow(
        &mut self,
        agent: &Agent,
        plan: &Plan,
        config: &Config,
        daemon: &Daemon,
    ) -> bool {
        let Some(block) = agent.local().block.filter(|_| agent.is_ready()) else {
            return false;
        };
        self.remember((agent, block), config);
        self.write_subnet_env((agent, block), plan, config);
        self.install_plugin(config);
        let is_first = !std::mem::replace(&mut self.announced, true);
        if is_first {
            let (leases, skipped) = agent.lease_counts();
            let took = daemon.started.elapsed().as_millis();
            // With BGP they are in the kernel when their nodes tell them.
            let blocks = match agent.local().backend {
                Backend::Bgp => "known by their leases",
                _ => "in the kernel",
            };
            info!(
                "ready after {took} ms: {leases} other nodes' blocks {blocks}, {skipped} leases passed over"
            );
            notify::ready();
        }
        is_first
    }

    /// The CNI plugin is looked at anew.
    pub(super) fn doubt(&mut self) {
        self.plugin_seen_to = false;
    }

    /// Its network config lets pods come, which then need `subnet.env`.
    fn install_plugin(&mut self, config: &Config) {
        if self.written.is_none() || std::mem::replace(&mut self.plugin_seen_to, true) {
            return;
        }
        match plugin::install(config) {
            Ok(Installed {
                written,
                overruled_by,
            }) => {
                for path in written {
                    info!("wrote {} for the container runtime", path.display());
                }
                if let Some(path) = overruled_by {
                    warn!(
                        "{} comes before our network config, and container runtimes take it instead: remove it when pods are to get their network from twill-cni",
                        path.display()
                    );
                }
            }
            Err(error) => warn!(
                "the CNI plugin is not installed: {error}; it is tried again on SIGHUP and `twill reload`"
            ),
        }
    }

    fn remember(&mut self, (agent, block): (&Agent, Block), config: &Config) {
        let macs = agent.local().macs;
        let state = State { block, macs };
        if self.remembered.as_ref() == Some(&state) {
            return;
        }
        if let Err(error) = state.remember(&config.state_dir) {
            let dir = config.state_dir.display();
            warn!(
                "cannot write to {dir} (--state-dir): {error}; after a reboot this node relies on the store alone"
            );
        }
        self.remembered = Some(state);
    }

    fn write_subnet_env(&mut self, (agent, block): (&Agent, Block), plan: &Plan, config: &Config) {
        let env = SubnetEnv {
            network: plan.network.v4.as_ref().map(|pool| pool.network),
            ipv6_network: plan.network.v6.as_ref().map(|pool| pool.network),
            block,
            mtu: agent.local().pod_mtu(),
            ip_masq: config.ip_masq,
        };
        if self.written.as_ref() == Some(&env) {
            return;
        }
        let path = &config.subnet_file;
        match env.write(path).map_err(|error| error.to_string()) {
            Ok(_) => (self.written, self.trouble) = (Some(env), None),
            Err(why) if self.trouble.as_ref() != Some(&why) => {
                error!(
                    "cannot write {} (--subnet-file): {why}; new pods get no network until this is mended; it is tried again with every change, and on SIGHUP",
                    path.display()
                );
                self.trouble = Some(why);
            }
            Err(_) => {}
        }
    }
}
