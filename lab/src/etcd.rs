//! A real etcd: one member or three, each in a namespace of its own on the underlay.

use crate::error::{LabError, Result};
use crate::{Namespace, Process, Underlay, eventually, get, output};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// Removes the table whether it is there or not.
const NO_CUT: &str = "add table inet cut; delete table inet cut";

/// How long a cluster may take to elect its leader.
const PATIENCE: Duration = Duration::from_secs(30);

/// How etcd is started.
#[derive(Debug, Clone, Default)]
pub struct EtcdOptions {
    /// Further arguments: `--max-txn-ops=1000`.
    pub args: Vec<String>,
    /// A directory with `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key`: clients then speak TLS and
    /// show a certificate.
    pub certificates: Option<PathBuf>,
}

/// An etcd cluster; killed when this value is dropped.
#[derive(Debug)]
pub struct Etcd {
    /// The members, in the order of [`Etcd::endpoints`].
    pub members: Vec<Member>,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    name: String,
    namespace: Namespace,
    address: IpAddr,
    directory: PathBuf,
    args: Vec<String>,
    certificates: Option<PathBuf>,
    process: Option<Process>,
}

impl Etcd {
    /// Members on the underlay's first switch, one for each host number in `hosts`; ready when this returns.
    pub fn on_underlay(
        underlay: &Underlay,
        hosts: Range<u8>,
        directory: &Path,
        options: &EtcdOptions,
    ) -> Result<Self> {
        let mut seats = Vec::new();
        for (number, host) in (1..).zip(hosts) {
            let namespace = Namespace::new(&format!("etcd{number}"))?;
            let address = underlay.attach(&namespace, 1, host)?.first();
            seats.push((
                namespace,
                address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            ));
        }
        Self::start(seats, directory, options)
    }

    /// One member on 127.0.0.1 of `namespace`; ready when this returns.
    pub fn on_loopback(
        namespace: &Namespace,
        directory: &Path,
        options: &EtcdOptions,
    ) -> Result<Self> {
        Self::start(
            vec![(namespace.clone(), Ipv4Addr::LOCALHOST.into())],
            directory,
            options,
        )
    }

    fn start(
        seats: Vec<(Namespace, IpAddr)>,
        directory: &Path,
        options: &EtcdOptions,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .map_err(LabError::system(format!("make {}", directory.display())))?;
        let name = |number: usize| format!("etcd{}", number + 1);
        let peers = seats.iter().enumerate();
        let peers = peers.map(|(number, (_, address))| {
            format!("{}={}", name(number), url("http", *address, PEER_PORT))
        });
        let peers = peers.collect::<Vec<_>>().join(",");
        let members = seats
            .into_iter()
            .enumerate()
            .map(|(number, (namespace, address))| {
                let (name, directory) = (name(number), directory.join(name(number)));
                let scheme = options.scheme();
                let mut args = member_args(&name, (scheme, address), &directory, &peers);
                args.extend(options.tls_args());
                args.extend(options.args.iter().cloned());
                Member {
                    name,
                    namespace,
                    address,
                    directory,
                    args,
                    certificates: options.certificates.clone(),
                    process: None,
                }
            });
        let mut etcd = Self {
            members: members.collect(),
        };
        etcd.members.iter_mut().try_for_each(Member::start)?;
        etcd.members.iter().try_for_each(Member::wait_healthy)?;
        Ok(etcd)
    }

