//! An etcd of the test's own: in a temporary directory, on a free loopback port, gone when it is dropped.
#![allow(dead_code, reason = "each test binary uses another part")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions};
use subnet_alloc::{EtcdOptions, EtcdStore};
use tempfile::TempDir;

pub const PREFIX: &str = "/coreos.com/network";

pub struct RealEtcd {
    child: Child,
    dir: TempDir,
    port: u16,
    peer_port: u16,
    tls: Vec<String>,
}

/// A port of the loopback that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback is up");
    listener.local_addr().expect("it is bound").port()
}

impl RealEtcd {
    pub async fn start() -> RealEtcd {
        let etcd = RealEtcd::spawn(Vec::new());
        etcd.wait().await;
        etcd
    }

    /// With TLS options of its own; the caller waits for it.
    pub fn start_with_tls(tls: Vec<String>) -> RealEtcd {
        RealEtcd::spawn(tls)
    }

    fn spawn(tls: Vec<String>) -> RealEtcd {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (port, peer_port) = (free_port(), free_port());
        let child = run(&dir, port, peer_port, &tls);
        RealEtcd {
            child,
            dir,
            port,
            peer_port,
            tls,
        }
    }

    pub fn url(&self) -> String {
        let scheme = if self.tls.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn options(&self) -> EtcdOptions {
        EtcdOptions {
            endpoints: vec![self.url()],
            prefix: PREFIX.to_owned(),
            ..EtcdOptions::default()
        }
    }

    pub fn store(&self) -> EtcdStore {
        EtcdStore::open(&self.options()).expect("the options are right")
    }

    pub async fn client(&self) -> Client {
        Client::connect([self.url()], None)
            .await
            .expect("a lazy connection")
    }

    pub async fn put(&self, key: &str, value: impl Into<Vec<u8>>) {
        let key = format!("{PREFIX}/{key}");
        self.client()
            .await
            .put(key, value, None)
            .await
            .expect("put");
    }

    /// Waits until it answers.
    pub async fn wait(&self) {
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

    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }

    pub fn restart(&mut self) {
        self.child = run(&self.dir, self.port, self.peer_port, &self.tls);
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
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

fn run(dir: &TempDir, port: u16, peer_port: u16, tls: &[String]) -> Child {
    let scheme = if tls.is_empty() { "http" } else { "https" };
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
        .args(tls)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
        .spawn()
        .expect("these tests need the program etcd (Debian: apt-get install etcd-server)")
}
