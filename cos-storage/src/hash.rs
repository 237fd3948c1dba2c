//! Digests of files, and whether a file stayed the same while it was read.
//!
//! A file that is to travel is read twice: once for its digest, once to be sent. Nothing keeps its
//! owner from writing into it meanwhile. [`FileState`] tells by size, modification time and inode;
//! what that does not show (a change within one tick of the file system's clock) is caught by the
//! digest at the other end.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, stat};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::shown::Shown;

/// How much of a file is read at once for its digest.
const BUFFER: usize = 128 * 1024;

/// Computes the digest of a content that arrives in pieces.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    sha: Sha256,
    length: u64,
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// How many bytes it has seen.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all pieces in their order.
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.sha.finalize().into())
    }

    /// Takes everything that `reader` gives up to its end, and says how much it was.
    ///
    /// # Errors
    ///
    /// What `reader` says; the pieces before that have been taken.
    pub fn read(&mut self, mut reader: impl Read) -> io::Result<u64> {
        let mut buffer = vec![0; BUFFER];
        let before = self.length;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(self.length - before),
                Ok(count) => self.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// What tells a file from another one, and from itself after it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileState {
    /// The state of an open file.
    ///
    /// # Errors
    ///
    /// What fstat(2) says.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::from_stat(&fstat(file)?))
    }

    /// The state of the file that has this name now, links followed.
    ///
    /// # Errors
    ///
    /// What stat(2) says.
    pub fn of_path(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::from_stat(&stat(path.as_ref())?))
    }

    // The types of these fields differ between architectures.
    #[expect(
        clippy::unnecessary_cast,
        reason = "the types of stat's fields depend on the target"
    )]
    fn from_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// A file cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such file.
    #[error("{path}: there is no such file")]
    Missing {
        /// The path, escaped for a terminal.
        path: String,
    },
    /// It is a directory, a pipe, a device.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path, escaped for a terminal.
        path: String,
    },
    /// Somebody wrote into it, or replaced it, while it was read.
    #[error("{path} changed while it was read; what was read of it is not used")]
    Changed {
        /// The path, escaped for a terminal.
        path: String,
    },
    /// It could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The path, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

/// A file of this host with the digest that it had when it was read as a whole. Its pieces can be
/// read again, as long as it stays the same.
#[derive(Debug)]
pub struct SourceFile {
    file: File,
    shown: String,
    state: FileState,
    digest: Digest,
    mode: u32,
}

impl SourceFile {
    /// Opens a file (links are followed: it is the user's own) and computes its digest.
    ///
    /// # Errors
    ///
    /// [`SourceError`]; [`SourceError::Changed`] if it was written to meanwhile.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let shown = Shown::path(path).to_string();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => SourceError::Missing {
                path: shown.clone(),
            },
            _ => SourceError::Io {
                path: shown.clone(),
                source,
            },
        };
        // A pipe would make a plain open wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mode = fstat(&file).map_err(|errno| failed(errno.into()))?.st_mode;
        if FileType::from_raw_mode(mode) != FileType::RegularFile {
            return Err(SourceError::NotAFile { path: shown });
        }
        let file = File::from(file);
        let (state, digest) = match hash_file(&file) {
            Ok(Some(hashed)) => hashed,
            Ok(None) => return Err(SourceError::Changed { path: shown }),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            file,
            shown,
            state,
            digest,
            mode: mode & 0o777,
        })
    }

    /// The digest of the file's content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.state.size
    }

    /// The state that it had when it was hashed.
    pub fn state(&self) -> FileState {
        self.state
    }

    /// Its path, escaped for a terminal.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The file's permission bits.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// Reads what lies at `offset`, at most `buffer.len()` bytes and to the end of the file, and
    /// says how much it was. The piece is the file's content as the digest has it, as far as its
    /// state can tell.
    ///
    /// # Errors
    ///
    /// [`SourceError::Changed`], [`SourceError::Io`].
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SourceError> {
        let left = self.state.size.saturating_sub(offset);
        let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let changed = || SourceError::Changed {
            path: self.shown.clone(),
        };
        let failed = |source| SourceError::Io {
            path: self.shown.clone(),
            source,
        };
        match self.file.read_exact_at(&mut buffer[..wanted], offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            done => done.map_err(failed)?,
        }
        // Asked after the read: a change before it shows, and one after it does not matter.
        if FileState::of(&self.file).map_err(failed)? == self.state {
            Ok(wanted)
        } else {
            Err(changed())
        }
    }
}

