//! The network config as it comes on stdin: the keys of the specification and our own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::attachment::Mac;

use super::result::PodResult;
use super::variables::is_identifier;
use super::{CniError, Version};

const SUBNET_FILE: &str = "/run/flannel/subnet.env";
const STATE_DIR: &str = "/var/lib/twill/cni";
const HOST_LOCAL_DIR: &str = "/var/lib/cni/networks";
const ROUTE_PROTOCOL: u8 = 85;
const REST_SECONDS: u32 = 30;
/// `ETH_MIN_MTU`, and what IPv4 can hold.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// One plugin's network config.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    /// The network's name.
    #[serde(default)]
    pub(crate) name: String,
    /// Where the daemon writes this node's block and the pods' MTU.
    #[serde(default = "subnet_file")]
    pub(crate) subnet_file: PathBuf,
    /// Where it stands who holds which address.
    #[serde(default = "state_dir")]
    pub(crate) state_dir: PathBuf,
    /// Where the plugin host-local keeps its addresses: those of pods that were there before are not given again.
    #[serde(default = "host_local_dir")]
    pub(crate) host_local_dir: PathBuf,
    /// The MTU of pods in bytes, when it is not that of the subnet file.
    pub(crate) mtu: Option<u32>,
    /// The protocol number of the routes to pods; not the daemon's, which removes what it does not want.
    #[serde(default = "route_protocol")]
    pub(crate) route_protocol: u8,
    #[serde(default = "rest_seconds")]
    rest_seconds: u32,
    /// DNS settings, handed through into the result.
    #[serde(default)]
    pub(crate) dns: Value,
    #[serde(default)]
    ipam: Value,
    #[serde(default, deserialize_with = "or_default")]
    ip_masq: bool,
    #[serde(default, deserialize_with = "or_default")]
    args: Args,
    #[serde(default, deserialize_with = "or_default")]
    runtime_config: RuntimeConfig,
    /// The result of the plugin before, or of ADD.
    pub(crate) prev_result: Option<PodResult>,
    /// GC: what is still wanted. `None` when the runtime does not say.
    #[serde(
        rename = "cni.dev/valid-attachments",
        default,
        deserialize_with = "list"
    )]
    pub(crate) valid_attachments: Option<Vec<ValidAttachment>>,
    /// The same, as libcni 1.2 wrote it.
    #[serde(rename = "cni.dev/attachments", default, deserialize_with = "list")]
    attachments: Option<Vec<ValidAttachment>>,
}

/// An attachment that the runtime still knows.
#[derive(Deserialize, PartialEq, Eq, Debug)]
pub(crate) struct ValidAttachment {
    #[serde(rename = "containerID")]
    pub(crate) container: String,
    pub(crate) ifname: String,
}

#[derive(Deserialize, Default, Debug)]
struct Args {
    #[serde(default, deserialize_with = "or_default")]
    cni: CniArgs,
}

#[derive(Deserialize, Default, Debug)]
struct CniArgs {
    #[serde(default, deserialize_with = "or_default")]
    ips: Vec<String>,
}

#[derive(Deserialize, Default, Debug)]
struct RuntimeConfig {
    #[serde(default, deserialize_with = "or_default")]
    ips: Vec<String>,
    mac: Option<String>,
}

#[derive(Deserialize)]
struct VersionOnly {
    #[serde(rename = "cniVersion")]
    version: Option<String>,
}

/// The `cniVersion` of an input; libcni takes a config without one for 0.1.0.
pub(super) fn version_of(input: &[u8]) -> Result<String, CniError> {
    let read: VersionOnly = serde_json::from_slice(input).map_err(undecodable)?;
    Ok(read.version.unwrap_or_else(|| "0.1.0".into()))
}

impl Config {
    /// Reads and judges it.
    pub(super) fn read(input: &[u8], version: Version) -> Result<Config, CniError> {
        let mut config: Config = serde_json::from_slice(input).map_err(undecodable)?;
        config.judge()?;
        config.valid_attachments = config.valid_attachments.or(config.attachments.take());
        if let Some(result) = &mut config.prev_result {
            result.version = version;
        }
        Ok(config)
    }

    /// How long a released address is not given again.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_secs(self.rest_seconds.into())
    }

    /// The addresses that the config asks for, those of `args` first. None: the caller may look into `CNI_ARGS`.
    pub(super) fn requested_ips(&self) -> Result<Vec<IpAddr>, CniError> {
        let lists = [&self.args.cni.ips, &self.runtime_config.ips];
        let first = lists.into_iter().find(|list| !list.is_empty());
        let texts = first.into_iter().flatten();
        texts.map(|text| address(text)).collect()
    }

    /// The MAC address that the runtime asks for, by the capability `mac`.
    pub(super) fn requested_mac(&self) -> Result<Option<Mac>, CniError> {
        let text = self.runtime_config.mac.as_deref();
        let mac = |text: &str| text.parse().ok().filter(|mac: &Mac| mac.is_unicast());
        text.map(|text| mac(text).ok_or_else(|| wrong("runtimeConfig.mac", text)))
            .transpose()
    }

    fn judge(&self) -> Result<(), CniError> {
        if !is_identifier(&self.name) {
            return Err(CniError::Config(format!(
                "the network's name is {:?}: expected letters, digits, '_', '.' and '-', a letter or digit first",
                self.name
            )));
        }
        if !matches!(&self.ipam, Value::Null) && self.ipam != serde_json::json!({}) {
            return Err(unsupported(
                "ipam",
                &self.ipam,
                "it allocates from the node's block itself; remove the key",
            ));
        }
        if self.ip_masq {
            return Err(unsupported(
                "ipMasq",
                &Value::from(true),
                "the daemon does, see `twill run --ip-masq`",
            ));
        }
        if self.mtu.is_some_and(|mtu| !MTU.contains(&mtu)) {
            return Err(wrong("mtu", &format!("{:?}", self.mtu)));
        }
        Ok(())
    }
}

/// An address with or without a prefix length.
pub(super) fn address(text: &str) -> Result<IpAddr, CniError> {
    let bare = text.split_once('/').map_or(text, |(address, _)| address);
    bare.parse().map_err(|_| wrong("the requested IP", text))
}

fn wrong(key: &str, value: &str) -> CniError {
    CniError::Config(format!("{key} is {value:?}, which cannot be used"))
}

fn unsupported(key: &'static str, value: &Value, instead: &'static str) -> CniError {
    CniError::UnsupportedField {
        key,
        value: value.to_string().chars().take(200).collect(),
        instead,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn undecodable(error: serde_json::Error) -> CniError {
    CniError::Undecodable {
        what: "the network config on stdin",
        why: error.to_string(),
    }
}

/// Runtimes in Go write `null` for what is empty.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A list that is there and empty differs from none at all.
fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<ValidAttachment>>, D::Error> {
    Option::<Vec<ValidAttachment>>::deserialize(from).map(|list| Some(list.unwrap_or_default()))
}

fn subnet_file() -> PathBuf {
    SUBNET_FILE.into()
}

fn state_dir() -> PathBuf {
    STATE_DIR.into()
}

fn host_local_dir() -> PathBuf {
    HOST_LOCAL_DIR.into()
}

fn route_protocol() -> u8 {
    ROUTE_PROTOCOL
}

fn rest_seconds() -> u32 {
    REST_SECONDS
}
