//! Copying what a mirror map names into a private directory.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, Mode, OFlags, Stat, fchmod, fstat, openat, readlinkat, symlinkat};
use rustix::io::Errno;

use super::plan::PlannedMirror;
use super::{EnvironmentError, name_pattern};
use crate::beneath::open_beneath;
use crate::copying::copy_content;
use crate::error::BeneathError;
use crate::landing::{Landing, LandingError, open_or_make_directories};
use crate::shown::Shown;
use crate::suffix::Suffix;

/// Copies what one row names into `root`, the private directory.
pub(super) fn mirror(row: &PlannedMirror, root: BorrowedFd<'_>) -> Result<(), EnvironmentError> {
    let sources = sources(row)?;
    if sources.is_empty() {
        let pattern = Shown::path(&row.base.join(row.pattern.as_path())).to_string();
        return Err(EnvironmentError::NoMatch { pattern });
    }
    let stat = fstat(root).map_err(|errno| source_error(&row.base, errno))?;
    let mut copying = Copying {
        root,
        root_is: (stat.st_dev, stat.st_ino),
        modes: Vec::new(),
    };
    open_or_make_directories(root, row.target.as_path())
        .map_err(|error| target_error(&row.target, error))?;
    for source in sources {
        // Of the root directory what is in it.
        let name = source.file_name().unwrap_or(OsStr::new(""));
        copying.copy(&source, join(&row.target, name)?)?;
    }
    copying.restore_modes()
}

/// The paths on this host that a row stands for, in the order of their bytes.
fn sources(row: &PlannedMirror) -> Result<Vec<PathBuf>, EnvironmentError> {
    let mut found = vec![row.base.clone()];
    for name in row.pattern.as_path() {
        let pattern = name_pattern::compile(name).map_err(|reason| EnvironmentError::Pattern {
            pattern: row.pattern.to_string(),
            reason,
        })?;
        let mut next = Vec::new();
        for directory in found {
            next.extend(matches(&directory, &pattern)?);
        }
        found = next;
    }
    if row.pattern.is_empty() && !exists(&row.base)? {
        found.clear();
    }
    found.sort();
    Ok(found)
}

fn exists(path: &Path) -> Result<bool, EnvironmentError> {
    match fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(EnvironmentError::Source {
            path: Shown::path(path).to_string(),
            source,
        }),
    }
}

