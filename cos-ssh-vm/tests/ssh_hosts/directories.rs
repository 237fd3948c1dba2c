//! Directories that cannot hold a worker, and workers that cannot run: the next one, or a sentence.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::support::*;
use cos_core::vm::agent::launcher::Channel;
use cos_core::vm::host::{FailureKind, HostNote, Stage};
use cos_ssh_vm::deploy::Workers;
use cos_testlab::{Lab, Mount, Place, TestHost};

fn succeed(lab: &Lab, host: &TestHost, workers: &std::sync::Arc<Workers>) -> Channel {
    run(async {
        let mut channel = launch(&mut launcher(lab, host.name(), workers))
            .await
            .channel();
        converse_with_echo(&mut channel).await;
        channel
    })
}

/// The directory that was skipped, and why.
fn skipped(channel: &Channel) -> Vec<(&Path, &str)> {
    let notes = channel.notes.iter();
    let skips = notes.map(|note| match note {
        HostNote::DirectorySkipped { path, cause } => (Path::new(path), cause.as_str()),
        other => panic!("{other:?}"),
    });
    skips.collect()
}

fn assert_nothing_unfinished(host: &TestHost) {
    let mut files = host.files_under(host.home());
    files.extend(host.files_under(host.runtime()));
    assert_eq!(leftovers(&files), [""; 0].map(Path::new));
}

/// Whether this test can be made here; says so if not.
fn can_mount(lab: &Lab) -> bool {
    if !lab.can_mount() {
        eprintln!("left out: mounts need root");
    }
    lab.can_mount()
}

#[test]
fn a_cache_where_nothing_can_be_executed() {
    let lab = Lab::new().unwrap();
    if !can_mount(&lab) {
        return;
    }
    let host = lab
        .host("ws01")
        .mount(Place::Cache, Mount::NoExec)
        .start()
        .unwrap();
    let workers = workers(ECHO_WORKER);
    let channel = succeed(&lab, &host, &workers);
    let skips = skipped(&channel);
    assert_eq!(skips.len(), 1);
    assert_eq!(skips[0].0, host.cache());
    assert!(skips[0].1.contains("Permission denied"), "{}", skips[0].1);
    drop(channel);
    // The next start finds the worker where it can run, and sends nothing.
    assert_eq!(succeed(&lab, &host, &workers).uploaded, 0);
    assert_nothing_unfinished(&host);
}

#[test]
fn a_worker_whose_directory_has_become_noexec() {
    let lab = Lab::new().unwrap();
    if !can_mount(&lab) {
        return;
    }
    let home = lab.shared_directory("home").unwrap();
    let before = lab.host("ws01").home(&home).start().unwrap();
    let workers = workers(ECHO_WORKER);
    drop(succeed(&lab, &before, &workers));
    let host = lab
        .host("ws02")
        .home(&home)
        .mount(Place::Cache, Mount::NoExec)
        .start()
        .unwrap();
    let channel = succeed(&lab, &host, &workers);
    assert_eq!(skipped(&channel)[0].0, host.cache());
}

