//! The directory while it is locked. Every look begins by taking in what changed by hand and what has ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::entry::{self, Entry};
use crate::history::Use;
use crate::lease::{Hold, LeaseId, Revision};
use crate::rules::Shelf;
use crate::store::{Listing, StoreError, WatchEvent};

use super::index::{Index, LastValue, Mark, Stamp, Term, UsedMark};
use super::sys;

/// The most that is read of one file.
const LARGEST: u64 = 2 << 20;

/// The directory, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    index: Index,
    _lock: File,
}

/// Creates the directory and the one for leases.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let lock = || {
        File::options()
            .create(true)
            .append(true)
            .open(path.join("lock"))
    };
    let created = fs::create_dir_all(path.join("subnets")).and_then(|()| lock());
    created
        .map(drop)
        .map_err(|why| failed(path, "create", &why))
}

impl Directory {
    /// Waits for the lock and looks.
    pub(super) fn lock(path: &Path) -> Result<Directory, StoreError> {
        let at = path.join("lock");
        // Only for reading: closing a file that was open for writing would wake every watch.
        let lock = File::open(&at).and_then(|lock| sys::lock(&lock).map(|()| lock));
        let lock = lock.map_err(|why| failed(&at, "lock", &why))?;
        let index = read_index(&path.join("index.json"))?;
        let path = path.to_path_buf();
        let mut directory = Directory {
            path,
            index,
            _lock: lock,
        };
        directory.look()?;
        Ok(directory)
    }

    pub(super) fn revision(&self) -> Revision {
        Revision(self.index.revision)
    }

    pub(super) fn config(&self) -> Result<Option<Vec<u8>>, StoreError> {
        read(&self.path.join("config"))
    }

    pub(super) fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing {
            revision: self.revision(),
            config: self.config()?,
            ..Listing::default()
        };
        for key in self.index.keys.keys() {
            if let Some(entry) = self.entry(key)? {
                listing.add(entry);
            }
        }
        Ok(listing)
    }

    /// What happened after a revision, in order.
    pub(super) fn since(&self, after: Revision) -> Result<Vec<WatchEvent>, StoreError> {
        if after.0 < self.index.compacted {
            return Err(StoreError::Compacted {
                endpoint: self.path.display().to_string(),
                asked: after,
                at: Revision(self.index.compacted),
            });
        }
        let mut events = BTreeMap::new();
        if self.index.config.revision > after.0 {
            events.insert(
                self.index.config.revision,
                WatchEvent::Config(self.config()?),
            );
        }
        for (key, revision) in self.index.removed.iter().filter(|(_, at)| *at > after.0) {
            events.insert(*revision, entry::gone(key.as_bytes(), Revision(*revision)));
        }
        for (at, last) in self.index.released.range(after.0 + 1..) {
            events.insert(*at, last.entry(Revision(*at)).into_event());
        }
        for (key, mark) in self
            .index
            .keys
            .iter()
            .filter(|(_, mark)| mark.revision > after.0)
        {
            let entry = self.entry(key)?;
            events.extend(entry.map(|entry| (mark.revision, entry.into_event())));
        }
        Ok(events.into_values().collect())
    }

    /// How long until the next lease ends.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        let next = self.index.leases.values().map(|term| term.expires_ms).min();
        next.map(|at| Duration::from_millis(at.saturating_sub(now_ms())))
    }

    pub(super) fn save(&self) -> Result<(), StoreError> {
        let text = serde_json::to_vec(&self.index).expect("numbers and strings always serialize");
        let at = self.path.join("index.json");
        let new = self.write_new(&text)?.1;
        fs::rename(new, &at).map_err(|why| failed(&at, "replace", &why))
    }

    /// Takes in what changed by hand, and lets end what has ended.
    fn look(&mut self) -> Result<(), StoreError> {
        let before = self.index.revision;
        self.look_at_config()?;
        let files = self.files()?;
        let missing = |key: &&String| !files.contains_key(*key);
        let missing: Vec<_> = self.index.keys.keys().filter(missing).cloned().collect();
        missing.iter().for_each(|key| self.index.forget(key));
        for (key, stamp) in files {
            let mark = self.index.keys.get(&key);
            if mark.is_none_or(|mark| mark.stamp != stamp) {
                let lease = mark.and_then(|mark| mark.lease);
                let revision = self.index.next_revision();
                self.index.keys.insert(
                    key,
                    Mark {
                        stamp,
                        revision,
                        lease,
                    },
                );
            }
        }
        for key in self.index.expired(now_ms()) {
            self.delete(&key)?;
        }
        if self.index.revision == before {
            Ok(())
        } else {
            self.save()
        }
    }

    fn look_at_config(&mut self) -> Result<(), StoreError> {
        let at = self.path.join("config");
        let stamp = match fs::metadata(&at) {
            Ok(file) => Some(Stamp::from(&file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => return Err(failed(&at, "read", &why)),
        };
        if stamp != self.index.config.stamp {
            self.index.config.stamp = stamp;
            self.index.config.revision = self.index.next_revision();
        }
        Ok(())
    }

    /// The files of leases, without what editors leave beside them.
    fn files(&self) -> Result<BTreeMap<String, Stamp>, StoreError> {
        let at = self.path.join("subnets");
        let why = |why: io::Error| failed(&at, "read", &why);
        let mut files = BTreeMap::new();
        for file in fs::read_dir(&at).map_err(why)? {
            let file = file.map_err(why)?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            if let Some(metadata) = file.metadata().ok().filter(fs::Metadata::is_file) {
                files.insert(name, Stamp::from(&metadata));
            }
        }
        Ok(files)
    }

    fn file(&self, key: &str) -> PathBuf {
        self.path.join("subnets").join(key)
    }

    fn delete(&mut self, key: &str) -> Result<(), StoreError> {
        let at = self.file(key);
        match fs::remove_file(&at) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&at, "remove", &why));
            }
            _ => self.index.forget(key),
        }
        Ok(())
    }

    /// Writes a text to a file beside, safely on the disk, and tells its stamp.
    fn write_new(&self, text: &[u8]) -> Result<(Stamp, PathBuf), StoreError> {
        let at = self.path.join(".new");
        let write = || -> io::Result<Stamp> {
            let mut file = File::create(&at)?;
            file.write_all(text)?;
            file.sync_all()?;
            Ok(Stamp::from(&file.metadata()?))
        };
        write()
            .map(|stamp| (stamp, at.clone()))
            .map_err(|why| match why.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace {
                    endpoint: self.path.display().to_string(),
                    why: why.to_string(),
                },
                _ => failed(&at, "write", &why),
            })
    }
}

