//! What this node remembers over a reboot, in `--state-dir`: its block and its
//! VTEPs' MACs, so that pods' addresses and other nodes' entries stay right.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kernel::Mac;
use serde::{Deserialize, Serialize};
use subnet_alloc::Block;

/// What is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct State {
    /// The block that this node held last.
    pub(crate) block: Block,
    /// The inner MACs of its VTEPs, IPv4 and IPv6.
    pub(crate) macs: [Mac; 2],
}

#[derive(Serialize, Deserialize)]
struct Written {
    block: String,
    macs: [Mac; 2],
}

fn path(dir: &Path) -> PathBuf {
    dir.join("node.json")
}

impl State {
    /// What was remembered; nothing when the file is not there or not ours.
    pub(crate) fn recall(dir: &Path) -> Option<State> {
        let written: Written = serde_json::from_slice(&fs::read(path(dir)).ok()?).ok()?;
        Some(State {
            block: Block::from_key(&written.block).ok()?,
            macs: written.macs,
        })
    }

    /// Remembers it, unless it is remembered already.
    pub(crate) fn remember(&self, dir: &Path) -> io::Result<()> {
        if State::recall(dir).as_ref() == Some(self) {
            return Ok(());
        }
        let written = Written {
            block: self.block.key(),
            macs: self.macs,
        };
        crate::atomic_file::write(&path(dir), &serde_json::to_vec(&written)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled() {
        let dir = tempfile::tempdir().unwrap();
        let state = State {
            block: Block::from_key("10.244.1.0-24").unwrap(),
            macs: [Mac([2; 6]); 2],
        };
        assert_eq!(State::recall(dir.path()), None);
        state.remember(dir.path()).unwrap();
        assert_eq!(State::recall(dir.path()), Some(state));
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"block":"x","macs":[]}"#] {
            fs::write(path(dir.path()), text).unwrap();
            assert_eq!(State::recall(dir.path()), None);
        }
    }
}
