//! A kube-apiserver with an etcd of its own, and who may speak to it.

use super::certificates;
use super::kubernetes_program;
use lab::{Addresses, Etcd, EtcdOptions, LabError, Namespace, Process, Stack, Underlay};
use lab::{eventually, get, output, send_json};
use serde_json::{Value, json};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};
use tempfile::TempDir;

const PORT: u16 = 6443;

/// How long it may take to be ready: a two-core machine may have other tests to run.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where `kubectl proxy` answers without encryption, in the namespace of the API server alone.
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8001);

/// How many requests are on their way at once when there are many.
const AT_ONCE: usize = 16;

/// A kube-apiserver on the underlay. It ends, with its etcd and all that it knows, when this value is dropped.
///
/// It answers at its first underlay address, port 6443. To see it silent instead of gone, use `lab::Underlay::set_port`
/// with its host number.
#[derive(Debug)]
pub struct ApiServer {
    proxy: Option<Process>,
    process: Option<Process>,
    /// What it keeps its objects in: for compaction, and to be slow or away.
    pub etcd: Etcd,
    namespace: Namespace,
    addresses: Addresses,
    args: Vec<String>,
    directory: TempDir,
}

impl ApiServer {
    /// Starts one as host number `host` on the first switch of the underlay, with further arguments
    /// (`--audit-policy-file=...`). It is ready when this returns.
    ///
    /// # Panics
    ///
    /// When a program is missing or the temporary directory cannot be written.
    pub fn start(underlay: &Underlay, host: u8, more: &[&str]) -> Result<Self, LabError> {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let namespace = Namespace::new("control")?;
        let addresses = underlay.attach(&namespace, 1, host)?;
        let etcd = Etcd::on_loopback(
            &namespace,
            &directory.path().join("etcd"),
            &EtcdOptions::default(),
        )?;
        make_certificates(directory.path(), addresses);
        let mut args = args(directory.path(), addresses, &etcd, underlay.stack());
        args.extend(more.iter().map(|&arg| arg.to_owned()));
        let mut server = Self {
            proxy: None,
            process: None,
            etcd,
            namespace,
            addresses,
            args,
            directory,
        };
        server.write_kubeconfig("admin", &server.certificate_of("admin"));
        server.resume()?;
        Ok(server)
    }

    /// Its URL: `https://10.99.0.250:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", SocketAddr::from((self.address(), PORT)))
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills it; what it knows stays in etcd, and it comes back with [`Self::resume`].
    pub fn stop(&mut self) {
        self.proxy = None;
        self.process = None;
    }

    /// Starts it again at the same address with what it knew; ready when this returns.
    pub fn resume(&mut self) -> Result<(), LabError> {
        let mut command = self.namespace.command(kubernetes_program("kube-apiserver"));
        command.args(&self.args);
        let log = self.directory.path().join("kube-apiserver.log");
        self.process = Some(Process::start("kube-apiserver", command, &log)?);
        self.start_proxy()?;
        eventually("the API server is ready", PATIENCE, || self.is_ready())
            .inspect_err(|_| self.stop())
    }

