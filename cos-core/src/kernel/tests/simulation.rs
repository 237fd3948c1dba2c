//! The kernel against simulated machines: whatever happens, every task has one outcome and the right one.
//!
//! `COS_SIM_SEEDS=n` runs n seeds, `COS_SIM_SEED=s` runs the one, as a failure tells.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::scenario::{Act, Planned, Scenario};
use crate::event::{AgainCause, RunEvent};
use crate::ids::{AttemptId, HostId, TaskId};
use crate::job::{CommandJob, Exit, Outcome, TaskError};
use crate::kernel::planted::Bug;
use crate::kernel::{Action, Kernel, KernelConfig, SubmitError, TaskRequest};
use crate::time::Time;
use crate::vm::VmCommand;
use crate::vm::sim::{ChildEnded, JobEnd, SimVm, SpawnRequest};

/// Seeds in a test without `COS_SIM_SEEDS`.
const SEEDS: u64 = 1_000;
/// No scenario needs longer, in virtual time.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// No scenario needs more events.
const MOST_STEPS: u64 = 100_000;

struct Simulation {
    kernel: Kernel,
    vm: SimVm,
    scenario: Scenario,
    now: Time,
    begin: Time,
    /// The tasks that were accepted.
    accepted: BTreeMap<TaskId, usize>,
    ids: BTreeMap<usize, TaskId>,
    crashes: BTreeMap<TaskId, u32>,
    outcomes: BTreeMap<TaskId, (u32, Outcome)>,
    /// Where nothing may be started any more.
    drained: BTreeSet<HostId>,
    /// What may not be started any more.
    cancelled: BTreeSet<TaskId>,
    /// From when on no task of the client's own may be started any more.
    finishing: Option<Time>,
    /// When nothing at all may be started any more.
    stopped: Option<Time>,
    /// Who spawned whom: the parent's attempt, and the child's job.
    parents: BTreeMap<TaskId, (AttemptId, u64)>,
    /// Attempts that are over.
    over: BTreeSet<AttemptId>,
    /// Everything that the kernel asked for.
    trace: DefaultHasher,
}

