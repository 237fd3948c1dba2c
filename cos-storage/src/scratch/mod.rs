//! Scratch directories: private to a run on a host, gone when it ends, swept when it could not.
//!
//! ```text
//! /var/tmp/cos-ana/            local storage: 0700, or checked before anything in it is trusted
//!   run-7kq2-91c2b04d/         one run on this host; the name is never used again
//!     owner                    which process it belongs to
//!     work/                    the run's own directory, empty at first
//!     jobs/217/                a job's own directory
//! ```
//!
//! Everything is created and removed through descriptors of its parent, so other users of the host
//! cannot lead it elsewhere by links. The owner file is written first and removed last: whatever a
//! crash leaves is either marked or empty, and [`sweep`] can tell the dead from the living.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};

use crate::error::ScratchError;
use crate::owner::Owner;
use crate::random;
use crate::removal::Removal;
use crate::remove_tree::remove_tree;
use crate::shown::Shown;

pub(crate) mod base;
mod sweep;
#[cfg(test)]
mod tests;

pub use sweep::{Kept, Sweep, run_of, sweep};

const RUN_PREFIX: &str = "run-";
const OWNER_FILE: &str = "owner";
const WORK: &str = "work";
const JOBS: &str = "jobs";

/// Longest name of a run or a job: with prefix and number it stays well below what file systems
/// allow, and a socket's path in the directory below 108 bytes.
const MAX_NAME: usize = 48;

/// A run's scratch directory on this host. It is removed by [`Scratch::remove`], when it is
/// dropped, or by a later [`sweep`] if this process is killed.
///
/// ```
/// use cos_storage::Scratch;
///
/// let local_storage = tempfile::tempdir()?;
/// let scratch = Scratch::create(local_storage.path(), "7kq2")?;
/// let job = scratch.create_job_directory("217")?;
/// std::fs::write(job.path().join("out"), "result")?;
/// assert!(job.remove().is_complete());
/// assert!(scratch.remove().is_complete());
/// assert_eq!(std::fs::read_dir(local_storage.path())?.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Scratch {
    tree: Tree,
    work: OwnedFd,
    /// Whether the drop has something to do.
    live: bool,
}

/// A scratch directory as it lies on the disk.
#[derive(Debug)]
struct Tree {
    base: OwnedFd,
    name: String,
    jobs: Arc<OwnedFd>,
    path: PathBuf,
    /// A forked child inherits this value, but owns nothing.
    creator: Pid,
}

impl Scratch {
    /// Makes a new private directory for `run` under `local_storage`, an absolute path (see
    /// [`local_storage_path`](crate::local_storage_path) for `{user}`).
    ///
    /// `local_storage` is created with mode 0700 if it is missing. If it exists it must be a
    /// directory, not a link, that belongs to this user or root and in which no other user could
    /// have placed or could replace anything.
    ///
    /// # Errors
    ///
    /// [`ScratchError`]; nothing is left behind then.
    pub fn create(local_storage: impl AsRef<Path>, run: &str) -> Result<Self, ScratchError> {
        check_name(run)?;
        let local_storage = local_storage.as_ref();
        let base = base::open_or_create(local_storage)?;
        let owner = Owner::current().map_err(|source| ScratchError::Owner { source })?;
        loop {
            let name = format!("{RUN_PREFIX}{run}-{:08x}", random::number() as u32);
            let path = local_storage.join(&name);
            let directory = match base::make_private(&base, &name) {
                Err(Errno::EXIST) => continue,
                made => made.map_err(|errno| create_error(&path, errno))?,
            };
            return match fill(&directory, &owner) {
                Ok((work, jobs)) => {
                    let tree = Tree {
                        base,
                        name,
                        jobs: Arc::new(jobs),
                        path,
                        creator: getpid(),
                    };
                    Ok(Self {
                        tree,
                        work,
                        live: true,
                    })
                }
                Err(source) => {
                    let _ = remove_run(&base, &name);
                    Err(ScratchError::Create {
                        path: shown(&path),
                        source,
                    })
                }
            };
        }
    }

    /// The directory of the run as a whole: `work` and `jobs` are in it.
    pub fn path(&self) -> &Path {
        &self.tree.path
    }

    /// The run's directory, empty at first, for jobs that have none of their own.
    pub fn work_path(&self) -> PathBuf {
        self.tree.path.join(WORK)
    }

