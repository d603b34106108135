//! What the daemon may do in this network namespace, asked before it does
//! anything that others see.

use std::fs;

/// `CAP_NET_ADMIN` of `linux/capability.h`.
const NET_ADMIN: u32 = 12;

/// The process may not change the network.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process lacks CAP_NET_ADMIN, and cannot change routes and links: run it as root, or add the capability (systemd: AmbientCapabilities=, Kubernetes: securityContext.capabilities.add: [NET_ADMIN])"
)]
pub(crate) struct NoNetAdmin;

/// Refuses to go on without `CAP_NET_ADMIN`.
pub(crate) fn require_net_admin() -> Result<(), NoNetAdmin> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // Without /proc the kernel's own refusals have to tell.
    match has(&status, NET_ADMIN) {
        Some(false) => Err(NoNetAdmin),
        Some(true) | None => Ok(()),
    }
}

/// Whether a capability is effective, by proc_pid_status(5).
fn has(status: &str, capability: u32) -> Option<bool> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    let set = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(set >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_tells() {
        let status = |set: &str| format!("CapPrm:\tffffffffffffffff\nCapEff:\t{set}\n");
        assert_eq!(has(&status("000001ffffffffff"), NET_ADMIN), Some(true));
        assert_eq!(has(&status("000001ffffffefff"), NET_ADMIN), Some(false));
        assert_eq!(has("Name:\ttwill\n", NET_ADMIN), None);
    }
}
