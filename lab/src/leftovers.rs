//! What a killed lab left behind: its names under /run/netns and its directories.

use crate::namespace::remove_name;
use std::path::{Path, PathBuf};

/// Where `ip netns` looks for names.
pub(crate) const NAMES: &str = "/run/netns";

/// Every name of a lab starts so and goes on with the pid of its process: `twill-lab-4711-node1`.
pub(crate) const PREFIX: &str = "twill-lab-";

/// A directory with this file in it was kept on purpose: its owner's end does not end it.
pub(crate) const KEPT: &str = "kept-for-you";

/// The name of one of this process's things.
pub(crate) fn own_name(thing: &str) -> String {
    format!("{PREFIX}{}-{thing}", std::process::id())
}

/// Removes names and directories of labs whose process is dead. Its namespaces and daemons died with it.
pub(crate) fn sweep() {
    for path in dead(Path::new(NAMES)) {
        remove_name(&path);
    }
    for path in dead(&std::env::temp_dir())
        .iter()
        .filter(|path| !path.join(KEPT).exists())
    {
        let _ = std::fs::remove_dir_all(path);
    }
}

fn dead(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| owner(path).is_some_and(|pid| !is_alive(pid)))
        .collect()
}

fn owner(path: &Path) -> Option<u32> {
    let (pid, _) = path
        .file_name()?
        .to_str()?
        .strip_prefix(PREFIX)?
        .split_once('-')?;
    pid.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_whose_it_is() {
        assert_eq!(
            owner(Path::new("/run/netns/twill-lab-4711-node1")),
            Some(4711)
        );
        assert_eq!(owner(Path::new("/run/netns/twill-lab-kept")), None);
        assert_eq!(owner(Path::new("/run/netns/cni-4711-x")), None);
    }

    #[test]
    fn this_process_is_alive_and_its_things_stay() {
        assert!(is_alive(std::process::id()));
        assert_eq!(
            owner(Path::new(&own_name("node1"))),
            Some(std::process::id())
        );
    }
}