    /// The client URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::url).collect()
    }

    /// Runs `etcdctl ARGS` against the cluster and returns what it printed.
    pub fn ctl(&self, args: &[&str]) -> Result<String> {
        self.living()?.ctl_of(&self.endpoints(), args)
    }

    /// The number of the member that leads; waits for one.
    pub fn leader(&self) -> Result<usize> {
        let mut leader = None;
        eventually("etcd has a leader", PATIENCE, || {
            leader = self.members.iter().position(Member::leads);
            leader.is_some()
        })?;
        leader.ok_or_else(|| LabError::Malformed {
            what: "the etcd cluster".into(),
            text: "nobody leads".into(),
        })
    }

    /// Puts a value under a key, as an administrator would.
    pub fn put(&self, key: &str, value: &str) -> Result<()> {
        self.ctl(&["put", key, value]).map(drop)
    }

    /// The keys and values below a prefix, in the order of the keys.
    pub fn list(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        let text = self.ctl(&["get", "--prefix", prefix])?;
        let lines: Vec<&str> = text.lines().collect();
        Ok(lines
            .chunks_exact(2)
            .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
            .collect())
    }

    /// Deletes everything.
    pub fn wipe(&self) -> Result<()> {
        self.ctl(&["del", "--prefix", ""]).map(drop)
    }

    /// A member whose process runs.
    pub fn living(&self) -> Result<&Member> {
        self.members
            .iter()
            .find(|member| member.process.is_some())
            .ok_or_else(|| LabError::Malformed {
                what: "the etcd cluster".into(),
                text: "every member is stopped".into(),
            })
    }
}

impl Member {
    /// Where it answers clients.
    pub fn client_address(&self) -> SocketAddr {
        (self.address, CLIENT_PORT).into()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its process, if it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Starts it with the data that it has, unless it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_none() {
            let mut command = self.namespace.command("etcd");
            command.args(&self.args);
            let log = self.directory.with_extension("log");
            self.process = Some(Process::start(&self.name, command, &log)?);
        }
        Ok(())
    }

    /// Kills it (SIGKILL); its data stays.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills it and starts it again; healthy when this returns.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.start()?;
        self.wait_healthy()
    }

    /// Kills it and starts it with no data: what it knew is gone. Healthy when this returns.
    pub fn begin_anew(&mut self) -> Result<()> {
        self.kill();
        let data = &self.directory;
        let what = format!("remove {}", data.display());
        std::fs::remove_dir_all(data).map_err(LabError::system(what))?;
        self.start()?;
        self.wait_healthy()
    }

    /// Loses all packets from and to these machines in silence, from here on, and no others'; of everybody when there
    /// is none.
    pub fn cut_off(&self, others: &[IpAddr]) -> Result<()> {
        let chain = |hook: &str, way: &str| {
            let chain =
                format!("add chain inet cut {hook} {{ type filter hook {hook} priority 0; }}");
            let rules = match others {
                [] => vec!["drop".to_owned()],
                _ => others.iter().map(|ip| drop_rule(*ip, way)).collect(),
            };
            let rules = rules
                .iter()
                .map(|rule| format!("; add rule inet cut {hook} {rule}"));
            chain + &rules.collect::<String>()
        };
        let (from, to) = (chain("input", "saddr"), chain("output", "daddr"));
        self.nft(&format!("{NO_CUT}; add table inet cut; {from}; {to}"))
    }

    /// Ends [`Member::cut_off`].
    pub fn let_in(&self) -> Result<()> {
        self.nft(NO_CUT)
    }

    fn nft(&self, rules: &str) -> Result<()> {
        let mut command = self.namespace.command("nft");
        output(&self.namespace, command.arg(rules)).map(drop)
    }

    /// Freezes it (SIGSTOP): its connections stay open and silent.
    pub fn freeze(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::freeze)
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) -> Result<()> {
        self.process.as_ref().map_or(Ok(()), Process::thaw)
    }

    /// Waits until it serves and knows a leader.
    pub fn wait_healthy(&self) -> Result<()> {
        eventually(&format!("{} is healthy", self.name), PATIENCE, || {
            self.is_healthy()
        })
        .map_err(|error| match (error, &self.process) {
            (LabError::TimedOut { what, waited, .. }, Some(process)) => LabError::TimedOut {
                what,
                waited,
                detail: process.log_hint(),
            },
            (error, _) => error,
        })
    }
}

