//! A network namespace with a link, and the reconciler on its kernel.

use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use kernel::{
    Change, Entry, Hop, HopName, IfIndex, Kernel, Mac, Netlink, NetlinkOptions, Ownership,
    Reconciler, Refusal, RouteKey, Scope, Status, To, VxlanDevice,
};
use nix::sched::{CloneFlags, unshare};

pub(crate) const OPTIONS: NetlinkOptions = NetlinkOptions {
    protocol: 84,
    nexthop_objects: true,
};

/// Runs `test` in a fresh network namespace that has `eth0`, 10.99.0.1/24 and
/// fd99::1/64, on one end of a veth pair. The namespace ends with its thread.
pub(crate) fn in_namespace(test: impl AsyncFnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("needs root to make a network namespace");
        ip("link set lo up");
        ip("link add eth0 type veth peer name peer0");
        // Link-local addresses come when they like, and with them notifications.
        ip("link set eth0 addrgenmode none");
        ip("link set peer0 addrgenmode none");
        ip("link set eth0 up");
        ip("link set peer0 up");
        ip("addr add 10.99.0.1/24 dev eth0");
        ip("addr add fd99::1/64 dev eth0 nodad");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(args: &str) -> String {
    run("ip", args)
}

pub(crate) fn run(program: &str, args: &str) -> String {
    let output = Command::new(program)
        .args(args.split(' '))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {args}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The reconciler and the kernel of this namespace.
pub(crate) struct World {
    pub(crate) kernel: Netlink,
    pub(crate) reconciler: Reconciler,
}

impl World {
    pub(crate) fn new(options: NetlinkOptions) -> World {
        let ownership = Ownership {
            protocol: 84,
            adopt_boot_routes: true,
        };
        let mut world = World {
            kernel: Netlink::open(options).unwrap(),
            reconciler: Reconciler::new(ownership),
        };
        world.kernel.listen().unwrap();
        world.dump();
        world
    }

    pub(crate) fn dump(&mut self) {
        let (links, addresses) = self.kernel.links().unwrap();
        self.reconciler.observe_links(links, addresses);
        let dump = self.kernel.dump(&self.reconciler.interest(true)).unwrap();
        self.reconciler.resync(dump);
    }

    pub(crate) fn index(&self, name: &str) -> IfIndex {
        self.reconciler
            .link_named(name)
            .unwrap_or_else(|| panic!("no link {name}"))
            .index
    }

    /// Makes all changes that are pending; returns how many there were.
    pub(crate) fn settle(&mut self) -> usize {
        self.settle_in(Scope::All)
    }

    /// Makes all changes of this scope that are pending; returns how many there
    /// were.
    pub(crate) fn settle_in(&mut self, scope: Scope<'_>) -> usize {
        let mut made = 0;
        loop {
            let (changes, refusals) = self.apply(scope);
            if changes.is_empty() {
                return made;
            }
            made += changes.len();
            if let Some(refusal) = refusals.first() {
                panic!("{}: {refusal}", changes[refusal.index]);
            }
        }
    }

    /// Makes all changes that are pending and that the kernel does not refuse.
    pub(crate) fn settle_what_goes(&mut self) {
        while !self.apply(Scope::All).0.is_empty() {}
    }

    fn apply(&mut self, scope: Scope<'_>) -> (Vec<Change>, Vec<Refusal>) {
        let changes = self.reconciler.pending(Instant::now(), scope, 512);
        let refusals = self.kernel.apply(&changes).unwrap();
        self.reconciler.settle(&changes, &refusals, Instant::now());
        (changes, refusals)
    }

    /// Takes in notifications until `done`.
    pub(crate) async fn observe_until(&mut self, done: impl Fn(&Reconciler) -> bool) {
        let wait = async {
            while !done(&self.reconciler) {
                for notification in self.kernel.notifications().await.unwrap() {
                    self.reconciler.observe(notification);
                }
            }
        };
        if tokio::time::timeout(Duration::from_secs(5), wait)
            .await
            .is_err()
        {
            let rows: Vec<_> = self
                .reconciler
                .rows()
                .filter(|row| row.status() != Status::InSync)
                .collect();
            panic!("no such notification within 5 s; not in sync: {rows:#?}");
        }
    }

    pub(crate) fn want_device(&mut self) -> VxlanDevice {
        let device = VxlanDevice {
            vni: 1,
            port: 8472,
            local: Some(address("10.99.0.1")),
            lower: self.index("eth0"),
            learning: false,
            gbp: false,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1450,
            up: true,
            ours: true,
            odd: false,
        };
        self.reconciler
            .want(Entry::Device("flannel.1".into(), device.clone()));
        device
    }

    pub(crate) fn want_peer(&mut self, number: u8) {
        let link = self.index("flannel.1");
        let vtep = IpAddr::from([10, 244, number, 0]);
        let mac = Mac([2, 0, 0, 0, 1, number]);
        self.reconciler.want(Entry::Neighbour(link, vtep, mac));
        self.reconciler
            .want(Entry::Fdb(link, mac, IpAddr::from([10, 99, 0, number])));
        self.reconciler.want(Entry::Hop(
            HopName(vtep),
            Hop {
                gateway: vtep,
                link,
                onlink: true,
            },
        ));
        let prefix = format!("10.244.{number}.0/24").parse().unwrap();
        self.reconciler.want(Entry::Route(
            RouteKey::with_default_metric(prefix),
            To::Via(HopName(vtep)),
        ));
    }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
