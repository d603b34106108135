//! An etcd of the test's own: in a temporary directory, on a free loopback port, gone when it is dropped.
#![allow(dead_code, reason = "each test binary uses another part")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions};
use subnet_alloc::{EtcdOptions, EtcdStore};
use tempfile::TempDir;

pub(crate) const PREFIX: &str = "/coreos.com/network";

pub(crate) struct RealEtcd {
    child: Child,
    dir: TempDir,
    port: u16,
    peer_port: u16,
    args: Vec<String>,
}

/// A port of the loopback that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback is up");
    listener.local_addr().expect("it is bound").port()
}

impl RealEtcd {
    pub(crate) async fn start() -> RealEtcd {
        let etcd = RealEtcd::spawn(Vec::new());
        etcd.wait().await;
        etcd
    }

    /// With more arguments; the caller waits for it.
    pub(crate) fn start_with(args: Vec<String>) -> RealEtcd {
        RealEtcd::spawn(args)
    }

    fn spawn(args: Vec<String>) -> RealEtcd {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, peer_port) = (free_port(), free_port());
        let child = run(&dir, port, peer_port, &args);
        RealEtcd {
            child,
            dir,
            port,
            peer_port,
            args,
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = scheme(&self.args);
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn options(&self) -> EtcdOptions {
        EtcdOptions {
            endpoints: vec![self.url()],
            prefix: PREFIX.to_owned(),
            ..EtcdOptions::default()
        }
    }

    pub(crate) fn store(&self) -> EtcdStore {
        EtcdStore::open(&self.options()).expect("the options are right")
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.url()], None)
            .await
            .expect("a lazy connection")
    }

    pub(crate) async fn put(&self, key: &str, value: impl Into<Vec<u8>>) {
        let key = format!("{PREFIX}/{key}");
        self.client()
            .await
            .put(key, value, None)
            .await
            .expect("put");
    }

    /// Waits until it answers.
    pub(crate) async fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(15);
        let options = ConnectOptions::new().with_timeout(Duration::from_secs(2));
        loop {
            let client = Client::connect([self.url()], Some(options.clone())).await;
            let mut client = client.expect("a lazy connection");
            if client.get("ready?", None).await.is_ok() {
                return;
            }
            assert!(Instant::now() < deadline, "etcd did not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    pub(crate) fn restart(&mut self) {
        self.child = run(&self.dir, self.port, self.peer_port, &self.args);
    }

    /// Removes its data; it must not run.
    pub(crate) fn wipe(&self) {
        std::fs::remove_dir_all(self.dir.path().join("data")).expect("it had data");
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(status.expect("kill is a program").success());
    }
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(dir: &TempDir, port: u16, peer_port: u16, args: &[String]) -> Child {
    let scheme = scheme(args);
    let client = format!("{scheme}://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let mut command = Command::new("etcd");
    command
        .args(["--name", "test", "--data-dir"])
        .arg(dir.path().join("data"))
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ])
        .args(["--initial-cluster", &format!("test={peer}")])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .expect("these tests need the program etcd (Debian: apt-get install etcd-server)")
}

fn scheme(args: &[String]) -> &'static str {
    let has_tls = args.iter().any(|arg| arg == "--cert-file");
    if has_tls { "https" } else { "http" }
}
