//! The table of PyOPUS's documentation, on two hosts: the same two directories are `/foo:/bar` on the
//! one and `/d1:/d2` on the other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use cos_storage::{AbstractPath, MirroredStorage, TranslateError};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Path on the spawner, what travels, path on the host.
const TABLE: [(&str, u16, &str, &str); 6] = [
    ("/foo", 0, "", "/d1"),
    ("/foo/a", 0, "a", "/d1/a"),
    (
        "/foo/circuits/amp.net",
        0,
        "circuits/amp.net",
        "/d1/circuits/amp.net",
    ),
    ("/bar/b", 1, "b", "/d2/b"),
    (
        "/bar/models/bjt.lib",
        1,
        "models/bjt.lib",
        "/d2/models/bjt.lib",
    ),
    ("/bar", 1, "", "/d2"),
];

/// Runs `program` on a thread that sees `tree` as its root directory, where `names` are the
/// directories `first` and `second` of the lab. Only root may do that: for others nothing is run.
fn on_host(lab: &Path, root: &str, names: [&str; 2], program: impl FnOnce() + Send) {
    let root = lab.join(root);
    std::thread::scope(|scope| {
        let run = || {
            let flags = UnshareFlags::NEWNS | UnshareFlags::FS;
            // SAFETY: descriptors stay shared (no FILES); the thread ends with the test.
            match unsafe { unshare_unsafe(flags) } {
                Err(Errno::PERM) => return false,
                unshared => unshared.unwrap(),
            }
            let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", private).unwrap();
            for (name, shared) in names.iter().zip(["first", "second"]) {
                fs::create_dir_all(root.join(name)).unwrap();
                mount_bind(lab.join(shared), root.join(name)).unwrap();
            }
            rustix::process::chroot(&root).unwrap();
            std::env::set_current_dir("/").unwrap();
            program();
            true
        };
        match scope.spawn(run).join() {
            Ok(true) => {}
            #[expect(clippy::print_stderr, reason = "who reads the test's output must know")]
            Ok(false) => eprintln!("not run: mounting needs root"),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
}

#[test]
fn the_table_holds_as_it_is_printed_in_both_directions() {
    let lab = tempfile::tempdir().unwrap();
    let lab = fs::canonicalize(lab.path()).unwrap();
    fs::create_dir_all(lab.join("first/circuits")).unwrap();
    fs::create_dir_all(lab.join("second/models")).unwrap();
    for (path, content) in [
        ("first/a", "a"),
        ("first/circuits/amp.net", "amp"),
        ("second/b", "b"),
        ("second/models/bjt.lib", "bjt"),
    ] {
        fs::write(lab.join(path), content).unwrap();
    }
    let sent = |index, suffix| AbstractPath::new(index, suffix).unwrap();
    // The bytes that each host reads under its own path of a file.
    let read = |path: &str| fs::read(path).ok();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    on_host(&lab, "spawner", ["foo", "bar"], || {
        let storage = MirroredStorage::parse(OsStr::new("/foo:/bar")).unwrap();
        for (path, index, suffix, _) in TABLE {
            assert_eq!(storage.to_abstract(path).unwrap(), sent(index, suffix));
            assert_eq!(
                storage.to_actual(&sent(index, suffix)).unwrap(),
                Path::new(path)
            );
            here.push(read(path));
        }
        let error = storage.to_abstract("/foobar/a").unwrap_err();
        assert!(
            matches!(error, TranslateError::NotMirrored { .. }),
            "{error}"
        );
    });
    on_host(&lab, "host", ["d1", "d2"], || {
        let storage = MirroredStorage::parse(OsStr::new("/d1:/d2")).unwrap();
        for (_, index, suffix, path) in TABLE {
            assert_eq!(
                storage.to_actual(&sent(index, suffix)).unwrap(),
                Path::new(path)
            );
            assert_eq!(storage.to_abstract(path).unwrap(), sent(index, suffix));
            there.push(read(path));
        }
        let error = storage.to_actual(&sent(2, "x")).unwrap_err().to_string();
        assert!(error.contains("here it has 2 (/d1, /d2)"), "{error}");
        let plain = AbstractPath::untranslated("/etc/hostname");
        assert_eq!(
            storage.to_actual(&plain).unwrap(),
            Path::new("/etc/hostname")
        );
    });
    assert_eq!(here, there);
    if !here.is_empty() {
        assert_eq!(here[2].as_deref(), Some(&b"amp"[..]));
    }
}
