//! Workers that cannot run on a host: a sentence each.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::*;
use cos_core::vm::host::{FailureKind, Stage};
use cos_ssh_vm::deploy::{Worker, Workers};
use cos_testlab::Lab;

#[test]
fn a_host_of_another_architecture() {
    let lab = Lab::new().unwrap();
    let tools = fake(
        &lab,
        "uname",
        "case $1 in -m) echo sparc64 ;; *) exec /usr/bin/uname \"$@\" ;; esac",
    );
    let host = lab.host("pi4").path_prefix(tools).start().unwrap();
    let workers = workers(ECHO_WORKER);
    let launched = run(launch(&mut launcher(&lab, "pi4", &workers)));
    assert_eq!(launched.stages, [Stage::Connecting, Stage::Probing]);
    let failure = launched.failure();
    // The launcher was told to call the host so.
    assert_eq!(failure.headline, "no worker for ws01 (sparc64 Linux)");
    assert_eq!(failure.cause, format!("have: {}", this_target()));
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!(host.files_under(host.home()), [""; 0].map(PathBuf::from));

    // Its owner knows better, or names a target that there is no worker for.
    let mut knows = launcher(&lab, "pi4", &workers).target(Some(this_target()));
    run(async { drop(launch(&mut knows).await.channel()) });
    let target = Some("sparc64-unknown-linux-gnu".to_owned());
    let mut other = launcher(&lab, "pi4", &workers).target(target);
    let failure = run(launch(&mut other)).failure();
    assert_eq!(
        failure.headline,
        "no worker for ws01 (target sparc64-unknown-linux-gnu)"
    );
}

#[test]
fn a_host_of_another_system() {
    let lab = Lab::new().unwrap();
    let tools = fake(
        &lab,
        "uname",
        "case $1 in -s) echo Darwin ;; *) exec /usr/bin/uname \"$@\" ;; esac",
    );
    let host = lab.host("mac").path_prefix(tools).start().unwrap();
    let failure = fail(&lab, &host, &workers(ECHO_WORKER));
    let machine = std::env::consts::ARCH;
    assert_eq!(
        failure.headline,
        format!("no worker for ws01 ({machine} Darwin)")
    );
    assert!(failure.cure.is_some_and(|cure| cure.contains("Linux only")));
}

#[test]
fn a_worker_that_lacks_a_library() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws03").start().unwrap();
    let words = "cos-worker: error while loading shared libraries: libspice.so.4: cannot open shared object file";
    let script: &str = Box::leak(format!("#!/bin/sh\necho '{words}' >&2\nexit 127\n").into());
    let failure = fail(&lab, &host, &workers(script));
    assert_eq!(failure.headline, "the worker lacks a library on ws01");
    assert_eq!(failure.cause, format!("{words} (exit status 127)"));
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert_eq!(
        host.files_under(host.cache().join("cos")),
        [""; 0].map(PathBuf::from)
    );
}

#[test]
fn a_worker_that_is_no_program_of_this_machine() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws03").start().unwrap();
    let mut workers = Workers::new();
    workers.add(Worker::embedded(
        &this_target(),
        b"\x7fELF\x02\x01\x01, and no more",
    ));
    let failure = fail(&lab, &host, &workers.into());
    let machine = std::env::consts::ARCH;
    let expected = format!("ws01 is {machine}, the worker is for {}", this_target());
    assert_eq!(failure.headline, expected, "{failure:?}");
    assert_eq!(failure.kind, FailureKind::Permanent);
}

#[test]
fn a_host_without_a_checksum_program() {
    let lab = Lab::new().unwrap();
    // Only what the bootstrap needs before it looks for one.
    let tools = lab.shared_directory("tools").unwrap();
    for tool in ["id", "uname", "dd"] {
        symlink(Path::new("/usr/bin").join(tool), tools.join(tool)).unwrap();
    }
    let path = tools.display().to_string();
    // The login script needs more than that, so the rc file takes it away.
    let host = lab
        .host("ws01")
        .shell(cos_testlab::Shell::Bash)
        .start()
        .unwrap();
    fs::write(host.home().join(".bashrc"), format!("PATH={path}\n")).unwrap();
    let failure = fail(&lab, &host, &workers(ECHO_WORKER));
    assert_eq!(
        failure.headline,
        "ws01 has no program to verify the worker with"
    );
    assert_eq!(failure.kind, FailureKind::Permanent);
}
