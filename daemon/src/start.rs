//! From a configuration to an agent that holds a block: what happens once,
//! before the driver's loop.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use ipnetwork::IpNetwork;
use kernel::{Address, Link, Mac};
use subnet_alloc::{Block, Claimant, ConfigError, Identity, Lease, Misfit, NetworkConfig};
use tracing::info;

use crate::backend::{Backend, BackendError, Local};
use crate::config::{Config, StoreChoice};
use crate::random;
use crate::state::State;
use crate::subnet_env;
use crate::underlay::{self, Facts, Families, Underlay, UnderlayError};

/// Why the daemon cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{key}: {why}")]
    Config { key: String, why: ConfigError },
    #[error("{key}: {why}")]
    Backend { key: String, why: BackendError },
    #[error(transparent)]
    Underlay(#[from] UnderlayError),
}

/// That nobody has written a network config yet, and how to.
pub(crate) fn no_config(config: &Config) -> String {
    format!(
        "there is no network config at {}; write one, such as {{\"Network\":\"10.244.0.0/16\",\"Backend\":{{\"Type\":\"vxlan\"}}}}",
        describe_config_key(config)
    )
}

/// What the network config asks for, on this node.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) network: NetworkConfig,
    pub(crate) backend: Backend,
    pub(crate) underlay: Underlay,
    /// The underlay's MTU was set, and is not the link's own.
    mtu_is_set: bool,
}

/// Reads the network config and chooses backend and underlay.
pub(crate) fn plan(
    config: &Config,
    document: &[u8],
    (links, addresses): (&[Link], &[Address]),
) -> Result<Plan, StartError> {
    let key = || describe_config_key(config);
    let network =
        NetworkConfig::parse(document).map_err(|why| StartError::Config { key: key(), why })?;
    let bad_backend = |why| StartError::Backend { key: key(), why };
    let families = Families {
        v4: network.v4.is_some(),
        v6: network.v6.is_some(),
    };
    let backend =
        Backend::choose(&network.backend, config.backend, families).map_err(bad_backend)?;
    let facts = Facts {
        links: links.iter().collect(),
        addresses,
        source_towards: &underlay::source_towards,
        store: store_addresses(config),
    };
    let mtu = config.mtu.map_or_else(
        || Backend::underlay_mtu(&network.backend),
        |mtu| Ok(Some(mtu)),
    );
    let mtu = mtu.map_err(bad_backend)?;
    let underlay = underlay::choose(&facts, &config.underlay, families, mtu)?;
    backend.check(&underlay).map_err(bad_backend)?;
    Ok(Plan {
        network,
        backend,
        underlay,
        mtu_is_set: mtu.is_some(),
    })
}

impl Plan {
    /// Says what was chosen and why, unless that is what was `said` the last time.
    pub(crate) fn announce(&self, config: &Config, said: &mut String) {
        let line = format!("backend {}, underlay {}", self.backend, self.underlay);
        if *said == line {
            return;
        }
        if !self.network.backend.kind_given && config.backend.is_none() {
            info!("the network config names no backend type; taking vxlan");
        }
        info!("{line}");
        *said = line;
    }

    /// Whether the underlay is what was planned with, judged by its link and by
    /// all addresses of this node.
    pub(crate) fn still_holds(&self, link: Option<&Link>, addresses: &[Address]) -> bool {
        let same_mtu = |link: &Link| self.mtu_is_set || link.mtu == self.underlay.mtu;
        link.is_some_and(|link| link.name == self.underlay.name && same_mtu(link))
            && self.underlay.has_its_addresses(addresses)
    }

    /// Why the network config does not give out a part of this block; a family
    /// that the block lacks can be added to it.
    pub(crate) fn misfit(&self, block: &Block) -> Option<Misfit> {
        match self.network.fits(block) {
            Ok(()) | Err(Misfit::FamilyMissing(_)) => {}
            Err(why) => return Some(why),
        }
        // `fits` names the first reason only: IPv6 may still be wrong.
        let v6 = Block::new(None, block.v6()).ok()?;
        let only_v6 = NetworkConfig {
            v4: None,
            ..self.network.clone()
        };
        only_v6.fits(&v6).err()
    }

    /// This node's side of the data plane with `block`, or before it has one.
    pub(crate) fn local(&self, block: Option<Block>, macs: [Mac; 2], node: &str) -> Local {
        Local {
            backend: self.backend,
            underlay: self.underlay.clone(),
            pools: self.pools(),
            block,
            macs,
            node: node.to_owned(),
        }
    }

