//! A router under test between two raw peers: Twill or one of the others.

use super::{Usage, release_twill};
use crate::peers::{Brand, Neighbour, PeerSetup, Speaker};
use lab::{Addresses, Daemon, DaemonCommand, LabError, Namespace, Node, Store, Underlay};
use std::net::IpAddr;
use std::path::Path;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The release binary.
    Twill,
    /// One of the others.
    Other(Brand),
}

/// A router that learns from one peer and tells the other. It ends with this value.
#[derive(Debug)]
pub struct Contender {
    running: Running,
    namespace: Namespace,
    addresses: Addresses,
}

#[derive(Debug)]
enum Running {
    Twill(Daemon),
    Other(Speaker),
}

impl Rival {
    /// Those who can be measured.
    pub const ALL: [Self; 4] = [
        Self::Twill,
        Self::Other(Brand::Bird),
        Self::Other(Brand::Frr),
        Self::Other(Brand::Gobgp),
    ];

    /// How a table names it.
    pub fn name(self) -> String {
        match self {
            Self::Twill => "Twill".to_owned(),
            Self::Other(brand) => brand.to_string(),
        }
    }

    /// Whether its routes go into the kernel.
    pub fn installs(self) -> bool {
        match self {
            Self::Twill => true,
            Self::Other(brand) => brand.can_install(),
        }
    }
}

impl Contender {
    /// Starts it as machine 2 of the underlay, in AS 65002: what the first peer announces goes into the kernel and to the
    /// second. Both connect to it.
    pub fn start(
        rival: Rival,
        underlay: &Underlay,
        directory: &Path,
        peers: [(IpAddr, u32); 2],
    ) -> Result<Self, LabError> {
        match rival {
            Rival::Twill => twill(underlay, directory, peers),
            Rival::Other(brand) => other(brand, underlay, peers),
        }
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its addresses.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What all its processes together have used.
    pub fn usage(&self) -> Usage {
        let pids = match &self.running {
            Running::Twill(daemon) => vec![daemon.pid()],
            Running::Other(speaker) => speaker.pids(),
        };
        pids.into_iter()
            .map(Usage::of)
            .fold(Usage::default(), |all, one| Usage {
                resident: all.resident + one.resident,
                peak: all.peak + one.peak,
                cpu: all.cpu + one.cpu,
            })
    }

    /// Fails if it has ended.
    pub fn must_run(&mut self) -> Result<(), LabError> {
        match &mut self.running {
            Running::Twill(daemon) => daemon.process().must_run(),
            Running::Other(speaker) => speaker.must_run(),
        }
    }
}

fn other(
    brand: Brand,
    underlay: &Underlay,
    peers: [(IpAddr, u32); 2],
) -> Result<Contender, LabError> {
    let machine = crate::peers::machine(underlay, 2)?;
    let mut setup = PeerSetup::new(65_002, machine.addresses).installing();
    for (address, asn) in peers {
        let mut neighbour = Neighbour::new(address, asn);
        neighbour.passive = true;
        setup = setup.neighbour(neighbour);
    }
    Ok(Contender {
        running: Running::Other(brand.start(&machine.namespace, setup)?),
        namespace: machine.namespace,
        addresses: machine.addresses,
    })
}

fn twill(
    underlay: &Underlay,
    directory: &Path,
    [from, to]: [(IpAddr, u32); 2],
) -> Result<Contender, LabError> {
    let node = Node::new(underlay, (1, 2), directory)?;
    let store = directory.join("store");
    let config = directory.join("twill.toml");
    let peer = |name: &str, (address, asn): (IpAddr, u32), import: &str, export: &str| {
        format!(
            "[[bgp.peer]]\nname = \"{name}\"\naddress = \"{address}\"\nas = {asn}\npassive = true\n\
             import = \"{import}\"\nexport = \"{export}\"\n"
        )
    };
    let text = format!(
        "[bgp]\nas = 65002\nmesh = false\nannounce-block = false\n{}{}",
        peer("from", from, "all", "none"),
        peer("to", to, "none", "all"),
    );
    let network = r#"{"Network":"10.244.0.0/16","Backend":{"Type":"bgp"}}"#;
    let written = std::fs::create_dir_all(&store)
        .and_then(|()| std::fs::write(store.join("config"), network))
        .and_then(|()| std::fs::write(&config, text));
    written.map_err(|source| LabError::System {
        what: format!(
            "write the store and the settings in {}",
            directory.display()
        ),
        source,
    })?;
    let config = config.display().to_string();
    let command = DaemonCommand::new(release_twill(), Store::File(store));
    let command = command.backend("bgp").args(&["--config", &config]);
    let mut daemon = node.start(&command)?;
    daemon.wait_ready(crate::READY)?;
    Ok(Contender {
        running: Running::Twill(daemon),
        namespace: node.namespace().clone(),
        addresses: node.addresses(),
    })
}
