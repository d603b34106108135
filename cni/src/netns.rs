//! The pod's network namespace, and a way into it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};

use crate::spec::CniError;

/// A pod's namespace beside that in which this process was started.
#[derive(Debug)]
pub(crate) struct Netns {
    pod: File,
    host: File,
}

impl Netns {
    /// Opens the namespace at `path`; it has to be one, and another than our own.
    pub(crate) fn open(path: &Path) -> Result<Netns, CniError> {
        let pod = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CniError::NoSuchPod(path.into()),
            _ => failed("open the pod's")(source),
        })?;
        let host = File::open("/proc/thread-self/ns/net").map_err(failed("open our"))?;
        let invalid = |why: &str| CniError::Variable {
            name: "CNI_NETNS",
            value: path.display().to_string(),
            why: why.into(),
        };
        let (a, b) = (inode(&pod)?, inode(&host)?);
        if a == b {
            return Err(invalid("this is the node's own network namespace"));
        }
        let namespace = Netns { pod, host };
        match namespace.run(|| ()) {
            Err(CniError::Io { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                Err(invalid("this is no network namespace"))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(namespace),
        }
    }

    /// The node's own namespace, for the kernel.
    pub(crate) fn host(&self) -> &File {
        &self.host
    }

    /// Does something inside of the pod's namespace. There is one thread, so that it returns to the node's.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> Result<T, CniError> {
        enter(&self.pod).map_err(failed("enter the pod's"))?;
        let done = work();
        enter(&self.host).map_err(failed("return to our"))?;
        Ok(done)
    }
}

fn enter(namespace: &File) -> io::Result<()> {
    Ok(setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?)
}

fn inode(file: &File) -> Result<(u64, u64), CniError> {
    let metadata = file.metadata().map_err(failed("look at a"))?;
    Ok((metadata.st_dev(), metadata.st_ino()))
}

fn failed(verb: &'static str) -> impl Fn(io::Error) -> CniError {
    move |source| CniError::Io {
        what: format!("{verb} network namespace"),
        source,
    }
}
