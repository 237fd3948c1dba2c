//! What is opened and what is refused, by the kernel's resolution and by ours.

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
        resolvers.push(("kernel", by_kernel_at_last));
    }
    resolvers
}

/// The kernel's answer, however often renames elsewhere on the machine delay it.
fn by_kernel_at_last(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
    links: Links,
) -> Result<OwnedFd, Errno> {
    loop {
        match by_kernel(root, path, flags, mode, links) {
            Err(Errno::AGAIN) => {}
            done => return done,
        }
    }
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

/// A file and a directory inside trade places all the time with links that lead outside.
#[test]
fn exchanges_while_resolving_do_not_lead_outside() {
    let tree = tree();
    let outside = tree.root.parent().unwrap().join("outside");
    fs::create_dir(outside.join("b")).unwrap();
    fs::write(outside.join("b/file"), "secret").unwrap();
    symlink("../../../outside/secret", tree.root.join("a/b/trap")).unwrap();
    symlink("../../outside/b", tree.root.join("a/trap")).unwrap();
    // Hung up when the scope ends in whatever way, a failed assertion included.
    let (running, hung_up) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let _running = running;
        let (tree, hung_up) = (&tree, hung_up);
        scope.spawn(move || {
            let exchange = |one: &str, other: &str| {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&tree.fd, one, &tree.fd, other, flags)
            };
            while hung_up.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                // Where the file system cannot exchange, nothing changes and nothing is missed.
                let _ = exchange("a/b/file", "a/b/trap");
                let _ = exchange("a/b", "a/trap");
            }
        });
        for (name, resolve) in resolvers() {
            for path in ["a/b/file", "a/b/trap", "a/trap/file"].repeat(500) {
                let opened = resolve(
                    tree.fd.as_fd(),
                    Path::new(path),
                    OFlags::RDONLY,
                    Mode::empty(),
                    Links::Follow,
                );
                if let Ok(opened) = opened {
                    assert_eq!(content(opened), "inside", "{name} {path}");
                }
            }
        }
    });
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
