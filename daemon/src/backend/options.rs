//! Which backend runs, and with which options.

use std::fmt;

use kernel::Mac;
use serde_json::value::RawValue;
use subnet_alloc::{BackendConfig, BadOption, LeaseAttrs};
use vxlan::{BadVni, DEFAULT_PORT, Options, Vni, Vtep, has_device_name};

use crate::config::BackendKind;
use crate::underlay::{Families, Underlay};

/// A backend with its options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Backend {
    Vxlan(Options),
    HostGw,
    Bgp,
}

/// Why the network config's backend cannot run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    #[error(
        "network config: Backend.Type is {0:?}; twill has vxlan, host-gw and bgp: change the config, or override it with --backend"
    )]
    Unknown(String),
    #[error("{0}; correct it")]
    Option(#[from] BadOption),
    #[error("network config: Backend.{0}")]
    Vni(#[from] BadVni),
    #[error(
        "network config: Backend.Port is {0}, which is out of range: expected 1 to 65535, or 0 for {DEFAULT_PORT}"
    )]
    Port(u64),
    #[error(
        "network config: with Backend.VNI {0} the device would be named {1}, which is longer than 15 characters; choose a smaller VNI"
    )]
    Name(Vni, String),
    #[error(
        "{backend} needs nodes that reach each other under their own addresses: --public-ip {public} is not an address of {link}; use vxlan, or leave --public-ip out"
    )]
    Translated {
        backend: &'static str,
        public: String,
        link: String,
    },
}

impl Backend {
    /// The backend that the network config names, or the one that overrides it.
    pub(crate) fn choose(
        config: &BackendConfig,
        override_with: Option<BackendKind>,
        families: Families,
    ) -> Result<Backend, BackendError> {
        match (override_with, config.kind.as_str()) {
            (Some(BackendKind::Vxlan), _) | (None, "vxlan") => {
                vxlan_options(config, families).map(Backend::Vxlan)
            }
            (Some(BackendKind::HostGw), _) | (None, "host-gw") => Ok(Backend::HostGw),
            (Some(BackendKind::Bgp), _) | (None, "bgp") => Ok(Backend::Bgp),
            (None, other) => Err(BackendError::Unknown(other.to_owned())),
        }
    }

    /// flannel's `BackendType`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Backend::Vxlan(_) => "vxlan",
            Backend::HostGw => "host-gw",
            Backend::Bgp => "bgp",
        }
    }

    /// What this node publishes in its lease: flannel's attributes, with the
    /// name of the node.
    pub(crate) fn attrs(&self, underlay: &Underlay, macs: [Mac; 2], node: &str) -> LeaseAttrs {
        let data = |mac: Mac| match self {
            Backend::HostGw | Backend::Bgp => None,
            Backend::Vxlan(options) => {
                let vtep = Vtep {
                    vni: Some(options.vni),
                    mac,
                };
                RawValue::from_string(vtep.to_json()).ok()
            }
        };
        LeaseAttrs {
            underlay_v4: underlay.public_v4,
            underlay_v6: underlay.public_v6,
            backend: Some(self.name().to_owned()),
            data: underlay.public_v4.and_then(|_| data(macs[0])),
            data_v6: underlay.public_v6.and_then(|_| data(macs[1])),
            node: Some(node.to_owned()),
            released: false,
        }
    }

    /// The underlay MTU that the network config sets, if it does.
    pub(crate) fn underlay_mtu(config: &BackendConfig) -> Result<Option<u32>, BackendError> {
        let mtu = config.number("MTU")?;
        Ok(mtu
            .and_then(|mtu| u32::try_from(mtu).ok())
            .filter(|mtu| *mtu > 0))
    }

    /// Refuses what cannot work on this underlay.
    pub(crate) fn check(&self, underlay: &Underlay) -> Result<(), BackendError> {
        let translated_v4 = underlay.public_v4 != underlay.v4;
        let translated_v6 = underlay.public_v6 != underlay.v6;
        if !matches!(self, Backend::Vxlan(_)) && (translated_v4 || translated_v6) {
            let public = underlay
                .public_v4
                .filter(|_| translated_v4)
                .map(|ip| ip.to_string());
            let public = public
                .or(underlay.public_v6.map(|ip| ip.to_string()))
                .unwrap_or_default();
            return Err(BackendError::Translated {
                backend: self.name(),
                public,
                link: underlay.name.clone(),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Backend::HostGw | Backend::Bgp => f.write_str(self.name()),
            Backend::Vxlan(options) => {
                write!(f, "vxlan VNI {} port {}", options.vni, options.port)?;
                if options.direct_routing {
                    f.write_str(" with direct routing")?;
                }
                Ok(())
            }
        }
    }
}

fn vxlan_options(config: &BackendConfig, families: Families) -> Result<Options, BackendError> {
    let vni = config
        .number("VNI")?
        .map_or(Ok(Vni::default()), Vni::try_from)?;
    let port = match config.number("Port")?.unwrap_or(0) {
        0 => DEFAULT_PORT,
        port => u16::try_from(port).map_err(|_| BackendError::Port(port))?,
    };
    for (on, ipv4) in [(families.v4, true), (families.v6, false)] {
        if on && !has_device_name(vni, ipv4) {
            return Err(BackendError::Name(vni, vxlan::device_name(vni, ipv4)));
        }
    }
    let flag = |key| Ok::<bool, BadOption>(config.flag(key)?.unwrap_or(false));
    Ok(Options {
        vni,
        port,
        gbp: flag("GBP")?,
        learning: flag("Learning")?,
        direct_routing: flag("DirectRouting")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use subnet_alloc::NetworkConfig;

    const DUAL: Families = Families { v4: true, v6: true };

    fn config(backend: &str) -> BackendConfig {
        let text = format!(r#"{{"Network":"10.244.0.0/16","Backend":{backend}}}"#);
        NetworkConfig::parse(text.as_bytes()).unwrap().backend
    }

    fn choose(backend: &str) -> Result<Backend, BackendError> {
        Backend::choose(&config(backend), None, DUAL)
    }

    #[test]
    fn all_options_of_vxlan_are_taken() {
        let text = r#"{"Type":"VXLAN","VNI":7,"port":4789,"GBP":true,"Learning":true,"DirectRouting":true}"#;
        let options = Options {
            vni: Vni::try_from(7).unwrap(),
            port: 4789,
            gbp: true,
            learning: true,
            direct_routing: true,
        };
        assert_eq!(choose(text).unwrap(), Backend::Vxlan(options));
    }

    #[test]
    fn the_flag_overrides_the_type() {
        let backend = Backend::choose(
            &config(r#"{"Type":"udp"}"#),
            Some(BackendKind::HostGw),
            DUAL,
        );
        assert_eq!(backend.unwrap(), Backend::HostGw);
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_value() {
        for (text, part) in [
            (r#"{"Type":"wireguard"}"#, "wireguard"),
            (r#"{"Type":"vxlan","VNI":16777216}"#, "16777216"),
            (r#"{"Type":"vxlan","VNI":10000}"#, "flannel-v6.10000"),
            (r#"{"Type":"vxlan","Port":70000}"#, "70000"),
            (r#"{"Type":"vxlan","Port":"x"}"#, "x"),
        ] {
            let error = choose(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
