//! What is wanted of nftables for this node's side of the data plane, and who
//! may tunnel to it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use kernel::{Firewall, Masquerade, TunnelGuard};

use crate::backend::{Backend, Local, networks};
use crate::config::{MasqueradeChoice, OutsideChoice};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wanted {
    /// Our table.
    pub(super) firewall: Firewall,
    /// Whose traffic is let through `FORWARD` chains that drop.
    pub(super) forwarded: Vec<IpNetwork>,
}

/// What has to be done where one wish follows another.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Step {
    Nothing,
    /// Other nodes may tunnel.
    Vteps {
        add: Vec<IpAddr>,
        remove: Vec<IpAddr>,
    },
    Everything,
}

impl Wanted {
    pub(super) fn of(choice: &OutsideChoice, local: &Local, vteps: BTreeSet<IpAddr>) -> Wanted {
        let pools: Vec<IpNetwork> = local.pools.iter().copied().flatten().collect();
        let masquerade = choice
            .masquerade
            .as_ref()
            .map(|choice| masquerade(choice, local, &pools));
        let tunnel = guard(choice, local, vteps);
        Wanted {
            firewall: Firewall { masquerade, tunnel },
            forwarded: if choice.open_forward {
                pools
            } else {
                Vec::new()
            },
        }
    }

    /// From `before`, which is what the kernel has, to this.
    pub(super) fn step_from(&self, before: &Wanted) -> Step {
        let (new, old) = (&self.firewall, &before.firewall);
        let rules = |guard: &TunnelGuard| (guard.port, guard.vni);
        let alike = new.masquerade == old.masquerade
            && new.tunnel.as_ref().map(rules) == old.tunnel.as_ref().map(rules)
            && self.forwarded == before.forwarded;
        if !alike {
            return Step::Everything;
        }
        match (&new.tunnel, &old.tunnel) {
            (Some(new), Some(old)) if new.vteps != old.vteps => Step::Vteps {
                add: new.vteps.difference(&old.vteps).copied().collect(),
                remove: old.vteps.difference(&new.vteps).copied().collect(),
            },
            _ => Step::Nothing,
        }
    }
}

/// Whether this choice and backend make us guard the tunnel.
pub(super) fn guards(choice: &OutsideChoice, local: &Local) -> bool {
    choice.tunnel_guard && matches!(local.backend, Backend::Vxlan(_))
}

fn masquerade(choice: &MasqueradeChoice, local: &Local, pools: &[IpNetwork]) -> Masquerade {
    Masquerade {
        pools: pools.to_vec(),
        blocks: networks(&local.block).collect(),
        direct: choice.direct.clone(),
        random_fully: choice.random_fully,
    }
}

fn guard(choice: &OutsideChoice, local: &Local, vteps: BTreeSet<IpAddr>) -> Option<TunnelGuard> {
    match &local.backend {
        Backend::Vxlan(options) if choice.tunnel_guard => Some(TunnelGuard {
            port: options.port,
            vni: options.vni.number(),
            vteps,
        }),
        _ => None,
    }
}
