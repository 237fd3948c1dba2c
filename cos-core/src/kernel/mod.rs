//! The kernel: pure decisions. Events and requests go in, actions come out.
//!
//! It owns no socket, no clock and no source of randomness: time is an argument, the seed stands in its configuration.
//! So it runs the same in a program, in a simulation of years and in a debugger.
//!
//! ```text
//!   submit, cancel, drain ...  ---->  +--------+  ---->  Action::Vm(VmCommand)    to the virtual machine
//!   handle(VmEvent, now)       ---->  | Kernel |  ---->  Action::Emit(RunEvent)   to observers and submitters
//!   handle_timeout(now)        ---->  +--------+  ---->  poll_timeout(): when to call handle_timeout
//! ```
//!
//! After each call the caller takes all actions with [`Kernel::poll_action`] and asks [`Kernel::poll_timeout`] anew.
//!
//! # Tables
//!
//! | table | file | row |
//! |---|---|---|
//! | hosts | `host.rs` | state of its connection, amounts, attempts that are there |
//! | tasks | `task.rs` | what to run, epoch, tries and crashes, where its attempt is |
//! | queues | `queue.rs` | one kind of demand and the tasks of it that wait, deepest first, then oldest |
//! | woken | `licence.rs` | attempts that have lent their licence and want it back |
//! | families | `family.rs` | which task spawned which |
//! | classes | `blame.rs` | which hosts have the tool, how long a task usually takes |
//! | timers | `timers.rs` | every deadline, by kind and owner |
//!
//! The files `connection.rs`, `closing.rs`, `placement.rs`, `attempt.rs`, `deadline.rs`, `outcome.rs`, `no_host.rs`, `blame.rs` and `prefetch.rs` change them; `message.rs` passes on what tasks and their spawner say;
//! `invariants.rs` checks them against each other after each step of a test.
//!
//! # Promises
//!
//! * Every task that [`Kernel::submit`] accepts has exactly one [`RunEvent::TaskEnded`].
//! * What an earlier attempt, an earlier connection or a confused host says is dropped and counted.
//! * The cost of a call depends on the number of hosts and of kinds of demand, not on how many tasks wait or have
//!   ended. (It pays for what it settles: when the last host is lost, every waiting task ends.)
//!
//! # Microthreads
//!
//! The other half of the system, microthreads and their system calls, is [`microthread`]. It meets this half in two
//! places only: a remote spawn is a [`Kernel::submit`], and a [`RunEvent::TaskEnded`] finishes the child's row.

#![deny(clippy::disallowed_methods)]

mod action;
mod attempt;
mod blame;
mod call;
mod capacity;
mod closing;
mod config;
mod connection;
mod deadline;
mod family;
mod host;
pub(crate) mod id_map;
#[cfg(any(test, feature = "sim"))]
mod invariants;
mod licence;
mod median;
mod message;
pub mod microthread;
mod no_host;
mod outcome;
mod placement;
pub(crate) mod planted;
mod prefetch;
mod queue;
mod request;
mod task;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

pub use action::Action;
pub use config::{BlameConfig, ConnectConfig, KernelConfig};
pub use request::{ExitCodes, Prefetch, SubmitError, TaskPolicy, TaskRequest, TimeLimit};

use crate::event::RunEvent;
use crate::ids::{Epoch, HostId, TaskId};
use crate::job::TaskError;
use crate::time::Time;
use crate::vm::host::HostSpec;
use crate::vm::{VmCommand, VmEvent};
use blame::Classes;
use connection::Connecting;
use family::Families;
use host::Host;
use licence::Woken;
use queue::{Demand, Queues};
use task::{Task, TaskState, TaskTable};
use timers::{Timer, Timers};

/// The kernel. See the [module](self) for how it is driven.
#[derive(Debug)]
pub struct Kernel {
    config: KernelConfig,
    mode: Mode,
    hosts: Vec<Host>,
    connecting: Connecting,
    tasks: TaskTable,
    queues: Queues,
    woken: Woken,
    families: Families,
    classes: Classes,
    timers: Timers,
    rng: fastrand::Rng,
    actions: VecDeque<Action>,
    /// Messages to attempts: they go before all other actions, so that an attempt that gets its licence back has heard why.
    tells: VecDeque<VmCommand>,
    /// Tasks of which a child has ended since the last step.
    bereft: Vec<TaskId>,
    /// Messages of attempts that are no longer current.
    late: u64,
    /// Attempts that wait on hosts for room.
    waiting_on_hosts: usize,
    /// Those of them that were asked back and have not answered.
    recalls: usize,
    /// Elementary steps so far.
    steps: u64,
}

