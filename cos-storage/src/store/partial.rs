//! A content that is arriving.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, ftruncate, openat, unlinkat};
use rustix::io::Errno;

use super::{StoreError, is_named};
use crate::digest::Digest;
use crate::hash::{AtOffset, FileState, Hasher};
use crate::random;

/// How often a file is opened again because somebody has just finished or removed it.
const MAX_RACES: usize = 16;

/// A content that is arriving, seen by nobody yet. Dropped before [`Store::commit`](super::Store::commit)
/// it keeps what it has, for the next who brings the same content.
#[derive(Debug)]
pub struct Partial {
    digest: Digest,
    size: u64,
    file: File,
    pub(super) name: String,
    hasher: Hasher,
    /// Where the store is, for messages.
    store: PathBuf,
}

impl Partial {
    /// Opens what there is of a content, or begins with nothing.
    pub(super) fn open(
        store: &Path,
        directory: &OwnedFd,
        digest: Digest,
        size: u64,
    ) -> io::Result<Self> {
        let (file, name) = open_locked(directory, &digest)?;
        let mut hasher = Hasher::new();
        if FileState::of(&file)?.size() > size {
            ftruncate(&file, 0)?;
        } else {
            hasher.read(AtOffset {
                file: &file,
                offset: 0,
            })?;
        }
        Ok(Self {
            digest,
            size,
            file,
            name,
            hasher,
            store: store.to_owned(),
        })
    }

    /// The digest that the content should have.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The size that it should have, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes are there: where the next piece begins.
    pub fn offset(&self) -> u64 {
        self.hasher.length()
    }

    /// Whether all bytes are there.
    pub fn is_whole(&self) -> bool {
        self.offset() == self.size
    }

    /// Takes the piece that begins at `offset`.
    ///
    /// # Errors
    ///
    /// [`StoreError::OutOfOrder`] if another one is next, [`StoreError::Mismatch`] if there are more
    /// bytes than announced, [`StoreError::DiskFull`] and [`StoreError::Io`] if it cannot be written;
    /// what came before is kept then.
    pub fn append(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let expected = self.offset();
        if offset != expected {
            return Err(StoreError::OutOfOrder {
                digest: self.digest,
                offset,
                expected,
            });
        }
        let end = expected.saturating_add(bytes.len() as u64);
        if end > self.size {
            return Err(StoreError::Mismatch {
                digest: self.digest,
                size: self.size,
                arrived: end,
            });
        }
        if let Err(source) = self.file.write_all_at(bytes, offset) {
            // Whatever part of the piece was written is none of the content.
            let _ = ftruncate(&self.file, offset);
            return Err(StoreError::of(&self.store, self.digest, source));
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Leaves nothing of it.
    pub(super) fn discard(self, directory: &OwnedFd) {
        let _ = unlinkat(directory, &self.name, AtFlags::empty());
    }

    pub(super) fn into_parts(self) -> (File, Digest, String) {
        (self.file, self.hasher.finish(), self.name)
    }
}

/// The file of a content, locked by this process alone: the one that everybody on this host would
/// take or, where somebody is writing into that, one of its own.
fn open_locked(directory: &OwnedFd, digest: &Digest) -> io::Result<(File, String)> {
    let usual = format!("{digest}-{}", host_tag());
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..MAX_RACES {
        let file = File::from(openat(directory, &usual, flags, Mode::RUSR | Mode::WUSR)?);
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_named(directory, &usual, &file) => return Ok((file, usual)),
            Ok(()) | Err(Errno::INTR) => {}
            // In use, or no locks: then nobody can know, and everybody has his own.
            Err(_) => break,
        }
    }
    loop {
        let own = format!("{usual}-{:016x}", random::number());
        match openat(
            directory,
            &own,
            flags | OFlags::EXCL,
            Mode::RUSR | Mode::WUSR,
        ) {
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
            Ok(file) => {
                let file = File::from(file);
                // Against eviction; without locks its age protects it.
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                return Ok((file, own));
            }
        }
    }
}

/// Some digits that tell hosts apart that share a directory.
fn host_tag() -> String {
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    let mut tag = Digest::of(&name).to_string();
    tag.truncate(8);
    tag
}