    /// Freezes it (SIGSTOP): its connections stay open and silent.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.process.as_ref().map_or(Ok(()), Process::freeze)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<(), LabError> {
        self.process.as_ref().map_or(Ok(()), Process::thaw)
    }

    /// Runs kubectl as an administrator and returns what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, LabError> {
        output(&self.namespace, self.kubectl_command().args(args))
    }

    /// The same with something for its stdin: `kubectl_with(&["apply", "-f", "-"], manifest)`.
    ///
    /// # Panics
    ///
    /// When kubectl cannot be started.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String, LabError> {
        let mut command = self.kubectl_command();
        command.args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kubectl is a program");
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends before it has read says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        let done = child.wait_with_output().expect("a child can be waited for");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() {
            return Ok(text(&done.stdout));
        }
        Err(LabError::CommandFailed {
            command: format!("kubectl {}", args.join(" ")),
            namespace: self.namespace.label().into(),
            stderr: text(&done.stderr),
        })
    }

    /// What kubectl gets of something, as JSON: `get(&["node", "node1"])`.
    pub fn get(&self, what: &[&str]) -> Result<Value, LabError> {
        let text = self.kubectl(&[&["get", "--output", "json"], what].concat())?;
        serde_json::from_str(&text).map_err(|_| LabError::Malformed {
            what: format!("what kubectl gets of {}", what.join(" ")),
            text,
        })
    }

    /// A kubeconfig file of an administrator (`system:masters`).
    pub fn admin(&self) -> PathBuf {
        self.kubeconfig_path("admin")
    }

    /// A kubeconfig file of a user in a group, who shows a certificate: `("system:node:node1", "system:nodes")`.
    pub fn user(&self, name: &str, group: &str) -> PathBuf {
        let file = name.replace(':', "-");
        let subject = format!("/O={group}/CN={name}");
        certificates::sign(
            self.directory.path(),
            &file,
            &subject,
            "extendedKeyUsage=clientAuth",
        );
        self.write_kubeconfig(&file, &self.certificate_of(&file))
    }

    /// A kubeconfig file of a service account, which shows a token that is good for a day.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<PathBuf, LabError> {
        let token = self.token(namespace, name)?;
        Ok(self.write_kubeconfig(&format!("{namespace}-{name}"), &json!({ "token": token })))
    }

    /// A token of a service account that is good for a day, as a pod would find it in its file system.
    pub fn token(&self, namespace: &str, name: &str) -> Result<String, LabError> {
        let args = [
            "create",
            "token",
            name,
            "--duration=24h",
            "--namespace",
            namespace,
        ];
        Ok(self.kubectl(&args)?.trim().to_owned())
    }

    /// Sends requests as an administrator, many at a time: method, path and JSON of each. By PATCH it is a merge patch.
    pub fn request_all(&self, requests: Vec<(&str, String, Value)>) -> Result<(), LabError> {
        let queue = Mutex::new(requests.into_iter());
        let next = || queue.lock().expect("nobody panics with it").next();
        let work = || {
            while let Some((method, path, json)) = next() {
                self.request(method, &path, &json)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let ends = workers.into_iter().map(|worker| worker.join());
            ends.into_iter()
                .try_for_each(|end| end.expect("it does not panic"))
        })
    }

    /// Sends one such request, and returns the answer.
    pub fn request(&self, method: &str, path: &str, json: &Value) -> Result<Value, LabError> {
        let answer = send_json(&self.namespace, PROXY, (method, path), &json.to_string())?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        if !(200..300).contains(&answer.status) {
            return Err(LabError::Malformed {
                what: format!("the API server's answer to {method} {path}"),
                text: body,
            });
        }
        Ok(serde_json::from_str(&body).unwrap_or_default())
    }

    /// Its first underlay address.
    pub fn address(&self) -> IpAddr {
        let first = self.addresses.first();
        first.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// One of its files: `ca.key`, `accounts.key`.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn is_ready(&self) -> bool {
        get(&self.namespace, PROXY, "/readyz").is_ok_and(|answer| answer.status == 200)
    }

    fn start_proxy(&mut self) -> Result<(), LabError> {
        let mut command = self.kubectl_command();
        command.args([
            "proxy",
            &format!("--address={}", PROXY.ip()),
            &format!("--port={}", PROXY.port()),
        ]);
        let log = self.directory.path().join("proxy.log");
        self.proxy = Some(Process::start("kubectl proxy", command, &log)?);
        Ok(())
    }

    fn kubectl_command(&self) -> Command {
        let mut command = self.namespace.command(kubernetes_program("kubectl"));
        command.arg("--kubeconfig").arg(self.admin());
        command
            .arg("--cache-dir")
            .arg(self.directory.path().join("kubectl"));
        command
    }

    fn kubeconfig_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.kubeconfig"))
    }

    fn certificate_of(&self, name: &str) -> Value {
        let file = |suffix| self.directory.path().join(format!("{name}.{suffix}"));
        json!({ "client-certificate": file("pem"), "client-key": file("key") })
    }

    fn write_kubeconfig(&self, name: &str, credentials: &Value) -> PathBuf {
        let cluster = json!({ "server": self.url(), "certificate-authority": self.authority() });
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{ "name": "here", "cluster": cluster }],
            "users": [{ "name": name, "user": credentials }],
            "contexts": [{ "name": "here", "context": { "cluster": "here", "user": name } }],
        });
        let path = self.kubeconfig_path(name);
        fs::write(&path, config.to_string()).expect("the directory is writable");
        path
    }
}

