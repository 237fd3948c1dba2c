//! Taking back the files that were asked for from a job's directory, and nothing else.
//!
//! What a job leaves in its directory is not trusted by who asked: a name that was asked for could
//! by now be a link to `/etc/shadow` of the host, or a directory of a million files. So nothing is
//! reached through a link, only regular files are read, and the amount is capped before anything is
//! read.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::beneath::open_beneath_without_links;
use crate::landing::is_temporary;
use crate::suffix::Suffix;

/// Directories deeper than this are not followed: nobody asked for a tree like that.
const MAX_DEPTH: usize = 64;

/// What may be taken for one name that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectLimits {
    /// The largest sum of sizes, in bytes.
    pub bytes: u64,
    /// The largest number of files and directories.
    pub entries: usize,
}

impl Default for CollectLimits {
    /// A tebibyte and 100,000 entries.
    fn default() -> Self {
        Self {
            bytes: 1 << 40,
            entries: 100_000,
        }
    }
}

/// What was found under a name that was asked for.
#[derive(Debug)]
pub enum Collected {
    /// A file.
    File(CollectedFile),
    /// A directory, with the files that are in it and below it.
    Directory(CollectedDirectory),
}

/// A file to send back, open.
#[derive(Debug)]
pub struct CollectedFile {
    /// Where it is below the job's directory.
    pub path: Suffix,
    /// Its content; `size` bytes are to be read of it.
    pub file: File,
    /// Its size in bytes when it was opened.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
}

/// A directory to send back: names only, so that a large one holds no descriptors.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CollectedDirectory {
    /// The directories, itself included, each before what is in it; below the job's directory.
    pub directories: Vec<Suffix>,
    /// The regular files, to be opened one by one with [`collect`].
    pub files: Vec<Suffix>,
    /// The sum of the files' sizes, in bytes.
    pub bytes: u64,
    /// Links, pipes, sockets and devices, which are not taken.
    pub left: Vec<Suffix>,
}

/// A name that was asked for cannot be sent back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// The job has not made it.
    #[error("{path}: the job left no such file")]
    Missing {
        /// The path, escaped for a terminal.
        path: Suffix,
    },
    /// It is a link, or lies behind one.
    #[error("{path} is a symbolic link or lies behind one; links are not followed")]
    Link {
        /// The path, escaped for a terminal.
        path: Suffix,
    },
    /// It is a pipe, a socket or a device.
    #[error("{path} is neither a file nor a directory")]
    NotAFile {
        /// The path, escaped for a terminal.
        path: Suffix,
    },
    /// There is more than may be taken.
    #[error("{path} holds more than may be sent back ({limit})")]
    TooLarge {
        /// The path, escaped for a terminal.
        path: Suffix,
        /// Which limit, in words.
        limit: String,
    },
    /// It could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The path, escaped for a terminal.
        path: Suffix,
        /// The cause.
        source: io::Error,
    },
}

impl CollectError {
    fn of(path: &Suffix, errno: Errno) -> Self {
        let path = path.clone();
        match errno {
            // A path through a file leads nowhere, and so to no such file.
            Errno::NOENT | Errno::NOTDIR => Self::Missing { path },
            Errno::LOOP | Errno::XDEV => Self::Link { path },
            Errno::NXIO => Self::NotAFile { path },
            errno => Self::Io {
                path,
                source: errno.into(),
            },
        }
    }
}

/// Finds what lies at `path` below `directory`, the directory of a job that has ended.
///
/// # Errors
///
/// [`CollectError`]. One inside a directory that was asked for counts for the whole directory.
///
/// ```
/// use cos_storage::{Suffix, collect::{CollectLimits, Collected, collect}};
///
/// let job = tempfile::tempdir()?;
/// std::fs::write(job.path().join("out.csv"), "1,2\n")?;
/// let directory = std::fs::File::open(job.path())?;
/// let found = collect(&directory, &Suffix::of("out.csv")?, CollectLimits::default())?;
/// assert!(matches!(found, Collected::File(file) if file.size == 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn collect(
    directory: impl AsFd,
    path: &Suffix,
    limits: CollectLimits,
) -> Result<Collected, CollectError> {
    // A pipe would make a plain open wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = open_beneath_without_links(directory.as_fd(), path.as_path(), flags)
        .map_err(|errno| CollectError::of(path, errno))?;
    let stat = fstat(&opened).map_err(|errno| CollectError::of(path, errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            if size > limits.bytes {
                return Err(too_many_bytes(path, limits));
            }
            Ok(Collected::File(CollectedFile {
                path: path.clone(),
                file: opened.into(),
                size,
                mode: stat.st_mode & 0o777,
            }))
        }
        FileType::Directory => {
            let mut found = CollectedDirectory::default();
            Walk {
                asked: path,
                limits,
                found: &mut found,
            }
            .enter(&opened, path, 0)?;
            Ok(Collected::Directory(found))
        }
        _ => Err(CollectError::NotAFile { path: path.clone() }),
    }
}

fn too_many_bytes(path: &Suffix, limits: CollectLimits) -> CollectError {
    CollectError::TooLarge {
        path: path.clone(),
        limit: format!("{} bytes", limits.bytes),
    }
}

struct Walk<'a> {
    /// The name that was asked for.
    asked: &'a Suffix,
    limits: CollectLimits,
    found: &'a mut CollectedDirectory,
}