/// The entries of a directory that fit. What is no directory has none.
fn matches(directory: &Path, pattern: &glob::Pattern) -> Result<Vec<PathBuf>, EnvironmentError> {
    let failed = |source| EnvironmentError::Source {
        path: Shown::path(directory).to_string(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_no_directory(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if name_pattern::fits(pattern, &name) {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}

fn is_no_directory(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

struct Copying<'a> {
    root: BorrowedFd<'a>,
    root_is: (u64, u64),
    /// Directories whose permissions are set when all is in them.
    modes: Vec<(Suffix, Mode)>,
}

/// A directory that is being copied.
struct Level {
    source: OwnedFd,
    shown: PathBuf,
    entries: Vec<OsString>,
    target: Suffix,
}

impl Copying<'_> {
    /// Copies a file or a directory with all that is in it. A link is followed here, and nowhere below.
    fn copy(&mut self, source: &Path, target: Suffix) -> Result<(), EnvironmentError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(source, flags, Mode::empty())
            .map_err(|errno| source_error(source, errno))?;
        let mut levels: Vec<Level> = Vec::new();
        levels.extend(self.take(opened, source.to_owned(), target)?);
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.entries.pop() else {
                levels.pop();
                continue;
            };
            let shown = level.shown.join(&name);
            let target = join(&level.target, &name)?;
            match openat(
                &level.source,
                &name,
                flags | OFlags::NOFOLLOW,
                Mode::empty(),
            ) {
                Ok(opened) => {
                    let below = self.take(opened, shown, target)?;
                    levels.extend(below);
                }
                Err(Errno::LOOP) => {
                    let to = readlinkat(&level.source, &name, Vec::new())
                        .map_err(|errno| source_error(&shown, errno))?;
                    self.link(to.as_bytes(), &target)?;
                }
                Err(Errno::NXIO) => return Err(not_a_file(&shown)),
                Err(errno) => return Err(source_error(&shown, errno)),
            }
        }
        Ok(())
    }

    /// Copies a file, or makes a directory and says what is to be copied into it.
    fn take(
        &mut self,
        source: OwnedFd,
        shown: PathBuf,
        target: Suffix,
    ) -> Result<Option<Level>, EnvironmentError> {
        let stat = fstat(&source).map_err(|errno| source_error(&shown, errno))?;
        let mode = stat.st_mode & 0o777;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let source = File::from(source);
                self.file(&source, &stat, &target)?;
                Ok(None)
            }
            FileType::Directory if (stat.st_dev, stat.st_ino) == self.root_is => {
                Err(EnvironmentError::Recursive {
                    path: Shown::path(&shown).to_string(),
                })
            }
            FileType::Directory => {
                open_or_make_directories(self.root, target.as_path())
                    .map_err(|error| target_error(&target, error))?;
                self.modes.push((target.clone(), Mode::from_raw_mode(mode)));
                let entries = names(&source).map_err(|errno| source_error(&shown, errno))?;
                Ok(Some(Level {
                    source,
                    shown,
                    entries,
                    target,
                }))
            }
            _ => Err(not_a_file(&shown)),
        }
    }

    fn file(&self, source: &File, stat: &Stat, target: &Suffix) -> Result<(), EnvironmentError> {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let landing = Landing::begin(self.root, target, stat.st_mode & 0o777)
            .map_err(EnvironmentError::Copy)?;
        copy_content(source, landing.file(), size).map_err(|error| {
            EnvironmentError::Copy(LandingError::of(&target.to_string(), error))
        })?;
        landing.finish().map_err(EnvironmentError::Copy)
    }

    fn link(&self, to: &[u8], target: &Suffix) -> Result<(), EnvironmentError> {
        let parent = target.as_path().parent().unwrap_or(Path::new(""));
        let name = target.as_path().file_name().unwrap_or(OsStr::new(""));
        let directory = open_or_make_directories(self.root, parent)
            .map_err(|error| target_error(target, error))?;
        symlinkat(OsStr::from_bytes(to), directory, name).map_err(|errno| {
            EnvironmentError::Copy(LandingError::of(&target.to_string(), errno.into()))
        })
    }

    /// The deepest first: a directory that forbids it cannot be passed any more.
    fn restore_modes(&mut self) -> Result<(), EnvironmentError> {
        for (directory, mode) in self.modes.drain(..).rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = open_beneath(self.root, directory.as_path(), flags, Mode::empty())
                .map_err(|error| target_error(&directory, error))?;
            // The private directory itself stays as it is: its owner's alone.
            let stat = fstat(&opened);
            if stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.root_is) {
                continue;
            }
            fchmod(opened.as_fd(), mode).map_err(|errno| {
                EnvironmentError::Copy(LandingError::of(&directory.to_string(), errno.into()))
            })?;
        }
        Ok(())
    }
}

fn names(directory: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn join(target: &Suffix, name: &OsStr) -> Result<Suffix, EnvironmentError> {
    Suffix::of(target.as_path().join(name)).map_err(EnvironmentError::Suffix)
}

fn not_a_file(path: &Path) -> EnvironmentError {
    EnvironmentError::NotAFile {
        path: Shown::path(path).to_string(),
    }
}

fn source_error(path: &Path, errno: Errno) -> EnvironmentError {
    EnvironmentError::Source {
        path: Shown::path(path).to_string(),
        source: errno.into(),
    }
}

fn target_error(target: &Suffix, error: BeneathError) -> EnvironmentError {
    EnvironmentError::Copy(LandingError::beneath(&target.to_string(), error))
}