impl Member {
    fn is_healthy(&self) -> bool {
        if self.certificates.is_some() {
            return self.ctl_of(&[self.url()], &["endpoint", "health"]).is_ok();
        }
        get(&self.namespace, self.client_address(), "/health").is_ok_and(|response| {
            response.status == 200 && response.body.windows(6).any(|text| text == b"\"true\"")
        })
    }

    fn leads(&self) -> bool {
        let status = || self.ctl_of(&[self.url()], &["endpoint", "status", "-w", "fields"]);
        let Some(status) = self.process.as_ref().and_then(|_| status().ok()) else {
            return false;
        };
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.strip_prefix(name));
            lines.next().map(str::trim)
        };
        field("\"Leader\" :").is_some_and(|leader| Some(leader) == field("\"MemberID\" :"))
    }

    fn ctl_of(&self, endpoints: &[String], args: &[&str]) -> Result<String> {
        let mut command = self.namespace.command("etcdctl");
        command.env("ETCDCTL_API", "3");
        command.arg(format!("--endpoints={}", endpoints.join(",")));
        if let Some(directory) = &self.certificates {
            for (flag, file) in [
                ("cacert", "ca.pem"),
                ("cert", "client.pem"),
                ("key", "client.key"),
            ] {
                command.arg(format!("--{flag}={}", directory.join(file).display()));
            }
        }
        output(&self.namespace, command.args(args))
    }

    fn url(&self) -> String {
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        url(scheme, self.address, CLIENT_PORT)
    }
}

impl EtcdOptions {
    fn scheme(&self) -> &'static str {
        if self.certificates.is_some() {
            "https"
        } else {
            "http"
        }
    }

    fn tls_args(&self) -> Vec<String> {
        let Some(directory) = &self.certificates else {
            return Vec::new();
        };
        let file = |name: &str| directory.join(name).display().to_string();
        vec![
            format!("--cert-file={}", file("server.pem")),
            format!("--key-file={}", file("server.key")),
            format!("--trusted-ca-file={}", file("ca.pem")),
            "--client-cert-auth".into(),
        ]
    }
}

fn drop_rule(other: IpAddr, way: &str) -> String {
    let family = if other.is_ipv4() { "ip" } else { "ip6" };
    format!("{family} {way} {other} drop")
}

fn url(scheme: &str, address: IpAddr, port: u16) -> String {
    format!("{scheme}://{}", SocketAddr::from((address, port)))
}

fn member_args(
    name: &str,
    (scheme, address): (&str, IpAddr),
    directory: &Path,
    peers: &str,
) -> Vec<String> {
    let client = url(scheme, address, CLIENT_PORT);
    let peer = url("http", address, PEER_PORT);
    [
        format!("--name={name}"),
        format!("--data-dir={}", directory.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={peers}"),
        "--logger=zap".into(),
        "--log-outputs=stderr".into(),
        "--log-level=warn".into(),
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shape, Stack};

    #[test]
    fn a_value_survives_the_kill_of_its_member_byte_for_byte() {
        let directory = tempfile::tempdir().unwrap();
        let underlay = Underlay::new(Shape::OneSwitch, Stack::V6).unwrap();
        let mut etcd = Etcd::on_underlay(
            &underlay,
            201..202,
            directory.path(),
            &EtcdOptions::default(),
        )
        .unwrap();
        let value = r#"{"PublicIP":"10.99.0.1","PublicIPv6":null,"BackendType":"host-gw"}"#;
        etcd.put("/a/subnets/10.244.1.0-24", value).unwrap();
        etcd.members[0].restart().unwrap();
        assert_eq!(
            etcd.list("/a").unwrap(),
            [("/a/subnets/10.244.1.0-24".to_owned(), value.to_owned())]
        );
        etcd.wipe().unwrap();
        assert!(etcd.list("/a").unwrap().is_empty());
    }
}
