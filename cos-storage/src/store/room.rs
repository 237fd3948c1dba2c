//! How much a store holds, and what goes when it would be too much.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{OBJECTS, PARTIAL, STORE, Store, StoreError, is_named};
use crate::digest::Digest;
use crate::scratch::base;
use crate::shown::Shown;

/// After so long without use nobody can be waiting for the rest of a content.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// After what part of its capacity the store looks again at what other runs have put there.
const LOOK_AGAIN: u64 = 16;

/// A file of the store, as its directory shows it.
pub(super) struct Entry {
    name: String,
    size: u64,
    /// Seconds since 1970 of the last use.
    used: i64,
    is_object: bool,
}

/// What [`clear_store`] did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Clearing {
    /// How many files are gone.
    pub removed: u64,
    /// How many bytes those had.
    pub bytes: u64,
    /// How many files are in use by some run, and stay.
    pub in_use: u64,
}

/// Removes all contents from the store in `local_storage` that no run is using. No store is no error.
///
/// # Errors
///
/// [`StoreError`] if the directory cannot be read or trusted.
pub fn clear_store(local_storage: impl AsRef<Path>) -> Result<Clearing, StoreError> {
    let local_storage = local_storage.as_ref();
    let mut clearing = Clearing::default();
    let failed = |errno: Errno| StoreError::Directory {
        path: Shown::path(&local_storage.join(STORE)).to_string(),
        source: errno.into(),
    };
    let base = base::open_existing(local_storage).map_err(StoreError::LocalStorage)?;
    let Some(base) = base else {
        return Ok(clearing);
    };
    match statat(&base, STORE, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(clearing),
        found => found.map_err(failed)?,
    };
    let store = base::open_or_make_private(&base, STORE).map_err(failed)?;
    for (name, is_object) in [(OBJECTS, true), (PARTIAL, false)] {
        let directory = base::open_or_make_private(&store, name).map_err(failed)?;
        let mut entries = Vec::new();
        list(&directory, is_object, &mut entries).map_err(failed)?;
        for entry in entries {
            if evict(&directory, &entry, false) {
                clearing.removed += 1;
                clearing.bytes += entry.size;
            } else {
                clearing.in_use += 1;
            }
        }
        // Refused while something is left.
        let _ = unlinkat(&store, name, AtFlags::REMOVEDIR);
    }
    let _ = unlinkat(&base, STORE, AtFlags::REMOVEDIR);
    Ok(clearing)
}

impl Store {
    /// How many bytes the store holds, as far as this run knows.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Makes room for `size` bytes more of a content that is `whole` bytes long.
    pub(super) fn make_room(
        &mut self,
        digest: &Digest,
        whole: u64,
        size: u64,
    ) -> Result<(), StoreError> {
        if whole > self.capacity {
            return Err(StoreError::TooLarge {
                size: whole,
                capacity: self.capacity,
            });
        }
        let overdue = self.begun > self.capacity / LOOK_AGAIN;
        if !overdue && self.used + size <= self.capacity && size <= self.free(digest)? {
            return Ok(());
        }
        let mut entries = self.measure()?;
        let missing_on_disk = size.saturating_sub(self.free(digest)?);
        let over = (self.used + size).saturating_sub(self.capacity);
        let mut wanted = over.max(missing_on_disk);
        // What will never be whole first, then what was used longest ago.
        entries.sort_by_key(|entry| (entry.is_object || !is_stale(entry), entry.used));
        for entry in &entries {
            if wanted == 0 {
                break;
            }
            let directory = if entry.is_object {
                &self.objects
            } else {
                &self.partial
            };
            if evict(directory, entry, true) {
                self.used = self.used.saturating_sub(entry.size);
                wanted = wanted.saturating_sub(entry.size);
            }
        }
        let path = || Shown::path(&self.path).to_string();
        if self.used + size > self.capacity {
            return Err(StoreError::Full {
                path: path(),
                size,
                capacity: self.capacity,
            });
        }
        match self.free(digest)? {
            free if free < size => Err(StoreError::DiskFull {
                path: path(),
                cause: format!("{size} bytes are needed, {free} are free"),
            }),
            _ => Ok(()),
        }
    }

    /// Counts what the store holds.
    pub(super) fn measure(&mut self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        list(&self.objects, true, &mut entries)
            .and_then(|()| list(&self.partial, false, &mut entries))
            .map_err(|errno| StoreError::Directory {
                path: Shown::path(&self.path).to_string(),
                source: errno.into(),
            })?;
        self.used = entries.iter().map(|entry| entry.size).sum();
        self.begun = 0;
        Ok(entries)
    }

    /// How many bytes this user can still write on the store's disk.
    fn free(&self, digest: &Digest) -> Result<u64, StoreError> {
        let disk = rustix::fs::fstatvfs(&self.objects)
            .map_err(|errno| self.error(digest, io::Error::from(errno)))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

fn list(directory: &OwnedFd, is_object: bool, entries: &mut Vec<Entry>) -> Result<(), Errno> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        // What the store makes is ASCII. Anything else is none of its business.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        // Gone meanwhile.
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        #[expect(
            clippy::unnecessary_cast,
            reason = "the types of stat's fields depend on the target"
        )]
        entries.push(Entry {
            name: name.to_owned(),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            used: (stat.st_atime as i64).max(stat.st_mtime as i64),
            is_object,
        });
    }
    Ok(())
}

/// Whether nobody has used a file for a day.
fn is_stale(entry: &Entry) -> bool {
    let used = UNIX_EPOCH + Duration::from_secs(u64::try_from(entry.used).unwrap_or(0));
    SystemTime::now()
        .duration_since(used)
        .is_ok_and(|age| age > STALE)
}

/// Removes a file if nobody holds it. `keep_recent` spares partial files of today: their runs may
/// be about to come back.
fn evict(directory: &OwnedFd, entry: &Entry, keep_recent: bool) -> bool {
    if keep_recent && !entry.is_object && !is_stale(entry) {
        return false;
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = openat(directory, &*entry.name, flags, Mode::empty()) {
        let file = File::from(file);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return false,
            Err(_) if !is_stale(entry) => return false,
            Err(_) => {}
        }
        // Another one by now, which nobody has asked about.
        if !is_named(directory, &entry.name, &file) {
            return false;
        }
        // Unlinked under the lock: whoever opened it meanwhile sees that it has no name.
        return unlinkat(directory, &*entry.name, AtFlags::empty()).is_ok();
    }
    // A link or the like, which the store never made.
    unlinkat(directory, &*entry.name, AtFlags::empty()).is_ok()
}
