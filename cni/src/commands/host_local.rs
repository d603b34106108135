//! The addresses of pods that the plugin host-local served before us, on a node that came from bridge or flannel.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// host-local keeps a file per address, named by it, in a directory per network. None when it was never here.
pub(super) fn addresses(directory: &Path) -> BTreeSet<IpAddr> {
    files(directory).map(|(address, _)| address).collect()
}

/// Gives back what host-local gave to this pod: whoever deletes it asks the plugin that is configured when it goes. The files
/// begin with the pod's identifier.
pub(super) fn release(directory: &Path, container: &str) {
    for (_, path) in files(directory) {
        let holder = fs::read_to_string(&path).unwrap_or_default();
        if holder.lines().next().map(str::trim) == Some(container) {
            // One that is gone meanwhile is as good as removed.
            let _ = fs::remove_file(path);
        }
    }
}

fn files(directory: &Path) -> impl Iterator<Item = (IpAddr, PathBuf)> {
    let networks = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = networks.filter_map(|network| fs::read_dir(network.path()).ok());
    files
        .flatten()
        .flatten()
        .filter_map(|file| Some((file.file_name().to_str()?.parse().ok()?, file.path())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_named_by_an_address_are_addresses() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("cbr0")).unwrap();
        for name in ["10.244.1.5", "fd00::5", "last_reserved_ip.0", "lock"] {
            fs::write(dir.path().join("cbr0").join(name), "").unwrap();
        }
        let want = ["10.244.1.5".parse().unwrap(), "fd00::5".parse().unwrap()];
        assert_eq!(addresses(dir.path()), want.into());
        assert!(addresses(&dir.path().join("none")).is_empty());
    }

    #[test]
    fn a_pod_that_goes_gives_back_the_addresses_that_are_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let network = dir.path().join("cbr0");
        fs::create_dir(&network).unwrap();
        for (name, holder) in [
            ("10.244.1.5", "pod-1\r\neth0"),
            ("fd00::5", "pod-1"),
            ("10.244.1.6", "pod-10\r\neth0"),
            ("last_reserved_ip.0", "pod-1"),
        ] {
            fs::write(network.join(name), holder).unwrap();
        }
        release(dir.path(), "pod-1");
        assert_eq!(
            addresses(dir.path()),
            ["10.244.1.6".parse().unwrap()].into()
        );
        assert!(network.join("last_reserved_ip.0").exists());
        release(&dir.path().join("none"), "pod-1");
    }
}