/// The ranges of the services' addresses.
pub(super) fn service_ranges(stack: Stack) -> Vec<&'static str> {
    let v4 = stack.has_v4().then_some("10.96.0.0/16");
    let v6 = stack.has_v6().then_some("fd96::/108");
    v4.into_iter().chain(v6).collect()
}

fn make_certificates(directory: &Path, addresses: Addresses) {
    certificates::authority(directory);
    // The first address of each range is that of the service `kubernetes`.
    let services = [
        IpAddr::from([10, 96, 0, 1]),
        Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, 1).into(),
    ];
    let ips = addresses
        .iter()
        .chain(services)
        .map(|ip| format!(",IP:{ip}"));
    let names = format!(
        "subjectAltName=DNS:kubernetes.default.svc{}",
        ips.collect::<String>()
    );
    certificates::sign(directory, "server", "/CN=kube-apiserver", &names);
    let client = "extendedKeyUsage=clientAuth";
    certificates::sign(directory, "front", "/CN=front-proxy", client);
    certificates::sign(directory, "admin", "/O=system:masters/CN=admin", client);
}

fn args(at: &Path, addresses: Addresses, etcd: &Etcd, stack: Stack) -> Vec<String> {
    let file = |name| at.join(name).display().to_string();
    let advertised = addresses.first().map(|ip| ip.to_string());
    let issuer = "https://kubernetes.default.svc.cluster.local".to_owned();
    [
        ("etcd-servers", etcd.endpoints().join(",")),
        ("advertise-address", advertised.unwrap_or_default()),
        ("secure-port", PORT.to_string()),
        ("service-cluster-ip-range", service_ranges(stack).join(",")),
        ("tls-cert-file", file("server.pem")),
        ("tls-private-key-file", file("server.key")),
        ("client-ca-file", file("ca.pem")),
        ("authorization-mode", "Node,RBAC".into()),
        ("enable-admission-plugins", "NodeRestriction".into()),
        ("service-account-issuer", issuer),
        ("service-account-key-file", file("accounts.key")),
        ("service-account-signing-key-file", file("accounts.key")),
        ("requestheader-client-ca-file", file("ca.pem")),
        ("requestheader-allowed-names", "front-proxy".into()),
        ("requestheader-username-headers", "X-Remote-User".into()),
        ("requestheader-group-headers", "X-Remote-Group".into()),
        (
            "requestheader-extra-headers-prefix",
            "X-Remote-Extra-".into(),
        ),
        ("proxy-client-cert-file", file("front.pem")),
        ("proxy-client-key-file", file("front.key")),
        ("kubelet-preferred-address-types", "InternalIP".into()),
        ("kubelet-client-certificate", file("admin.pem")),
        ("kubelet-client-key", file("admin.key")),
        ("allow-privileged", "true".into()),
        // Debian's etcd is too old for it.
        ("feature-gates", "SizeBasedListCostEstimate=false".into()),
        ("profiling", "false".into()),
    ]
    .map(|(flag, value)| format!("--{flag}={value}"))
    .into()
}