impl Simulation {
    fn new(seed: u64, planted: Option<Bug>) -> Self {
        let scenario = Scenario::new(seed);
        let jobs = scenario.tasks.iter().map(|task| task.job.clone()).collect();
        let vm = SimVm::new(seed, scenario.hosts.clone(), jobs);
        let config = KernelConfig {
            seed,
            planted,
            ..KernelConfig::default()
        };
        let begin = Time::from_boot(Duration::from_secs(1_000_000));
        Self {
            kernel: Kernel::new(config, &vm.specs()),
            vm,
            scenario,
            now: begin,
            begin,
            accepted: BTreeMap::new(),
            ids: BTreeMap::new(),
            crashes: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            drained: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            finishing: None,
            stopped: None,
            parents: BTreeMap::new(),
            over: BTreeSet::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// Runs to the end and gives a digest of all that the kernel did.
    fn run(mut self) -> u64 {
        self.kernel.start(self.now);
        self.carry_out();
        let mut acts = self.scenario.acts.clone();
        self.drive(|simulation| {
            while let Some((at, act)) = acts.front().copied() {
                if simulation.begin + at > simulation.now {
                    return Some(simulation.begin + at);
                }
                acts.pop_front();
                simulation.act(act);
                simulation.carry_out();
            }
            None
        });
        self.judge();
        self.kernel.disconnect_all(Duration::from_secs(1), self.now);
        self.carry_out();
        self.drive_until_closed();
        self.trace.finish()
    }

    /// Turns the wheel until every task that will ever be submitted has its outcome. `user` does what the user does by now and
    /// says when it does something next.
    fn drive(&mut self, mut user: impl FnMut(&mut Self) -> Option<Time>) {
        for _ in 0..MOST_STEPS {
            let next_act = user(self);
            if next_act.is_none() && self.kernel.accepted() == 0 {
                return;
            }
            let next = [next_act, self.vm.next_time(), self.kernel.poll_timeout()];
            let Some(next) = next.into_iter().flatten().min() else {
                panic!("{} tasks wait for nothing", self.kernel.accepted());
            };
            self.turn(next);
            assert!(self.now.since(self.begin) < LONGEST, "it takes for ever");
        }
        panic!("it goes round in circles");
    }

    fn drive_until_closed(&mut self) {
        for _ in 0..MOST_STEPS {
            if self.kernel.is_closed() && self.vm.running() == 0 {
                return;
            }
            let next = [self.vm.next_time(), self.kernel.poll_timeout()];
            let next = next.into_iter().flatten().min();
            self.turn(next.expect("hosts that are not closed are on their way"));
        }
        panic!("it never closes");
    }

    fn turn(&mut self, next: Time) {
        self.now = self.now.max(next);
        while let Some(event) = self.vm.poll_event(self.now) {
            self.kernel.handle(event, self.now);
            self.carry_out();
        }
        if self.kernel.poll_timeout().is_some_and(|at| at <= self.now) {
            self.kernel.handle_timeout(self.now);
            self.carry_out();
            assert!(
                self.kernel.poll_timeout().is_none_or(|at| at > self.now),
                "no timer waits"
            );
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit(index) => {
                let _ = self.submit(index, None);
            }
            Act::Cancel(index, grace) => {
                if let Some(id) = self.ids.get(&index) {
                    self.kernel.cancel(*id, grace, self.now);
                    self.cancelled.insert(*id);
                }
            }
            Act::Drain(host) => {
                self.kernel.drain(host, self.now);
                self.drained.insert(host);
            }
            Act::AddHost => {
                let spec = self.vm.add_host(self.scenario.extra.clone());
                self.kernel.add_host(spec, self.now);
            }
            Act::StopStarting => {
                self.kernel.stop_starting(self.now);
                self.finishing = Some(self.now);
            }
            Act::DisconnectAll => {
                self.stopped = Some(self.now);
                self.kernel.disconnect_all(Duration::from_secs(1), self.now);
            }
        }
    }

    fn submit(&mut self, index: usize, parent: Option<AttemptId>) -> Result<TaskId, SubmitError> {
        let Planned {
            needs,
            class,
            policy,
            ..
        } = self.scenario.tasks[index].clone();
        let request = TaskRequest {
            index: index as u64,
            work: Arc::new(CommandJob::shell(index as u64 + 1, "simulated").into()),
            parent,
            needs,
            class,
            policy,
        };
        let id = self.kernel.submit(request, self.now)?;
        self.accepted.insert(id, index);
        self.ids.insert(index, id);
        Ok(id)
    }

    /// A task asks its spawner to run another.
    fn spawn(&mut self, attempt: AttemptId, request: SpawnRequest) {
        assert!(
            !self.over.contains(&attempt),
            "{attempt} spawns and is over"
        );
        let SpawnRequest(sequence) = request;
        let index = usize::try_from(sequence).expect("a small number") - 1;
        match self.submit(index, Some(attempt)) {
            Ok(id) => {
                self.parents.insert(id, (attempt, sequence));
            }
            Err(SubmitError::ParentGone) => {}
            Err(_) => {
                self.kernel.tell(attempt, ChildEnded(sequence).to_bytes());
            }
        }
    }

    fn carry_out(&mut self) {
        self.kernel.check();
        while let Some(action) = self.kernel.poll_action() {
            self.now.since_boot().hash(&mut self.trace);
            match &action {
                // The bytes are all the same, and many.
                Action::Emit(RunEvent::TaskOutput { attempt, .. }) => attempt.hash(&mut self.trace),
                other => format!("{other:?}").hash(&mut self.trace),
            }
            match action {
                Action::Vm(command) => {
                    self.check_start(&command);
                    self.vm.submit(command, self.now);
                }
                Action::Emit(event) => self.observe(event),
                Action::Deliver { attempt, bytes } => {
                    self.spawn(attempt, SpawnRequest::from_bytes(&bytes));
                }
            }
        }
    }

    fn check_start(&self, command: &VmCommand) {
        if let VmCommand::Start { host, attempt, .. } = command {
            assert!(
                !self.drained.contains(host),
                "{attempt} is sent to {host}, which drains"
            );
            assert!(
                !self.cancelled.contains(&attempt.task),
                "{attempt} was cancelled"
            );
            assert_eq!(self.stopped, None, "{attempt} starts after all");
            match self.parents.get(&attempt.task) {
                None => assert_eq!(self.finishing, None, "{attempt} starts after all"),
                Some((parent, _)) => {
                    assert!(
                        !self.over.contains(parent),
                        "{attempt} starts without {parent}"
                    );
                }
            }
        }
    }

    fn observe(&mut self, event: RunEvent) {
        if let RunEvent::TaskAgain { attempt, .. } = event {
            self.over.insert(attempt);
        }
        match event {
            RunEvent::TaskAgain {
                attempt,
                cause: AgainCause::Crash { crashes, .. },
                ..
            } => {
                let seen = self.crashes.entry(attempt.task).or_default();
                *seen += 1;
                assert_eq!(crashes, *seen, "{attempt} crashed");
            }
            RunEvent::TaskEnded {
                attempt,
                task,
                tries,
                outcome,
                ..
            } => {
                if let Ok(end) = &outcome {
                    let attempt = attempt.expect("it ran");
                    let exit = end.command().map(|end| end.exit);
                    assert_eq!(exit, Some(Exit::Code(0)));
                    assert_eq!(self.vm.end_of(attempt), exit, "{attempt} succeeded");
                }
                self.over.extend(attempt);
                if let Some((parent, sequence)) = self.parents.get(&task) {
                    self.kernel.tell(*parent, ChildEnded(*sequence).to_bytes());
                }
                let twice = self.outcomes.insert(task, (tries, outcome));
                assert!(twice.is_none(), "task {task} has a second outcome");
            }
            _ => {}
        }
    }

    /// Whether the outcomes are right.
    fn judge(&self) {
        assert_eq!(
            self.outcomes.keys().collect::<Vec<_>>(),
            self.accepted.keys().collect::<Vec<_>>(),
            "each has its outcome"
        );
        for (id, (tries, outcome)) in &self.outcomes {
            let index = self.accepted[id];
            let task = &self.scenario.tasks[index];
            assert!(
                *tries <= task.policy.tries.max(1),
                "task {id} was tried {tries} times"
            );
            if let Err(TaskError::Quarantined { crashes, .. }) = outcome {
                assert_eq!(*crashes, 3);
                assert_eq!(self.crashes.get(id), Some(&2), "task {id} is quarantined");
            }
            if outcome.is_ok() {
                assert!(matches!(task.job.end, JobEnd::Exit(Exit::Code(0))));
            }
            if !self.scenario.has_haven() || !self.scenario.is_good(index) {
                continue;
            }
            let excused = match outcome {
                Ok(_) => true,
                // Its parent was lost, or failed, or was cancelled.
                Err(TaskError::Cancelled { .. }) => task.nested,
                Err(TaskError::CommandFailed { end, .. }) if end.exit == Exit::NOT_FOUND => {
                    self.scenario.has_pretender(index)
                }
                Err(TaskError::CommandFailed { .. }) => self.scenario.has_bad_host(),
                Err(TaskError::Quarantined { .. }) => self.scenario.has_crashes(),
                Err(
                    TaskError::CommandMissing { .. }
                    | TaskError::NoHostLeft { .. }
                    | TaskError::HostLost { .. },
                ) => self.scenario.has_pretender(index),
                Err(_) => false,
            };
            assert!(excused, "task {id} ({task:?}) could have run: {outcome:?}");
        }
    }
}

pub(super) fn simulate(seed: u64, planted: Option<Bug>) -> u64 {
    Simulation::new(seed, planted).run()
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn every_task_has_the_right_outcome_once() {
    let seeds = match number("COS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COS_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if catch_unwind(AssertUnwindSafe(|| simulate(seed, None))).is_err() {
            panic!("seed {seed} fails: COS_SIM_SEED={seed} repeats it");
        }
    }
}

#[test]
fn a_seed_repeats_a_run_exactly() {
    for seed in 0..20 {
        assert_eq!(simulate(seed, None), simulate(seed, None), "seed {seed}");
    }
}