/// How the kernel treats tasks that do not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// They run when a host is free.
    Running,
    /// They are cancelled; those that run may end, with everything below them.
    Finishing,
    /// Everything is cancelled.
    Closing,
}

impl Kernel {
    /// A kernel for these hosts, in the order of their ids. Nothing happens before [`start`](Self::start).
    pub fn new(config: KernelConfig, hosts: &[HostSpec]) -> Self {
        Self {
            mode: Mode::Running,
            hosts: hosts.iter().cloned().map(Host::new).collect(),
            connecting: Connecting::default(),
            tasks: TaskTable::default(),
            queues: Queues::default(),
            woken: Woken::default(),
            families: Families::default(),
            classes: Classes::default(),
            timers: Timers::default(),
            rng: fastrand::Rng::with_seed(config.seed),
            actions: VecDeque::new(),
            tells: VecDeque::new(),
            bereft: Vec::new(),
            late: 0,
            waiting_on_hosts: 0,
            recalls: 0,
            steps: 0,
            config,
        }
    }

    /// Begins to connect every host: all at once but for a cap, each after a short random pause.
    pub fn start(&mut self, now: Time) {
        for host in (0..).map(HostId).take(self.hosts.len()) {
            self.schedule_first_connect(host, now);
        }
        self.advance(now);
    }

    /// Adds a host and begins to connect it.
    pub fn add_host(&mut self, spec: HostSpec, now: Time) -> HostId {
        // More hosts than a u32 counts do not fit into memory.
        let id = HostId(u32::try_from(self.hosts.len()).unwrap_or(u32::MAX));
        let host = Host::new(spec);
        self.queues.host_added(id, &host);
        self.hosts.push(host);
        self.connecting.wish(id);
        self.advance(now);
        id
    }

    /// Accepts a task. It runs as soon as a host that may run it has room, the deepest task first and of those the oldest.
    pub fn submit(&mut self, request: TaskRequest, now: Time) -> Result<TaskId, SubmitError> {
        let TaskRequest {
            index,
            work,
            parent,
            mut needs,
            class,
            policy,
        } = request;
        needs.amounts.cores = needs.amounts.cores.max(1);
        let depth = self.depth_below(parent)?;
        self.check_needs(&needs, depth)?;
        let amounts = needs.amounts;
        let demand = Demand {
            needs,
            class,
            prefetch: policy.prefetch,
            avoid: Vec::new(),
            dislike: Vec::new(),
        };
        let key = self.queues.acquire(demand, &self.hosts);
        let id = self.tasks.insert(Task {
            index,
            work,
            parent: parent.map(|parent| parent.task),
            depth,
            amounts,
            class,
            policy,
            demand: key,
            epoch: Epoch::FIRST,
            tries: 0,
            crashes: 0,
            last: None,
            refusal: None,
            state: TaskState::Queued { since: now },
        });
        self.queues.push(key, self.rank(id, depth));
        if let Some(parent) = parent {
            self.families.insert(parent.task, id);
        }
        self.advance(now);
        Ok(id)
    }

    /// Accepts a task that cannot be run, whatever the hosts: it gets its outcome at once, told as any other's.
    pub fn submit_failed(&mut self, index: u64, error: TaskError) -> TaskId {
        let task = self.tasks.fresh();
        self.emit(RunEvent::TaskEnded {
            attempt: None,
            task,
            index,
            host: None,
            tries: 0,
            outcome: Err(error),
        });
        task
    }

    /// Ends a task that is not wanted any more: at once when it does not run, else by TERM and, after `grace`, KILL.
    /// Its outcome is [`TaskError::Cancelled`] unless it succeeds before it is stopped. Calling
    /// again with a shorter grace shortens it; a task that has its outcome is left alone.
    pub fn cancel(&mut self, task: TaskId, grace: Duration, now: Time) {
        self.cancel_task(task, grace, now);
        self.advance(now);
    }

