//! The store of a host: contents under their digests, shared by all runs of a user.
//!
//! ```text
//! /var/tmp/cos-ana/store/      in the local storage, 0700
//!   objects/<digest>           a whole content; appears by rename only
//!   partial/<digest>-<host>    one that is still arriving; its length is where to go on
//! ```
//!
//! **Whole or absent.** A content is written under a name of its own and renamed when its digest is
//! right, so that no reader sees a part. The digest is computed as the pieces arrive.
//!
//! **Nothing is believed.** An object is hashed as a whole before its first use in a run: disks rot,
//! power fails between write and disk, and people edit what they find. After that its size,
//! modification time and inode tell whether it is still the one that was hashed. One that is not what
//! its name says is removed. This is also why nothing is forced to the disk (fsync) here: what a
//! crash tears is found by the next run.
//!
//! **Several writers.** Whoever brings a content holds an exclusive lock on its partial file; a
//! second one on the same host, of another run, writes a file of its own, and the last rename wins,
//! between equals. The name carries the host, since on some network file systems locks do not reach
//! from one host to another.
//!
//! **Bounded.** Before a content is begun, room is made for it: what was used longest ago goes first.
//! An [`Object`] in use is held by a shared lock on its file, which every run's eviction respects,
//! and which ends with the process that holds it, however that ends. Where a file system has no
//! locks, only what nobody has used for a day is removed.
//!
//! **Jobs get copies.** [`Object::place`] copies (by shared blocks where the file system can): a job
//! may write into its input, and must not write into everybody's.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    flock, fstat, futimens, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::hash::{FileState, hash_file};
use crate::scratch::base;
use crate::shown::Shown;

mod error;
mod object;
mod partial;
mod room;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use object::Object;
pub use partial::Partial;
pub use room::{Clearing, clear_store};

const STORE: &str = "store";
const OBJECTS: &str = "objects";
const PARTIAL: &str = "partial";

/// So many verified objects are remembered; then all are forgotten, and hashed again when used.
const MAX_VERIFIED: usize = 65_536;

/// How much a store may hold by default. It is half of its file system at most in any case.
pub const DEFAULT_CAPACITY: u64 = 20 << 30;

/// The store of this host, as one run uses it. See the [module](self).
///
/// ```
/// use cos_storage::{Digest, LookUp, Store, Suffix};
///
/// # let local_storage = tempfile::tempdir()?;
/// let mut store = Store::open(local_storage.path(), cos_storage::store::DEFAULT_CAPACITY)?;
/// let (content, digest) = (b"some input", Digest::of(b"some input"));
/// let object = match store.look_up(&digest, 10)? {
///     LookUp::Present(object) => object,
///     LookUp::Absent | LookUp::Corrupt => {
///         let mut partial = store.begin(&digest, 10)?;
///         // After a broken connection it goes on where it ended.
///         let offset = partial.offset();
///         partial.append(offset, &content[offset as usize..])?;
///         store.commit(partial)?
///     }
/// };
/// # let job = tempfile::tempdir()?;
/// let directory = std::fs::File::open(job.path())?;
/// object.place(&directory, &Suffix::of("input.txt")?, 0o644)?;
/// assert_eq!(std::fs::read(job.path().join("input.txt"))?, content);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    objects: OwnedFd,
    partial: OwnedFd,
    capacity: u64,
    /// What the store held at the last look, and what was begun since.
    used: u64,
    /// How much was begun since the last look. Other runs add, too.
    begun: u64,
    /// What was found to be what its name says, in this run.
    verified: HashMap<Digest, FileState>,
}

/// What a store has under a digest.
#[derive(Debug)]
pub enum LookUp {
    /// The content, verified. It stays as long as the object is held.
    Present(Object),
    /// Nothing.
    Absent,
    /// Something else. It has been removed.
    Corrupt,
}

