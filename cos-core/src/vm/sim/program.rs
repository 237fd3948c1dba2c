//! Simulated tasks that spawn others, wait for them, and lend their licence meanwhile.
//!
//! What a task and its spawner say to each other is a job's sequence number, in both directions: "run this" and "it has its
//! outcome". The test that drives the kernel plays the spawner ([`SpawnRequest`], [`ChildEnded`]).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::plan::Step;
use super::{Connection, Happening, SimVm};
use crate::ids::{AttemptId, HostId};
use crate::job::{AttemptResult, Exit};
use crate::time::Time;
use crate::vm::VmEvent;

/// What a simulated task tells its spawner: run the job with this sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpawnRequest(pub u64);

/// What the spawner tells a simulated task: the job with this sequence number has its outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChildEnded(pub u64);

impl SpawnRequest {
    /// Reads what a task has said.
    ///
    /// # Panics
    ///
    /// When no simulated task has said it.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(number(bytes))
    }
}

impl ChildEnded {
    /// As the task is told.
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_le_bytes())
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// What a running task does at the moment, and what it has still to do.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) doing: Doing,
    pub(super) steps: VecDeque<Step>,
}

/// What a running task does at the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    /// It computes, and holds its licence.
    Computes,
    /// It has lent its licence until these jobs have their outcomes.
    Awaits(BTreeSet<u64>),
    /// It has lent its licence for a while.
    Naps,
    /// It could go on and has no licence.
    Wants,
    /// It has computed all; perhaps its output is not written yet.
    Done,
}

impl Progress {
    pub(super) fn new(steps: &[Step]) -> Self {
        Self {
            doing: Doing::Computes,
            steps: steps.iter().cloned().collect(),
        }
    }

    /// Whether it takes its amounts.
    pub(super) fn holds_licence(&self) -> bool {
        matches!(self.doing, Doing::Computes | Doing::Done)
    }
}

impl SimVm {
    /// A task goes on with its next step. Returns whether it has done all.
    pub(super) fn next_step(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) -> bool {
        let Some(run) = self.run_of(host, connection, attempt) else {
            return false;
        };
        let Some(step) = run.progress.steps.pop_front() else {
            run.progress.doing = Doing::Done;
            return true;
        };
        match step {
            Step::Compute(duration) => {
                self.schedule(
                    now + duration,
                    Happening::Computed(host, connection, attempt),
                );
            }
            Step::Spawn(children) => {
                run.progress.doing = Doing::Awaits(children.iter().copied().collect());
                for child in children {
                    let bytes = Bytes::copy_from_slice(&child.to_le_bytes());
                    let told = VmEvent::Told {
                        host,
                        attempt,
                        bytes,
                    };
                    self.say(host, connection, told, now);
                }
                self.lend(host, connection, attempt, now);
            }
            Step::Nap(duration) => {
                run.progress.doing = Doing::Naps;
                self.schedule(now + duration, Happening::Woken(host, connection, attempt));
                self.lend(host, connection, attempt, now);
            }
        }
        false
    }

    fn lend(&mut self, host: HostId, connection: Connection, attempt: AttemptId, now: Time) {
        let Some(amounts) = self
            .run_of(host, connection, attempt)
            .map(|run| run.amounts)
        else {
            return;
        };
        if let Some(agent) = self.agent(host, connection) {
            agent.free = agent.free.plus(amounts);
        }
        self.say(host, connection, VmEvent::Lent { host, attempt }, now);
        self.start_what_fits(host, connection, now);
    }

    /// A task that waited could go on.
    fn want(&mut self, host: HostId, connection: Connection, attempt: AttemptId, now: Time) {
        if let Some(run) = self.run_of(host, connection, attempt) {
            run.progress.doing = Doing::Wants;
            self.say(host, connection, VmEvent::Wanted { host, attempt }, now);
        }
    }

    /// A nap is over.
    pub(super) fn woken(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) {
        let run = self.run_of(host, connection, attempt);
        if run.is_some_and(|run| run.progress.doing == Doing::Naps) {
            self.want(host, connection, attempt, now);
        }
    }

    /// A task hears that a job it spawned has its outcome.
    pub(super) fn hear(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        bytes: &[u8],
        now: Time,
    ) {
        let Some(run) = self.run_of(host, connection, attempt) else {
            return;
        };
        let child = number(bytes);
        let Doing::Awaits(awaited) = &mut run.progress.doing else {
            panic!("{attempt} hears of job {child} and waits for none");
        };
        assert!(
            awaited.remove(&child),
            "{attempt} hears of job {child} twice"
        );
        if awaited.is_empty() {
            self.want(host, connection, attempt, now);
        }
    }

    /// A task has its licence back.
    pub(super) fn resumed(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) {
        let Some(run) = self.run_of(host, connection, attempt) else {
            return;
        };
        assert!(!run.progress.holds_licence(), "{attempt} is resumed twice");
        let could_go_on = run.progress.doing == Doing::Wants;
        if could_go_on {
            run.progress.doing = Doing::Computes;
        }
        let amounts = run.amounts;
        let Some(agent) = self.agent(host, connection) else {
            return;
        };
        let free = agent.free.checked_sub(amounts);
        agent.free =
            free.unwrap_or_else(|| panic!("{attempt} is resumed on {host}, which is full"));
        if could_go_on {
            self.computed(host, connection, attempt, now);
        } else {
            self.lend(host, connection, attempt, now);
        }
    }

    /// A slot dies under a task, whatever the task does.
    pub(super) fn slot_dies(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) {
        if self.remove(host, connection, attempt).is_some() {
            let exit = Exit::Signal(11);
            let result = AttemptResult::SlotDied { exit };
            self.say_ended(host, connection, attempt, result, now);
            self.start_what_fits(host, connection, now);
        }
    }

    /// When a slot dies under a task with a program: while it computes, or while it waits.
    pub(super) fn plan_death(&mut self, duration: Duration) -> Duration {
        duration.mul_f64(4.0 * self.rng.f64())
    }
}
