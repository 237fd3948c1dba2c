//! A machine with one host of two slots, and runs of typed tasks on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use cos_core::event::RunEvent;
use cos_core::ids::{AttemptId, TaskId};
use cos_core::job::{Job, Stream, TaskError};
use cos_core::kernel::{KernelConfig, TaskPolicy};
use cos_core::vm::VirtualMachine;
use cos_core::vm::agent::{AgentHost, AgentVm};
use cos_core::vm::host::{HostNote, HostSpec};
use cos_core::vm::local::{LocalLauncher, local_preparation};
use cos_core::wire::message::{AgentNote, SlotCount};
use cos_core::{Flow, Os, dispatch};
use cos_ssh_vm::inventory::Inventory;
use cos_ssh_vm::{SshVm, StartDirectory};
use cos_task_tests::good;
use cos_testlab::{Lab, TestHost, this_target};

/// How long anything may take before a test fails (60 s): far longer than it does take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// From TERM to KILL for a task that has run too long (300 ms).
const GRACE: Duration = Duration::from_millis(300);

/// The program whose tasks are run.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cos-task-tests");

/// The variable that marks the processes of a host.
const MARK: &str = "COS_TASK_TEST_MARK";

/// A host of two slots.
pub(crate) enum Host {
    /// This machine.
    Local {
        mark: String,
        scratch: tempfile::TempDir,
    },
    /// One behind a private sshd.
    Ssh { lab: Box<Lab>, host: Box<TestHost> },
}

impl Host {
    pub(crate) fn local() -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let mark = scratch.path().display().to_string();
        Self::Local { mark, scratch }
    }

    pub(crate) fn ssh() -> Self {
        let lab = Box::new(Lab::new().expect("a lab"));
        let host = Box::new(lab.host("ws01").start().expect("a host"));
        Self::Ssh { lab, host }
    }

    /// Its name in errors.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Local { .. } => "local",
            Self::Ssh { host, .. } => host.name(),
        }
    }

    /// What marks the processes of this machine's host.
    pub(crate) fn mark(&self) -> String {
        match self {
            Self::Local { mark, .. } => mark.clone(),
            Self::Ssh { .. } => String::new(),
        }
    }

    /// A file that client and tasks both reach.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        match self {
            Self::Local { scratch, .. } => scratch.path().join(name),
            Self::Ssh { host, .. } => host.home().join(name),
        }
    }

    fn machine(&self) -> Box<dyn VirtualMachine> {
        match self {
            Self::Local { mark, scratch } => {
                let mut preparation =
                    local_preparation("tasks", SlotCount::Number(2)).expect("a directory");
                let pair = (MARK.as_bytes().to_vec(), mark.as_bytes().to_vec());
                preparation.environment = vec![(pair.0.into(), pair.1.into())];
                preparation.local_storage = scratch.path().display().to_string();
                Box::new(
                    AgentVm::new(vec![AgentHost {
                        spec: HostSpec {
                            name: "local".to_owned(),
                            tags: Vec::new(),
                            max_load: None,
                        },
                        launcher: Box::new(LocalLauncher::executable(PROGRAM)),
                        preparation,
                    }])
                    .expect("a machine"),
                )
            }
            Self::Ssh { lab, host } => {
                let text = lab.hosts_toml(&[host.name()]).expect("an inventory");
                let inventory = Inventory::from_text(&text, Path::new("hosts.toml"));
                let machine = SshVm::builder()
                    .inventory(inventory.expect("a good inventory"))
                    .run("tasks")
                    .worker(this_target(), PROGRAM)
                    .directory(StartDirectory::Scratch)
                    .start();
                Box::new(machine.expect("a machine"))
            }
        }
    }

    /// Runs a program, after which nothing may be left.
    pub(crate) fn run<R>(&self, main: impl AsyncFnOnce(&Log) -> R) -> R {
        let log = Log::default();
        let seen = log.clone();
        let config = KernelConfig {
            grace: GRACE,
            ..KernelConfig::default()
        };
        let os = Os::new()
            .vm(Boxed(self.machine()))
            .config(config)
            .observe(move |stamped| seen.note(&stamped.event));
        let limited = async { tokio::time::timeout(PATIENCE, main(&log)).await };
        let result = os.block_on(limited).expect("a runtime");
        self.wait_for_no_processes();
        result.expect("in time")
    }

    fn wait_for_no_processes(&self) {
        match self {
            Self::Ssh { host, .. } => host.wait_for_no_processes(PATIENCE).expect("none"),
            Self::Local { mark, .. } => {
                let began = Instant::now();
                while !marked(mark).is_empty() {
                    assert!(began.elapsed() < PATIENCE, "{:?} are left", marked(mark));
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}

/// Runs one job beside good ones and gives what came of it. None of the good ones may suffer.
pub(crate) async fn beside_good_ones<T: 'static>(job: Job<T>) -> Result<T, TaskError> {
    let good = async {
        let doubled = dispatch((0..100).map(good::double::job)).collect().await;
        let expected: Vec<u64> = (0..100).map(|x| 2 * x).collect();
        assert_eq!(doubled.expect("good tasks"), expected);
    };
    let ((), mut results) = tokio::join!(good, all([job]));
    results.remove(0)
}

/// Runs jobs, and gives what came of each.
pub(crate) async fn all<T: 'static>(
    jobs: impl IntoIterator<Item = Job<T>>,
) -> Vec<Result<T, TaskError>> {
    let all = dispatch(jobs).collect_all().await;
    all.expect("an OS")
}

/// Runs jobs of which each must succeed.
pub(crate) async fn values<T: 'static>(jobs: impl IntoIterator<Item = Job<T>>) -> Vec<T> {
    let results = all(jobs).await.into_iter();
    results.map(|result| result.expect("a good task")).collect()
}