    /// By what this node knows its own lease.
    pub(crate) fn identity(&self, config: &Config) -> Identity {
        Identity {
            underlay_v4: self.underlay.public_v4,
            underlay_v6: self.underlay.public_v6,
            node: Some(config.node_name.clone()),
            previous: subnet_env::previous_block(&config.subnet_file)
                .or_else(|| recalled(config).map(|s| s.block)),
            wish: None,
        }
    }

    /// Who claims, and with which attributes.
    pub(crate) fn claimant<'a>(&'a self, config: &Config, macs: [Mac; 2]) -> Claimant<'a> {
        Claimant {
            config: &self.network,
            identity: self.identity(config),
            attrs: self.backend.attrs(&self.underlay, macs, &config.node_name),
            ttl: config.lease_ttl,
        }
    }

    /// The inner MACs of the own VTEPs: of the device that is there, else what
    /// the own lease says or this node remembers, so that nobody has to learn
    /// another one, else new ones.
    pub(crate) fn macs(
        &self,
        config: &Config,
        links: &[Link],
        leases: &[Lease],
        new: [Mac; 2],
    ) -> [Mac; 2] {
        let Backend::Vxlan(options) = &self.backend else {
            return [Mac([0; 6]); 2];
        };
        let own = leases.iter().find(|lease| self.is_own(lease));
        [true, false].map(|ipv4| {
            let name = vxlan::device_name(options.vni, ipv4);
            let device = links
                .iter()
                .find(|link| link.name == name && link.vxlan.is_some());
            let published = || {
                let attrs = &own?.attrs;
                let data = if ipv4 {
                    attrs.data.as_deref()
                } else {
                    attrs.data_v6.as_deref()
                };
                Some(vxlan::Vtep::from_json(data?.get()).ok()?.mac)
            };
            let remembered = || recalled(config).map(|state| state.macs[usize::from(!ipv4)]);
            let there = device
                .and_then(|link| link.mac)
                .filter(|mac| mac.is_unicast());
            there
                .or_else(published)
                .or_else(remembered)
                .filter(|mac| mac.is_unicast())
                .unwrap_or(new[usize::from(!ipv4)])
        })
    }

    fn is_own(&self, lease: &Lease) -> bool {
        let same = |ours: Option<IpAddr>, its: Option<IpAddr>| ours.is_some() && ours == its;
        same(
            self.underlay.public_v4.map(IpAddr::V4),
            lease.attrs.underlay_v4.map(IpAddr::V4),
        ) || same(
            self.underlay.public_v6.map(IpAddr::V6),
            lease.attrs.underlay_v6.map(IpAddr::V6),
        )
    }

    fn pools(&self) -> [Option<IpNetwork>; 2] {
        let v4 = self
            .network
            .v4
            .as_ref()
            .map(|pool| IpNetwork::V4(pool.network));
        let v6 = self
            .network
            .v6
            .as_ref()
            .map(|pool| IpNetwork::V6(pool.network));
        [v4, v6]
    }
}

/// For VTEPs that had none yet.
pub(crate) fn new_macs() -> [Mac; 2] {
    let mut random = random::source();
    [(); 2].map(|()| Mac::local_from(random()))
}

fn recalled(config: &Config) -> Option<State> {
    State::recall(&config.state_dir)
}

/// Which store is used, for the operator.
pub(crate) fn describe_store(config: &Config) -> String {
    match &config.store {
        StoreChoice::File(dir) => format!("file://{}", dir.display()),
        StoreChoice::Etcd(etcd) => format!("etcd {}{}", etcd.endpoints.join(","), etcd.prefix),
        StoreChoice::Kube(kube) => format!("Kubernetes, Node {}", kube.node),
    }
}

/// Where the network config is, for the operator who has to correct it.
fn describe_config_key(config: &Config) -> String {
    match &config.store {
        StoreChoice::File(dir) => dir.join("config").display().to_string(),
        StoreChoice::Kube(kube) => format!("{} (--net-config-path)", kube.network_config.display()),
        StoreChoice::Etcd(etcd) => {
            let prefix = etcd.prefix.trim_end_matches('/');
            format!("etcd {}, key {prefix}/config", etcd.endpoints.join(","))
        }
    }
}

/// The addresses of the store, without those of this machine: the link to them
/// is most likely the one between the nodes.
fn store_addresses(config: &Config) -> Vec<IpAddr> {
    let StoreChoice::Etcd(etcd) = &config.store else {
        return Vec::new();
    };
    let resolve = |endpoint: &String| {
        let authority = endpoint.split("://").last()?.split('/').next()?;
        let addresses: Vec<SocketAddr> = authority.to_socket_addrs().ok()?.collect();
        Some(addresses)
    };
    let addresses = etcd.endpoints.iter().filter_map(resolve).flatten();
    addresses
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
        .collect()
}
