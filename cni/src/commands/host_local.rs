//! The addresses of pods that the plugin host-local served before us, on a node that came from bridge or flannel.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// host-local keeps a file per address, named by it, in a directory per network. None when it was never here.
pub(super) fn addresses(directory: &Path) -> BTreeSet<IpAddr> {
    let networks = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = networks.filter_map(|network| fs::read_dir(network.path()).ok());
    let names = files.flatten().flatten().map(|file| file.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
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
}
