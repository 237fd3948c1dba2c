//! A simulated virtual machine: hosts, agents and jobs in virtual time, from a seed.
//!
//! [`SimVm`] takes [`VmCommand`]s and gives [`VmEvent`]s like a real machine, but time is an argument and nothing
//! runs. Its hosts do what their [`HostPlan`]s say: they are far away, refuse to start, are lost in every way there is, lack
//! the tool, fail everything; slots die; results come twice or long after their host was given up.
//!
//! It also watches. A kernel that breaks a promise to its machine ends in a panic that says so: an attempt sent twice or to
//! a host that is not up, a host connected again that was to be left alone, a task that runs in two places at the
//! same time, more of them than their host has room for, an attempt sent to wait that must not, a tool asked for where it is known to be missing, a task put upon
//! people who need their machine.
//!
//! ```text
//!   plan.rs     what hosts and jobs do          agent.rs   what a simulated agent does with attempts
//!   program.rs  tasks that spawn and wait        view.rs    what the client knows of hosts
//!   mod.rs      the calendar, the links to agents, the promises
//! ```

mod agent;
pub(crate) mod plan;
mod program;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{AttemptId, HostId, TaskId};
use crate::job::{AttemptResult, Exit};
use crate::time::Time;
use crate::vm::host::{HostFailure, HostLoss, HostSpec, Stage};
use crate::vm::{VmCommand, VmEvent};
use agent::{Agent, Link};
pub use plan::{
    HostPlan, JobEnd, JobPlan, LossKind, PlannedLoss, Sanity, Step, Tool, Toolbox, Waits,
};
pub use program::{ChildEnded, SpawnRequest};
use view::{SimHost, View};

/// How long a silent host is waited for.
const LEASE: Duration = Duration::from_secs(60);
/// An agent ends its lease by its own clock, at most so much later than the client.
const LEASE_ERROR: Duration = Duration::from_secs(9);
/// How much later than its host's loss a result may still come.
const LATEST: Duration = Duration::from_secs(20);

/// Which connection to a host, counted from 1.
type Connection = u32;

/// The simulated machine. See the [module](self).
#[derive(Debug)]
pub struct SimVm {
    rng: fastrand::Rng,
    hosts: Vec<SimHost>,
    jobs: Vec<JobPlan>,
    calendar: BTreeMap<(Time, u64), Happening>,
    serial: u64,
    /// Every attempt that was ever sent, and the number of its job.
    sent: BTreeMap<AttemptId, u64>,
    /// Where each running task runs.
    running: BTreeMap<TaskId, (HostId, Connection)>,
    /// The most that ran at one moment, those that had lent their licence included.
    most_alive: usize,
    /// How attempts ended that ended by themselves.
    ends: BTreeMap<AttemptId, Exit>,
}

/// Something that is going to happen.
#[derive(Debug)]
enum Happening {
    /// An event reaches the client, if the connection lasts so long.
    Deliver(HostId, Connection, VmEvent),
    /// An event reaches the client, whatever became of the connection.
    Late(VmEvent),
    /// A command reaches the agent.
    Arrive(HostId, Connection, VmCommand),
    /// An attempt to connect is decided.
    Launched(HostId, Connection),
    /// A job has computed as long as it does.
    Computed(HostId, Connection, AttemptId),
    /// A job that was told to stop is gone.
    Stopped(HostId, Connection, AttemptId),
    /// What a job waited for has happened.
    Woken(HostId, Connection, AttemptId),
    /// A slot dies under a job.
    SlotDies(HostId, Connection, AttemptId),
    /// The connection or the agent ends.
    Strike(HostId, Connection, LossKind),
    /// The lease of an agent that was cut off ends.
    LeaseEnds(HostId, Connection),
}

