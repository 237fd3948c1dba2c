//! Files that appear whole or not at all.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn fixture() -> (tempfile::TempDir, File) {
    let guard = tempfile::tempdir().unwrap();
    fs::create_dir(guard.path().join("root")).unwrap();
    let root = File::open(guard.path().join("root")).unwrap();
    (guard, root)
}

fn suffix(text: &str) -> Suffix {
    Suffix::of(text).unwrap()
}

fn names(directory: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_seen_when_it_is_whole() {
    let (guard, root) = fixture();
    let place = guard.path().join("root/a/b");
    let mut landing = Landing::begin(&root, &suffix("a/b/file"), 0o750).unwrap();
    landing.write(b"one").unwrap();
    assert!(is_temporary(&names(&place)[0]));
    landing.write(b"two").unwrap();
    landing.finish().unwrap();
    assert_eq!(names(&place), ["file"]);
    assert_eq!(fs::read(place.join("file")).unwrap(), b"onetwo");
    let mode = fs::metadata(place.join("file"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o750);
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let (guard, root) = fixture();
    fs::write(guard.path().join("root/file"), "old").unwrap();
    let mut landing = Landing::begin(&root, &suffix("file"), 0o644).unwrap();
    landing.write(b"new").unwrap();
    drop(landing);
    assert_eq!(names(&guard.path().join("root")), ["file"]);
    assert_eq!(fs::read(guard.path().join("root/file")).unwrap(), b"old");
}

#[test]
fn links_never_lead_outside() {
    let (guard, root) = fixture();
    let outside = guard.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "kept").unwrap();
    for (link, target) in [
        ("absolute", outside.clone()),
        ("climbing", PathBuf::from("../outside")),
    ] {
        symlink(target, guard.path().join("root").join(link)).unwrap();
        for below in ["new", "victim", "deep/new"] {
            let path = suffix(&format!("{link}/{below}"));
            let error = Landing::begin(&root, &path, 0o644).unwrap_err();
            assert!(
                matches!(
                    error,
                    LandingError::Escapes { .. } | LandingError::Io { .. }
                ),
                "{error}"
            );
        }
    }
    // A link in the last place is replaced, whatever it points to.
    symlink(outside.join("victim"), guard.path().join("root/last")).unwrap();
    let mut landing = Landing::begin(&root, &suffix("last"), 0o644).unwrap();
    landing.write(b"inside").unwrap();
    landing.finish().unwrap();
    assert_eq!(fs::read(guard.path().join("root/last")).unwrap(), b"inside");
    assert!(
        fs::symlink_metadata(guard.path().join("root/last"))
            .unwrap()
            .is_file()
    );
    assert_eq!(names(&outside), ["victim"]);
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"kept");
}

#[test]
fn links_inside_are_followed() {
    let (guard, root) = fixture();
    fs::create_dir(guard.path().join("root/real")).unwrap();
    symlink("real", guard.path().join("root/link")).unwrap();
    let landing = Landing::begin(&root, &suffix("link/sub/file"), 0o600).unwrap();
    landing.finish().unwrap();
    assert!(guard.path().join("root/real/sub/file").is_file());
}

#[test]
fn a_directory_is_not_replaced() {
    let (guard, root) = fixture();
    fs::create_dir(guard.path().join("root/place")).unwrap();
    let landing = Landing::begin(&root, &suffix("place"), 0o644).unwrap();
    let error = landing.finish().unwrap_err();
    assert!(
        matches!(error, LandingError::IsADirectory { .. }),
        "{error}"
    );
    assert_eq!(names(&guard.path().join("root")), ["place"]);
    let error = Landing::begin(&root, &suffix(""), 0o644).unwrap_err();
    assert!(
        matches!(error, LandingError::IsADirectory { .. }),
        "{error}"
    );
    fs::write(guard.path().join("root/file"), "").unwrap();
    let error = Landing::begin(&root, &suffix("file/below"), 0o644).unwrap_err();
    assert!(matches!(error, LandingError::Io { .. }), "{error}");
}

#[test]
fn names_may_hold_any_byte() {
    let (guard, root) = fixture();
    let name = OsStr::from_bytes(b"a\n\xff -\x1b[2J");
    let path = Suffix::of(Path::new("deep").join(name)).unwrap();
    Landing::begin(&root, &path, 0o644)
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(names(&guard.path().join("root/deep")), [name]);
}

#[test]
fn a_full_disk_is_an_error_of_its_own() {
    crate::testing::with_own_mounts(|| {
        let (guard, _) = fixture();
        let small = guard.path().join("root");
        crate::testing::mount_small_memory(&small, "64k");
        let root = File::open(&small).unwrap();
        let mut landing = Landing::begin(&root, &suffix("big"), 0o644).unwrap();
        let mut write = || (0..64).try_for_each(|_| landing.write(&[7; 4096]));
        let error = write().unwrap_err();
        assert!(matches!(error, LandingError::DiskFull { .. }), "{error}");
        assert!(
            error.to_string().starts_with("big: No space left"),
            "{error}"
        );
        drop(landing);
        assert_eq!(names(&small), Vec::<OsString>::new());
    });
}