impl Walk<'_> {
    fn enter(
        &mut self,
        directory: &OwnedFd,
        path: &Suffix,
        depth: usize,
    ) -> Result<(), CollectError> {
        let failed = |errno| CollectError::of(path, errno);
        if depth > MAX_DEPTH {
            let limit = format!("{MAX_DEPTH} directories in each other");
            return Err(CollectError::TooLarge {
                path: self.asked.clone(),
                limit,
            });
        }
        self.count()?;
        self.found.directories.push(path.clone());
        for entry in Dir::read_from(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            let name = std::ffi::OsStr::from_bytes(name);
            if matches!(name.as_bytes(), b"." | b"..") || is_temporary(name) {
                continue;
            }
            let below: PathBuf = path.as_path().join(name);
            // A name that readdir(3) gives has neither a slash nor a NUL.
            let Ok(below) = Suffix::of(below) else {
                continue;
            };
            self.entry(directory, name, below, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &OwnedFd,
        name: &std::ffi::OsStr,
        below: Suffix,
        depth: usize,
    ) -> Result<(), CollectError> {
        self.count()?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = |errno| CollectError::of(&below, errno);
        let opened = rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(failed)?;
        let stat = fstat(&opened).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                self.found.bytes += u64::try_from(stat.st_size).unwrap_or(0);
                if self.found.bytes > self.limits.bytes {
                    return Err(too_many_bytes(self.asked, self.limits));
                }
                self.found.files.push(below);
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let opened =
                    open_beneath_without_links(&opened, ".".as_ref(), flags).map_err(failed)?;
                self.enter(&opened, &below, depth + 1)?;
            }
            _ => self.found.left.push(below),
        }
        Ok(())
    }

    fn count(&self) -> Result<(), CollectError> {
        let found = &self.found;
        if found.directories.len() + found.files.len() + found.left.len() < self.limits.entries {
            return Ok(());
        }
        let limit = format!("{} files", self.limits.entries);
        Err(CollectError::TooLarge {
            path: self.asked.clone(),
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn fixture() -> (tempfile::TempDir, File) {
        let guard = tempfile::tempdir().unwrap();
        let job = guard.path().join("job");
        fs::create_dir_all(job.join("out/deep")).unwrap();
        fs::write(guard.path().join("secret"), "secret").unwrap();
        fs::write(job.join("a\n"), "12345").unwrap();
        fs::write(job.join("out/b"), "123").unwrap();
        fs::write(job.join("out/deep/c"), "1").unwrap();
        symlink("../../secret", job.join("out/link")).unwrap();
        symlink("../secret", job.join("link")).unwrap();
        symlink("out", job.join("inside")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, job.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let directory = File::open(job).unwrap();
        (guard, directory)
    }

    fn take(
        directory: &File,
        path: &str,
        limits: CollectLimits,
    ) -> Result<Collected, CollectError> {
        collect(directory, &Suffix::of(path).unwrap(), limits)
    }

    #[test]
    fn a_file_comes_as_it_is() {
        let (_guard, directory) = fixture();
        let found = take(&directory, "a\n", CollectLimits::default()).unwrap();
        let Collected::File(mut found) = found else {
            panic!("{found:?}")
        };
        let mut content = String::new();
        found.file.read_to_string(&mut content).unwrap();
        assert_eq!((content.as_str(), found.size), ("12345", 5));
    }

    #[test]
    fn a_directory_comes_with_what_is_in_it_but_links() {
        let (_guard, directory) = fixture();
        let found = take(&directory, "out", CollectLimits::default()).unwrap();
        let Collected::Directory(mut found) = found else {
            panic!("{found:?}")
        };
        found.files.sort();
        let of = |names: &[&str]| names.iter().map(|name| Suffix::of(name).unwrap()).collect();
        let expected = CollectedDirectory {
            directories: of(&["out", "out/deep"]),
            files: of(&["out/b", "out/deep/c"]),
            bytes: 4,
            left: of(&["out/link"]),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_comes_through_a_link() {
        let (_guard, directory) = fixture();
        for path in ["link", "inside", "inside/b", "out/link"] {
            let error = take(&directory, path, CollectLimits::default()).unwrap_err();
            assert!(
                matches!(error, CollectError::Link { .. }),
                "{path}: {error}"
            );
        }
    }

    #[test]
    fn what_is_missing_and_what_is_no_file_is_said() {
        let (_guard, directory) = fixture();
        for path in ["none", "out/none", "a\n/below"] {
            let error = take(&directory, path, CollectLimits::default()).unwrap_err();
            assert!(
                matches!(error, CollectError::Missing { .. }),
                "{path}: {error}"
            );
        }
        let error = take(&directory, "pipe", CollectLimits::default()).unwrap_err();
        assert!(matches!(error, CollectError::NotAFile { .. }), "{error}");
    }

    #[test]
    fn limits_are_heeded_before_anything_is_read() {
        let (guard, directory) = fixture();
        let few_bytes = CollectLimits {
            bytes: 3,
            entries: 100,
        };
        let few_entries = CollectLimits {
            bytes: 100,
            entries: 4,
        };
        for (path, limits) in [("a\n", few_bytes), ("out", few_bytes), ("out", few_entries)] {
            let error = take(&directory, path, limits).unwrap_err();
            assert!(
                matches!(error, CollectError::TooLarge { .. }),
                "{path:?}: {error}"
            );
        }
        let deep: PathBuf = std::iter::repeat_n("d", MAX_DEPTH + 2).collect();
        fs::create_dir_all(guard.path().join("job").join(Path::new("deep")).join(deep)).unwrap();
        let error = take(&directory, "deep", CollectLimits::default()).unwrap_err();
        assert!(matches!(error, CollectError::TooLarge { .. }), "{error}");
    }
}
