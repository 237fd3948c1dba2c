//! Translation by hand-made lists; generated ones are in `tests/translation.rs`.

use std::os::unix::fs::symlink;

use super::*;

/// A directory with the given directories in it, and its canonical path.
fn tree(directories: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(guard.path()).unwrap();
    for directory in directories {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    (guard, root)
}

fn storage(root: &Path, entries: &[&str]) -> MirroredStorage {
    MirroredStorage::new(entries.iter().map(|entry| root.join(entry))).unwrap()
}

fn abstract_of(index: u16, suffix: &str) -> AbstractPath {
    AbstractPath::new(index, suffix).unwrap()
}

/// PyOPUS's example: `/foo:/bar` on one host are `/d1:/d2` on the other.
#[test]
fn two_hosts_with_different_roots() {
    let (_guard, root) = tree(&["foo", "bar", "d1", "d2"]);
    let here = storage(&root, &["foo", "bar"]);
    let there = storage(&root, &["d1", "d2"]);
    for (path_here, path_there, sent) in [
        ("foo", "d1", abstract_of(0, "")),
        ("foo/x", "d1/x", abstract_of(0, "x")),
        ("foo/sub/x.net", "d1/sub/x.net", abstract_of(0, "sub/x.net")),
        ("bar/x", "d2/x", abstract_of(1, "x")),
        ("bar", "d2", abstract_of(1, "")),
    ] {
        let (path_here, path_there) = (root.join(path_here), root.join(path_there));
        assert_eq!(here.to_abstract(&path_here).unwrap(), sent);
        assert_eq!(there.to_actual(&sent).unwrap(), path_there);
        assert_eq!(there.to_abstract(&path_there).unwrap(), sent);
        assert_eq!(here.to_actual(&sent).unwrap(), path_here);
    }
}

#[test]
fn the_longest_entry_holds_by_component() {
    let (_guard, root) = tree(&["foo/inner", "foobar"]);
    let both = storage(&root, &["foo", "foo/inner", "foo"]);
    assert_eq!(
        both.to_abstract(root.join("foo/inner/x")).unwrap(),
        abstract_of(1, "x")
    );
    assert_eq!(
        both.to_abstract(root.join("foo/x")).unwrap(),
        abstract_of(0, "x")
    );
    let error = both
        .to_abstract(root.join("foobar/x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("foobar/x is not in mirrored storage"),
        "{error}"
    );
    assert!(
        error.contains(&format!("{}/foo/inner", root.display())),
        "{error}"
    );
}

#[test]
fn the_whole_file_system_can_be_one_entry() {
    let storage = MirroredStorage::new(["/"]).unwrap();
    assert_eq!(storage.to_abstract("/usr").unwrap(), abstract_of(0, "usr"));
    assert_eq!(storage.to_abstract("/").unwrap(), abstract_of(0, ""));
    assert_eq!(
        storage.to_actual(&abstract_of(0, "usr")).unwrap(),
        Path::new("/usr")
    );
    assert_eq!(
        storage.to_actual(&abstract_of(0, "")).unwrap(),
        Path::new("/")
    );
}

#[test]
fn links_to_entries_and_out_of_them() {
    let (_guard, root) = tree(&["disk/home", "other"]);
    symlink("disk/home", root.join("home")).unwrap();
    symlink(root.join("other"), root.join("disk/home/out")).unwrap();
    let storage = storage(&root, &["home"]);
    assert_eq!(
        storage.to_abstract(root.join("home/a")).unwrap(),
        abstract_of(0, "a")
    );
    assert_eq!(
        storage.to_abstract(root.join("disk/home/a")).unwrap(),
        abstract_of(0, "a")
    );
    assert_eq!(
        storage.to_actual(&abstract_of(0, "a")).unwrap(),
        root.join("disk/home/a")
    );
    let error = storage
        .to_abstract(root.join("home/out/x"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("(really "), "{error}");
}

#[test]
fn an_index_past_the_list_names_both_lengths() {
    let (_guard, root) = tree(&["a", "b"]);
    let error = storage(&root, &["a", "b"])
        .to_actual(&abstract_of(4, "x"))
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("at least 5 entries") && text.contains("it has 2 ("),
        "{text}"
    );
}

#[test]
fn a_missing_entry_keeps_its_place() {
    let (_guard, root) = tree(&["b"]);
    fs::write(root.join("file"), "").unwrap();
    let storage = storage(&root, &["missing", "file", "b"]);
    assert_eq!(
        storage.to_abstract(root.join("b/x")).unwrap(),
        abstract_of(2, "x")
    );
    let unusable: Vec<bool> = storage
        .entries()
        .iter()
        .map(|e| e.root().is_err())
        .collect();
    assert_eq!(unusable, [true, true, false]);
    let error = storage
        .to_actual(&abstract_of(0, "x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("missing, cannot be used here: No such file"),
        "{error}"
    );
    let error = storage.to_abstract("/").unwrap_err().to_string();
    assert!(
        error.contains("missing (No such file or directory"),
        "{error}"
    );
}

#[test]
fn untranslated_paths_pass() {
    let storage = MirroredStorage::new::<[&str; 0]>([]).unwrap();
    let path = AbstractPath::untranslated("../any//thing/");
    assert_eq!(
        storage.to_actual(&path).unwrap().as_os_str(),
        "../any//thing/"
    );
    let error = storage.to_abstract("/").unwrap_err().to_string();
    assert!(error.contains("(no entries)"), "{error}");
}

#[test]
fn opening_stays_inside_the_entry() {
    let (_guard, root) = tree(&["d1/sub", "d2"]);
    fs::write(root.join("d1/sub/x"), "").unwrap();
    fs::write(root.join("d2/secret"), "").unwrap();
    symlink("../d2", root.join("d1/out")).unwrap();
    symlink("sub", root.join("d1/in")).unwrap();
    let storage = storage(&root, &["d1"]);
    let open = |path: &AbstractPath| storage.open(path, OFlags::RDONLY, Mode::empty());
    open(&abstract_of(0, "sub/x")).unwrap();
    open(&abstract_of(0, "in/x")).unwrap();
    let error = open(&abstract_of(0, "out/secret")).unwrap_err();
    assert!(
        matches!(error, OpenError::Beneath(BeneathError::Escapes { .. })),
        "{error}"
    );
    let error = open(&AbstractPath::untranslated(root.join("d1/sub/x"))).unwrap_err();
    assert!(matches!(error, OpenError::Unconfined { .. }), "{error}");
    let error = open(&abstract_of(1, "")).unwrap_err();
    assert!(matches!(error, OpenError::Translate(_)), "{error}");
}

#[test]
fn lists_are_parsed_as_the_variable_gives_them() {
    let roots = |list: &str| -> Vec<PathBuf> {
        let storage = MirroredStorage::parse(OsStr::new(list)).unwrap();
        storage
            .entries()
            .iter()
            .map(|entry| entry.configured().to_owned())
            .collect()
    };
    let home = crate::home_directory().unwrap();
    assert_eq!(
        roots("/usr:~:~root/x"),
        [Path::new("/usr"), &home, Path::new("/root/x")]
    );
    assert!(roots("").is_empty());
    let error = |list: &str| MirroredStorage::parse(OsStr::new(list)).unwrap_err();
    assert_eq!(error("/usr::/etc"), EntryListError::Empty { position: 1 });
    assert_eq!(error("/usr:"), EntryListError::Empty { position: 1 });
    assert_eq!(
        error("/usr:data"),
        EntryListError::Relative {
            position: 1,
            entry: "data".into()
        }
    );
    let unknown = error("~no-such-user-here").to_string();
    assert!(
        unknown.contains("entry 0") && unknown.contains("no-such-user"),
        "{unknown}"
    );
}

#[test]
fn more_entries_than_indices_are_refused() {
    let storage = MirroredStorage::new(vec!["/nonexistent"; 65_536]).unwrap();
    assert!(storage.to_actual(&abstract_of(65_535, "")).is_err());
    let error = MirroredStorage::new(vec!["/nonexistent"; 65_537]).unwrap_err();
    assert_eq!(error, EntryListError::TooMany { count: 65_537 });
}

#[test]
fn an_entry_that_was_not_proven_is_never_used() {
    let (_guard, root) = tree(&["d1", "d2"]);
    let reason = "this is not the client's directory".to_owned();
    let host = MirroredStorage::proven([(root.join("d1"), Some(reason)), (root.join("d2"), None)])
        .unwrap();
    assert_eq!(
        host.to_actual(&abstract_of(1, "x")).unwrap(),
        root.join("d2/x")
    );
    let error = host.to_actual(&abstract_of(0, "x")).unwrap_err();
    assert!(error.to_string().contains("not the client's"), "{error}");
    let error = host.to_abstract(root.join("d1/x")).unwrap_err();
    assert!(
        matches!(error, TranslateError::NotMirrored { .. }),
        "{error}"
    );
}
