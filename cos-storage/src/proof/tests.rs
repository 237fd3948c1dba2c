//! Proofs that hold, and what must not pass for one.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::plant::plant_in;
use super::*;
use crate::testing::{bind, mount_memory, with_own_mounts};
use crate::{MirroredStorage, PlantError};

fn top() -> (tempfile::TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(guard.path()).unwrap();
    (guard, path)
}

fn make(root: &Path, directories: &[&str]) {
    for directory in directories {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
}

/// The reason of a verdict that is not a proof; final or not depends on where /tmp lies.
fn refused(verdict: Verdict) -> String {
    verdict.reason().expect("not proven").to_owned()
}

#[test]
fn a_directory_is_proven_under_every_path_to_it() {
    let (_guard, top) = top();
    make(&top, &["home/ana", "copy/ana"]);
    symlink("home", top.join("net")).unwrap();
    let planted = PlantedToken::plant(top.join("home/ana"), top.join("home")).unwrap();
    assert_eq!(planted.token().check(top.join("home/ana")), Verdict::Proven);
    assert_eq!(planted.token().check(top.join("net/ana")), Verdict::Proven);
    let reason = refused(planted.token().check(top.join("copy/ana")));
    assert!(
        reason.contains("copy/ana") && reason.contains("not there"),
        "{reason}"
    );
}

#[test]
fn the_file_is_private_and_goes_away() {
    let (_guard, top) = top();
    let planted = PlantedToken::plant(&top, &top).unwrap();
    let path = planted.path();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        path.file_name()
            .unwrap()
            .as_bytes()
            .starts_with(NAME_PREFIX.as_bytes())
    );
    let token = planted.token().clone();
    planted.remove().unwrap();
    assert!(!path.exists());
    assert!(!token.check(&top).is_proven());

    let planted = PlantedToken::plant(&top, &top).unwrap();
    fs::remove_file(planted.path()).unwrap();
    planted.remove().unwrap();

    let planted = PlantedToken::plant(&top, &top).unwrap();
    planted.put_back().unwrap();
    planted.take_away().unwrap();
    assert!(!planted.token().check(&top).is_proven());
    planted.take_away().unwrap();
    planted.put_back().unwrap();
    assert_eq!(planted.token().check(&top), Verdict::Proven);
    drop(planted);
    drop(PlantedToken::plant(&top, &top).unwrap());
    assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
}

#[test]
fn a_directory_that_is_missing_or_no_directory() {
    let (_guard, top) = top();
    let planted = PlantedToken::plant(&top, &top).unwrap();
    let reason = refused(planted.token().check(top.join("a\nb")));
    assert!(reason.ends_with("a\\nb does not exist"), "{reason}");
    fs::write(top.join("file"), "").unwrap();
    let reason = refused(planted.token().check(top.join("file")));
    assert!(reason.contains("cannot be entered"), "{reason}");
    symlink("nowhere", top.join("dangling")).unwrap();
    assert!(!planted.token().check(top.join("dangling")).is_proven());
}

#[test]
fn absence_on_a_local_disk_is_final() {
    let (_guard, top) = top();
    let planted = PlantedToken::plant(&top, &top).unwrap();
    for path in ["/proc/self", "/proc/no-such-directory/x"] {
        let verdict = planted.token().check(path);
        assert!(matches!(verdict, Verdict::NotShared { .. }), "{verdict:?}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_proven_from_above() {
    let (_guard, top) = top();
    make(&top, &["root/read_only", "copy/read_only"]);
    let directory = top.join("root/read_only");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o555)).unwrap();
    let planted = PlantedToken::plant(&directory, top.join("root")).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert_eq!(planted.path().parent(), directory.parent());
    }
    assert_eq!(planted.token().check(&directory), Verdict::Proven);
    assert!(
        !planted
            .token()
            .check(top.join("copy/read_only"))
            .is_proven()
    );
}

#[test]
fn what_only_looks_like_the_token_is_refused() {
    let (_guard, top) = top();
    make(&top, &["here", "there"]);
    let planted = PlantedToken::plant(top.join("here"), &top).unwrap();
    let (token, forged) = (
        planted.token(),
        top.join("there").join(planted.token().file_name()),
    );
    let check = || refused(token.check(top.join("there")));
    let content = token.content();

    for wrong in [
        String::new(),
        NOTE.into(),
        content[..content.len() - 1].into(),
        content.to_uppercase(),
    ] {
        fs::write(&forged, wrong).unwrap();
        assert!(check().contains("forged"));
    }
    fs::remove_file(&forged).unwrap();
    symlink(planted.path(), &forged).unwrap();
    assert!(check().contains("cannot be read"));
    fs::remove_file(&forged).unwrap();
    // A pipe without a writer would block a careless reader for ever.
    rustix::fs::mkfifoat(rustix::fs::CWD, &forged, rustix::fs::Mode::RWXU).unwrap();
    assert!(check().contains("forged"));
    fs::remove_file(&forged).unwrap();
    fs::create_dir(&forged).unwrap();
    assert!(check().contains("forged"));
}

