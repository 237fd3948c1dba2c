//! What goes, what stays, and what must not be touched.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::mkdirat;

use super::*;
use crate::testing::{bind, mount_memory, with_own_mounts};

fn parent() -> (tempfile::TempDir, File) {
    let guard = tempfile::tempdir().unwrap();
    let fd = File::open(guard.path()).unwrap();
    (guard, fd)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn trees_go_with_all_that_is_in_them() {
    let (guard, fd) = parent();
    let tree = guard.path().join("tree");
    for directory in 0..5 {
        let directory = tree.join(format!("d{directory}/e\n\\"));
        fs::create_dir_all(&directory).unwrap();
        for file in 0..20 {
            fs::write(directory.join(format!("f{file}")), "x").unwrap();
        }
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("pipe"), Mode::RWXU).unwrap();
    let removal = remove_tree(&fd, "tree");
    assert!(removal.is_complete(), "{removal}");
    assert_eq!(removal.removed(), 5 * 20 + 2 * 5 + 2);
    assert!(!tree.exists());
}

#[test]
fn links_are_removed_and_their_targets_kept() {
    let (guard, fd) = parent();
    let kept = guard.path().join("kept");
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "").unwrap();
    fs::create_dir(guard.path().join("tree")).unwrap();
    symlink(&kept, guard.path().join("tree/absolute")).unwrap();
    symlink("../kept", guard.path().join("tree/relative")).unwrap();
    symlink("nowhere", guard.path().join("tree/dangling")).unwrap();
    assert_eq!(remove_tree(&fd, "tree").removed(), 4);
    symlink("kept", guard.path().join("link")).unwrap();
    assert_eq!(remove_tree(&fd, "link").removed(), 1);
    assert!(kept.join("file").exists());
}

#[test]
fn directories_that_forbid_it_are_opened_first() {
    let (guard, fd) = parent();
    let tree = guard.path().join("tree");
    for (name, mode) in [
        ("read", 0o500),
        ("search", 0o100),
        ("none", 0),
        ("write", 0o200),
    ] {
        fs::create_dir_all(tree.join(name).join("below")).unwrap();
        fs::write(tree.join(name).join("below/file"), "").unwrap();
        chmod(&tree.join(name).join("below"), mode);
        chmod(&tree.join(name), mode);
    }
    chmod(&tree, 0o000);
    let removal = remove_tree(&fd, "tree");
    assert!(removal.is_complete(), "{removal}");
    assert_eq!(removal.removed(), 13);
}

#[test]
fn a_tree_deeper_than_descriptors_go() {
    let (guard, fd) = parent();
    let depth = 1_200;
    let mut directory: OwnedFd = fd.try_clone().unwrap().into();
    for level in 0..=depth {
        let name = if level == 0 { "tree" } else { "d" };
        mkdirat(&directory, name, Mode::RWXU).unwrap();
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        directory = openat(&directory, name, flags, Mode::empty()).unwrap();
        // What the tree itself has under such a name must not be in the way.
        mkdirat(&directory, ".cos-deep-1", Mode::RWXU).unwrap();
        mkdirat(&directory, ".cos-deep-1/x", Mode::RWXU).unwrap();
    }
    let removal = remove_tree(&fd, "tree");
    assert!(removal.is_complete(), "{removal}");
    assert_eq!(removal.removed(), 3 * (depth + 1));
    assert_eq!(fs::read_dir(guard.path()).unwrap().count(), 0);
}

#[test]
fn only_the_name_of_an_entry_is_accepted() {
    let (guard, fd) = parent();
    fs::create_dir_all(guard.path().join("a/b")).unwrap();
    for name in ["", ".", "..", "a/b", "/", "a/..", "a\0"] {
        assert!(!remove_tree(&fd, name).is_complete(), "{name:?}");
    }
    assert!(guard.path().join("a/b").exists());
    assert!(remove_tree(&fd, "absent").is_complete());
}

#[test]
fn what_is_mounted_below_is_kept_and_told() {
    let (guard, _) = parent();
    let (kept, tree) = (guard.path().join("kept"), guard.path().join("tree"));
    for directory in [&kept, &tree.join("memory/x"), &tree.join("bound")] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(kept.join("file"), "").unwrap();
    with_own_mounts(|| {
        mount_memory(&tree.join("memory"));
        bind(&kept, &tree.join("bound"));
        fs::write(tree.join("memory/file"), "").unwrap();
        let seen_from_here = File::open(guard.path()).unwrap();
        let removal = remove_tree(seen_from_here, "tree");
        assert_eq!((removal.removed(), removal.failures()), (0, 2));
        assert!(
            removal
                .to_string()
                .contains("something is mounted there (and 1 more)")
        );
        assert!(tree.join("memory/file").exists() && kept.join("file").exists());
    });
}

/// Another user's program that swaps directories for links while the tree is removed.
#[test]
fn a_race_against_links_harms_nothing_outside() {
    let (guard, fd) = parent();
    let (kept, tree) = (guard.path().join("kept"), guard.path().join("tree"));
    fs::create_dir(&kept).unwrap();
    for file in 0..20 {
        fs::write(kept.join(format!("f{file}")), "").unwrap();
    }
    for _ in 0..8 {
        for directory in 0..8 {
            fs::create_dir_all(tree.join(format!("d{directory}"))).unwrap();
            for file in 0..8 {
                fs::write(tree.join(format!("d{directory}/f{file}")), "").unwrap();
            }
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for directory in (0..8).rev() {
                    let place = tree.join(format!("d{directory}"));
                    let _ = fs::rename(&place, tree.join(format!("moved{directory}")));
                    let _ = symlink(&kept, &place);
                }
            });
            let _ = remove_tree(&fd, "tree");
        });
        let removal = remove_tree(&fd, "tree");
        assert!(removal.is_complete(), "{removal}");
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 20);
    }
}
