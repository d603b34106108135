//! One daemon per run directory, and in a network namespace one per route
//! protocol, or two would take each other's routes for stale, and one per node
//! of a store, or two would hold one lease. What takes down a daemon's work
//! stands in its place meanwhile.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;

use crate::config::Config;
use crate::start;

/// Held as long as the process lives; the kernel lets go of them with it.
pub(crate) struct Locks {
    _run_dir: File,
    _protocol: UnixListener,
    _lease: UnixListener,
}

/// Why a process must not work beside what is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another twill (pid {pid}) uses {dir}", dir = dir.display())]
    RunDir { dir: PathBuf, pid: String },
    #[error(
        "another twill{by} in this network namespace marks its routes with protocol {protocol}"
    )]
    Protocol { protocol: u8, by: String },
    #[error("another twill{by} in this network namespace is node {node} of {store}")]
    Lease {
        node: String,
        store: String,
        by: String,
    },
    #[error("cannot use {path}: {why}; the run directory has to be writable: mend that, or name another with --run-dir", path = path.display())]
    RunDirIo { path: PathBuf, why: io::Error },
    #[error("cannot make the socket @{name}: {why}")]
    Socket { name: String, why: io::Error },
}

impl LockError {
    /// With what a daemon could run beside the one that is in the way; `None`: it is not a daemon that is.
    pub(crate) fn apart(&self) -> Option<&'static str> {
        match self {
            LockError::RunDir { .. } => Some("a --run-dir of its own"),
            LockError::Protocol { .. } => Some("a --route-protocol of its own"),
            LockError::Lease { .. } => Some("another store or --etcd-prefix"),
            LockError::RunDirIo { .. } | LockError::Socket { .. } => None,
        }
    }
}

/// Takes all locks or none; within a tokio runtime, which is needed to tell who holds one.
pub(crate) fn take(config: &Config) -> Result<Locks, LockError> {
    let run_dir = lock_run_dir(config)?;
    let (protocol, node) = (config.route_protocol, &config.node_name);
    let store = start::describe_store(config);
    Ok(Locks {
        _run_dir: run_dir,
        _protocol: lock_name(&format!("twill/route-protocol/{protocol}"), |by| {
            LockError::Protocol { protocol, by }
        })?,
        _lease: lock_name(
            &format!("twill/lease/{}", short(&format!("{node} {store}"))),
            |by| LockError::Lease {
                node: node.clone(),
                store: store.clone(),
                by,
            },
        )?,
    })
}

fn lock_run_dir(config: &Config) -> Result<File, LockError> {
    let dir = &config.run_dir;
    let path = dir.join("lock");
    let io = |path: &PathBuf| {
        let path = path.clone();
        move |why| LockError::RunDirIo { path, why }
    };
    fs::create_dir_all(dir).map_err(io(dir))?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io(&path))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(io(&path))?;
            write!(file, "{}", std::process::id()).map_err(io(&path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            Err(LockError::RunDir {
                dir: dir.clone(),
                pid,
            })
        }
        Err(TryLockError::Error(source)) => Err(io(&path)(source)),
    }
}

/// An abstract socket name belongs to the network namespace, as routes do.
fn lock_name(
    name: &str,
    taken: impl FnOnce(String) -> LockError,
) -> Result<UnixListener, LockError> {
    let bind = || UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?);
    bind().map_err(|why| match why.kind() {
        io::ErrorKind::AddrInUse => taken(holder(name).unwrap_or_default()),
        _ => LockError::Socket {
            name: name.to_owned(),
            why,
        },
    })
}

/// The process that listens at an abstract name, as ` (pid 7)`.
fn holder(name: &str) -> Option<String> {
    let address = SocketAddr::from_abstract_name(name).ok()?;
    let stream = UnixStream::connect_addr(&address).ok()?;
    stream.set_nonblocking(true).ok()?;
    let peer = tokio::net::UnixStream::from_std(stream).ok()?.peer_cred();
    Some(format!(" (pid {})", peer.ok()?.pid()?))
}

/// FNV-1a: a name of a socket has 107 bytes at most (`sun_path`, unix(7)), and a
/// store may be called anything.
fn short(text: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, mix))
}
