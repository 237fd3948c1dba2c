//! Both ends together: an `AgentVm` and the real worker on this machine.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use cos_core::ids::{AttemptId, Epoch, HostId, TaskId};
use cos_core::job::{Amounts, AttemptResult, CommandJob, Exit, Stream};
use cos_core::vm::agent::{AgentHost, AgentVm};
use cos_core::vm::host::{HostLoss, HostSpec};
use cos_core::vm::local::{LocalLauncher, local_preparation};
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_core::wire::message::SlotCount;

const HOST: HostId = HostId(0);

/// How long anything may take before a test fails (30 s): far longer than it does take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Machine {
    machine: AgentVm,
    runtime: tokio::runtime::Runtime,
    tasks: u64,
}

impl Machine {
    fn up(run: &str) -> Self {
        let mut preparation = local_preparation(run, SlotCount::Number(2)).expect("a directory");
        preparation.lease = PATIENCE;
        let host = AgentHost {
            spec: HostSpec {
                name: "local".to_owned(),
                tags: Vec::new(),
                max_load: None,
            },
            launcher: Box::new(LocalLauncher::executable(env!("CARGO_BIN_EXE_cos-worker"))),
            preparation,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut machine = Self {
            machine: AgentVm::new(vec![host]).expect("a machine"),
            runtime,
            tasks: 0,
        };
        machine.machine.submit(VmCommand::Connect { host: HOST });
        machine.wait(|event| match event {
            VmEvent::Up { .. } => Some(()),
            VmEvent::Failed { failure, .. } => panic!("{failure:?}"),
            _ => None,
        });
        machine
    }

    fn start(&mut self, line: Vec<u8>) -> AttemptId {
        self.tasks += 1;
        let attempt = AttemptId {
            task: TaskId(self.tasks),
            epoch: Epoch::FIRST,
        };
        self.machine.submit(VmCommand::Start {
            host: HOST,
            attempt,
            try_number: 1,
            amounts: Amounts::cores(1),
            work: Arc::new(CommandJob::shell(self.tasks, line).into()),
        });
        attempt
    }

    /// Runs a line and gives how it ended and what it wrote.
    fn run(&mut self, line: impl Into<Vec<u8>>) -> (Exit, Vec<u8>, Vec<u8>) {
        let wanted = self.start(line.into());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self.wait(|event| match event {
            VmEvent::Output {
                attempt,
                stream,
                bytes,
                ..
            } if attempt == wanted => {
                match stream {
                    Stream::Stdout => stdout.extend_from_slice(&bytes),
                    Stream::Stderr => stderr.extend_from_slice(&bytes),
                }
                None
            }
            VmEvent::Ended {
                attempt, result, ..
            } if attempt == wanted => match result {
                AttemptResult::Command(end) => Some(end.exit),
                other => panic!("{other:?}"),
            },
            VmEvent::Lost { loss, .. } => panic!("{loss}"),
            _ => None,
        });
        (exit, stdout, stderr)
    }

    fn wait<T>(&mut self, mut pick: impl FnMut(VmEvent) -> Option<T>) -> T {
        let machine = &mut self.machine;
        let waiting = async {
            loop {
                let event = poll_fn(|context| machine.poll_event(context)).await;
                if let Some(found) = pick(event.expect("the machine goes on")) {
                    return found;
                }
            }
        };
        let limited = async { tokio::time::timeout(PATIENCE, waiting).await };
        self.runtime.block_on(limited).expect("in time")
    }
}

#[test]
fn a_command_runs_and_the_host_closes_clean() {
    let mut machine = Machine::up("machine-run");
    let (exit, stdout, stderr) = machine.run("echo out; echo err >&2; exit 4");
    assert_eq!(exit, Exit::Code(4));
    assert_eq!((stdout, stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    let grace = Duration::ZERO;
    machine
        .machine
        .submit(VmCommand::Disconnect { host: HOST, grace });
    let left = machine.wait(|event| match event {
        VmEvent::Closed { left, .. } => Some(left),
        _ => None,
    });
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_line_that_fits_into_no_frame_costs_no_host() {
    let mut machine = Machine::up("machine-long");
    for kib in [200, 500, 1100, 3000] {
        let mut line = b"true ".to_vec();
        line.resize(kib * 1024, b'x');
        let (exit, _, stderr) = machine.run(line);
        assert_eq!(exit, Exit::TOO_LONG, "{kib} KiB");
        assert!(stderr.starts_with(b"cos: "), "{kib} KiB");
    }
    assert_eq!(machine.run("echo on").1, b"on\n");
}

#[test]
fn a_dead_agent_is_named_with_its_signal() {
    let mut machine = Machine::up("machine-dead");
    // A command's ancestors are its slot and the agent.
    machine.start(b"kill -9 $(awk '/^PPid/ { print $2 }' /proc/$PPID/status)".to_vec());
    let loss = machine.wait(|event| match event {
        VmEvent::Lost { loss, .. } => Some(loss),
        _ => None,
    });
    let cause = "SIGKILL".to_owned();
    assert_eq!(loss, HostLoss::AgentDied { cause });
}
