//! Keys of TCP MD5 (RFC 2385) that stand in files.

use std::path::Path;

use super::super::{ConfigError, Secret, Source};
use super::{BgpChoice, text};

/// A key of TCP MD5 that stands in a file.
pub(crate) struct KeyFile<'a> {
    /// Whose key it is: `bgp.peer "tor1"`.
    pub(crate) of: String,
    /// The file.
    pub(crate) path: &'a Path,
    /// Where the key belongs.
    key: &'a mut Option<Secret>,
}

impl KeyFile<'_> {
    /// Takes the key from the first line of the text.
    pub(crate) fn fill(self, text: &str) -> Result<(), ConfigError> {
        let line = text.lines().next().unwrap_or_default();
        let key = text::key(line).map_err(|allowed| ConfigError::Value {
            place: Source::File(self.path.into()),
            name: format!("the password of {}", self.of),
            value: "********".into(),
            allowed,
        })?;
        *self.key = Some(key);
        Ok(())
    }
}

impl BgpChoice {
    /// The keys that stand in files.
    pub(crate) fn key_files(&mut self) -> impl Iterator<Item = KeyFile<'_>> {
        let peers = self.peers.iter_mut().map(|one| {
            let of = format!("bgp.peer \"{}\"", one.name);
            (of, &one.tcp.key_file, &mut one.tcp.key)
        });
        let ranges = self.listen.iter_mut().map(|one| {
            let of = format!("bgp.listen \"{}\"", one.range.range);
            (of, &one.tcp.key_file, &mut one.tcp.key)
        });
        let mesh = ("bgp".to_owned(), &self.key_file, &mut self.key);
        let all = std::iter::once(mesh).chain(peers).chain(ranges);
        all.filter_map(|(of, path, key)| {
            let path = path.as_deref()?;
            Some(KeyFile { of, path, key })
        })
    }
}
