//! A file that appears under its name only when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::beneath::open_beneath;
use crate::error::BeneathError;
use crate::suffix::Suffix;

/// What names of files begin with that are not whole yet.
const TEMPORARY_PREFIX: &str = ".cos-landing-";

/// A file that is being written below a directory, under a name of its own until
/// [`Landing::finish`] gives it the right one. Dropped before, it is removed.
///
/// Missing directories on the way are made. Links on the way are followed as long as they stay
/// inside the directory; one in the last place is replaced, not followed. A file that has the name
/// already keeps its content for whoever has it open.
///
/// ```
/// use std::io::Write;
/// use cos_storage::{Landing, Suffix};
///
/// let directory = tempfile::tempdir()?;
/// let root = std::fs::File::open(directory.path())?;
/// let mut landing = Landing::begin(&root, &Suffix::of("out/a.csv")?, 0o644)?;
/// landing.write(b"1,2\n")?;
/// assert!(!directory.path().join("out/a.csv").exists());
/// landing.finish()?;
/// assert_eq!(std::fs::read(directory.path().join("out/a.csv"))?, b"1,2\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Landing {
    directory: OwnedFd,
    temporary: String,
    name: OsString,
    file: File,
    mode: Mode,
    shown: String,
    live: bool,
}

/// A file could not be put where it belongs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LandingError {
    /// No space, or the user's quota is used up.
    #[error("{path}: {source}")]
    DiskFull {
        /// The file, escaped for a terminal.
        path: String,
        /// Which of the two, in the system's words.
        source: io::Error,
    },
    /// The way there leads outside the directory.
    #[error("{path} leads out of the directory that it was to be written in; refused")]
    Escapes {
        /// The file, escaped for a terminal.
        path: String,
    },
    /// A directory, or the root itself, has the name already.
    #[error("{path} is a directory; a file cannot take its place")]
    IsADirectory {
        /// The file, escaped for a terminal.
        path: String,
    },
    /// The system refuses otherwise.
    #[error("{path}: {source}")]
    Io {
        /// The file, escaped for a terminal.
        path: String,
        /// The cause.
        source: io::Error,
    },
}

impl LandingError {
    /// The error of a file that is shown as `path`.
    pub(crate) fn of(path: &str, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            kind if is_disk_full(kind) => Self::DiskFull { path, source },
            io::ErrorKind::IsADirectory => Self::IsADirectory { path },
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn beneath(path: &str, error: BeneathError) -> Self {
        match error {
            BeneathError::Io { source, .. } => Self::of(path, source),
            _ => Self::Escapes {
                path: path.to_owned(),
            },
        }
    }
}

/// Whether the cause of an error is that nothing more fits on the disk.
pub(crate) fn is_disk_full(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl Landing {
    /// Begins a file at `path` below `root`, with the permission bits `mode` (as chmod(1) has them,
    /// whatever the process's umask says).
    ///
    /// # Errors
    ///
    /// [`LandingError`]. Directories that were made on the way stay.
    pub fn begin(root: impl AsFd, path: &Suffix, mode: u32) -> Result<Self, LandingError> {
        let shown = path.to_string();
        let Some(name) = path.as_path().file_name() else {
            return Err(LandingError::IsADirectory { path: shown });
        };
        let parent = path.as_path().parent().unwrap_or(Path::new(""));
        let directory = open_or_make_directories(root.as_fd(), parent)
            .map_err(|error| LandingError::beneath(&shown, error))?;
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let temporary = format!("{TEMPORARY_PREFIX}{:016x}", crate::random::number());
            return match openat(&directory, &temporary, flags, Mode::RUSR | Mode::WUSR) {
                Err(Errno::EXIST) => continue,
                Err(errno) => Err(LandingError::of(&shown, errno.into())),
                Ok(file) => Ok(Self {
                    directory,
                    temporary,
                    name: name.to_owned(),
                    file: file.into(),
                    mode: Mode::from_raw_mode(mode & 0o777),
                    shown,
                    live: true,
                }),
            };
        }
    }

    /// Appends to the file.
    ///
    /// # Errors
    ///
    /// [`LandingError::DiskFull`], [`LandingError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LandingError> {
        self.file
            .write_all(bytes)
            .map_err(|error| LandingError::of(&self.shown, error))
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of whatever file or link has it.
    ///
    /// # Errors
    ///
    /// [`LandingError`]; nothing is left of the file then.
    pub fn finish(mut self) -> Result<(), LandingError> {
        let renamed = fchmod(&self.file, self.mode).and_then(|()| {
            renameat(
                &self.directory,
                &self.temporary,
                &self.directory,
                &*self.name,
            )
        });
        renamed.map_err(|errno| LandingError::of(&self.shown, errno.into()))?;
        self.live = false;
        Ok(())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.live {
            let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// Opens the directory `path` below `root`, made (as far as it is missing) with the permissions that
/// the umask leaves.
pub(crate) fn open_or_make_directories(
    root: BorrowedFd<'_>,
    path: &Path,
) -> Result<OwnedFd, BeneathError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let open = |path: &Path| open_beneath(root, path, flags, Mode::empty());
    match open(path) {
        Err(BeneathError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        done => return done,
    }
    let (mut here, mut way) = (open(Path::new(""))?, PathBuf::new());
    for name in path.iter() {
        let made = mkdirat(&here, name, Mode::RWXU | Mode::RWXG | Mode::RWXO);
        way.push(name);
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                let path = crate::shown::Shown::path(&way).to_string();
                return Err(BeneathError::Io {
                    path,
                    source: errno.into(),
                });
            }
        }
        // From the root again: whatever links do meanwhile, the way stays below it.
        here = open(&way)?;
    }
    Ok(here)
}

/// Makes the directory `path` below the directory `root`, with those above it; one that is there is
/// as good. Links on the way are followed as long as they stay inside.
///
/// # Errors
///
/// [`LandingError`].
pub fn make_directories_beneath(root: impl AsFd, path: &Suffix) -> Result<(), LandingError> {
    open_or_make_directories(root.as_fd(), path.as_path())
        .map(drop)
        .map_err(|error| LandingError::beneath(&path.to_string(), error))
}

/// Whether a name is one of a file that was never finished.
pub(crate) fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().starts_with(TEMPORARY_PREFIX.as_bytes())
}

#[cfg(test)]
mod tests;
