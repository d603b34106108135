//! What Twill's pods may do.

use crate::scene::cluster;
use lab::Stack;

/// `NET_BIND_SERVICE` and `NET_ADMIN`, as `/proc/PID/status` writes sets of capabilities.
const CAPABILITIES: &str = "0000000000001400";

#[test]
fn two_capabilities_suffice_with_every_backend() {
    for backend in ["vxlan", "host-gw", "bgp"] {
        let cluster = cluster(2, backend, Stack::V4);
        for machine in cluster.machines() {
            let pid = machine.run("pgrep", &["--exact", "twill"]).unwrap();
            let status = machine
                .run("cat", &[&format!("/proc/{}/status", pid.trim())])
                .unwrap();
            let value = |name: &str| {
                let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
                lines.next().map(str::trim).unwrap_or_default()
            };
            for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
                assert_eq!(value(set), CAPABILITIES, "{set}");
            }
            assert_eq!((value("NoNewPrivs:"), value("Seccomp:")), ("1", "2"));
        }
        let check = [
            "exec",
            "--namespace=kube-system",
            "daemonset/twill",
            "--",
            "twill",
            "check",
        ];
        cluster.server.kubectl(&check).unwrap();
    }
}
