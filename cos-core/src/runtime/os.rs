//! The OS object: a machine, observers, and a program to run on them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;

use super::context;
use super::shared::{Observer, Shared};
use super::spawner::{Line, Link};
use super::turn::{Pace, Progress};
use crate::clock;
use crate::event::Stamped;
use crate::kernel::KernelConfig;
use crate::time::Time;
use crate::vm::VirtualMachine;

/// The cooperative OS: runs one program, whose system calls are the free functions of this crate.
///
/// Without a [machine](Self::vm) all microthreads are local.
///
/// ```
/// let sum = cos_core::Os::new().block_on(async {
///     let child = cos_core::spawn(async { 20 + 1 }).await?;
///     Ok::<_, cos_core::Error>(2 * child.await?)
/// });
/// assert_eq!(sum.unwrap().unwrap(), 42);
/// ```
///
/// With one, jobs are outsourced to its hosts:
///
/// ```no_run
/// use cos_core::job::{CommandJob, CommandOutput, Job};
/// use cos_core::vm::local::LocalVm;
/// use cos_core::wire::message::SlotCount;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     cos_core::worker::init();
///     let machine = LocalVm::new("doc", SlotCount::Cores)?;
///     let outputs = cos_core::Os::new().vm(machine).block_on(async {
///         let jobs = (1..=3).map(|n| Job::captured(CommandJob::shell(n, format!("echo {n}"))));
///         cos_core::dispatch(jobs).collect().await
///     })??;
///     assert_eq!(outputs[2].stdout, b"3\n");
///     Ok(())
/// }
/// ```
#[must_use = "an OS does nothing until it runs a program"]
pub struct Os {
    pub(super) machine: Option<Box<dyn VirtualMachine>>,
    config: KernelConfig,
    pub(super) observers: Vec<Observer>,
    grace: Duration,
    shutdown_limit: Duration,
}

/// Why an OS does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OsError {
    /// The caller is itself a program of an OS.
    #[error("an OS runs on this thread already: its microthreads use it, and start no other")]
    Nested,
    /// The operating system gives no event queue or no thread.
    #[error("the OS cannot start: {0}")]
    Io(#[from] std::io::Error),
}

impl Default for Os {
    fn default() -> Self {
        Self::new()
    }
}

impl Os {
    /// An OS without a machine.
    pub fn new() -> Self {
        Self {
            machine: None,
            config: KernelConfig::default(),
            observers: Vec::new(),
            grace: Duration::from_secs(1),
            shutdown_limit: Duration::from_secs(10),
        }
    }

    /// The machine that remote tasks run on. [`set_vm`](crate::set_vm) gives one later.
    pub fn vm(mut self, machine: impl VirtualMachine + 'static) -> Self {
        self.machine = Some(Box::new(machine));
        self
    }

    /// The kernel's rules: blame, backoff, crash limit.
    pub fn config(mut self, config: KernelConfig) -> Self {
        self.config = config;
        self
    }

    /// Shows every event to `observer`, in order, on the thread of the OS.
    pub fn observe(mut self, observer: impl FnMut(&Stamped) + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// How long a cancelled task may take from TERM to KILL; 1 s unless said.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long the end of a run waits for its hosts to confirm that nothing is left; 10 s unless said.
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown_limit = limit;
        self
    }

    /// Runs `main` to its end on a tokio runtime of its own, then ends everything on every host.
    ///
    /// # Errors
    /// [`OsError::Nested`] in a program of an OS, [`OsError::Io`] when the operating system gives no event queue.
    ///
    /// # Panics
    /// When `main` does, after everything was ended; and, by tokio, in an async function of another runtime: use
    /// [`run`](Self::run) there.
    pub fn block_on<F: Future>(self, main: F) -> Result<F::Output, OsError> {
        if context::current().is_ok() {
            return Err(OsError::Nested);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.run(main))
    }

    /// Runs `main` to its end, then ends everything on every host. To be awaited on a tokio runtime with time enabled; what
    /// microthreads do with tokio's sockets, timers and channels happens there.
    ///
    /// Microthreads that main has not joined are dropped when it ends. Dropping the future drops `main` and all of them, and
    /// closes the channels to the hosts, which ends what runs there without a word of confirmation.
    ///
    /// # Errors
    /// [`OsError::Nested`] in a program of an OS.
    ///
    /// # Panics
    /// When `main` does, after everything was ended.
    pub async fn run<F: Future>(self, main: F) -> Result<F::Output, OsError> {
        if context::current().is_ok() {
            return Err(OsError::Nested);
        }
        let Self {
            machine,
            config,
            observers,
            grace,
            shutdown_limit,
        } = self;
        let shared = Rc::new(Shared::new(config, observers, grace, shutdown_limit));
        if let Some(machine) = machine {
            shared.use_machine(machine);
        }
        Ok(drive(shared, main).await)
    }
}

/// Runs a task in an OS of its own, whose remote tasks its spawner runs at the other end of `line`.
///
/// # Panics
/// When the task does.
pub(crate) async fn run_task<F: Future>(line: Box<dyn Line>, task: F) -> F::Output {
    let Os {
        config,
        observers,
        grace,
        shutdown_limit,
        ..
    } = Os::new();
    let shared = Rc::new(Shared::new(config, observers, grace, shutdown_limit));
    shared.inner.borrow_mut().backend = Some(Box::new(Link::new(line)));
    drive(shared, task).await
}

/// Runs a program to its end, and ends everything then.
async fn drive<F: Future>(shared: Rc<Shared>, main: F) -> F::Output {
    {
        let running = Running(shared);
        let Running(shared) = &running;

        let mut main = pin!(main);
        let mut alarm = Alarm::default();
        let mut pace = Pace::default();
        let ended = poll_fn(|context| {
            match shared.advance(context, main.as_mut(), &mut pace) {
                Progress::Ended(ended) => return Poll::Ready(ended),
                Progress::More => context.waker().wake_by_ref(),
                Progress::Idle => {}
            }
            alarm.set(shared.deadline(), context);
            Poll::Pending
        })
        .await;

        shared.end_program();
        shared.retire_machine();
        poll_fn(|context| match shared.poll_retired(context) {
            true => Poll::Ready(()),
            false => {
                alarm.set(shared.deadline(), context);
                Poll::Pending
            }
        })
        .await;
        match ended {
            Ok(output) => output,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// An OS that runs. Its microthreads know it, so it must forget them when it is dropped in mid-run.
struct Running(Rc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.end_program();
    }
}

/// Wakes the turn at the backend's next deadline.
#[derive(Default)]
struct Alarm {
    set: Option<(Time, std::pin::Pin<Box<tokio::time::Sleep>>)>,
}

impl Alarm {
    fn set(&mut self, deadline: Option<Time>, context: &mut Context<'_>) {
        let Some(deadline) = deadline else {
            self.set = None;
            return;
        };
        if self
            .set
            .as_ref()
            .is_none_or(|(known, _)| *known != deadline)
        {
            // A little late rather than a little early: an early alarm would be set again at once.
            let pause = deadline.since(clock::now()) + Duration::from_millis(1);
            match &mut self.set {
                Some((known, sleep)) => {
                    *known = deadline;
                    sleep.as_mut().reset(tokio::time::Instant::now() + pause);
                }
                none => *none = Some((deadline, Box::pin(tokio::time::sleep(pause)))),
            }
        }
        if let Some((_, sleep)) = &mut self.set
            && sleep.as_mut().poll(context).is_ready()
        {
            self.set = None;
            context.waker().wake_by_ref();
        }
    }
}