#[test]
fn a_token_above_proves_what_is_below() {
    let (_guard, top) = top();
    make(&top, &["pdk/v1/models", "pdk/v2/models", "copy/v1/models"]);
    let planted = plant_in(&top.join("pdk"), &top.join("pdk/v1/models"), None).unwrap();
    assert_eq!(planted.path().parent(), Some(&*top.join("pdk")));
    let token = planted.token();
    assert_eq!(token.check(top.join("pdk/v1/models")), Verdict::Proven);

    // The same depth below the same place, but not the same name.
    assert!(!token.check(top.join("pdk/v2/models")).is_proven());
    assert!(!token.check(top.join("pdk/v1")).is_proven());
    assert!(!token.check(top.join("copy/v1/models")).is_proven());
    // The right names, but a link makes them another directory.
    symlink("../../copy/v1/models", top.join("pdk/v1/link")).unwrap();
    let linked = plant_in(&top.join("pdk"), &top.join("pdk/v1/models"), None).unwrap();
    fs::rename(top.join("pdk/v1/models"), top.join("pdk/v1/gone")).unwrap();
    fs::rename(top.join("pdk/v1/link"), top.join("pdk/v1/models")).unwrap();
    assert!(!linked.token().check(top.join("pdk/v1/models")).is_proven());
}

#[test]
fn a_token_beside_proves_by_the_common_ancestor() {
    let (_guard, top) = top();
    make(
        &top,
        &["home/ana", "home/bob/data", "copy/bob/data", "copy/ana"],
    );
    let planted = plant_in(&top.join("home/ana"), &top.join("home/bob/data"), None).unwrap();
    assert_eq!(
        planted.token().check(top.join("home/bob/data")),
        Verdict::Proven
    );
    assert!(!planted.token().check(top.join("copy/bob/data")).is_proven());
    // A link on the way to the token proves nothing.
    fs::remove_dir(top.join("copy/ana")).unwrap();
    symlink("../home/ana", top.join("copy/ana")).unwrap();
    let reason = refused(planted.token().check(top.join("copy/bob/data")));
    assert!(reason.contains("around"), "{reason}");
}

#[test]
fn another_mount_is_not_proven_by_a_token_outside_it() {
    let (_guard, top) = top();
    let error = plant_in(&top, Path::new("/proc"), None).unwrap_err();
    assert_eq!(error.to_string(), "not in the same mount");

    // A client that did not look sends such a token: the host looks.
    let suffix = |path: &Path| Suffix::new(path.as_os_str().as_bytes()).unwrap();
    let to_place = suffix(top.strip_prefix("/").unwrap());
    let token = Token::random(suffix(Path::new("proc")), to_place).unwrap();
    fs::write(top.join(token.file_name()), token.content()).unwrap();
    let reason = refused(token.check("/proc"));
    assert!(reason.contains("another mount"), "{reason}");
}

#[test]
fn what_cannot_be_proven_is_said() {
    let error = PlantedToken::plant("/proc", "/proc").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/proc cannot be proven to be shared"),
        "{error}"
    );
    let (_guard, top) = top();
    make(&top, &["a", "ab"]);
    let error = PlantedToken::plant(top.join("ab"), top.join("a")).unwrap_err();
    assert!(matches!(error, PlantError::OutsideRoot { .. }), "{error}");
    let error = PlantedToken::plant(top.join("missing"), &top).unwrap_err();
    assert!(matches!(error, PlantError::Directory { .. }), "{error}");
}

