//! A tunnel end: its segment and its inner MAC, as nodes publish them.

use std::borrow::Cow;
use std::fmt;

use kernel::{Mac, ParseMacError};
use serde::{Deserialize, Serialize};

/// A VXLAN segment id, 1 to 16,777,215 (24 bits, RFC 7348 section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Vni(u32);

/// A number that is no segment id.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("VNI {0} is out of range: expected 1 to 16777215")]
pub struct BadVni(pub u64);

impl TryFrom<u64> for Vni {
    type Error = BadVni;

    fn try_from(number: u64) -> Result<Vni, BadVni> {
        match u32::try_from(number) {
            Ok(vni @ 1..=0x00ff_ffff) => Ok(Vni(vni)),
            _ => Err(BadVni(number)),
        }
    }
}

impl Vni {
    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl Default for Vni {
    /// flannel's default, 1.
    fn default() -> Vni {
        Vni(1)
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A tunnel end as its node publishes it: flannel's `BackendData` of type
/// vxlan, `{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vtep {
    /// The segment; old nodes leave it out.
    pub vni: Option<Vni>,
    /// The inner MAC of the device.
    pub mac: Mac,
}

/// Why `BackendData` names no tunnel end.
#[derive(Debug, thiserror::Error)]
pub enum BadVtep {
    /// It is not an object with a `VtepMAC`.
    #[error("BackendData is not like {{\"VNI\":1,\"VtepMAC\":\"fe:d9:bd:bd:f9:6d\"}}: {0}")]
    Shape(#[from] serde_json::Error),
    /// The MAC is not one.
    #[error("VtepMAC: {0}")]
    Mac(#[from] ParseMacError),
    /// The MAC stands for a group, or for nobody.
    #[error("VtepMAC {0} is no unicast address")]
    NotUnicast(Mac),
    /// The VNI is out of range.
    #[error(transparent)]
    Vni(#[from] BadVni),
}

#[derive(Serialize, Deserialize)]
struct Data<'a> {
    #[serde(
        rename = "VNI",
        alias = "vni",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    vni: Option<u64>,
    #[serde(
        rename = "VtepMAC",
        alias = "vtepMAC",
        alias = "vtepmac",
        alias = "VtepMac",
        borrow
    )]
    mac: Cow<'a, str>,
}

impl Vtep {
    /// Reads `BackendData`.
    pub fn from_json(text: &str) -> Result<Vtep, BadVtep> {
        let data: Data<'_> = serde_json::from_str(text)?;
        let mac: Mac = data.mac.parse()?;
        if !mac.is_unicast() {
            return Err(BadVtep::NotUnicast(mac));
        }
        let vni = data.vni.map(Vni::try_from).transpose()?;
        Ok(Vtep { vni, mac })
    }

    /// Writes `BackendData`, as flannel does.
    pub fn to_json(&self) -> String {
        let data = Data {
            vni: self.vni.map(|vni| vni.0.into()),
            mac: self.mac.to_string().into(),
        };
        serde_json::to_string(&data).expect("a number and a text are always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flannels_backend_data_survives_byte_for_byte() {
        let text = r#"{"VNI":1,"VtepMAC":"fe:d9:bd:bd:f9:6d"}"#;
        assert_eq!(Vtep::from_json(text).unwrap().to_json(), text);
    }

    #[test]
    fn an_old_node_may_leave_the_vni_out() {
        let vtep = Vtep::from_json(r#"{"VtepMAC":"fe:d9:bd:bd:f9:6d"}"#).unwrap();
        assert_eq!(vtep.vni, None);
    }

    #[test]
    fn hostile_backend_data_is_refused() {
        for text in [
            "null",
            "7",
            "{}",
            r#"{"VtepMAC":5}"#,
            r#"{"VtepMAC":"01:00:5e:00:00:01"}"#,
            r#"{"VtepMAC":"00:00:00:00:00:00"}"#,
            r#"{"VtepMAC":"fe:d9:bd:bd:f9:6d","VNI":16777216}"#,
            r#"{"VtepMAC":"fe:d9:bd:bd:f9:6d","VNI":-1}"#,
        ] {
            assert!(Vtep::from_json(text).is_err(), "{text}");
        }
    }
}
