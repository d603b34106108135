//! Why a command is not carried out, with the code that the specification gives it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnetwork::IpNetwork;
use serde_json::json;

use super::Version;

/// A situation in which a command fails. 1 to 99 are codes of the specification, those from 100 on our own.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    /// A version that we do not speak (1).
    #[error("cniVersion {0:?} is not supported: use 0.3.1, 0.4.0, 1.0.0 or 1.1.0 in the conflist")]
    UnknownVersion(String),

    /// A command that the config's version does not have (1).
    #[error("{command} needs cniVersion {since}, the network config has {version}")]
    CommandTooNew {
        /// The command.
        command: &'static str,
        /// The version that brought it.
        since: &'static str,
        /// The version of the network config.
        version: &'static str,
    },

    /// A key of the network config that asks for something that this plugin does not do (2).
    #[error("the network config has {key}: {value}, which twill-cni does not do: {instead}")]
    UnsupportedField {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Who does it, or what to do.
        instead: &'static str,
    },

    /// The pod's network namespace is not there (3).
    #[error("there is no network namespace at {0}: the pod has ended")]
    NoSuchPod(PathBuf),

    /// A `CNI_*` variable that is missing or malformed (4).
    #[error("{name}={value:?}: {why}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value, empty when it is not set.
        value: String,
        /// What is expected.
        why: String,
    },

    /// The system refused a file or stream (5).
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, on which object.
        what: String,
        /// The system's answer.
        source: io::Error,
    },

    /// Something is not the JSON that it has to be (6).
    #[error("cannot read {what}: {why}")]
    Undecodable {
        /// What.
        what: &'static str,
        /// Where it stops making sense.
        why: String,
    },

    /// A network config that cannot be served as it is (7).
    #[error("{0}")]
    Config(String),

    /// The daemon has not written this node's block yet (11).
    #[error(
        "this node has no block yet: {why}; the runtime tries again, `journalctl -u twill` says what the daemon waits for"
    )]
    NoBlockYet {
        /// What is wrong with the subnet file.
        why: String,
    },

    /// Another call works on the same attachment (11).
    #[error("another call works on {0} at this moment")]
    Busy(String),

    /// All addresses that are not held rest (11).
    #[error(
        "all free addresses of {block} were released a moment ago; the first is free again in {seconds} s"
    )]
    Resting {
        /// The block.
        block: IpNetwork,
        /// Seconds until one may be used.
        seconds: u64,
    },

    /// STATUS: no pod can be added (50).
    #[error("pods cannot be added: {0}")]
    Unavailable(String),

    /// STATUS: no pod can be added, and pods are there that depend on what is missing (51).
    #[error("pods cannot be added, and {pods} that are there may not be reached: {why}")]
    UnavailableWithPods {
        /// How many pods are there.
        pods: usize,
        /// What is missing.
        why: String,
    },

    /// The pod has an interface of that name already (100).
    #[error(
        "the pod already has an interface {ifname}: every attachment needs a name of its own, and DEL comes before a second ADD"
    )]
    InterfaceExists {
        /// Its name.
        ifname: String,
    },

    /// Every address of the block is held (101).
    #[error(
        "no address is free in {block}: {held} pods hold them all; move pods to other nodes, or give nodes larger blocks (SubnetLen)"
    )]
    Exhausted {
        /// The block.
        block: IpNetwork,
        /// How many attachments hold one.
        held: usize,
    },

    /// An address that was asked for cannot be had (102).
    #[error("the requested address {address} cannot be given: {why}")]
    AddressUnavailable {
        /// The address.
        address: IpAddr,
        /// Why not.
        why: String,
    },

    /// The kernel refused something (103).
    #[error("the kernel refused {what}: {source}{words}")]
    Refused {
        /// What was asked of it.
        what: String,
        /// Its errno.
        source: io::Error,
        /// Its own words, with a separator before them, or nothing.
        words: String,
    },

    /// CHECK: something is not as ADD made it (104).
    #[error("not as ADD made it: {}", .0.join("; "))]
    Drift(Vec<String>),

    /// GC: something could not be removed (105).
    #[error("left behind: {}", .0.join("; "))]
    LeftBehind(Vec<String>),
}

impl CniError {
    /// The code of the specification, or from 100 on our own.
    pub fn code(&self) -> u32 {
        match self {
            CniError::UnknownVersion(_) | CniError::CommandTooNew { .. } => 1,
            CniError::UnsupportedField { .. } => 2,
            CniError::NoSuchPod(_) => 3,
            CniError::Variable { .. } => 4,
            CniError::Io { .. } => 5,
            CniError::Undecodable { .. } => 6,
            CniError::Config(_) => 7,
            CniError::NoBlockYet { .. } | CniError::Busy(_) | CniError::Resting { .. } => 11,
            CniError::Unavailable(_) => 50,
            CniError::UnavailableWithPods { .. } => 51,
            CniError::InterfaceExists { .. } => 100,
            CniError::Exhausted { .. } => 101,
            CniError::AddressUnavailable { .. } => 102,
            CniError::Refused { .. } => 103,
            CniError::Drift(_) => 104,
            CniError::LeftBehind(_) => 105,
        }
    }

    /// The few words before the details.
    fn heading(&self) -> &'static str {
        match self.code() {
            1 => "incompatible CNI version",
            2 => "unsupported field in the network config",
            3 => "the container does not exist",
            4 => "invalid environment variable",
            5 => "I/O failure",
            6 => "undecodable input",
            7 => "invalid network config",
            11 => "try again later",
            50 | 51 => "the plugin is not available",
            100 => "the interface exists",
            101 => "the block is exhausted",
            102 => "the requested address is not available",
            103 => "refused by the kernel",
            104 => "the pod's network is not as it was made",
            _ => "some resources are left behind",
        }
    }

    /// The error as the specification wants it on stdout.
    pub(super) fn json(&self, version: Version) -> String {
        let error = json!({
            "cniVersion": version.text(),
            "code": self.code(),
            "msg": self.heading(),
            "details": self.to_string(),
        });
        error.to_string()
    }
}