/// The state and the digest of an open file, read from its start; `None` if it was written to
/// meanwhile.
///
/// # Errors
///
/// What the system says.
pub fn hash_file(file: &File) -> io::Result<Option<(FileState, Digest)>> {
    let before = FileState::of(file)?;
    let mut hasher = Hasher::new();
    let reader = AtOffset { file, offset: 0 };
    // One byte more than it should have: a file that grows is read no further.
    let length = hasher.read(reader.take(before.size.saturating_add(1)))?;
    let same = length == before.size && FileState::of(file)? == before;
    Ok(same.then(|| (before, hasher.finish())))
}

/// Reads a file by offsets, whatever its descriptor's position is.
pub(crate) struct AtOffset<'a> {
    pub(crate) file: &'a File,
    pub(crate) offset: u64,
}

impl Read for AtOffset<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn file_of(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let path = guard.path().join("file");
        fs::write(&path, content).unwrap();
        (guard, path)
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        for length in [0, 1, BUFFER - 1, BUFFER, 3 * BUFFER + 7] {
            let content: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let (_guard, path) = file_of(&content);
            let source = SourceFile::open(&path).unwrap();
            assert_eq!(source.digest(), Digest::of(&content));
            assert_eq!(source.size(), length as u64);
            let (mut read, mut buffer) = (Vec::new(), [0; 4099]);
            loop {
                match source.read_at(read.len() as u64, &mut buffer).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            assert_eq!(read, content);
        }
    }

    #[test]
    fn a_change_between_digest_and_sending_is_noticed() {
        let old = SystemTime::now() - Duration::from_secs(100);
        type Change = fn(&Path);
        let changes: [(&str, Change); 4] = [
            ("grown", |path| {
                fs::OpenOptions::new()
                    .append(true)
                    .open(path)
                    .unwrap()
                    .write_all(b"x")
                    .unwrap();
            }),
            ("truncated", |path| {
                fs::OpenOptions::new()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .set_len(3)
                    .unwrap();
            }),
            ("rewritten in place", |path| {
                fs::OpenOptions::new()
                    .write(true)
                    .open(path)
                    .unwrap()
                    .write_all(b"0")
                    .unwrap();
            }),
            ("emptied", |path| fs::write(path, "").unwrap()),
        ];
        for (name, change) in changes {
            let (_guard, path) = file_of(b"0123456789");
            // Not within one tick of the clock that the file system uses.
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(old)
                .unwrap();
            let source = SourceFile::open(&path).unwrap();
            let mut buffer = [0; 4];
            assert_eq!(source.read_at(0, &mut buffer).unwrap(), 4);
            change(&path);
            let error = source.read_at(4, &mut buffer).unwrap_err();
            assert!(
                matches!(error, SourceError::Changed { .. }),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn a_replaced_file_is_still_the_one_that_was_opened() {
        let (guard, path) = file_of(b"first");
        let source = SourceFile::open(&path).unwrap();
        fs::write(guard.path().join("new"), "other").unwrap();
        fs::rename(guard.path().join("new"), &path).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(source.read_at(0, &mut buffer).unwrap(), 5);
        assert_eq!(&buffer[..5], b"first");
        assert_ne!(FileState::of_path(&path).unwrap(), source.state);
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let guard = tempfile::tempdir().unwrap();
        let pipe = guard.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        for path in [guard.path(), &pipe, Path::new("/dev/null")] {
            let error = SourceFile::open(path).unwrap_err();
            assert!(matches!(error, SourceError::NotAFile { .. }), "{error}");
        }
        let error = SourceFile::open(guard.path().join("no\nne")).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("no\\nne: there is no such file"),
            "{error}"
        );
    }
}
