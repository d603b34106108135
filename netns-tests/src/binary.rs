//! Where the binary under test is.

use std::path::{Path, PathBuf};

/// The twill binary: `$TWILL_BIN`, or the one beside the running test in the target directory, the test's own profile
/// first.
///
/// # Panics
///
/// When there is none.
pub fn twill() -> PathBuf {
    let named = std::env::var_os("TWILL_BIN").map(PathBuf::from);
    let found = named
        .into_iter()
        .chain(beside_this_test())
        .find(|path| path.is_file());
    found.expect("there is no twill binary to test: run `make test`, or set TWILL_BIN to its path")
}

/// A test runs as `target/PROFILE/deps/NAME-HASH`.
fn beside_this_test() -> Vec<PathBuf> {
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
    .map(|directory| directory.join("twill"))
    .into()
}
