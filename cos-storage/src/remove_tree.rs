//! Removing a directory tree that others may be changing: by descriptors, never through a link.

use std::collections::HashSet;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::mount::MountId;
use crate::removal::Removal;

/// Directories that are open at the same time. What lies deeper is moved up first: a tree can be
/// far deeper than a process may have descriptors.
const MAX_OPEN: usize = 32;

/// How often a directory is read again because it was not empty after all its entries were gone:
/// some file systems skip entries while others are removed, and somebody may be writing into it.
const MAX_PASSES: usize = 100;

/// How many entries of one directory may resist before the rest of it is given up.
const MAX_FAILURES: usize = 10_000;

/// Removes `name`, an entry of the directory `parent`, with everything below it.
///
/// Links are removed, not followed, also when one appears in the place of a directory meanwhile. No
/// mount point is crossed: what is mounted below stays and is reported. Directories of this user
/// that forbid it are made accessible first. An entry that is not there is no failure.
///
/// ```
/// let parent = tempfile::tempdir()?;
/// std::fs::create_dir_all(parent.path().join("a/b"))?;
/// let removal = cos_storage::remove_tree(std::fs::File::open(parent.path())?, "a");
/// assert!(removal.is_complete());
/// assert!(!parent.path().join("a").exists());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn remove_tree(parent: impl AsFd, name: impl AsRef<OsStr>) -> Removal {
    let mut removal = Removal::default();
    let name = name.as_ref();
    match CString::new(name.as_bytes()) {
        Ok(entry) if is_entry_name(name) => {
            Walk::new(parent.as_fd(), &mut removal).remove(&entry);
        }
        // Not the name of an entry; `a/..` would be another directory than it seems.
        _ => removal.fail(PathBuf::from(name), Errno::INVAL),
    }
    removal
}

fn is_entry_name(name: &OsStr) -> bool {
    !matches!(name.as_bytes(), b"" | b"." | b"..") && !name.as_bytes().contains(&b'/')
}

/// One directory of the way down.
struct Level {
    fd: OwnedFd,
    entries: Dir,
    name: CString,
    passes: usize,
    /// Whether this pass removed anything, so that another one may find more room.
    progress: bool,
    /// Entries that resist: reported once, then skipped.
    failed: HashSet<CString>,
}

struct Walk<'a> {
    parent: BorrowedFd<'a>,
    levels: Vec<Level>,
    mount: Option<MountId>,
    device: u64,
    moved_up: u64,
    removal: &'a mut Removal,
}

/// What is to be done about an entry after the first attempt.
enum Next {
    Done,
    Descend(OwnedFd),
    Failed(io::Error),
}

impl<'a> Walk<'a> {
    fn new(parent: BorrowedFd<'a>, removal: &'a mut Removal) -> Self {
        let device = fstat(parent).map_or(0, |stat| stat.st_dev);
        let mount = MountId::of(parent);
        Self {
            parent,
            levels: Vec::new(),
            mount,
            device,
            moved_up: 0,
            removal,
        }
    }

    fn remove(&mut self, name: &CStr) {
        match self.attempt(name, FileType::Unknown) {
            Next::Done => {}
            Next::Failed(cause) => self.removal.fail(path_of(name), cause),
            Next::Descend(directory) => {
                self.descend(directory, name);
                while !self.levels.is_empty() {
                    self.step();
                }
            }
        }
    }

