//! The OS object: a machine, observers, and a program to run on them.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::context;
use super::shared::{Observer, Shared};
use crate::clock;
use crate::event::Stamped;
use crate::kernel::{Kernel, KernelConfig};
use crate::time::Time;
use crate::vm::VirtualMachine;

/// The cooperative OS: runs one program, whose system calls are the free functions of this crate.
///
/// ```no_run
/// use cos_core::job::{CommandJob, CommandOutput, Job};
/// use cos_core::vm::local::LocalVm;
/// use cos_core::wire::message::SlotCount;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     cos_core::worker::init();
///     let machine = LocalVm::new("doc", SlotCount::Cores)?;
///     let outputs = cos_core::Os::new(machine).block_on(async {
///         let jobs = (1..=3).map(|n| Job::captured(CommandJob::shell(n, format!("echo {n}"))));
///         cos_core::dispatch(jobs).collect().await
///     })??;
///     assert_eq!(outputs[2].stdout, b"3\n");
///     Ok(())
/// }
/// ```
pub struct Os {
    machine: Box<dyn VirtualMachine>,
    config: KernelConfig,
    observers: Vec<Observer>,
    grace: Duration,
    shutdown_limit: Duration,
}

impl Os {
    /// An OS whose tasks run on this machine.
    pub fn new(machine: impl VirtualMachine + 'static) -> Self {
        Self {
            machine: Box::new(machine),
            config: KernelConfig::default(),
            observers: Vec::new(),
            grace: Duration::from_secs(1),
            shutdown_limit: Duration::from_secs(10),
        }
    }

    /// The kernel's rules: blame, backoff, crash limit.
    #[must_use]
    pub fn config(mut self, config: KernelConfig) -> Self {
        self.config = config;
        self
    }

    /// Shows every event to `observer`, in order, on the thread of the OS.
    #[must_use]
    pub fn observe(mut self, observer: impl FnMut(&Stamped) + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// How long a cancelled task may take from TERM to KILL; 1 s unless said.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long the end of a run waits for its hosts to confirm that nothing is left; 10 s unless said.
    #[must_use]
    pub fn shutdown_limit(mut self, limit: Duration) -> Self {
        self.shutdown_limit = limit;
        self
    }

    /// Runs `main` to its end on a tokio runtime of its own, then ends everything on every host.
    ///
    /// # Errors
    /// When the operating system gives no event queue.
    pub fn block_on<F: Future>(self, main: F) -> std::io::Result<F::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(self.run(main)))
    }

    /// Runs `main` to its end, then ends everything on every host. To be awaited on a tokio runtime with time enabled.
    ///
    /// Dropping the future drops `main` and closes the channels to the hosts, which ends what runs there without a
    /// word of confirmation.
    pub async fn run<F: Future>(self, main: F) -> F::Output {
        let Self {
            machine,
            config,
            observers,
            grace,
            shutdown_limit,
        } = self;
        let kernel = Kernel::new(config, machine.hosts());
        let shared = Rc::new(Shared::new(kernel, machine, observers, grace));
        shared.start();

        let mut main = pin!(main);
        let mut alarm = Alarm::default();
        let output = std::future::poll_fn(|context| {
            let more = shared.turn(context);
            let polled = {
                let _entered = context::enter(&shared);
                main.as_mut().poll(context)
            };
            if polled.is_pending() {
                if more {
                    context.waker().wake_by_ref();
                }
                alarm.set(shared.deadline(), context);
            }
            polled
        })
        .await;

        shared.shut_down(shutdown_limit);
        std::future::poll_fn(|context| match shared.poll_ended(context) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        output
    }
}

/// Wakes the turn at the kernel's next deadline.
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
