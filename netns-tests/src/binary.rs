//! Where the binary under test is.

use std::path::{Path, PathBuf};

/// The twill binary: `$TWILL_BIN`, or the one beside the running test in the target directory, the test's own profile
/// first.
///
/// # Panics
///
/// When there is none.
pub fn twill() -> PathBuf {
    let found = find("TWILL_BIN", "twill");
    found.expect("there is no twill binary to test: run `make test`, or set TWILL_BIN to its path")
}

/// The plugin: `$TWILL_CNI_BIN`, or the one beside the running test, as with [`twill`].
///
/// # Panics
///
/// When there is none.
pub fn twill_cni() -> PathBuf {
    let found = find("TWILL_CNI_BIN", "twill-cni");
    found.expect("there is no twill-cni to test: run `make test`, or set TWILL_CNI_BIN to its path")
}

fn find(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let mut paths = named.into_iter().chain(beside_this_test(name));
    paths.find(|path| path.is_file())
}

/// A test runs as `target/PROFILE/deps/NAME-HASH`.
fn beside_this_test(name: &str) -> Vec<PathBuf> {
    let test = std::env::current_exe().unwrap_or_default();
    let Some(profile) = test.parent().and_then(Path::parent) else {
        return Vec::new();
    };
    let target = profile.parent().unwrap_or(profile);
    [
        profile.to_owned(),
        target.join("release"),
        target.join("debug"),
    ]
    .map(|directory| directory.join(name))
    .into()
}