impl Shelf for Directory {
    fn keys(&self) -> Vec<String> {
        self.index.keys.keys().cloned().collect()
    }

    fn entry(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let Some(mark) = self.index.keys.get(key) else {
            return Ok(None);
        };
        let value = read(&self.file(key))?.unwrap_or_default();
        Ok(Some(entry::read(
            key.as_bytes(),
            &value,
            mark.hold(),
            Revision(mark.revision),
        )))
    }

    fn revision_of(&self, key: &str) -> Option<(Revision, Hold)> {
        let mark = self.index.keys.get(key)?;
        Some((Revision(mark.revision), mark.hold()))
    }

    /// The index first: after a crash between the two, a lease that is only in the index counts as removed, while a
    /// file that is not in the index would count as a reservation.
    fn put(&mut self, key: &str, value: &[u8], hold: Hold) -> Result<Revision, StoreError> {
        let (stamp, new) = self.write_new(value)?;
        let (at, beside) = (self.file(key), self.path.join(".lease"));
        fs::rename(&new, &beside).map_err(|why| failed(&beside, "write", &why))?;
        let lease = match hold {
            Hold::Reserved | Hold::Given => None,
            Hold::Leased(LeaseId(id)) => Some(id),
        };
        let revision = self.index.next_revision();
        self.index.keys.insert(
            key.to_owned(),
            Mark {
                stamp,
                revision,
                lease,
            },
        );
        self.save()?;
        fs::rename(&beside, &at).map_err(|why| failed(&at, "write", &why))?;
        Ok(Revision(revision))
    }

    fn remove(&mut self, key: &str) -> Result<(), StoreError> {
        self.delete(key)?;
        self.save()
    }

    /// Without writing the file: who watches reads the last value in the index.
    fn release(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let lease = self.index.keys.get(key).and_then(|mark| mark.lease);
        let revision = self.index.next_revision();
        let (key_text, text) = (key.to_owned(), String::from_utf8_lossy(value).into_owned());
        let last = LastValue {
            key: key_text,
            text,
            lease,
        };
        self.index.released.insert(revision, last);
        self.remove(key)
    }

    fn grant(&mut self, ttl: Duration) -> LeaseId {
        self.index.last_lease += 1;
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = now_ms().saturating_add(ttl_ms);
        self.index
            .leases
            .insert(self.index.last_lease, Term { ttl_ms, expires_ms });
        LeaseId(self.index.last_lease)
    }

    fn granted(&self, id: LeaseId) -> Option<Duration> {
        let term = self.index.leases.get(&id.0)?;
        Some(Duration::from_millis(term.ttl_ms))
    }

    fn left(&self, id: LeaseId) -> Option<Duration> {
        let term = self.index.leases.get(&id.0)?;
        Some(Duration::from_millis(
            term.expires_ms.saturating_sub(now_ms()),
        ))
    }

    fn prolong(&mut self, id: LeaseId) {
        if let Some(term) = self.index.leases.get_mut(&id.0) {
            term.expires_ms = now_ms().saturating_add(term.ttl_ms);
        }
    }

    fn note(&mut self, key: &str, value: &[u8]) {
        let revision = self.index.next_revision();
        let text = String::from_utf8_lossy(value).into_owned();
        self.index
            .used
            .insert(key.to_owned(), UsedMark { text, revision });
    }

    fn notes(&self) -> Vec<Use> {
        let used = self.index.used.iter();
        used.filter_map(|(key, mark)| Use::read(key, mark.text.as_bytes(), Revision(mark.revision)))
            .collect()
    }
}

fn read_index(at: &Path) -> Result<Index, StoreError> {
    let Some(text) = read(at)? else {
        return Ok(Index::default());
    };
    serde_json::from_slice(&text).map_err(|why| StoreError::Failed {
        endpoint: at.display().to_string(),
        why: format!(
            "the index is damaged ({why}); remove it, and every lease becomes a reservation"
        ),
    })
}

fn read(at: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let mut text = Vec::new();
    match File::open(at).and_then(|file| file.take(LARGEST).read_to_end(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(failed(at, "read", &why)),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn failed(at: &Path, verb: &str, why: &io::Error) -> StoreError {
    let endpoint = at.display().to_string();
    match why.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Refused {
            endpoint,
            why: format!("cannot {verb}: {why}"),
        },
        _ => StoreError::Failed {
            endpoint,
            why: format!("cannot {verb}: {why}"),
        },
    }
}