#[test]
fn a_home_that_cannot_be_written() {
    let lab = Lab::new().unwrap();
    if !can_mount(&lab) {
        return;
    }
    let host = lab
        .host("ws01")
        .mount(Place::Home, Mount::ReadOnly)
        .start()
        .unwrap();
    let channel = succeed(&lab, &host, &workers(ECHO_WORKER));
    let skips = skipped(&channel);
    assert_eq!(skips[0].0, host.cache());
    assert!(
        skips[0].1.contains("Read-only file system"),
        "{}",
        skips[0].1
    );
    let files = host.files_under(host.runtime());
    let worker = files.iter().find(|file| file.ends_with("cos-worker"));
    assert!(worker.is_some(), "{files:?}");
    for directory in [host.runtime().to_owned(), host.runtime().join("cos")] {
        let mode = fs::metadata(&directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{}", directory.display());
    }
}

#[test]
fn a_corrupt_worker_that_cannot_be_replaced_is_not_run() {
    let lab = Lab::new().unwrap();
    if !can_mount(&lab) {
        return;
    }
    let home = lab.shared_directory("home").unwrap();
    let before = lab.host("ws01").home(&home).start().unwrap();
    let workers = workers(ECHO_WORKER);
    drop(succeed(&lab, &before, &workers));
    let files = before.files_under(home.join(".cache/cos"));
    let trace = lab.directory().join("it-ran");
    let bad = format!("#!/bin/sh\ntouch {}\n{ECHO_WORKER}", trace.display());
    fs::write(&files[0], bad).unwrap();
    let host = lab
        .host("ws02")
        .home(&home)
        .mount(Place::Home, Mount::ReadOnly)
        .start()
        .unwrap();
    let channel = succeed(&lab, &host, &workers);
    assert_eq!(channel.uploaded, ECHO_WORKER.len() as u64);
    assert!(!trace.exists());
}

#[test]
fn a_disk_without_room() {
    let lab = Lab::new().unwrap();
    if !can_mount(&lab) {
        return;
    }
    let small = Mount::Small { bytes: 64 * 1024 };
    let host = lab.host("ws01").mount(Place::Cache, small).start().unwrap();
    let workers = large_worker(300_000);
    let channel = succeed(&lab, &host, &workers);
    let needed = workers
        .iter()
        .next()
        .map(|worker| worker.bytes().len())
        .unwrap_or(0);
    let skips = skipped(&channel);
    assert_eq!(skips[0].0, host.cache());
    let start = format!("the disk is full: {needed} bytes are needed, ");
    assert!(skips[0].1.starts_with(&start), "{}", skips[0].1);
    assert!(skips[0].1.ends_with(" KiB are free"), "{}", skips[0].1);
    assert_eq!(
        channel.uploaded, needed as u64,
        "it was sent to the other directory only"
    );
    assert_nothing_unfinished(&host);
}

#[test]
fn a_quota_that_ends_an_upload() {
    let lab = Lab::new().unwrap();
    // Says so only when it writes to a file; what is to be thrown away it takes.
    let words = "cat: write error: Disk quota exceeded";
    let script = format!(
        "[ $# = 0 ] || exec /bin/cat \"$@\"\n\
         case $(readlink /proc/self/fd/1)$(readlink /proc/$$/fd/1) in\n\
         *{}/*.upload-*) head -c 1000; echo '{words}' >&2; exit 1 ;;\n\
         esac\n\
         exec /bin/cat",
        ".cache"
    );
    let tools = fake(&lab, "cat", &script);
    let host = lab.host("ws01").path_prefix(tools).start().unwrap();
    let workers = large_worker(300_000);
    let channel = succeed(&lab, &host, &workers);
    let skips = skipped(&channel);
    assert_eq!(skips[0].0, host.cache());
    assert!(skips[0].1.starts_with(words), "{}", skips[0].1);
    assert!(skips[0].1.contains("bytes are needed"), "{}", skips[0].1);
    let bytes = workers
        .iter()
        .map(|worker| worker.bytes().len() as u64)
        .sum::<u64>();
    assert_eq!(channel.uploaded, 2 * bytes, "all of it was taken twice");
    assert_nothing_unfinished(&host);
}

#[test]
fn no_room_anywhere() {
    let lab = Lab::new().unwrap();
    let script = "echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n\
                  echo '/dev/sda1 1000 999 1 100% /'";
    let tools = fake(&lab, "df", script);
    let host = lab.host("ws01").path_prefix(tools).start().unwrap();
    let failure = fail(&lab, &host, &workers(ECHO_WORKER));
    assert_eq!(
        failure.headline,
        "ws01 has no directory that a worker can run in"
    );
    assert_eq!(failure.stage, Stage::Probing);
    assert_eq!(failure.kind, FailureKind::Permanent);
    let lines: Vec<&str> = failure.cause.lines().collect();
    assert!(lines.len() >= 4, "{}", failure.cause);
    let needed = ECHO_WORKER.len();
    for line in lines {
        let end = format!(": the disk is full: {needed} bytes are needed, 1 KiB are free");
        assert!(line.ends_with(&end), "{line}");
    }
    assert_nothing_unfinished(&host);
}

#[test]
fn directories_of_somebody_else_are_not_trusted() {
    let lab = Lab::new().unwrap();
    // To the host, everything of this user belongs to another one.
    let tools = fake(
        &lab,
        "id",
        "case $1 in -u) echo 4242 ;; *) exec /usr/bin/id \"$@\" ;; esac",
    );
    let host = lab.host("ws01").path_prefix(tools).start().unwrap();
    let failure = fail(&lab, &host, &workers(ECHO_WORKER));
    for directory in ["/var/tmp/cos-4242", "/tmp/cos-4242"] {
        // They were made by the bootstrap, which then found itself to be another user.
        let _ = fs::remove_dir_all(directory);
    }
    assert_eq!(
        failure.headline,
        "ws01 has no directory that a worker can run in"
    );
    let belongs = failure
        .cause
        .lines()
        .filter(|line| line.contains("belongs to user"));
    assert_eq!(
        belongs.count(),
        failure.cause.lines().count(),
        "{}",
        failure.cause
    );
    assert_eq!(
        host.files_under(host.cache().join("cos")),
        [""; 0].map(PathBuf::from)
    );
}

#[test]
fn a_cache_that_anybody_may_write() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    fs::set_permissions(host.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    let channel = succeed(&lab, &host, &workers(ECHO_WORKER));
    assert_eq!(
        skipped(&channel),
        [(&*host.cache(), "anybody may write there")]
    );
    drop(channel);
    // Unless none may remove what another has made.
    fs::set_permissions(host.cache(), fs::Permissions::from_mode(0o1777)).unwrap();
    assert_eq!(skipped(&succeed(&lab, &host, &workers(ECHO_WORKER))), []);
}

#[test]
fn a_link_in_the_place_of_the_directory() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let elsewhere = lab.shared_directory("elsewhere").unwrap();
    symlink(&elsewhere, host.cache().join("cos")).unwrap();
    let channel = succeed(&lab, &host, &workers(ECHO_WORKER));
    let cause = format!("{}/cos is not a directory", host.cache().display());
    assert_eq!(skipped(&channel), [(&*host.cache(), &*cause)]);
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn a_directory_that_others_may_enter_is_closed() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let directory = host.cache().join("cos");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(skipped(&succeed(&lab, &host, &workers(ECHO_WORKER))), []);
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_directory_that_others_could_write_is_not_trusted_any_more() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let directory = host.cache().join("cos");
    fs::create_dir(&directory).unwrap();
    for mode in [0o777, 0o770, 0o707] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        let channel = succeed(&lab, &host, &workers(ECHO_WORKER));
        let [(path, cause)] = skipped(&channel)[..] else {
            panic!("{:?}", channel.notes);
        };
        assert_eq!(path, host.cache());
        assert!(cause.starts_with("others could write in "), "{cause}");
    }
}