    /// The run's directory, open: to change to it whatever its name has become.
    pub fn work(&self) -> BorrowedFd<'_> {
        self.work.as_fd()
    }

    /// Where job directories are made, for processes that make them by [`JobDirectory::create_in`].
    pub fn jobs_path(&self) -> PathBuf {
        self.tree.path.join(JOBS)
    }

    /// Makes a new private directory for one job.
    ///
    /// # Errors
    ///
    /// As [`JobDirectory::create_in`].
    pub fn create_job_directory(&self, job: &str) -> Result<JobDirectory, ScratchError> {
        JobDirectory::create(Arc::clone(&self.tree.jobs), &self.jobs_path(), job)
    }

    /// Removes the directory with everything in it.
    ///
    /// Processes that still write into it can make this incomplete: end them first. If something
    /// is left, so is the owner file, and a later [`sweep`] tries again.
    pub fn remove(mut self) -> Removal {
        self.live = false;
        remove_run(&self.tree.base, &self.tree.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.live && getpid() == self.tree.creator {
            let _ = remove_run(&self.tree.base, &self.tree.name);
        }
    }
}

/// A job's own directory; removed by [`JobDirectory::remove`] or when dropped.
#[derive(Debug)]
pub struct JobDirectory {
    parent: Arc<OwnedFd>,
    name: String,
    directory: OwnedFd,
    path: PathBuf,
    creator: Pid,
    live: bool,
}

impl JobDirectory {
    /// Makes a new private directory for one job in `parent`, a directory that is this user's as
    /// [`Scratch::jobs_path`] is, from whatever process of the run.
    ///
    /// # Errors
    ///
    /// [`ScratchError::Create`] if it exists already: two jobs never share one, and what an
    /// earlier job left is never taken over. [`ScratchError::Name`] for a name that is none; those
    /// of a local storage if `parent` cannot be opened or trusted.
    pub fn create_in(parent: impl AsRef<Path>, job: &str) -> Result<Self, ScratchError> {
        let path = parent.as_ref();
        let parent = base::open_existing(path)?.ok_or_else(|| create_error(path, Errno::NOENT))?;
        Self::create(Arc::new(parent), path, job)
    }

    fn create(parent: Arc<OwnedFd>, path: &Path, job: &str) -> Result<Self, ScratchError> {
        check_name(job)?;
        let path = path.join(job);
        let made = base::make_private(&parent, job);
        let directory = made.map_err(|errno| create_error(&path, errno))?;
        Ok(Self {
            parent,
            name: job.to_owned(),
            directory,
            path,
            creator: getpid(),
            live: true,
        })
    }

    /// Its path on this host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory with everything in it.
    pub fn remove(mut self) -> Removal {
        self.live = false;
        remove_tree(&self.parent, &self.name)
    }
}

/// The directory, open: to change to it whatever its name has become.
impl AsFd for JobDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for JobDirectory {
    fn drop(&mut self) {
        if self.live && getpid() == self.creator {
            let _ = remove_tree(&self.parent, &self.name);
        }
    }
}

/// Puts into a new directory what belongs there, the owner first.
fn fill(directory: &OwnedFd, owner: &Owner) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = openat(directory, OWNER_FILE, flags | OFlags::CLOEXEC, mode)?;
    File::from(file).write_all(owner.to_text().as_bytes())?;
    let work = base::make_private(directory, WORK)?;
    let jobs = base::make_private(directory, JOBS)?;
    Ok((work, jobs))
}

/// Removes a run's directory: the owner file only after all else is gone.
fn remove_run(base: &OwnedFd, name: &str) -> Removal {
    let mut removal = Removal::default();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match openat(base, name, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return removal,
        // Some job has locked its own way out, or this is no directory: the general case.
        Err(_) => return remove_tree(base, name),
    };
    for part in [WORK, JOBS] {
        removal.add(remove_tree(&directory, part).under(name));
    }
    if removal.is_complete() {
        removal.add(remove_tree(base, name));
    }
    removal
}

fn check_name(name: &str) -> Result<(), ScratchError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['.', '-']);
    if is_name {
        Ok(())
    } else {
        Err(ScratchError::Name {
            name: name.escape_debug().to_string(),
        })
    }
}

fn create_error(path: &Path, errno: Errno) -> ScratchError {
    ScratchError::Create {
        path: shown(path),
        source: errno.into(),
    }
}

fn shown(path: &Path) -> String {
    Shown::path(path).to_string()
}
