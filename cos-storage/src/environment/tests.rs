//! Environments from the spawner's words to a slot's directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::error::TranslateError;
use crate::scratch::Scratch;

/// A spawner with `/foo` and `/bar`, a host with `/d1` and `/d2` for the same trees.
struct Lab {
    root: PathBuf,
    _guard: tempfile::TempDir,
    spawner: MirroredStorage,
    host: MirroredStorage,
    scratch: Scratch,
}

fn lab() -> Lab {
    let guard = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(guard.path()).unwrap();
    for (real, there) in [("foo", "d1"), ("bar", "d2")] {
        fs::create_dir(root.join(real)).unwrap();
        symlink(root.join(real), root.join(there)).unwrap();
    }
    let storage = |names: [&str; 2]| MirroredStorage::new(names.map(|name| root.join(name)));
    Lab {
        spawner: storage(["foo", "bar"]).unwrap(),
        host: storage(["d1", "d2"]).unwrap(),
        scratch: Scratch::create(root.join("local"), "7kq2").unwrap(),
        _guard: guard,
        root,
    }
}

impl Lab {
    fn map(&self, rows: &[(&str, &str)]) -> MirrorMap {
        let mut map = MirrorMap::new();
        for (source, target) in rows {
            map.mirror(&self.spawner, self.root.join(source), target)
                .unwrap();
        }
        map
    }

    fn plan(&self, environment: &Environment) -> Plan {
        let bytes =
            bincode::serde::encode_to_vec(environment, bincode::config::standard()).unwrap();
        let (sent, _): (Environment, usize) =
            bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
        assert_eq!(&sent, environment);
        sent.plan(&self.host).unwrap()
    }

    fn slot(&self) -> SlotEnvironments {
        SlotEnvironments::new(self.scratch.jobs_path(), "slot3")
    }

    fn leftovers(&self) -> usize {
        fs::read_dir(self.scratch.jobs_path()).unwrap().count()
    }
}

#[test]
fn a_startup_directory_is_the_hosts_own_name_of_it() {
    let lab = lab();
    let directory = lab
        .spawner
        .to_abstract(lab.root.join("bar/circuits"))
        .unwrap();
    let plan = lab.plan(&Environment::startup_directory(directory));
    let entered = lab.slot().enter(&plan).unwrap();
    assert_eq!(entered.directory().unwrap(), lab.root.join("bar/circuits"));
    let entered = lab.slot().enter(&lab.plan(&Environment::new())).unwrap();
    assert_eq!(entered.directory(), None);
}