    /// Takes what the virtual machine says.
    pub fn handle(&mut self, event: VmEvent, now: Time) {
        match event {
            VmEvent::Stage { host, stage } => self.host_stage(host, stage, now),
            VmEvent::Up { host, info } => self.host_up(host, info, now),
            VmEvent::Failed { host, failure } => self.host_failed(host, failure, now),
            VmEvent::Lost { host, loss } => self.host_lost(host, loss, now),
            VmEvent::Closed { host, left } => self.host_closed(host, left, now),
            VmEvent::Note { host, note } => {
                return self.emit(RunEvent::HostNote { host, note });
            }
            VmEvent::Load {
                host,
                others_per_core,
            } => self.host_load(host, others_per_core),
            VmEvent::Silent { host, silent_for } => self.host_silent(host, silent_for),
            VmEvent::RoundTrip { host, duration } => {
                if let Some(up) = self.host_mut(host).and_then(Host::up_mut) {
                    up.pace.round_trip = duration;
                }
            }
            VmEvent::Started {
                host,
                attempt,
                slot,
            } => self.started(host, attempt, slot, now),
            VmEvent::Output {
                host,
                attempt,
                stream,
                bytes,
            } => return self.output(host, attempt, stream, bytes),
            VmEvent::Lent { host, attempt } => self.lent(host, attempt, now),
            VmEvent::Wanted { host, attempt } => self.wanted(host, attempt, now),
            VmEvent::Told {
                host,
                attempt,
                bytes,
            } => return self.told(host, attempt, bytes),
            VmEvent::Ended {
                host,
                attempt,
                result,
            } => self.ended(host, attempt, result, now),
            VmEvent::Returned { host, attempt } => self.returned(host, attempt, now),
        }
        self.advance(now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Connect(host) => self.connecting.wish(host),
                Timer::Stage(host) => self.stage_overdue(host, now),
                Timer::Probe(host) => self.probe_due(host),
                Timer::Reserve(task) => self.reserve_due(task),
                Timer::Limit(task) => self.limit_due(task, now),
                Timer::Slow(task) => self.slow_due(task, now),
                Timer::Stop(task) => self.stop_overdue(task, now),
                Timer::Doubt(task) => self.doubt_over(task, now),
            }
        }
        self.advance(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, unless another call changes it before.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        let tell = self.tells.pop_front().map(Action::Vm);
        tell.or_else(|| self.actions.pop_front())
    }

    /// Starts no task any more: those that wait are cancelled, those that run may end, a failure is not tried again. What a
    /// running task spawns is part of it and goes on as before.
    pub fn stop_starting(&mut self, now: Time) {
        if self.mode == Mode::Running {
            self.mode = Mode::Finishing;
            self.cancel_waiting();
            for host in (0..).map(HostId).take(self.hosts.len()) {
                self.recall_all(host);
            }
        }
        self.advance(now);
    }

    /// Lets a host end what it has, gives it nothing more and disconnects it then.
    pub fn drain(&mut self, host: HostId, now: Time) {
        self.drain_host(host);
        self.advance(now);
    }

    /// Cancels every task and disconnects every host; jobs that run get TERM and, after `grace`, KILL. Calling again with a
    /// shorter grace shortens it. Over when [`is_closed`](Self::is_closed).
    pub fn disconnect_all(&mut self, grace: Duration, now: Time) {
        self.mode = Mode::Closing;
        self.cancel_waiting();
        self.cancel_in_doubt();
        for host in (0..).map(HostId).take(self.hosts.len()) {
            self.disconnect_for_good(host, grace);
        }
        self.advance(now);
    }

    /// Whether every host is gone.
    pub fn is_closed(&self) -> bool {
        self.hosts
            .iter()
            .all(|host| matches!(host.state, host::HostState::Gone(_)))
    }

    /// Messages of attempts that were no longer current, all dropped.
    pub fn late_messages(&self) -> u64 {
        self.late
    }

    /// Elementary steps of all calls so far: what a test measures instead of time.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// After every change: connects whose turn it is, places what can be placed, evens out what waits on hosts.
    fn advance(&mut self, now: Time) {
        self.connect_next(now);
        self.wake_parents(now);
        self.place(now);
        self.recall_for_idle();
    }

    /// Whether a task that is nested so deep may start, now or later.
    fn may_start(&self, depth: u32) -> bool {
        match self.mode {
            Mode::Running => true,
            Mode::Finishing => depth > 0,
            Mode::Closing => false,
        }
    }

    fn host_mut(&mut self, host: HostId) -> Option<&mut Host> {
        self.hosts.get_mut(host.0 as usize)
    }

    fn emit(&mut self, event: RunEvent) {
        self.actions.push_back(Action::Emit(event));
    }

    fn vm(&mut self, command: VmCommand) {
        self.actions.push_back(Action::Vm(command));
    }

    /// Whether a test has planted this bug.
    #[cfg(test)]
    fn planted(&self, bug: planted::Bug) -> bool {
        self.config.planted == Some(bug)
    }

    /// Outside tests there is none.
    #[cfg(not(test))]
    const fn planted(&self, _: planted::Bug) -> bool {
        false
    }
}
