//! Opening files below a directory without ever leaving it, whatever links say.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::Errno;

use crate::error::BeneathError;
use crate::shown::Shown;

/// As many links in one path as Linux follows.
const MAX_LINKS: usize = 40;

/// How often a resolution is tried again that a rename has disturbed. The kernel cannot tell which
/// rename matters and gives up `..` at any on the whole machine; after so many the walk decides,
/// which only a link in the very place disturbs.
const MAX_RACES: usize = 64;

/// What to do with links that stay inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    Follow,
    Refuse,
}

/// Opens `path` below the directory `root`; the file that is opened lies inside that directory.
///
/// Symbolic links are followed as long as they stay inside; one that is absolute or climbs out by
/// `..` is refused, and so is a `path` that does. This holds while others rename and relink at the
/// same time. The kernel does it where it can (`openat2` with `RESOLVE_BENEATH`, Linux 5.6); else
/// the path is walked here, one descriptor for each directory. An empty path opens `root` itself.
///
/// The descriptor closes on exec. `flags` and `mode` are those of open(2).
///
/// # Errors
///
/// [`BeneathError::Escapes`] for a path that leads outside, [`BeneathError::Io`] for all else.
///
/// ```
/// use cos_storage::{BeneathError, open_beneath};
/// use rustix::fs::{Mode, OFlags};
///
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("a"), "inside")?;
/// let root = std::fs::File::open(directory.path())?;
/// assert!(open_beneath(&root, "a", OFlags::RDONLY, Mode::empty()).is_ok());
/// let outside = open_beneath(&root, "../x", OFlags::RDONLY, Mode::empty());
/// assert!(matches!(outside, Err(BeneathError::Escapes { .. })));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn open_beneath(
    root: impl AsFd,
    path: impl AsRef<Path>,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, BeneathError> {
    let path = path.as_ref();
    open(root.as_fd(), path, flags, mode, Links::Follow).map_err(|errno| error(path, errno))
}

/// As [`open_beneath`], but any link on the way is an error (`ELOOP`), the last component included.
pub(crate) fn open_beneath_without_links(
    root: impl AsFd,
    path: &Path,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    open(root.as_fd(), path, flags, Mode::empty(), Links::Refuse)
}

fn error(path: &Path, errno: Errno) -> BeneathError {
    let path = Shown::path(path).to_string();
    match errno {
        Errno::XDEV => BeneathError::Escapes { path },
        errno => BeneathError::Io {
            path,
            source: errno.into(),
        },
    }
}

fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = flags | OFlags::CLOEXEC;
    if kernel_resolves() {
        for _ in 0..MAX_RACES {
            match by_kernel(root, path, flags, mode, links) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                done => return done,
            }
        }
    }
    by_walk(root, path, flags, mode, links)
}

/// Whether `openat2` exists here: not before Linux 5.6, and some containers forbid it.
fn kernel_resolves() -> bool {
    static RESOLVES: OnceLock<bool> = OnceLock::new();
    *RESOLVES.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let probe = openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH);
        !matches!(probe, Err(Errno::NOSYS | Errno::PERM))
    })
}

fn by_kernel(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let resolve = match links {
        Links::Follow => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Links::Refuse => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    };
    // Unlike open(2), openat2(2) refuses a mode that means nothing.
    let mode = if flags.intersects(OFlags::CREATE) {
        mode
    } else {
        Mode::empty()
    };
    openat2(root, path, flags, mode, resolve)
}

/// Resolves component by component. Each directory on the way down stays open, so that `..` goes
/// back to where the walk came from and not to wherever the directory has been moved since.
fn by_walk(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Result<OwnedFd, Errno> {
    let mut trail: Vec<OwnedFd> = Vec::new();
    let mut ahead = Vec::new();
    push_components(&mut ahead, path.as_os_str())?;
    let (mut links_left, mut races_left) = (MAX_LINKS, MAX_RACES);
    let at_end = flags | OFlags::NOFOLLOW;

    while let Some(name) = ahead.pop() {
        let is_last = ahead.is_empty();
        if name == ".." && trail.pop().is_none() {
            return Err(Errno::XDEV);
        }
        let directory = trail.last().map_or(root, AsFd::as_fd);
        if name == "." || name == ".." {
            if is_last {
                return openat(directory, ".", flags, mode);
            }
            continue;
        }
        // These do not follow a link in the last place, so it needs no look beforehand.
        let exclusive = OFlags::CREATE | OFlags::EXCL;
        if is_last && (flags.contains(OFlags::NOFOLLOW) || flags.contains(exclusive)) {
            return openat(directory, &name, at_end, mode);
        }
        let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let seen = match openat(directory, &name, look, Mode::empty()) {
            Err(Errno::NOENT) if is_last && flags.intersects(OFlags::CREATE) => None,
            seen => Some(seen?),
        };
        let kind = seen.as_ref().map(file_type).transpose()?;
        match (kind, seen) {
            (Some(FileType::Symlink), Some(link)) => {
                if links == Links::Refuse || links_left == 0 {
                    return Err(Errno::LOOP);
                }
                links_left -= 1;
                let target = readlinkat(&link, "", Vec::new())?.into_bytes();
                push_components(&mut ahead, &OsString::from_vec(target))?;
            }
            (Some(FileType::Directory), Some(below)) if !is_last => trail.push(below),
            _ if !is_last => return Err(Errno::NOTDIR),
            _ => match openat(directory, &name, at_end, mode) {
                // A link has appeared in this place since the look.
                Err(Errno::LOOP) if races_left > 0 => {
                    races_left -= 1;
                    ahead.push(name);
                }
                done => return done,
            },
        }
    }
    Err(Errno::NOENT)
}

fn file_type(file: &OwnedFd) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
}

/// Puts the components of `path` on the stack, the first on top. A slash at the end asks for a
/// directory, which a last component `.` says too.
fn push_components(stack: &mut Vec<OsString>, path: &OsStr) -> Result<(), Errno> {
    let bytes = path.as_bytes();
    match bytes {
        [] => return Err(Errno::NOENT),
        [b'/', ..] => return Err(Errno::XDEV),
        _ => {}
    }
    if bytes.ends_with(b"/") {
        stack.push(OsString::from("."));
    }
    let components = bytes
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty());
    stack.extend(
        components
            .rev()
            .map(|name| OsStr::from_bytes(name).to_owned()),
    );
    Ok(())
}

#[cfg(test)]
mod tests;