#[test]
fn files_are_mirrored_by_patterns_with_modes_and_links() {
    let lab = lab();
    let foo = lab.root.join("foo");
    fs::create_dir_all(foo.join("circuits/deep/er")).unwrap();
    for (name, mode) in [
        ("circuits/a.net", 0o644),
        ("circuits/b.net", 0o440),
        ("circuits/.hidden.net", 0o600),
        ("circuits/run.sh", 0o755),
        ("circuits/deep/er/x", 0o600),
    ] {
        fs::write(foo.join(name), name).unwrap();
        fs::set_permissions(foo.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("er/x", foo.join("circuits/deep/link")).unwrap();
    symlink("/nowhere", foo.join("circuits/deep/dangling")).unwrap();
    symlink("a.net", foo.join("circuits/z.net")).unwrap();
    fs::set_permissions(
        foo.join("circuits/deep/er"),
        fs::Permissions::from_mode(0o500),
    )
    .unwrap();
    fs::write(lab.root.join("bar/m.lib"), "m").unwrap();

    let map = lab.map(&[
        ("foo/circuits/*.net", "."),
        ("foo/c*/run.s?", "bin/tools"),
        ("foo/circuits/deep", "copy"),
        ("bar/m.lib", "lib/"),
    ]);
    let mut slot = lab.slot();
    let entered = slot.enter(&lab.plan(&Environment::mirrored(map))).unwrap();
    let here = entered.directory().unwrap().to_owned();
    let mode = |name: &str| {
        fs::symlink_metadata(here.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(fs::read(here.join("a.net")).unwrap(), b"circuits/a.net");
    assert_eq!(mode("b.net"), 0o440);
    assert!(!here.join(".hidden.net").exists());
    // A link that was named is followed; one inside a directory stays what it is.
    assert!(fs::symlink_metadata(here.join("z.net")).unwrap().is_file());
    assert_eq!(mode("bin/tools/run.sh"), 0o755);
    assert_eq!(mode("copy/deep/er"), 0o500);
    assert_eq!(
        fs::read(here.join("copy/deep/er/x")).unwrap(),
        b"circuits/deep/er/x"
    );
    assert_eq!(
        fs::read_link(here.join("copy/deep/link")).unwrap(),
        PathBuf::from("er/x")
    );
    assert_eq!(
        fs::read_link(here.join("copy/deep/dangling")).unwrap(),
        PathBuf::from("/nowhere")
    );
    assert_eq!(fs::read(here.join("lib/m.lib")).unwrap(), b"m");
    assert!(slot.leave(entered).is_complete());
    assert_eq!(lab.leftovers(), 0);
}

#[test]
fn two_tasks_never_share_a_private_directory() {
    let lab = lab();
    let plan = lab.plan(&Environment::mirrored(MirrorMap::new()));
    let (mut one, mut other) = (
        lab.slot(),
        SlotEnvironments::new(lab.scratch.jobs_path(), "slot4"),
    );
    let (first, second, third) = (
        one.enter(&plan).unwrap(),
        one.enter(&plan).unwrap(),
        other.enter(&plan).unwrap(),
    );
    assert_ne!(first.directory(), second.directory());
    assert_ne!(second.directory(), third.directory());
    // What somebody has put in its place is not used.
    fs::create_dir(lab.scratch.jobs_path().join("slot3-3")).unwrap();
    let error = one.enter(&plan).unwrap_err();
    assert!(matches!(error, EnvironmentError::Scratch(_)), "{error}");
}

#[test]
fn a_persistent_environment_is_mirrored_once_for_each_slot() {
    let lab = lab();
    fs::write(lab.root.join("foo/a"), "first").unwrap();
    let map = lab.map(&[("foo/a", ".")]);
    let plan = lab.plan(&Environment::mirrored(map.clone()).persistent());
    let once = lab.plan(&Environment::mirrored(map));
    let (mut slot, mut other) = (
        lab.slot(),
        SlotEnvironments::new(lab.scratch.jobs_path(), "slot4"),
    );
    let entered = slot.enter(&plan).unwrap();
    let place = entered.directory().unwrap().to_owned();
    fs::write(place.join("left by the task"), "").unwrap();
    assert!(slot.leave(entered).is_complete());

    fs::write(lab.root.join("foo/a"), "changed").unwrap();
    let entered = slot.enter(&plan).unwrap();
    assert_eq!(entered.directory().unwrap(), place);
    assert_eq!(fs::read(place.join("a")).unwrap(), b"first");
    assert!(place.join("left by the task").exists());
    for one in [slot.enter(&once).unwrap(), other.enter(&plan).unwrap()] {
        let elsewhere = one.directory().unwrap();
        assert_ne!(elsewhere, place);
        assert_eq!(fs::read(elsewhere.join("a")).unwrap(), b"changed");
    }
    assert!(slot.leave(entered).is_complete());
    assert!(slot.clear().is_complete());
    assert_eq!(lab.leftovers(), 0);
}

#[test]
fn kept_directories_are_bounded() {
    let lab = lab();
    fs::write(lab.root.join("foo/a"), "").unwrap();
    let mut slot = lab.slot();
    for number in 0..40 {
        let map = lab.map(&[("foo/a", &number.to_string())]);
        let entered = slot
            .enter(&lab.plan(&Environment::mirrored(map).persistent()))
            .unwrap();
        assert!(slot.leave(entered).is_complete());
        assert!(lab.leftovers() <= 16);
    }
    drop(slot);
    assert_eq!(lab.leftovers(), 0);
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let lab = lab();
    fs::write(lab.root.join("foo/a"), "").unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let pipe = lab.root.join("foo/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for (second, expected) in [
        ("foo/none", "names no file"),
        ("foo/none*", "names no file"),
        ("foo/a/below", "Not a directory"),
        ("foo/pipe", "neither a file"),
    ] {
        let mut map = lab.map(&[("foo/a", ".")]);
        // Not all of these can be described by a spawner that sees them.
        match map.mirror(&lab.spawner, lab.root.join(second), ".") {
            Ok(()) => {}
            Err(error) => {
                assert!(error.to_string().contains(expected), "{error}");
                continue;
            }
        }
        let error = lab
            .slot()
            .enter(&lab.plan(&Environment::mirrored(map)))
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(lab.leftovers(), 0);
    }
}

#[test]
fn nothing_is_written_outside_the_private_directory() {
    let lab = lab();
    let mut map = MirrorMap::new();
    for target in ["/etc", "..", "a/../../b"] {
        let error = map
            .mirror(&lab.spawner, lab.root.join("foo"), target)
            .unwrap_err();
        assert!(matches!(error, EnvironmentError::Suffix(_)), "{error}");
    }
    let error = map.mirror(&lab.spawner, "/etc/passwd", ".").unwrap_err();
    assert!(
        matches!(
            error,
            EnvironmentError::Translate(TranslateError::NotMirrored { .. })
        ),
        "{error}"
    );
    // A link that is mirrored first does not lead the next row outside.
    fs::create_dir_all(lab.root.join("foo/tree")).unwrap();
    fs::create_dir_all(lab.root.join("outside")).unwrap();
    symlink(lab.root.join("outside"), lab.root.join("foo/tree/out")).unwrap();
    fs::write(lab.root.join("foo/a"), "").unwrap();
    let map = lab.map(&[("foo/tree", "."), ("foo/a", "tree/out")]);
    let error = lab
        .slot()
        .enter(&lab.plan(&Environment::mirrored(map)))
        .unwrap_err();
    assert!(matches!(error, EnvironmentError::Copy(_)), "{error}");
    assert_eq!(fs::read_dir(lab.root.join("outside")).unwrap().count(), 0);
    assert_eq!(lab.leftovers(), 0);
}

#[test]
fn a_directory_is_not_mirrored_into_itself() {
    let lab = lab();
    let scratch = Scratch::create(lab.root.join("foo/local"), "7kq2").unwrap();
    let map = lab.map(&[("foo", ".")]);
    let plan = lab.plan(&Environment::mirrored(map));
    let error = SlotEnvironments::new(scratch.jobs_path(), "1")
        .enter(&plan)
        .unwrap_err();
    assert!(
        matches!(error, EnvironmentError::Recursive { .. }),
        "{error}"
    );
}

#[test]
fn an_entry_that_is_not_the_spawners_is_not_used() {
    let lab = lab();
    let map = lab.map(&[("foo/*", ".")]);
    let reason = "ws03: it is not this computer's directory".to_owned();
    let host = MirroredStorage::proven([
        (lab.root.join("d1"), Some(reason)),
        (lab.root.join("d2"), None),
    ]);
    let error = Environment::mirrored(map).plan(&host.unwrap()).unwrap_err();
    assert!(error.to_string().contains("ws03: it is not"), "{error}");
}

#[test]
fn a_full_local_storage_is_told_and_cleared() {
    crate::testing::with_own_mounts(|| {
        let lab = lab();
        fs::write(lab.root.join("foo/big"), vec![7; 200_000]).unwrap();
        let small = lab.root.join("small");
        fs::create_dir(&small).unwrap();
        crate::testing::mount_small_memory(&small, "128k");
        let scratch = Scratch::create(&small, "7kq2").unwrap();
        let plan = lab.plan(&Environment::mirrored(lab.map(&[("foo/big", ".")])));
        let mut slot = SlotEnvironments::new(scratch.jobs_path(), "1");
        let error = slot.enter(&plan).unwrap_err();
        assert!(error.is_disk_full(), "{error}");
        assert_eq!(fs::read_dir(scratch.jobs_path()).unwrap().count(), 0);
    });
}
