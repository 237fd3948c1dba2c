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

/// How often a resolution that lost a race against a rename is tried again. Each loss needs another
/// process to rename a directory of this very path at this very moment.
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
                // The kernel could not decide, since something was renamed meanwhile.
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
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    type Resolver = fn(BorrowedFd<'_>, &Path, OFlags, Mode, Links) -> Result<OwnedFd, Errno>;

    /// The resolvers that this kernel allows to be tested.
    fn resolvers() -> Vec<(&'static str, Resolver)> {
        let mut resolvers: Vec<(&'static str, Resolver)> = vec![("walk", by_walk)];
        if kernel_resolves() {
            resolvers.push(("kernel", by_kernel));
        }
        resolvers
    }

    struct Tree {
        _guard: tempfile::TempDir,
        root: PathBuf,
        fd: fs::File,
    }

    /// `outside/secret` beside `root/`, which holds `a/b/file` and links of every sort.
    fn tree() -> Tree {
        let guard = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(guard.path()).unwrap();
        let root = top.join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(top.join("outside")).unwrap();
        fs::write(top.join("outside/secret"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        for (target, link) in [
            ("a/b", "down"),
            ("../a/b/file", "a/up_and_down"),
            ("../..", "a/b/to_root"),
            ("../../outside", "a/out"),
            ("/etc", "absolute"),
            ("loop", "loop"),
            ("a/new", "to_new"),
            ("a/", "slash"),
            ("a/b/file/", "file_slash"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("a"), root.join("absolute_inside")).unwrap();
        let fd = fs::File::open(&root).unwrap();
        Tree {
            _guard: guard,
            root,
            fd,
        }
    }

    fn content(fd: OwnedFd) -> String {
        let mut text = String::new();
        fs::File::from(fd).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_inside_are_followed() {
        let tree = tree();
        for (name, resolve) in resolvers() {
            for path in [
                "a/b/file",
                "down/file",
                "./a//b/./file",
                "a/up_and_down",
                "a/../down/file",
            ] {
                let opened = resolve(
                    tree.fd.as_fd(),
                    Path::new(path),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Follow,
                );
                assert_eq!(content(opened.expect(path)), "inside", "{name} {path}");
            }
        }
    }

    #[test]
    fn ways_out_are_refused() {
        let tree = tree();
        for (name, resolve) in resolvers() {
            for (path, errno) in [
                ("..", Errno::XDEV),
                ("a/../..", Errno::XDEV),
                ("a/../../root/a", Errno::XDEV),
                ("/etc/passwd", Errno::XDEV),
                ("absolute/passwd", Errno::XDEV),
                ("absolute", Errno::XDEV),
                ("absolute_inside", Errno::XDEV),
                ("a/out/secret", Errno::XDEV),
                ("a/b/to_root/../x", Errno::XDEV),
                ("loop", Errno::LOOP),
                ("a/b/file/x", Errno::NOTDIR),
                ("a/b/file/", Errno::NOTDIR),
                ("file_slash", Errno::NOTDIR),
                ("missing", Errno::NOENT),
            ] {
                let opened = resolve(
                    tree.fd.as_fd(),
                    Path::new(path),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Follow,
                );
                assert_eq!(opened.expect_err(path), errno, "{name} {path}");
            }
        }
    }

    #[test]
    fn links_are_refused_where_none_is_wanted() {
        let tree = tree();
        let flags = OFlags::RDONLY;
        for (name, resolve) in resolvers() {
            for (path, flags, wanted) in [
                ("a/b/file", flags, None),
                ("down/file", flags, Some(Errno::LOOP)),
                ("down", flags, Some(Errno::LOOP)),
                ("down", flags | OFlags::NOFOLLOW, Some(Errno::LOOP)),
            ] {
                let opened = resolve(
                    tree.fd.as_fd(),
                    Path::new(path),
                    flags,
                    Mode::empty(),
                    Links::Refuse,
                );
                assert_eq!(opened.err(), wanted, "{name} {path}");
            }
        }
    }

    #[test]
    fn files_are_created_inside_only() {
        let mode = Mode::RUSR | Mode::WUSR;
        let create = OFlags::WRONLY | OFlags::CREATE;
        for (name, resolve) in resolvers() {
            let tree = tree();
            let try_create = |path: &str, flags: OFlags| {
                resolve(tree.fd.as_fd(), Path::new(path), flags, mode, Links::Follow).map(drop)
            };
            try_create("a/plain", create | OFlags::EXCL).expect(name);
            try_create("to_new", create).expect(name);
            assert!(tree.root.join("a/plain").is_file() && tree.root.join("a/new").is_file());
            assert_eq!(
                try_create("to_new", create | OFlags::EXCL),
                Err(Errno::EXIST),
                "{name}"
            );
            assert_eq!(try_create("a/out/new", create), Err(Errno::XDEV), "{name}");
            symlink("../outside/made", tree.root.join("dangling")).unwrap();
            assert_eq!(try_create("dangling", create), Err(Errno::XDEV), "{name}");
            assert!(!tree.root.parent().unwrap().join("outside/made").exists());
        }
    }

    #[test]
    fn the_root_itself_and_its_descriptor() {
        let tree = tree();
        for path in ["", ".", "a/..", "slash/.."] {
            let opened = open_beneath(&tree.fd, path, OFlags::DIRECTORY, Mode::empty()).unwrap();
            let stat = fstat(&opened).unwrap();
            assert_eq!(stat.st_ino, fstat(&tree.fd).unwrap().st_ino, "{path}");
            let flags = rustix::io::fcntl_getfd(&opened).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    fn step() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "c", "..", "..", "."])
    }

    fn route() -> impl Strategy<Value = String> {
        (
            any::<bool>(),
            prop::collection::vec(step(), 1..6),
            any::<bool>(),
        )
            .prop_map(|(absolute, steps, slash)| {
                let route = steps.join("/") + if slash { "/" } else { "" };
                // Few absolute ones: they all end the same way.
                if absolute && steps.len() == 1 {
                    format!("/{route}")
                } else {
                    route
                }
            })
    }

    fn kind() -> impl Strategy<Value = Option<String>> {
        prop_oneof![Just(None), route().prop_map(Some)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

        /// In random trees of directories, files and links no path opens anything outside, and the
        /// walk finds what the kernel finds.
        #[test]
        fn nothing_outside_is_ever_opened(
            objects in prop::collection::vec((prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4), kind()), 1..14),
            paths in prop::collection::vec(route(), 1..12),
        ) {
            let guard = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(guard.path()).unwrap().join("a/root");
            fs::create_dir_all(&root).unwrap();
            for (place, link) in &objects {
                // Whatever of it is possible beside the objects before.
                let place = root.join(place.join("/"));
                let _ = match link {
                    Some(target) => symlink(target, &place),
                    None => fs::create_dir(&place),
                };
            }
            let fd = fs::File::open(&root).unwrap();
            for path in &paths {
                let mut found = Vec::new();
                for (_, resolve) in resolvers() {
                    let opened = resolve(fd.as_fd(), Path::new(path), OFlags::PATH, Mode::empty(), Links::Follow);
                    if let Ok(opened) = &opened {
                        let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(opened));
                        let real = fs::read_link(name).unwrap();
                        prop_assert!(real.starts_with(&root), "{path} opened {}", real.display());
                    }
                    found.push(opened.and_then(|file| Ok(fstat(&file)?.st_ino)));
                }
                prop_assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{path}: {found:?}");
            }
        }
    }
}
