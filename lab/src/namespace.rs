//! Network namespaces that exist as long as somebody holds them.

use crate::error::{LabError, Result};
use crate::{enter, leftovers};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

/// A network namespace. Clones are the same namespace; the kernel removes it with the last clone and the last process.
#[derive(Debug, Clone)]
pub struct Namespace(Arc<Held>);

#[derive(Debug)]
struct Held {
    fd: OwnedFd,
    label: String,
}

/// A name under /run/netns, for `ip netns exec NAME`; gone when this value is dropped.
#[derive(Debug)]
pub struct PublishedName {
    name: String,
    path: PathBuf,
}

impl Namespace {
    /// A new, empty namespace with `lo` up. The label names it in errors; it need not be unique.
    pub fn new(label: &str) -> Result<Self> {
        let made = thread::scope(|scope| {
            let unshared = || -> io::Result<OwnedFd> {
                unshare(CloneFlags::CLONE_NEWNET)?;
                Ok(File::open("/proc/thread-self/ns/net")?.into())
            };
            scope
                .spawn(unshared)
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("its thread ended early")))
        });
        let fd = made.map_err(|source| refused(label, source))?;
        let namespace = Self(Arc::new(Held {
            fd,
            label: label.into(),
        }));
        crate::ip(&namespace, &["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// One that somebody else has made, by a path that leads to it: `/run/netns/NAME`, `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self> {
        let label = path.display().to_string();
        let what = format!("open the namespace {label}");
        let fd = File::open(path).map_err(LabError::system(what))?.into();
        Ok(Self(Arc::new(Held { fd, label })))
    }

    /// What it is called in errors.
    pub fn label(&self) -> &str {
        &self.0.label
    }

    /// A path that other programs can open while this value lives: `ip link add ... netns PATH`.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.fd.as_raw_fd()).into()
    }

    /// Runs `work` on a thread that is inside. Sockets made there stay there, whoever uses them afterwards.
    pub fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send,
        F: FnOnce() -> T + Send,
    {
        thread::scope(|scope| {
            let inside = scope.spawn(|| -> io::Result<T> {
                setns(self, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .map_err(LabError::system(format!(
            "enter the namespace {}",
            self.label()
        )))
    }

    /// A command that runs inside, in a process group of its own (a terminal's Ctrl-C does not reach it).
    /// It dies with the thread that spawns it: see [`crate::Process`] for one that must live longer.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.process_group(0);
        enter::on_start(&mut command, self.clone());
        command
    }

    /// Sets sysctls by their path below /proc/sys: `net/ipv4/ip_forward`.
    pub fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            for (name, value) in settings {
                std::fs::write(Path::new("/proc/sys").join(name), value).map_err(
                    LabError::system(format!("set {name} to {value} in {}", self.label())),
                )?;
            }
            Ok(())
        })?
    }

    /// Reads a sysctl by its path below /proc/sys.
    pub fn sysctl(&self, name: &str) -> Result<String> {
        self.run(|| std::fs::read_to_string(Path::new("/proc/sys").join(name)))?
            .map(|text| text.trim().to_owned())
            .map_err(LabError::system(format!("read {name} in {}", self.label())))
    }

    /// Gives it a name under /run/netns, so that `ip netns exec NAME` finds it.
    pub fn publish(&self, name: &str) -> Result<PublishedName> {
        let path = Path::new(leftovers::NAMES).join(name);
        let what = || format!("name a namespace {}", path.display());
        std::fs::create_dir_all(leftovers::NAMES).map_err(LabError::system(what()))?;
        File::create_new(&path).map_err(LabError::system(what()))?;
        let published = PublishedName {
            name: name.into(),
            path,
        };
        mount(
            Some(&self.path()),
            &published.path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .map_err(|errno| LabError::System {
            what: what_of(&published),
            source: errno.into(),
        })?;
        Ok(published)
    }
}

impl PublishedName {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for PublishedName {
    fn drop(&mut self) {
        remove_name(&self.path);
    }
}

/// Unmounts and removes one name; what cannot be removed is left for the next sweep.
pub(crate) fn remove_name(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = std::fs::remove_file(path);
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

fn what_of(published: &PublishedName) -> String {
    format!("name a namespace {}", published.path.display())
}

fn refused(label: &str, source: io::Error) -> LabError {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return LabError::NotRoot;
    }
    LabError::System {
        what: format!("make the namespace {label}"),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn inode_of_the_current_namespace() -> u64 {
        std::fs::metadata("/proc/thread-self/ns/net")
            .expect("/proc is mounted")
            .ino()
    }

    #[test]
    fn work_runs_inside_and_the_caller_stays_outside() {
        let outside = inode_of_the_current_namespace();
        let namespace = Namespace::new("inside").unwrap();
        let inside = namespace.run(inode_of_the_current_namespace).unwrap();
        assert_ne!(inside, outside);
        assert_eq!(inode_of_the_current_namespace(), outside);
    }

    #[test]
    fn a_sysctl_of_one_namespace_is_not_that_of_another() {
        let (a, b) = (Namespace::new("a").unwrap(), Namespace::new("b").unwrap());
        a.set_sysctls(&[("net/ipv4/ip_forward", "1")]).unwrap();
        b.set_sysctls(&[("net/ipv4/ip_forward", "0")]).unwrap();
        assert_eq!(a.sysctl("net/ipv4/ip_forward").unwrap(), "1");
        assert_eq!(b.sysctl("net/ipv4/ip_forward").unwrap(), "0");
    }

    #[test]
    fn a_published_name_leads_inside_and_is_gone_with_its_value() {
        let namespace = Namespace::new("named").unwrap();
        let name = format!("twill-test-{}-named", std::process::id());
        let published = namespace.publish(&name).unwrap();
        let path = published.path.clone();
        let inside = namespace.run(inode_of_the_current_namespace).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), inside);
        let opened = Namespace::open(&path).unwrap();
        assert_eq!(opened.run(inode_of_the_current_namespace).unwrap(), inside);
        drop(published);
        assert!(!path.exists());
    }
}