impl SimVm {
    /// A machine with these hosts, for jobs with these plans: the job with sequence number n has plan n - 1.
    pub fn new(seed: u64, hosts: Vec<HostPlan>, jobs: Vec<JobPlan>) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            hosts: hosts.into_iter().map(SimHost::new).collect(),
            jobs,
            calendar: BTreeMap::new(),
            serial: 0,
            sent: BTreeMap::new(),
            running: BTreeMap::new(),
            most_alive: 0,
            ends: BTreeMap::new(),
        }
    }

    /// The hosts as a kernel is told of them.
    pub fn specs(&self) -> Vec<HostSpec> {
        self.hosts
            .iter()
            .map(|host| host.plan.spec.clone())
            .collect()
    }

    /// One more host, and how the kernel is told of it.
    pub fn add_host(&mut self, plan: HostPlan) -> HostSpec {
        let spec = plan.spec.clone();
        self.hosts.push(SimHost::new(plan));
        spec
    }

    /// How an attempt ended that ended by itself; what a kernel reports as a success must be one here.
    pub fn end_of(&self, attempt: AttemptId) -> Option<Exit> {
        self.ends.get(&attempt).copied()
    }

    /// The most jobs that were alive at one moment: that ran, or had lent their licence.
    pub fn most_alive(&self) -> usize {
        self.most_alive
    }

    /// How many jobs run at this moment.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// When something happens next.
    pub fn next_time(&self) -> Option<Time> {
        self.calendar.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes a command.
    ///
    /// # Panics
    ///
    /// When the command breaks a promise of the kernel's to its machine.
    pub fn submit(&mut self, command: VmCommand, now: Time) {
        match &command {
            VmCommand::Connect { host } => {
                let host = *host;
                let row = &mut self.hosts[host.0 as usize];
                assert_eq!(row.view, View::Down, "{host} is connected in this state");
                row.view = View::Connecting;
                row.connection += 1;
                let (connection, start_time) = (row.connection, row.plan.start_time);
                self.schedule(now + start_time, Happening::Launched(host, connection));
            }
            VmCommand::Start {
                host,
                attempt,
                work,
                ..
            } => {
                let row = &self.hosts[host.0 as usize];
                assert_eq!(
                    row.view,
                    View::Up,
                    "{attempt} is sent to {host} in this state"
                );
                let twice = self.sent.insert(*attempt, agent::sequence(work));
                assert_eq!(twice, None, "{attempt} is sent twice");
                let plan = self.job(agent::sequence(work));
                if let (Some(first), Tool::Needed) = (row.known_to_lack, plan.tool) {
                    panic!("{attempt} is sent to {host}, where {first} did not find its tool");
                }
                if let Some(load) = row.known_load {
                    panic!("{attempt} is sent to {host}, whose load is {load}");
                }
                self.send_command(*host, command, now);
            }
            VmCommand::Disconnect { host, .. } => {
                let host = *host;
                let row = &mut self.hosts[host.0 as usize];
                match row.view {
                    View::Connecting => {
                        row.view = View::Leaving;
                        let left = Vec::new();
                        self.send_event(host, VmEvent::Closed { host, left }, now);
                    }
                    View::Up | View::Leaving => {
                        row.view = View::Leaving;
                        self.send_command(host, command, now);
                    }
                    View::Down | View::Banned => {}
                }
            }
            VmCommand::Stop { host, .. }
            | VmCommand::Recall { host, .. }
            | VmCommand::Resume { host, .. }
            | VmCommand::Tell { host, .. }
            | VmCommand::Credit { host, .. } => self.send_command(*host, command, now),
        }
    }

    /// The next event that has happened by `now`. Called until it gives none.
    pub fn poll_event(&mut self, now: Time) -> Option<VmEvent> {
        while self.next_time().is_some_and(|at| at <= now) {
            let ((at, _), happening) = self.calendar.pop_first()?;
            match happening {
                Happening::Deliver(host, connection, event) => {
                    if let Some(event) = self.deliver(host, connection, event, at) {
                        return Some(event);
                    }
                }
                Happening::Late(event) => return Some(event),
                Happening::Arrive(host, connection, command) => {
                    self.arrive(host, connection, command, at);
                }
                Happening::Launched(host, connection) => self.launched(host, connection, at),
                Happening::Computed(host, connection, attempt) => {
                    self.computed(host, connection, attempt, at);
                }
                Happening::Stopped(host, connection, attempt) => {
                    self.stopped(host, connection, attempt, at);
                }
                Happening::Woken(host, connection, attempt) => {
                    self.woken(host, connection, attempt, at);
                }
                Happening::SlotDies(host, connection, attempt) => {
                    self.slot_dies(host, connection, attempt, at);
                }
                Happening::Strike(host, connection, kind) => {
                    self.strike(host, connection, kind, at);
                }
                Happening::LeaseEnds(host, connection) => self.agent_dies(host, connection),
            }
        }
        None
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.serial += 1;
        self.calendar.insert((at, self.serial), happening);
    }

    /// A command starts on its way. The way is as long for each, so they arrive in order.
    fn send_command(&mut self, host: HostId, command: VmCommand, now: Time) {
        let row = &self.hosts[host.0 as usize];
        let (at, connection) = (now + row.plan.latency, row.connection);
        self.schedule(at, Happening::Arrive(host, connection, command));
    }

    /// An event of the current connection starts on its way to the client.
    fn send_event(&mut self, host: HostId, event: VmEvent, now: Time) {
        let row = &self.hosts[host.0 as usize];
        let (at, connection) = (now + row.plan.latency, row.connection);
        self.schedule(at, Happening::Deliver(host, connection, event));
    }

    fn launched(&mut self, host: HostId, connection: Connection, now: Time) {
        let row = &mut self.hosts[host.0 as usize];
        if row.connection != connection || row.view != View::Connecting {
            return;
        }
        if let Some(kind) = row.plan.failures.pop_front() {
            let failure = Arc::new(HostFailure {
                stage: Stage::Connecting,
                headline: format!("{} is unreachable", row.plan.spec.name),
                cause: "ssh: simulated".into(),
                cure: None,
                kind,
            });
            return self.send_event(host, VmEvent::Failed { host, failure }, now);
        }
        row.agents.insert(connection, Agent::new(row.plan.slots));
        let info = Arc::new(plan::host_info(&row.plan));
        if let Some(loss) = row.plan.losses.pop_front() {
            let strike = Happening::Strike(host, connection, loss.kind);
            self.schedule(now + loss.after, strike);
        }
        for (after, others_per_core) in self.hosts[host.0 as usize].plan.loads.clone() {
            let load = VmEvent::Load {
                host,
                others_per_core,
            };
            self.send_event(host, load, now + after);
        }
        let stage = Stage::Running;
        self.send_event(host, VmEvent::Stage { host, stage }, now);
        self.send_event(host, VmEvent::Up { host, info }, now);
    }

    /// The connection or the agent ends.
    fn strike(&mut self, host: HostId, connection: Connection, kind: LossKind, now: Time) {
        let row = &mut self.hosts[host.0 as usize];
        let Some(agent) = row.agents.get_mut(&connection) else {
            return;
        };
        if agent.link == Link::Cut {
            return;
        }
        let loss = match kind {
            LossKind::Disconnected => HostLoss::Disconnected {
                cause: "broken pipe".into(),
            },
            LossKind::AgentDied => HostLoss::AgentDied {
                cause: "SIGKILL".into(),
            },
            LossKind::Left => HostLoss::Left { signal: 15 },
            LossKind::Protocol => HostLoss::Protocol {
                cause: "nonsense".into(),
            },
            LossKind::Silent => {
                agent.link = Link::Cut;
                let loss = HostLoss::Silent { silent_for: LEASE };
                let event = VmEvent::Lost { host, loss };
                self.schedule(now + LEASE, Happening::Deliver(host, connection, event));
                let error = LEASE_ERROR.mul_f64(self.rng.f64());
                let end = Happening::LeaseEnds(host, connection);
                return self.schedule(now + LEASE + error, end);
            }
        };
        // Some of what ran seems to have ended well, after the client was told of the loss.
        let late = row.plan.late;
        let told = now + row.plan.latency;
        let attempts: Vec<AttemptId> = agent.attempts().collect();
        for attempt in attempts {
            if self.rng.f64() < late {
                let at = told + Duration::from_nanos(1) + LATEST.mul_f64(self.rng.f64());
                let result = AttemptResult::Command(plan::end(Exit::Code(0), Duration::ZERO));
                let event = VmEvent::Ended {
                    host,
                    attempt,
                    result,
                };
                self.schedule(at, Happening::Late(event));
            }
        }
        self.agent_dies(host, connection);
        let event = VmEvent::Lost { host, loss };
        self.schedule(told, Happening::Deliver(host, connection, event));
    }

    fn job(&self, sequence: u64) -> &JobPlan {
        job_plan(&self.jobs, sequence)
    }
}

/// The plan of the job with this sequence number.
fn job_plan(jobs: &[JobPlan], sequence: u64) -> &JobPlan {
    &jobs[usize::try_from(sequence).expect("a small number") - 1]
}
