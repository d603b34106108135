//! Where Kubernetes' programs are.

use std::path::PathBuf;

/// One of the programs that `netns-tests/kubernetes/build` makes: in `$TWILL_KUBE_BIN`, or else in `twill-kubernetes` of
/// the user's cache, where `make test-kube` builds them.
///
/// # Panics
///
/// When it is not there.
pub fn kubernetes_program(name: &str) -> PathBuf {
    let named = std::env::var_os("TWILL_KUBE_BIN").map(PathBuf::from);
    let program = named.unwrap_or_else(cached).join(name);
    assert!(
        program.is_file(),
        "there is no {}: run `make test-kube` or `make test-cluster`, or set TWILL_KUBE_BIN to where Kubernetes' programs are",
        program.display()
    );
    program
}

fn cached() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("twill-kubernetes")
}
