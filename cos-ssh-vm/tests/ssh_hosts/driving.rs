//! Drives a virtual machine with the real worker on its hosts.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cos_core::ids::{AttemptId, Epoch, HostId, TaskId};
use cos_core::job::{
    Amounts, AttemptResult, CommandJob, Exit, JobDirectory, LinePart, Program, Stream,
};
use cos_core::vm::host::{HostFailure, HostInfo, HostNote};
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_ssh_vm::deploy::Worker;
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, SshVmBuilder, StartDirectory};
use cos_testlab::{Lab, worker_executable};

use crate::support::*;

/// The worker as `cos` has it.
pub(crate) fn real_worker() -> Worker {
    let path = worker_executable().unwrap();
    Worker::from_file(&this_target(), &path).unwrap()
}

/// The inventory of hosts of the lab.
pub(crate) fn inventory<H: AsRef<str>>(lab: &Lab, hosts: &[H]) -> Inventory {
    let text = lab.hosts_toml(hosts).unwrap();
    Inventory::from_text(&text, Path::new("hosts.toml")).unwrap()
}

/// A machine of these hosts, in scratch directories.
pub(crate) fn builder(inventory: &Inventory) -> SshVmBuilder {
    SshVm::builder()
        .inventory(inventory.clone())
        .run("7kq2")
        .own_worker(real_worker())
        .directory(StartDirectory::Scratch)
}

/// The next event that says something.
pub(crate) async fn next(machine: &mut SshVm) -> VmEvent {
    loop {
        let event = poll_fn(|context| machine.poll_event(context));
        let event = tokio::time::timeout(DEADLINE, event)
            .await
            .expect("an event");
        match event.expect("a machine that is not shut down") {
            VmEvent::Stage { .. } | VmEvent::RoundTrip { .. } | VmEvent::Load { .. } => {}
            event => return event,
        }
    }
}

/// Connects a host: its notes until then, and what came of it.
pub(crate) async fn connect(
    machine: &mut SshVm,
    host: HostId,
) -> (Vec<HostNote>, Result<Arc<HostInfo>, Arc<HostFailure>>) {
    machine.submit(VmCommand::Connect { host });
    let mut notes = Vec::new();
    loop {
        match next(machine).await {
            VmEvent::Note { note, .. } => notes.push(note),
            VmEvent::Up { info, .. } => return (notes, Ok(info)),
            VmEvent::Failed { failure, .. } => return (notes, Err(failure)),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) async fn disconnect(machine: &mut SshVm, host: HostId) {
    let grace = Duration::from_secs(1);
    machine.submit(VmCommand::Disconnect { host, grace });
    match next(machine).await {
        VmEvent::Closed { left, .. } => assert_eq!(left, [""; 0]),
        other => panic!("{other:?}"),
    }
}

/// Runs a command line on a host and gives what it printed.
pub(crate) async fn run_line(machine: &mut SshVm, host: HostId, line: &str) -> String {
    start_line(machine, host, line);
    let mut printed = Vec::new();
    loop {
        match next(machine).await {
            VmEvent::Started { .. } => {}
            VmEvent::Output {
                stream: Stream::Stdout,
                bytes,
                ..
            } => printed.extend_from_slice(&bytes),
            VmEvent::Ended {
                result: AttemptResult::Command(end),
                ..
            } => {
                assert_eq!(end.exit, Exit::Code(0), "{line}");
                return String::from_utf8(printed).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn start_line(machine: &mut SshVm, host: HostId, line: &str) {
    let job = CommandJob {
        sequence: 1,
        program: Program::Shell(vec![LinePart::Text(line.as_bytes().to_vec())]),
        directory: JobDirectory::Run,
        environment: Vec::new(),
        output_limit: 1 << 20,
        staging: None,
    };
    machine.submit(VmCommand::Start {
        host,
        attempt: AttemptId {
            task: TaskId(1),
            epoch: Epoch(1),
        },
        try_number: 1,
        amounts: Amounts::cores(1),
        work: Arc::new(job.into()),
    });
}

/// The only host, or the first.
pub(crate) const FIRST: HostId = HostId(0);