impl Store {
    /// Opens the store in `local_storage`, made if it is not there, that may hold `capacity` bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the directory cannot be made or trusted.
    pub fn open(local_storage: impl AsRef<Path>, capacity: u64) -> Result<Self, StoreError> {
        let local_storage = local_storage.as_ref();
        let path = local_storage.join(STORE);
        let base = base::open_or_create(local_storage).map_err(StoreError::LocalStorage)?;
        let failed = |errno: Errno| StoreError::Directory {
            path: Shown::path(&path).to_string(),
            source: errno.into(),
        };
        let store = base::open_or_make_private(&base, STORE).map_err(failed)?;
        let objects = base::open_or_make_private(&store, OBJECTS).map_err(failed)?;
        let partial = base::open_or_make_private(&store, PARTIAL).map_err(failed)?;
        let capacity = match rustix::fs::fstatvfs(&objects) {
            Ok(disk) => capacity.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 2),
            Err(_) => capacity,
        };
        let mut store = Self {
            path,
            objects,
            partial,
            capacity,
            used: 0,
            begun: 0,
            verified: HashMap::new(),
        };
        store.measure()?;
        Ok(store)
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes it may hold.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The object of `digest`, which is `size` bytes long.
    ///
    /// The first time in a run the whole object is read, which takes about a second for each
    /// gigabyte or, where the processor has no instructions for SHA-256, four.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the system does not let it be read.
    pub fn look_up(&mut self, digest: &Digest, size: u64) -> Result<LookUp, StoreError> {
        let name = digest.to_string();
        // For writing too: some file systems lock exclusively only what is open so.
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.objects, &name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(LookUp::Absent),
            // A link, a directory, a file that somebody closed: not what the store puts there.
            Err(Errno::LOOP | Errno::ISDIR | Errno::ACCESS | Errno::NXIO | Errno::NOTDIR) => {
                return self.discard(digest);
            }
            Err(errno) => return Err(self.error(digest, errno.into())),
        };
        // Somebody is removing it at this moment. Where there are no locks, eviction leaves what was
        // used today.
        if flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) {
            return Ok(LookUp::Absent);
        }
        let stat = fstat(&file).map_err(|errno| self.error(digest, errno.into()))?;
        if stat.st_nlink == 0 {
            return Ok(LookUp::Absent);
        }
        let state = FileState::of(&file).map_err(|error| self.error(digest, error))?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || state.size() != size {
            return self.discard(digest);
        }
        if self.verified.get(digest) != Some(&state) {
            match hash_file(&file) {
                Ok(Some((state, found))) if found == *digest => self.remember(digest, state),
                Ok(_) => return self.discard(digest),
                // A sector that cannot be read is as good as one that changed.
                Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                    return self.discard(digest);
                }
                Err(error) => return Err(self.error(digest, error)),
            }
        }
        mark_used(&file);
        Ok(LookUp::Present(Object::new(*digest, size, file)))
    }

    /// Begins to bring the content of `digest`, of `size` bytes, or goes on with what an earlier
    /// attempt of any run has left: see [`Partial::offset`].
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`], [`StoreError::Full`] and [`StoreError::DiskFull`] if it cannot fit.
    pub fn begin(&mut self, digest: &Digest, size: u64) -> Result<Partial, StoreError> {
        let partial = Partial::open(&self.path, &self.partial, *digest, size)
            .map_err(|error| self.error(digest, error))?;
        let missing = size.saturating_sub(partial.offset());
        if let Err(error) = self.make_room(digest, size, missing) {
            // What had arrived before is kept; nothing at all is not worth a file.
            if partial.offset() == 0 {
                partial.discard(&self.partial);
            }
            return Err(error);
        }
        self.used += missing;
        self.begun += missing;
        Ok(partial)
    }

    /// Makes a content that has arrived visible to all runs, if it is what its digest says.
    ///
    /// # Errors
    ///
    /// [`StoreError::Mismatch`] if it is not: then nothing of it is kept.
    pub fn commit(&mut self, partial: Partial) -> Result<Object, StoreError> {
        let (digest, size) = (partial.digest(), partial.size());
        let arrived = partial.offset();
        let (file, found, name) = partial.into_parts();
        if arrived != size || found != digest {
            let _ = unlinkat(&self.partial, &name, AtFlags::empty());
            return Err(StoreError::Mismatch {
                digest,
                size,
                arrived,
            });
        }
        let visible = digest.to_string();
        renameat(&self.partial, &name, &self.objects, &visible)
            .map_err(|errno| self.error(&digest, errno.into()))?;
        // From the writer's lock to a reader's. Between the two an eviction may take it away: then
        // the object is held by its descriptor alone, which serves as well.
        let _ = flock(&file, FlockOperation::NonBlockingLockShared);
        let state = FileState::of(&file).map_err(|error| self.error(&digest, error))?;
        self.remember(&digest, state);
        Ok(Object::new(digest, size, file))
    }

    fn remember(&mut self, digest: &Digest, state: FileState) {
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(*digest, state);
    }

    /// Removes what lies under a digest and is something else.
    fn discard(&mut self, digest: &Digest) -> Result<LookUp, StoreError> {
        self.verified.remove(digest);
        let name = digest.to_string();
        let removal = crate::remove_tree::remove_tree(&self.objects, &name);
        match removal.leftovers().first() {
            None => Ok(LookUp::Corrupt),
            Some(left) => Err(self.error(digest, io::Error::other(left.cause.to_string()))),
        }
    }

    fn error(&self, digest: &Digest, source: io::Error) -> StoreError {
        StoreError::of(&self.path, *digest, source)
    }
}

/// Notes that an object was used, in its access time: that is what the order of eviction goes by,
/// on file systems that do not keep it themselves, too.
fn mark_used(file: &File) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let unchanged = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: unchanged,
    };
    // Without it the object is only evicted earlier.
    let _ = futimens(file, &times);
}

/// Whether `name` in `directory` is this very file.
fn is_named(directory: &OwnedFd, name: &str, file: &File) -> bool {
    let Ok(open) = fstat(file) else {
        return false;
    };
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino))
}