#[test]
fn tokens_travel_and_keep_their_secret() {
    let (_guard, top) = top();
    make(&top, &["a"]);
    let odd = top.join(OsStr::from_bytes(b"a/\xff\n"));
    fs::create_dir(&odd).unwrap();
    let planted = plant_in(&top.join("a"), &odd, None).unwrap();
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(planted.token(), config).unwrap();
    let (token, _): (Token, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!(token.check(&odd), Verdict::Proven);
    let debug = format!("{token:?}");
    assert!(!debug.contains(&hexadecimal(&token.secret)), "{debug}");

    let mut climbing = bytes.clone();
    assert_eq!(&climbing[..3], b"\x02\xff\n");
    climbing[1..3].copy_from_slice(b"..");
    let decoded = bincode::serde::decode_from_slice::<Token, _>(&climbing, config);
    assert!(decoded.unwrap_err().to_string().contains("`..`"));
}

#[test]
fn tokens_are_new_each_time() {
    let (_guard, top) = top();
    let one = PlantedToken::plant(&top, &top).unwrap();
    let other = PlantedToken::plant(&top, &top).unwrap();
    assert_ne!(one.token().name, other.token().name);
    assert_ne!(one.token().secret, other.token().secret);
}

/// One tree under two names, as two hosts mount it, and a third directory that only looks like it.
#[test]
fn hosts_that_mount_one_tree_at_different_places() {
    let (_guard, top) = top();
    make(
        &top,
        &[
            "server/foo",
            "server/bar/sub",
            "foo",
            "bar",
            "d1",
            "d2",
            "e1",
            "e2/sub",
        ],
    );
    with_own_mounts(|| {
        for (exported, mounted) in [("foo", "foo"), ("bar", "bar"), ("foo", "d1"), ("bar", "d2")] {
            bind(&top.join("server").join(exported), &top.join(mounted));
        }
        let storage =
            |entries: [&str; 2]| MirroredStorage::new(entries.map(|e| top.join(e))).unwrap();
        let (here, there, alien) = (
            storage(["foo", "bar"]),
            storage(["d1", "d2"]),
            storage(["e1", "e2"]),
        );
        for directory in ["foo", "bar", "bar/sub"] {
            let path = here.to_abstract(top.join(directory)).unwrap();
            let root = here.root(path.index().unwrap()).unwrap();
            let planted = PlantedToken::plant(top.join(directory), root).unwrap();
            let check =
                |host: &MirroredStorage| planted.token().check(host.to_actual(&path).unwrap());
            assert_eq!(check(&there), Verdict::Proven);
            assert!(!check(&alien).is_proven());

            fs::write(top.join(directory).join("input"), directory).unwrap();
            let input = there.to_actual(&path.join("input").unwrap()).unwrap();
            assert_eq!(fs::read_to_string(input).unwrap(), directory);
        }
        // A token above or beside holds in a bind mount as well, where the mount is one.
        let planted = plant_in(&top.join("bar"), &top.join("bar/sub"), None).unwrap();
        assert_eq!(planted.token().check(top.join("d2/sub")), Verdict::Proven);
    });
}

#[test]
fn a_mount_below_a_proven_directory_is_not_proven_with_it() {
    let (_guard, top) = top();
    make(&top, &["foo/sub/deep", "d1"]);
    with_own_mounts(|| {
        bind(&top.join("foo"), &top.join("d1"));
        let sub = plant_in(&top.join("foo"), &top.join("foo/sub"), None).unwrap();
        let deep = plant_in(&top.join("foo"), &top.join("foo/sub/deep"), None).unwrap();
        assert_eq!(sub.token().check(top.join("d1/sub")), Verdict::Proven);
        mount_memory(&top.join("d1/sub"));
        make(&top, &["d1/sub/deep"]);
        for (token, path) in [(sub.token(), "d1/sub"), (deep.token(), "d1/sub/deep")] {
            let reason = refused(token.check(top.join(path)));
            assert!(reason.contains("another mount"), "{reason}");
        }
        // Nor is it if the client has such a mount, which its own check notices.
        let error = plant_in(&top.join("d1"), &top.join("d1/sub/deep"), None).unwrap_err();
        assert_eq!(error.to_string(), "not in the same mount");
    });
}

/// As if the process that wrote a token had been killed: its start is one that no living process has.
fn abandon(planted: PlantedToken) -> PathBuf {
    let path = planted.path();
    let text = fs::read_to_string(&path).unwrap();
    planted.remove().unwrap();
    let started = text.lines().last().unwrap();
    assert!(started.starts_with("started "), "{text}");
    fs::write(&path, text.replace(started, "started 1")).unwrap();
    path
}

#[test]
fn tokens_of_killed_clients_go_and_those_of_living_ones_stay() {
    let (_guard, top) = top();
    let abandoned = abandon(PlantedToken::plant(&top, &top).unwrap());
    // What only has such a name is somebody else's.
    let foreign = top.join(".cos-token-notes");
    fs::write(&foreign, "mine").unwrap();
    symlink(&foreign, top.join(".cos-token-link")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        top.join(".cos-token-pipe"),
        rustix::fs::Mode::RWXU,
    )
    .unwrap();
    let elsewhere = abandon(PlantedToken::plant(&top, &top).unwrap());
    let text = fs::read_to_string(&elsewhere).unwrap();
    fs::write(&elsewhere, text.replace("node ", "node another-")).unwrap();

    let living = PlantedToken::plant(&top, &top).unwrap();
    assert!(!abandoned.exists());
    assert!(elsewhere.exists() && foreign.exists());
    let other = PlantedToken::plant(&top, &top).unwrap();
    assert!(living.path().exists() && other.path().exists());
    assert_eq!(fs::read_dir(&top).unwrap().count(), 6);
    assert_eq!(living.token().check(&top), Verdict::Proven);
}
