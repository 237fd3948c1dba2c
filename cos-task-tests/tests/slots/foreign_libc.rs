//! A program that deploys itself to a host with another C library than it was linked with: the host says so, and so do we.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cos_core::vm::host::{FailureKind, HostFailure};
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, SshVmError, StartDirectory};
use cos_testlab::{Lab, this_target};

use crate::host::PROGRAM;

/// What becomes of a host that is sent the program with one text in it exchanged for another of the same length.
fn deployed(from: &[u8], to: &[u8]) -> Arc<HostFailure> {
    assert_eq!(from.len(), to.len());
    let mut program = fs::read(PROGRAM).expect("the program");
    let at = program.windows(from.len()).position(|it| it == from);
    let at = at.expect("a dynamically linked program");
    program[at..at + to.len()].copy_from_slice(to);

    let lab = Lab::new().expect("a lab");
    let _host = lab.host("ws01").start().expect("a host");
    let file = lab.client_home().join("program");
    fs::write(&file, program).expect("a file");
    let text = lab.hosts_toml(&["ws01"]).expect("an inventory");
    let inventory = Inventory::from_text(&text, Path::new("hosts.toml"));
    let connected = SshVm::builder()
        .inventory(inventory.expect("a good inventory"))
        .worker(this_target(), file)
        .directory(StartDirectory::Scratch)
        .connect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match runtime.block_on(connected) {
        Err(SshVmError::NoHostReady { mut failures }) => failures.remove(0),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it runs there"),
    }
}

fn is_explained(failure: &HostFailure, words: &str) {
    assert_eq!(failure.headline, "the worker lacks a library on ws01");
    assert!(failure.cause.contains(words), "{}", failure.cause);
    let cure = failure.cure.as_deref().unwrap_or_default();
    assert!(cure.contains("crt-static"), "{cure}");
    assert_eq!(failure.kind, FailureKind::Permanent);
}

#[test]
fn a_host_without_the_loader() {
    let failure = deployed(b"/ld-linux", b"/ld-other");
    is_explained(&failure, "not found");
}

#[test]
fn a_host_with_an_older_library() {
    let failure = deployed(b"GLIBC_2.34\0", b"GLIBC_2.99\0");
    is_explained(&failure, "GLIBC_2.99");
}
