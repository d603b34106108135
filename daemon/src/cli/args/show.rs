//! `twill show`: what can be said, and its help.

use clap::{Args, ValueEnum};

use crate::config::Flags;

/// `twill show`
#[derive(Args)]
pub(crate) struct Show {
    /// What to show
    pub(crate) topic: Topic,
    /// With `peer`: its name. With `rib`: a prefix or an address, all of whose paths are shown
    #[arg(value_name = "NAME|PREFIX")]
    pub(crate) object: Option<String>,
    /// With `rib`: what this peer told, before the import policy
    #[arg(long = "in", value_name = "PEER", conflicts_with = "to")]
    pub(crate) from: Option<String>,
    /// With `rib`: what this peer is told
    #[arg(long = "out", value_name = "PEER")]
    pub(crate) to: Option<String>,
    /// Print JSON for programs
    #[arg(long)]
    pub(crate) json: bool,
    /// Print it again whenever it changes, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// What `twill show` can show.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Where packets to each block go, why, and whether the kernel agrees
    Routes,
    /// Who holds which block
    Leases,
    /// The other nodes' VTEPs: neighbour and FDB entries
    Neighbours,
    /// Who speaks BGP with this node, and how each session is
    Peers,
    /// All about one BGP peer: its session, its settings, its routes
    Peer,
    /// What is known of prefixes by BGP, which paths are used, by which rule, and why others are not
    Rib,
    /// How the daemon, its lease and its store are
    Status,
    /// Every setting, its value, and where that came from
    Config,
}

impl Show {
    /// Why the words do not go together.
    pub(super) fn misfit(&self) -> Option<String> {
        let (object, side) = (
            self.object.as_ref(),
            self.from.as_ref().or(self.to.as_ref()),
        );
        match self.topic {
            Topic::Peer if object.is_none() => {
                Some("the name of a peer is missing; `twill show peers` lists them".to_owned())
            }
            Topic::Rib if object.is_none() && self.watch => {
                Some("--watch is for one prefix of the RIB".to_owned())
            }
            Topic::Rib => None,
            _ if side.is_some() => Some("--in and --out are for `twill show rib`".to_owned()),
            Topic::Peer => None,
            _ => object.map(|object| format!("nothing belongs behind the topic, not {object:?}")),
        }
    }
}

/// Of `twill show`.
pub(super) const EXAMPLES: &str = "\
Examples:
  twill show routes             prefix, next hop, device, node, backend, reason, state
  twill show leases --json | jq -r '.[].block'
  twill show status --watch
  twill show peer tor-a
  twill show rib | less                       a large table comes in pieces
  twill show rib 10.244.7.1                   all paths of the longest prefix that it is a part of
  twill show rib 10.96.0.0/12 --out tor-a     what tor-a is told of it, or why nothing
  twill show config --config /etc/twill/twill.toml

Exit codes: 0 fine, 1 not found, 2 error";