    /// Treats the next entry of the deepest directory.
    fn step(&mut self) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        let (name, kind) = match level.entries.read() {
            Some(Ok(entry)) => (entry.file_name().to_owned(), entry.file_type()),
            Some(Err(errno)) => {
                let path = self.path(None);
                self.removal.fail(path, errno);
                return self.ascend(true);
            }
            None => return self.ascend(false),
        };
        if matches!(name.to_bytes(), b"." | b"..") || level.failed.contains(&name) {
            return;
        }
        match self.attempt(&name, kind) {
            Next::Done => {}
            Next::Failed(cause) => self.failed(name, cause),
            Next::Descend(directory) if self.levels.len() < MAX_OPEN => {
                self.descend(directory, &name);
            }
            Next::Descend(_) => self.move_up(name),
        }
    }

    /// Removes an entry of the deepest directory, or opens it if it is a directory to empty first.
    fn attempt(&mut self, name: &CStr, kind: FileType) -> Next {
        let unlinked = match kind {
            FileType::Directory => Err(Errno::ISDIR),
            _ => unlinkat(self.here(), name, AtFlags::empty()),
        };
        let refusal = match unlinked {
            Ok(()) => {
                self.removed();
                return Next::Done;
            }
            Err(Errno::NOENT) => return Next::Done,
            Err(errno) => errno,
        };
        match self.enter(name) {
            Ok(directory) => Next::Descend(directory),
            Err(EnterError::Mounted) => {
                Next::Failed(io::Error::other("something is mounted there"))
            }
            Err(EnterError::System(Errno::NOENT)) => Next::Done,
            // Not a directory, or not any more: then the first refusal tells why it stays.
            Err(EnterError::System(Errno::NOTDIR | Errno::LOOP)) if refusal != Errno::ISDIR => {
                Next::Failed(refusal.into())
            }
            Err(EnterError::System(Errno::NOTDIR | Errno::LOOP)) => {
                match unlinkat(self.here(), name, AtFlags::empty()) {
                    Ok(()) => {
                        self.removed();
                        Next::Done
                    }
                    Err(errno) => Next::Failed(errno.into()),
                }
            }
            // Not to be opened, but perhaps empty.
            Err(EnterError::System(errno)) => {
                match unlinkat(self.here(), name, AtFlags::REMOVEDIR) {
                    Ok(()) => {
                        self.removed();
                        Next::Done
                    }
                    Err(_) => Next::Failed(errno.into()),
                }
            }
        }
    }

    /// Opens a directory for emptying, made accessible if need be.
    fn enter(&self, name: &CStr) -> Result<OwnedFd, EnterError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |how| openat(self.here(), name, flags | how, Mode::empty());
        let directory = match open(OFlags::RDONLY) {
            Err(Errno::ACCESS) => {
                let closed = open(OFlags::PATH)?;
                self.check_mount(&closed)?;
                // chmod through a name could be led astray by a link; this name is the descriptor.
                let name = format!("/proc/self/fd/{}", closed.as_raw_fd());
                rustix::fs::chmod(name, Mode::RWXU).map_err(|_| Errno::ACCESS)?;
                open(OFlags::RDONLY)?
            }
            opened => opened?,
        };
        self.check_mount(&directory)?;
        let stat = fstat(&directory)?;
        if !Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXU) {
            // If this fails, so does the removal of entries, with a better message.
            let _ = fchmod(&directory, Mode::RWXU);
        }
        Ok(directory)
    }

    fn check_mount(&self, directory: &OwnedFd) -> Result<(), EnterError> {
        let same = match (self.mount, MountId::of(directory)) {
            (Some(mount), Some(other)) => mount == other,
            _ => fstat(directory)?.st_dev == self.device,
        };
        if same {
            Ok(())
        } else {
            Err(EnterError::Mounted)
        }
    }

    fn descend(&mut self, directory: OwnedFd, name: &CStr) {
        match Dir::read_from(&directory) {
            Ok(entries) => self.levels.push(Level {
                fd: directory,
                entries,
                name: name.to_owned(),
                passes: 0,
                progress: false,
                failed: HashSet::new(),
            }),
            Err(errno) => self.failed(name.to_owned(), errno.into()),
        }
    }

    /// All entries of the deepest directory have been treated: removes it, or reads it again.
    fn ascend(&mut self, unreadable: bool) {
        let Some(mut level) = self.levels.pop() else {
            return;
        };
        match unlinkat(self.here(), &*level.name, AtFlags::REMOVEDIR) {
            Ok(()) => return self.removed(),
            Err(Errno::NOENT) => return,
            Err(Errno::NOTEMPTY | Errno::EXIST) if unreadable => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) if level.progress && level.passes < MAX_PASSES => {
                level.passes += 1;
                level.progress = false;
                level.entries.rewind();
                self.levels.push(level);
                return;
            }
            Err(Errno::NOTEMPTY | Errno::EXIST) if !level.failed.is_empty() => {}
            Err(errno) => {
                return self.failed(level.name, errno.into());
            }
        }
        // Its entries have been reported; above it, it only must not be tried again.
        if let Some(above) = self.levels.last_mut() {
            above.failed.insert(level.name);
        }
    }

    /// Moves a directory that lies too deep into the topmost one, where a later pass finds it.
    fn move_up(&mut self, name: CString) {
        match self.rename_to_top(&name) {
            Ok(()) => {
                if let Some(here) = self.levels.last_mut() {
                    here.progress = true;
                }
                if let Some(top) = self.levels.first_mut() {
                    (top.progress, top.passes) = (true, 0);
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => self.failed(name, errno.into()),
        }
    }

    fn rename_to_top(&mut self, name: &CStr) -> Result<(), Errno> {
        loop {
            self.moved_up += 1;
            let new = format!(".cos-deep-{}", self.moved_up);
            let top = self.levels.first().ok_or(Errno::NOENT)?;
            match renameat(self.here(), name, &top.fd, new) {
                // The tree has such a name of its own. (An empty directory is replaced.)
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                done => return done,
            }
        }
    }

    fn removed(&mut self) {
        self.removal.count_removed();
        if let Some(here) = self.levels.last_mut() {
            here.progress = true;
        }
    }

    fn failed(&mut self, name: CString, cause: io::Error) {
        let path = self.path(Some(&name));
        self.removal.fail(path, cause);
        let Some(here) = self.levels.last_mut() else {
            return;
        };
        here.failed.insert(name);
        if here.failed.len() >= MAX_FAILURES {
            here.progress = false;
            self.ascend(true);
        }
    }

    /// The deepest directory, or the one that the tree lies in.
    fn here(&self) -> BorrowedFd<'_> {
        self.levels
            .last()
            .map_or(self.parent, |level| level.fd.as_fd())
    }

    fn path(&self, name: Option<&CStr>) -> PathBuf {
        self.levels
            .iter()
            .map(|level| &*level.name)
            .chain(name)
            .map(path_of)
            .collect()
    }
}

fn path_of(name: &CStr) -> PathBuf {
    Path::new(OsStr::from_bytes(name.to_bytes())).to_owned()
}

enum EnterError {
    /// Another file system begins there.
    Mounted,
    System(Errno),
}

impl From<Errno> for EnterError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

#[cfg(test)]
mod tests;
