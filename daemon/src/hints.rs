//! What to do about a change that the kernel refuses: for who is paged and sees
//! an errno.

use kernel::{Change, Link, Refusal, VxlanDevice};

/// Whether nothing works on this node until it is mended.
pub(crate) fn is_grave(change: &Change) -> bool {
    matches!(change, Change::PutDevice { .. })
}

/// What stands in the way and what to do, where that is known.
pub(crate) fn hint<'a>(
    change: &Change,
    refusal: &Refusal,
    links: impl Iterator<Item = &'a Link>,
) -> Option<String> {
    match change {
        Change::PutDevice { name, want, .. } => about_device(name, want, refusal.errno, links),
        _ => about(change, refusal.errno),
    }
}

fn about_device<'a>(
    name: &str,
    want: &VxlanDevice,
    errno: i32,
    mut links: impl Iterator<Item = &'a Link>,
) -> Option<String> {
    let (vni, port) = (want.vni, want.port);
    let instead = "choose another Backend.VNI or Backend.Port in the network config";
    match errno {
        libc::EEXIST => links.find_map(|link| match &link.vxlan {
            None if link.name == name => Some(format!(
                "a link {name} that is no VXLAN device is there: remove it (ip link delete {name}), or choose another Backend.VNI in the network config"
            )),
            Some(vxlan) if link.name != name && (vxlan.vni, vxlan.port) == (vni, port) => {
                let other = &link.name;
                Some(format!(
                    "the device {other} has VNI {vni} and port {port}: remove it (ip link delete {other}), or {instead}"
                ))
            }
            _ => None,
        }),
        libc::EADDRINUSE => Some(format!(
            "another program has UDP port {port}: stop it (ss -ulnp sport = :{port} names it), or choose another Backend.Port in the network config"
        )),
        libc::EOPNOTSUPP => Some("the kernel has no VXLAN: modprobe vxlan".to_owned()),
        _ => None,
    }
}

fn about(change: &Change, errno: i32) -> Option<String> {
    match (change, errno) {
        (Change::PutRoute { key, .. }, libc::EEXIST) => {
            let prefix = key.prefix;
            Some(format!(
                "somebody else's route is there, and stays: ip route show {prefix} tells whose; remove it if nobody needs it"
            ))
        }
        (Change::PutSysctl { .. }, libc::EROFS) => {
            Some("/proc/sys cannot be written: mount the node's /proc/sys/net at /host/proc/sys/net, or set it from outside".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{IfIndex, Mac};

    fn device(vni: u32) -> VxlanDevice {
        let side = vxlan::Side {
            local: [10, 99, 0, 1].into(),
            lower: IfIndex(2),
            underlay_mtu: 1500,
            mac: Mac([2; 6]),
        };
        let mut device = vxlan::device(&vxlan::Options::default(), &side);
        device.vni = vni;
        device
    }

    fn link(name: &str, vxlan: Option<VxlanDevice>) -> Link {
        Link {
            index: IfIndex(9),
            name: name.to_owned(),
            alias: None,
            mtu: 1500,
            mac: None,
            up: true,
            carrier: true,
            vxlan,
        }
    }

    fn hint_of(errno: i32, links: &[Link]) -> Option<String> {
        let change = Change::PutDevice {
            name: "flannel.1".to_owned(),
            have: None,
            want: Box::new(device(1)),
        };
        let refusal = Refusal {
            index: 0,
            errno,
            reason: None,
        };
        hint(&change, &refusal, links.iter())
    }

    #[test]
    fn who_has_our_vni_or_name_is_named() {
        let others = [link("eth0", None), link("vx7", Some(device(1)))];
        let hint = hint_of(libc::EEXIST, &others).unwrap();
        assert!(hint.contains("vx7") && hint.contains("VNI 1"), "{hint}");
        let hint = hint_of(libc::EEXIST, &[link("flannel.1", None)]).unwrap();
        assert!(hint.contains("ip link delete flannel.1"), "{hint}");
        assert_eq!(hint_of(libc::EEXIST, &[link("vx7", Some(device(2)))]), None);
    }

    #[test]
    fn a_taken_port_is_named() {
        let hint = hint_of(libc::EADDRINUSE, &[]).unwrap();
        assert!(hint.contains("ss -ulnp sport = :8472"), "{hint}");
    }
}
