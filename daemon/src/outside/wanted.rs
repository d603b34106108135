//! What is wanted of nftables for this node's side of the data plane, and who
//! may tunnel to it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use kernel::{Firewall, Masquerade, TunnelGuard};

use crate::backend::{Backend, Local};
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
        blocks: local.networks().collect(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::underlay::Underlay;
    use kernel::{IfIndex, Mac};
    use subnet_alloc::Block;

    fn local(backend: Backend) -> Local {
        Local {
            backend,
            underlay: Underlay {
                link: IfIndex(2),
                name: "eth0".into(),
                mtu: 1500,
                v4: Some([10, 99, 0, 1].into()),
                v6: None,
                public_v4: Some([10, 99, 0, 1].into()),
                public_v6: None,
                connected: Vec::new(),
                why: String::new(),
            },
            pools: ["10.244.0.0/16".parse().ok(), None],
            block: Block::from_key("10.244.72.0-24").ok(),
            macs: [Mac([2; 6]); 2],
            node: "node1".into(),
        }
    }

    fn vxlan() -> Backend {
        Backend::Vxlan(vxlan::Options::default())
    }

    fn choice() -> OutsideChoice {
        OutsideChoice {
            masquerade: None,
            open_forward: true,
            tunnel_guard: true,
        }
    }

    fn vteps(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn wanted(texts: &[&str]) -> Wanted {
        Wanted::of(&choice(), &local(vxlan()), vteps(texts))
    }

    #[test]
    fn only_vxlan_is_guarded_and_only_if_that_is_asked_for() {
        let guard = wanted(&["10.99.0.2"]).firewall.tunnel.unwrap();
        assert_eq!((guard.port, guard.vni), (8472, 1));
        assert_eq!(guard.vteps, vteps(&["10.99.0.2"]));
        let unguarded = OutsideChoice {
            tunnel_guard: false,
            ..choice()
        };
        for (choice, backend) in [(choice(), Backend::HostGw), (unguarded, vxlan())] {
            let wanted = Wanted::of(&choice, &local(backend), vteps(&["10.99.0.2"]));
            assert_eq!(wanted.firewall, Firewall::default());
        }
    }

    #[test]
    fn masquerade_is_for_the_pools_and_spares_what_was_named() {
        let choice = OutsideChoice {
            masquerade: Some(MasqueradeChoice {
                direct: vec!["10.0.0.0/8".parse().unwrap()],
                random_fully: false,
            }),
            ..choice()
        };
        let wanted = Wanted::of(&choice, &local(Backend::HostGw), BTreeSet::new());
        let masquerade = wanted.firewall.masquerade.unwrap();
        assert_eq!(masquerade.pools, ["10.244.0.0/16".parse().unwrap()]);
        assert_eq!(masquerade.blocks, ["10.244.72.0/24".parse().unwrap()]);
        assert_eq!(masquerade.direct, ["10.0.0.0/8".parse().unwrap()]);
        assert!(!masquerade.random_fully);
        assert_eq!(wanted.forwarded, masquerade.pools);
    }

    #[test]
    fn other_nodes_are_a_small_step_and_another_vni_is_not() {
        let before = wanted(&["10.99.0.2", "10.99.0.3"]);
        assert_eq!(before.step_from(&before), Step::Nothing);
        let step = wanted(&["10.99.0.3", "fd99::4"]).step_from(&before);
        let add = vec!["fd99::4".parse().unwrap()];
        let remove = vec!["10.99.0.2".parse().unwrap()];
        assert_eq!(step, Step::Vteps { add, remove });
        let other = Backend::Vxlan(vxlan::Options {
            port: 4789,
            ..vxlan::Options::default()
        });
        for backend in [other, Backend::HostGw] {
            let after = Wanted::of(&choice(), &local(backend), vteps(&["10.99.0.2"]));
            assert_eq!(after.step_from(&before), Step::Everything);
            assert_eq!(before.step_from(&after), Step::Everything);
        }
    }
}
