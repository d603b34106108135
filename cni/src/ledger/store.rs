//! The directory of the state, and the locks on it.
//!
//! ```text
//! /var/lib/twill/cni/lock                   held while the directory is read and written
//! /var/lib/twill/cni/boot-ID/held:...       itself locked as long as an ADD works on it
//! ```
//!
//! No pod outlives a boot, so a new boot starts with a new directory, and nothing has to be synced to a disk: what a
//! crash of the machine leaves is never read.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};

use crate::spec::CniError;

use super::{Held, Ledger, Step};

/// The directory of this boot.
#[derive(Debug)]
pub(crate) struct Store {
    root: PathBuf,
    boot: PathBuf,
}

/// The store while nobody else reads or writes it.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    boot: &'a Path,
    _lock: File,
}

/// An attachment's record while a call works on it. Whoever is killed lets go of it.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
}

impl Store {
    /// Opens the state below `root`, and makes it if need be.
    pub(crate) fn open(root: &Path) -> Result<Store, CniError> {
        let store = Store::at(root)?;
        if !store.boot.is_dir() {
            fs::create_dir_all(&store.boot).map_err(failed("make", &store.boot))?;
            store.forget_other_boots();
        }
        Ok(store)
    }

    /// The state below `root` if there is any.
    pub(crate) fn open_existing(root: &Path) -> Result<Option<Store>, CniError> {
        let store = Store::at(root)?;
        Ok(store.boot.is_dir().then_some(store))
    }

    fn at(root: &Path) -> Result<Store, CniError> {
        let file = Path::new("/proc/sys/kernel/random/boot_id");
        let id = fs::read_to_string(file).map_err(failed("read", file))?;
        Ok(Store {
            root: root.into(),
            boot: root.join(format!("boot-{}", id.trim())),
        })
    }

    /// Waits until nobody else has it: others hold it for less than a millisecond.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, CniError> {
        let path = self.root.join("lock");
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(Locked {
            boot: &self.boot,
            _lock: file,
        })
    }

    /// Waits until nobody works on this record; `None` when it is gone. The store must not be locked: who works on it
    /// may need it.
    pub(crate) fn wait_for(&self, held: &Held) -> Result<Option<Claim>, CniError> {
        let path = self.boot.join(held.name());
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed("open", &path))?,
        };
        file.lock().map_err(failed("lock", &path))?;
        Ok(Some(Claim { _lock: file }))
    }

    /// What is left of them is of no use; what cannot be removed does no harm.
    fn forget_other_boots(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            let is_boot = entry.file_name().to_string_lossy().starts_with("boot-");
            if is_boot && entry.path() != self.boot {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Locked<'_> {
    /// All that the directory says. Each ADD reads it: entries that own nothing keep that short on a full node.
    pub(crate) fn ledger(&self) -> Result<Ledger, CniError> {
        let listed = || -> nix::Result<Ledger> {
            let mut ledger = Ledger::default();
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            for entry in Dir::open(self.boot, flags, Mode::empty())?.iter() {
                ledger.learn(entry?.file_name().to_str().unwrap_or_default());
            }
            Ok(ledger)
        };
        listed().map_err(|errno| failed("list", self.boot)(errno.into()))
    }

    /// Writes down that this attachment holds its addresses.
    pub(crate) fn claim(&self, held: &Held) -> Result<Claim, CniError> {
        let path = self.boot.join(held.name());
        let file = File::create_new(&path).map_err(failed("write", &path))?;
        file.lock().map_err(failed("lock", &path))?;
        Ok(Claim { _lock: file })
    }

    /// Takes over a record that is there; `None` while another call works on it.
    pub(crate) fn take_over(&self, held: &Held) -> Result<Option<Claim>, CniError> {
        let path = self.boot.join(held.name());
        let file = File::open(&path).map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }

    /// Does what is to be done, in its order.
    pub(crate) fn carry_out(&self, steps: &[Step]) -> Result<(), CniError> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&self, step: &Step) -> Result<(), CniError> {
        match step {
            Step::Create(name) => {
                let path = self.boot.join(name);
                File::create(&path)
                    .map(drop)
                    .map_err(failed("write", &path))
            }
            Step::Remove(name) => {
                let path = self.boot.join(name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    other => other.map_err(failed("remove", &path)),
                }
            }
        }
    }
}

/// Seconds since the boot, those in suspension included: a clock that nobody sets.
pub(crate) fn seconds_since_boot() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(|time| time.tv_sec());
    time.ok()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .unwrap_or(0)
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CniError {
    let what = format!("{verb} {}", path.display());
    move |source| CniError::Io { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attachment::Attachment;

    fn held() -> Held {
        Held {
            attachment: Attachment {
                network: "cbr0".into(),
                container: "a".into(),
                ifname: "eth0".into(),
            },
            addresses: vec!["10.1.0.2".parse().unwrap()],
        }
    }

    #[test]
    fn a_record_cannot_be_taken_over_while_somebody_works_on_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let claim = store.lock().unwrap().claim(&held()).unwrap();
        assert!(store.lock().unwrap().take_over(&held()).unwrap().is_none());
        drop(claim);
        assert!(store.lock().unwrap().take_over(&held()).unwrap().is_some());
    }

    #[test]
    fn what_an_earlier_boot_left_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let old = dir.path().join("boot-0/held:cbr0:a:eth0:10.1.0.2");
        fs::create_dir_all(&old).unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(!old.exists());
        assert_eq!(store.lock().unwrap().ledger().unwrap(), Ledger::default());
    }

    #[test]
    fn a_release_is_carried_out_twice_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let locked = store.lock().unwrap();
        drop(locked.claim(&held()).unwrap());
        for _ in 0..2 {
            locked.carry_out(&Ledger::release(&held(), 7)).unwrap();
            let ledger = locked.ledger().unwrap();
            assert_eq!((ledger.held.len(), ledger.freed.len()), (0, 1));
        }
    }
}
