//! This machine as a host: the same agent as anywhere else, as a child process, without ssh.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, Command};

use super::agent::launcher::{Channel, LaunchRequest, Launcher, Transport};
use super::agent::opening::{Opening, OpeningError, nonce};
use super::agent::{AgentHost, AgentVm};
use super::host::{FailureKind, HostFailure, HostSpec, Stage};
use super::in_process::InProcess;
use super::{VirtualMachine, VmCommand, VmEvent};
use crate::wire::frame::CHUNK;
use crate::wire::message::{Preparation, RunDirectory, SlotCount};
use crate::wire::preamble::FRAMES;
use crate::worker::bridge_arguments;

/// The reserved name of this machine in hosts.toml and in messages.
pub const LOCAL: &str = "local";

/// Starts agents as children of this process.
///
/// The executable must call [`worker::init`](crate::worker::init) first thing. Children are in sessions of their own,
/// so a terminal's Ctrl-C reaches this process alone.
#[derive(Clone, Debug)]
pub struct LocalLauncher {
    executable: PathBuf,
}

impl LocalLauncher {
    /// Uses this very program as the worker.
    pub fn this_program() -> Self {
        Self {
            executable: PathBuf::from("/proc/self/exe"),
        }
    }

    /// Uses another executable.
    pub fn executable(path: impl Into<PathBuf>) -> Self {
        Self {
            executable: path.into(),
        }
    }

    async fn start(
        &self,
        request: LaunchRequest,
        report: &mut dyn FnMut(Stage),
    ) -> Result<Channel, HostFailure> {
        report(Stage::Starting);
        let nonce = nonce();
        let mut child = Command::new(&self.executable)
            .args(bridge_arguments(&nonce, &request.run, &request.host))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failure(format!("{}: {error}", self.executable.display())))?;
        let (Some(writer), Some(mut reader), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failure("the worker's pipes are missing".to_owned()));
        };
        let mut transport = LocalTransport { child, errors };
        let mut opening = Opening::new(&nonce);
        loop {
            match opening.next_line(&mut reader).await {
                Ok(line) if line == FRAMES => break,
                Ok(_) => {}
                Err(OpeningError::Ended) => return Err(failure(transport.ended().await)),
                Err(error) => return Err(failure(error.to_string())),
            }
        }
        Ok(Channel {
            reader: Box::new(reader),
            writer: Box::new(writer),
            notes: opening.noise().into_iter().collect(),
            received: opening.into_rest(),
            uploaded: 0,
            transport: Box::new(transport),
        })
    }
}

impl Launcher for LocalLauncher {
    fn launch<'a>(
        &'a mut self,
        request: LaunchRequest,
        report: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>> {
        Box::pin(self.start(request, report))
    }
}

struct LocalTransport {
    child: Child,
    errors: ChildStderr,
}

impl Transport for LocalTransport {
    fn ended<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
        Box::pin(async move {
            let mut words = Vec::new();
            let mut errors = (&mut self.errors).take(CHUNK as u64);
            let read = errors.read_to_end(&mut words).await;
            let mut words = String::from_utf8_lossy(&words).trim().to_owned();
            if words.is_empty() || read.is_err() {
                words = match self.child.wait().await {
                    Ok(status) => format!("the worker ended: {status}"),
                    Err(error) => format!("the worker ended: {error}"),
                };
            }
            words
        })
    }
}

fn failure(cause: String) -> HostFailure {
    HostFailure {
        stage: Stage::Starting,
        headline: "the worker does not start on this machine".to_owned(),
        cause,
        cure: None,
        kind: FailureKind::Permanent,
    }
}

/// A virtual machine whose one host is this machine.
///
/// The embedding program is its own worker: its first line is [`worker::init()`](crate::worker::init).
pub struct LocalVm {
    machine: Box<dyn VirtualMachine + Send>,
}

impl LocalVm {
    /// So many slots for command jobs in the current directory.
    ///
    /// # Errors
    /// When the current directory cannot be read or the I/O thread cannot start.
    pub fn new(run: &str, slots: SlotCount) -> std::io::Result<Self> {
        let spec = HostSpec {
            name: LOCAL.to_owned(),
            tags: Vec::new(),
            max_load: None,
        };
        let preparation = local_preparation(run, slots)?;
        let launcher = Box::new(LocalLauncher::this_program());
        let machine = AgentVm::new(vec![AgentHost {
            spec,
            launcher,
            preparation,
        }])?;
        Ok(Self {
            machine: Box::new(machine),
        })
    }

    /// A machine whose slots are so many threads of this process, for typed tasks alone: for tests and documentation,
    /// whose program cannot be its own worker.
    ///
    /// Tasks are called as on any host, with encoded arguments; but there is no process that could be ended. A panic is
    /// caught. `exit`, `abort` and signals end the program. An asynchronous task is cancelled where it waits, a plain
    /// function not at all: a run that ends leaves its thread behind. Tasks share the program's directory,
    /// environment and statics, what they print goes where the program's output goes, and commands are refused.
    ///
    /// ```
    /// use cos_core as cos;
    /// use cos::vm::local::LocalVm;
    ///
    /// #[cos::task]
    /// fn double(x: u64) -> u64 {
    ///     2 * x
    /// }
    ///
    /// # fn main() -> cos::Result<()> {
    /// let os = cos::Os::new().vm(LocalVm::in_process(2));
    /// let results = os.block_on(async { cos::dispatch((0..5).map(double::job)).collect().await })??;
    /// assert_eq!(results, [0, 2, 4, 6, 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When there is to be no slot.
    pub fn in_process(slots: u32) -> Self {
        assert!(slots > 0, "a machine without a slot runs nothing");
        Self {
            machine: Box::new(InProcess::new(slots)),
        }
    }
}

/// What a run on this machine prepares unless told otherwise: jobs start in the current directory, by `/bin/sh`, with
/// this process's environment.
///
/// # Errors
/// When the current directory cannot be read.
pub fn local_preparation(run: &str, slots: SlotCount) -> std::io::Result<Preparation> {
    use std::os::unix::ffi::OsStringExt;
    let here = std::env::current_dir()?.into_os_string().into_vec();
    Ok(Preparation {
        run: run.to_owned(),
        host: LOCAL.to_owned(),
        nice: 0,
        shell: "/bin/sh".to_owned(),
        setup: None,
        setup_timeout: Duration::from_secs(60),
        environment: Vec::new(),
        directory: RunDirectory::Here { path: here.into() },
        local_storage: "/var/tmp/cos-{user}".to_owned(),
        slots,
        lease: Duration::from_secs(60),
        mirrors: Vec::new(),
        own_storage: None,
        clear_store: false,
    })
}

impl VirtualMachine for LocalVm {
    fn hosts(&self) -> &[HostSpec] {
        self.machine.hosts()
    }

    fn submit(&mut self, command: VmCommand) {
        self.machine.submit(command);
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        self.machine.poll_event(context)
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.machine.shutdown(grace, limit);
    }
}
