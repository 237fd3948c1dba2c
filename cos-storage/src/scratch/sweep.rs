//! Removing what runs left behind that were killed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::{OWNER_FILE, RUN_PREFIX, base, remove_run};
use crate::error::ScratchError;
use crate::owner::{Life, Owner};
use crate::removal::Removal;
use crate::shown::Shown;

/// A directory without an owner is one that is being made at this moment, or whose maker was killed
/// between two system calls. After an hour it is the latter.
const UNMARKED_AGE: Duration = Duration::from_secs(3600);

/// More than any owner file holds.
const MAX_OWNER: u64 = 4096;

/// What [`sweep`] did. The living are not mentioned.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Directories of dead owners that are gone now.
    pub removed: Vec<PathBuf>,
    /// Directories that are still there although nobody here seems to use them.
    pub kept: Vec<Kept>,
}

/// A scratch directory that [`sweep`] did not or could not remove.
#[derive(Debug)]
#[non_exhaustive]
pub enum Kept {
    /// Its owner belongs to another host or container that shares this local storage.
    Elsewhere {
        /// The directory.
        path: PathBuf,
        /// The owner, for a message.
        owner: String,
    },
    /// It does not say whose it is, or not as this release says it.
    Unmarked {
        /// The directory.
        path: PathBuf,
    },
    /// Its owner is dead, but it could not be removed completely.
    Resisting {
        /// The directory.
        path: PathBuf,
        /// What is left.
        removal: Removal,
    },
}

/// The run that a scratch directory was made for, as its name says.
pub fn run_of(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?.strip_prefix(RUN_PREFIX)?;
    name.rsplit_once('-').map(|(run, _)| run)
}

/// Removes the scratch directories under `local_storage` whose owners are dead, and only those.
///
/// Owner and liveness are judged by host, boot, process number and start time, so that neither a
/// reused process number nor a run on another host that shares the directory is taken for a dead
/// one. Any number of sweeps may run at the same time, beside any number of runs.
///
/// # Errors
///
/// [`ScratchError`] if `local_storage` cannot be read or trusted. That it does not exist is none.
pub fn sweep(local_storage: impl AsRef<Path>) -> Result<Sweep, ScratchError> {
    let local_storage = local_storage.as_ref();
    let mut sweep = Sweep::default();
    let Some(base) = base::open_existing(local_storage)? else {
        return Ok(sweep);
    };
    let here = Owner::current().map_err(|source| ScratchError::Owner { source })?;
    let unreadable = |errno: Errno| ScratchError::Base {
        path: Shown::path(local_storage).to_string(),
        source: errno.into(),
    };
    for entry in Dir::read_from(&base).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // What COS makes is ASCII; the rest is somebody else's.
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if name.starts_with(RUN_PREFIX) {
            sweep_one(&base, name, local_storage.join(name), &here, &mut sweep);
        }
    }
    Ok(sweep)
}

fn sweep_one(base: &OwnedFd, name: &str, path: PathBuf, here: &Owner, sweep: &mut Sweep) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // No directory, or gone meanwhile, or closed to us: none that COS made and could remove.
    let Ok(directory) = openat(base, name, flags, Mode::empty()) else {
        return;
    };
    let is_ours = fstat(&directory).is_ok_and(|stat| stat.st_uid == geteuid().as_raw());
    if !is_ours {
        return;
    }
    let Ok(mark) = read_owner(&directory) else {
        return;
    };
    match mark {
        Mark::Owner(owner) => match owner.life(here) {
            Life::Alive => {}
            Life::Elsewhere => sweep.kept.push(Kept::Elsewhere {
                path,
                owner: owner.describe(),
            }),
            Life::Dead => {
                let removal = remove_run(base, name);
                if removal.is_complete() {
                    sweep.removed.push(path);
                } else {
                    sweep.kept.push(Kept::Resisting { path, removal });
                }
            }
        },
        Mark::Unknown => sweep.kept.push(Kept::Unmarked { path }),
        Mark::None if !is_old(&directory) => {}
        Mark::None => {
            // Removes nothing but an empty owner file and an empty directory: never anybody's data.
            let _ = unlinkat(&directory, OWNER_FILE, AtFlags::empty());
            match unlinkat(base, name, AtFlags::REMOVEDIR) {
                Ok(()) => sweep.removed.push(path),
                Err(Errno::NOENT) => {}
                Err(_) => sweep.kept.push(Kept::Unmarked { path }),
            }
        }
    }
}

/// What a scratch directory says of its owner.
enum Mark {
    Owner(Owner),
    /// Nothing yet.
    None,
    /// Something that this release does not understand.
    Unknown,
}

fn read_owner(directory: &OwnedFd) -> io::Result<Mark> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(directory, OWNER_FILE, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(Mark::None),
        opened => opened?,
    };
    let mut text = Vec::new();
    File::from(file).take(MAX_OWNER).read_to_end(&mut text)?;
    if text.is_empty() {
        return Ok(Mark::None);
    }
    let owner = std::str::from_utf8(&text).ok().and_then(Owner::from_text);
    Ok(owner.map_or(Mark::Unknown, Mark::Owner))
}

fn is_old(directory: &OwnedFd) -> bool {
    let Ok(stat) = fstat(directory) else {
        return false;
    };
    let changed =
        UNIX_EPOCH + Duration::from_secs(u64::try_from(stat.st_ctime).unwrap_or(u64::MAX / 2));
    SystemTime::now()
        .duration_since(changed)
        .is_ok_and(|age| age > UNMARKED_AGE)
}