/// Runs one job that must succeed, and gives its task, too.
pub(crate) async fn one<T: 'static>(job: Job<T>) -> (TaskId, Result<T, TaskError>) {
    one_with(job, TaskPolicy::default()).await
}

/// The same with other rules.
pub(crate) async fn one_with<T: 'static>(
    job: Job<T>,
    policy: TaskPolicy,
) -> (TaskId, Result<T, TaskError>) {
    let mut only = None;
    let taken = dispatch([job]).policy(policy).for_each(|done| {
        only = Some((done.task.expect("a host ran it"), done.result));
        Flow::Go
    });
    taken.await.expect("an OS");
    only.expect("a result")
}

/// What a run has told.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Told>>);

#[derive(Default)]
struct Told {
    printed: BTreeMap<TaskId, [Vec<u8>; 2]>,
    left_over: u32,
    restarts: u32,
    alive: BTreeSet<AttemptId>,
    most_alive: usize,
}

impl Log {
    fn note(&self, event: &RunEvent) {
        let mut told = self.0.borrow_mut();
        match event {
            RunEvent::TaskStarted { attempt, .. } => {
                told.alive.insert(*attempt);
                told.most_alive = told.most_alive.max(told.alive.len());
            }
            RunEvent::TaskAgain { attempt, .. } => {
                told.alive.remove(attempt);
            }
            RunEvent::TaskEnded {
                attempt: Some(attempt),
                ..
            } => {
                told.alive.remove(attempt);
            }
            RunEvent::TaskOutput {
                attempt,
                stream,
                bytes,
                ..
            } => {
                let at = match stream {
                    Stream::Stdout => 0,
                    Stream::Stderr => 1,
                };
                told.printed.entry(attempt.task).or_default()[at].extend_from_slice(bytes);
            }
            RunEvent::HostNote {
                note: HostNote::Agent(note),
                ..
            } => match note {
                AgentNote::LeftOver { killed, .. } => told.left_over += killed,
                AgentNote::SlotRestarted { .. } => told.restarts += 1,
                AgentNote::Text(_) => {}
            },
            _ => {}
        }
    }

    /// What a task has printed on both streams.
    pub(crate) fn printed(&self, task: TaskId) -> [Vec<u8>; 2] {
        self.0
            .borrow()
            .printed
            .get(&task)
            .cloned()
            .unwrap_or_default()
    }

    /// The most tasks that had started and not ended at one moment.
    pub(crate) fn most_alive(&self) -> usize {
        self.0.borrow().most_alive
    }

    /// How many left-over processes were killed.
    pub(crate) fn left_over(&self) -> u32 {
        self.0.borrow().left_over
    }

    /// How often a slot was started anew.
    pub(crate) fn restarts(&self) -> u32 {
        self.0.borrow().restarts
    }
}

/// A machine of any kind.
struct Boxed(Box<dyn VirtualMachine>);

impl VirtualMachine for Boxed {
    fn hosts(&self) -> &[HostSpec] {
        self.0.hosts()
    }

    fn submit(&mut self, command: cos_core::vm::VmCommand) {
        self.0.submit(command);
    }

    fn poll_event(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<cos_core::vm::VmEvent>> {
        self.0.poll_event(context)
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.0.shutdown(grace, limit);
    }
}

/// Waits until a file holds something, and gives that.
pub(crate) async fn content(file: &Path) -> String {
    loop {
        match std::fs::read_to_string(file) {
            Ok(text) if !text.trim().is_empty() => return text.trim().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Whether a process is there and has not ended.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Kills one of the slots of a marked host that run typed tasks.
pub(crate) fn kill_a_call_slot(mark: &str) {
    let is_slot = |pid: &&i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "cos-call-slot"
    };
    let processes = marked(mark);
    let slot = processes.iter().find(is_slot).expect("a slot runs");
    let pid = rustix::process::Pid::from_raw(*slot).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it is ours");
}

/// Processes whose environment holds the mark.
fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    let processes = std::fs::read_dir("/proc")
        .expect("a process table")
        .flatten();
    let has_mark = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut pairs = environment.split(|byte| *byte == 0);
        pairs.any(|pair| pair == wanted.as_bytes())
    };
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(has_mark)
        .collect()
}
