//! One daemon per run directory, and one per network namespace and route
//! protocol: two would take each other's routes for stale.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use crate::config::Config;

/// Held as long as the daemon lives; the kernel lets go of them with it.
pub(crate) struct Locks {
    _run_dir: File,
    _protocol: UnixListener,
}

/// Why the daemon must not run beside what is there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another twill (pid {pid}) uses {dir}; stop it, or give this one a --run-dir of its own", dir = dir.display())]
    RunDir { dir: PathBuf, pid: String },
    #[error(
        "another twill in this network namespace marks its routes with protocol {0}; stop it, or give this one a --route-protocol of its own"
    )]
    Protocol(u8),
    #[error("cannot use {path}: {source}; the run directory has to be writable, see --run-dir", path = path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Takes both locks or neither.
pub(crate) fn take(config: &Config) -> Result<Locks, LockError> {
    let run_dir = lock_run_dir(config)?;
    Ok(Locks {
        _run_dir: run_dir,
        _protocol: lock_protocol(config.route_protocol)?,
    })
}

fn lock_run_dir(config: &Config) -> Result<File, LockError> {
    let dir = &config.run_dir;
    let path = dir.join("lock");
    let io = |path: &PathBuf| {
        let path = path.clone();
        move |source| LockError::Io { path, source }
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
fn lock_protocol(protocol: u8) -> Result<UnixListener, LockError> {
    let name = format!("twill/route-protocol/{protocol}");
    let bind = || UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?);
    bind().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => LockError::Protocol(protocol),
        _ => LockError::Io {
            path: PathBuf::from(format!("@{name}")),
            source: error,
        },
    })
}

/// Whether a daemon runs with this run directory.
pub(crate) fn is_held(config: &Config) -> bool {
    let file = File::open(config.run_dir.join("lock"));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
