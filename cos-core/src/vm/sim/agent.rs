//! What a simulated agent does with attempts: queue, start in order as amounts come free, end, stop, give back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::plan::{JobEnd, LossKind, Sanity, Tool, Toolbox, Waits, end};
use super::program::{Doing, Progress};
use super::{Connection, Happening, LATEST, SimVm};
use crate::ids::{AttemptId, HostId, SlotId};
use crate::job::{Amounts, AttemptResult, Exit, Stream, Work};
use crate::time::Time;
use crate::vm::{VmCommand, VmEvent};
use crate::wire::message::OUTPUT_WINDOW;

/// How much a job writes at a time.
const CHUNK: u64 = 64 * 1024;

/// An agent that lives.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) link: Link,
    pub(super) free: Amounts,
    total: Amounts,
    queue: VecDeque<Waiting>,
    running: BTreeMap<AttemptId, Run>,
}

/// Whether an agent and its client hear each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    Whole,
    Cut,
}

#[derive(Debug)]
struct Waiting {
    attempt: AttemptId,
    try_number: u32,
    amounts: Amounts,
    work: Arc<Work>,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) amounts: Amounts,
    slot: SlotId,
    began: Time,
    /// What comes of it when it has computed and written all.
    result: RunResult,
    pub(super) progress: Progress,
    /// Bytes still to be written, and how many may be sent now.
    output: u64,
    window: u64,
}

#[derive(Clone, Debug)]
enum RunResult {
    Exit(Exit),
    SlotDies,
}

/// Which job of the plan it is.
pub(super) fn sequence(work: &Work) -> u64 {
    work.command().map_or(0, |command| command.sequence)
}

impl Agent {
    pub(super) fn new(slots: u32) -> Self {
        Self {
            link: Link::Whole,
            free: Amounts::cores(slots),
            total: Amounts::cores(slots),
            queue: VecDeque::new(),
            running: BTreeMap::new(),
        }
    }

    /// Every attempt that is here.
    pub(super) fn attempts(&self) -> impl Iterator<Item = AttemptId> + '_ {
        let waiting = self.queue.iter().map(|waiting| waiting.attempt);
        self.running.keys().copied().chain(waiting)
    }

    /// The lowest slot that runs nothing.
    fn free_slot(&self) -> SlotId {
        let taken: BTreeSet<SlotId> = self.running.values().map(|run| run.slot).collect();
        let mut slots = (1..).map(SlotId);
        slots
            .find(|slot| !taken.contains(slot))
            .unwrap_or(SlotId(0))
    }
}

impl SimVm {
    pub(super) fn agent(&mut self, host: HostId, connection: Connection) -> Option<&mut Agent> {
        self.hosts[host.0 as usize].agents.get_mut(&connection)
    }

    /// An attempt that runs.
    pub(super) fn run_of(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
    ) -> Option<&mut Run> {
        self.agent(host, connection)?.running.get_mut(&attempt)
    }

    /// An agent says something: it reaches the client while the link is whole, and else perhaps much later.
    pub(super) fn say(&mut self, host: HostId, connection: Connection, event: VmEvent, now: Time) {
        let row = &self.hosts[host.0 as usize];
        let Some(agent) = row.agents.get(&connection) else {
            return;
        };
        if agent.link == Link::Whole {
            let at = now + row.plan.latency;
            self.schedule(at, Happening::Deliver(host, connection, event));
        } else if self.rng.f64() < row.plan.late {
            let at = now + super::LEASE + LATEST.mul_f64(self.rng.f64());
            self.schedule(at, Happening::Late(event));
        }
    }

    /// A command reaches an agent, if it is there and hears it.
    pub(super) fn arrive(
        &mut self,
        host: HostId,
        connection: Connection,
        command: VmCommand,
        now: Time,
    ) {
        let Some(agent) = self.agent(host, connection) else {
            return;
        };
        if agent.link == Link::Cut {
            return;
        }
        match command {
            VmCommand::Start {
                attempt,
                try_number,
                amounts,
                work,
                ..
            } => {
                assert!(
                    amounts.fits(agent.total),
                    "{attempt} is too large for {host}"
                );
                let sequence = sequence(&work);
                agent.queue.push_back(Waiting {
                    attempt,
                    try_number,
                    amounts,
                    work,
                });
                self.start_what_fits(host, connection, now);
                let waits = self
                    .agent(host, connection)
                    .is_some_and(|agent| agent.queue.iter().any(|w| w.attempt == attempt));
                assert!(
                    !waits || self.job(sequence).waits == Waits::Allowed,
                    "{attempt} must not wait on {host}"
                );
            }
            VmCommand::Recall { attempt, .. } => {
                if self.unqueue(host, connection, attempt) {
                    self.say(host, connection, VmEvent::Returned { host, attempt }, now);
                    self.start_what_fits(host, connection, now);
                }
            }
            VmCommand::Stop { attempt, grace, .. } => {
                if self.unqueue(host, connection, attempt) {
                    self.say_ended(host, connection, attempt, AttemptResult::Stopped(None), now);
                    self.start_what_fits(host, connection, now);
                } else {
                    let at = now + grace.mul_f64(self.rng.f64());
                    self.schedule(at, Happening::Stopped(host, connection, attempt));
                }
            }
            VmCommand::Resume { attempt, .. } => self.resumed(host, connection, attempt, now),
            VmCommand::Tell { attempt, bytes, .. } => {
                self.hear(host, connection, attempt, &bytes, now);
            }
            VmCommand::Credit { attempt, bytes, .. } => {
                if let Some(run) = agent.running.get_mut(&attempt) {
                    run.window += bytes;
                    self.write(host, connection, attempt, now);
                }
            }
            VmCommand::Disconnect { grace, .. } => {
                let attempts: Vec<AttemptId> = agent.attempts().collect();
                for attempt in attempts {
                    if self.rng.bool() {
                        let result = AttemptResult::Stopped(None);
                        self.say_ended(host, connection, attempt, result, now);
                    }
                }
                let took = grace.mul_f64(self.rng.f64());
                self.agent_dies(host, connection);
                let at = now + took + self.hosts[host.0 as usize].plan.latency;
                let left = Vec::new();
                let closed = VmEvent::Closed { host, left };
                self.schedule(at, Happening::Deliver(host, connection, closed));
            }
            VmCommand::Connect { .. } => {}
        }
    }

    fn unqueue(&mut self, host: HostId, connection: Connection, attempt: AttemptId) -> bool {
        let Some(agent) = self.agent(host, connection) else {
            return false;
        };
        let before = agent.queue.len();
        agent.queue.retain(|waiting| waiting.attempt != attempt);
        agent.queue.len() < before
    }

    /// Starts attempts in the order of arrival while their amounts are free.
    pub(super) fn start_what_fits(&mut self, host: HostId, connection: Connection, now: Time) {
        while let Some(agent) = self.agent(host, connection)
            && let Some(next) = agent.queue.front()
            && let Some(free) = agent.free.checked_sub(next.amounts)
            && let Some(next) = agent.queue.pop_front()
        {
            agent.free = free;
            self.run(host, connection, next, now);
        }
    }

    fn run(&mut self, host: HostId, connection: Connection, next: Waiting, now: Time) {
        let Waiting {
            attempt,
            try_number,
            amounts,
            work,
        } = next;
        let (sanity, tool, slot_deaths) = {
            let plan = &self.hosts[host.0 as usize].plan;
            (plan.sanity, plan.tool, plan.slot_deaths)
        };
        let mut plan = self.job(sequence(&work)).clone();
        if sanity == Sanity::StartsNone {
            if let Some(agent) = self.agent(host, connection) {
                agent.free = agent.free.plus(amounts);
            }
            let cause = "no process could be made".into();
            let result = AttemptResult::NotStarted { cause };
            return self.say_ended(host, connection, attempt, result, now);
        }
        let earlier = self.running.insert(attempt.task, (host, connection));
        assert_eq!(
            earlier, None,
            "{attempt} runs elsewhere while {host} starts it"
        );
        self.most_alive = self.most_alive.max(self.running.len());
        let blink = Duration::from_millis(1);
        let (duration, result) = match (sanity, plan.end) {
            _ if tool == Toolbox::Lacking && plan.tool == Tool::Needed => {
                plan.then.clear();
                (Some(blink), RunResult::Exit(Exit::NOT_FOUND))
            }
            (Sanity::FailsAll, _) => {
                plan.then.clear();
                (Some(blink), RunResult::Exit(Exit::Code(1)))
            }
            _ if self.rng.f64() < slot_deaths && !plan.then.is_empty() => {
                let after = self.plan_death(plan.duration);
                let death = Happening::SlotDies(host, connection, attempt);
                self.schedule(now + after, death);
                (Some(plan.duration), RunResult::SlotDies)
            }
            _ if self.rng.f64() < slot_deaths => {
                let share = self.rng.f64();
                (Some(plan.duration.mul_f64(share)), RunResult::SlotDies)
            }
            _ if try_number <= plan.failures => {
                (Some(plan.duration), RunResult::Exit(Exit::Code(1)))
            }
            (_, JobEnd::Exit(exit)) => (Some(plan.duration), RunResult::Exit(exit)),
            (_, JobEnd::Never) => (None, RunResult::SlotDies),
            (_, JobEnd::KillsSlot) => (Some(plan.duration), RunResult::SlotDies),
            (_, JobEnd::KillsAgent) => {
                let strike = Happening::Strike(host, connection, LossKind::AgentDied);
                self.schedule(now + plan.duration, strike);
                (None, RunResult::SlotDies)
            }
        };
        let Some(agent) = self.agent(host, connection) else {
            return;
        };
        let slot = agent.free_slot();
        agent.running.insert(
            attempt,
            Run {
                amounts,
                slot,
                began: now,
                result,
                progress: Progress::new(&plan.then),
                output: plan.output,
                window: OUTPUT_WINDOW,
            },
        );
        let started = VmEvent::Started {
            host,
            attempt,
            slot,
        };
        self.say(host, connection, started, now);
        if let Some(duration) = duration {
            self.schedule(
                now + duration,
                Happening::Computed(host, connection, attempt),
            );
        }
        self.write(host, connection, attempt, now);
    }

    /// A job writes what it may, and ends when it has written and computed all.
    fn write(&mut self, host: HostId, connection: Connection, attempt: AttemptId, now: Time) {
        while let Some(agent) = self.agent(host, connection)
            && let Some(run) = agent.running.get_mut(&attempt)
        {
            let length = run.output.min(run.window).min(CHUNK);
            if length == 0 {
                break;
            }
            run.output -= length;
            run.window -= length;
            let bytes = Bytes::from_static(&[b'.'; CHUNK as usize]);
            let output = VmEvent::Output {
                host,
                attempt,
                stream: Stream::Stdout,
                bytes: bytes.slice(..usize::try_from(length).unwrap_or(0)),
            };
            self.say(host, connection, output, now);
        }
        self.end_if_done(host, connection, attempt, now);
    }

    /// A job has computed.
    pub(super) fn computed(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) {
        if self.next_step(host, connection, attempt, now) {
            self.end_if_done(host, connection, attempt, now);
        }
    }

    fn end_if_done(&mut self, host: HostId, connection: Connection, attempt: AttemptId, now: Time) {
        let done = self.agent(host, connection).is_some_and(|agent| {
            let run = agent.running.get(&attempt);
            run.is_some_and(|run| run.progress.doing == Doing::Done && run.output == 0)
        });
        if !done {
            return;
        }
        let Some(run) = self.remove(host, connection, attempt) else {
            return;
        };
        let result = match run.result {
            RunResult::Exit(exit) => {
                self.ends.insert(attempt, exit);
                AttemptResult::Command(end(exit, now.since(run.began)))
            }
            RunResult::SlotDies => AttemptResult::SlotDied {
                exit: Exit::Signal(11),
            },
        };
        self.say_ended(host, connection, attempt, result, now);
        self.start_what_fits(host, connection, now);
    }

    /// A job that was told to stop is gone.
    pub(super) fn stopped(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        now: Time,
    ) {
        if let Some(run) = self.remove(host, connection, attempt) {
            let end = end(Exit::Signal(15), now.since(run.began));
            let result = AttemptResult::Stopped(Some(end));
            self.say_ended(host, connection, attempt, result, now);
            self.start_what_fits(host, connection, now);
        }
    }

    pub(super) fn remove(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
    ) -> Option<Run> {
        let agent = self.agent(host, connection)?;
        let run = agent.running.remove(&attempt)?;
        if run.progress.holds_licence() {
            agent.free = agent.free.plus(run.amounts);
        }
        assert!(agent.free.fits(agent.total));
        self.running.remove(&attempt.task);
        Some(run)
    }

    pub(super) fn say_ended(
        &mut self,
        host: HostId,
        connection: Connection,
        attempt: AttemptId,
        result: AttemptResult,
        now: Time,
    ) {
        let ended = VmEvent::Ended {
            host,
            attempt,
            result,
        };
        self.say(host, connection, ended, now);
    }

    /// An agent is gone, and everything that ran there.
    pub(super) fn agent_dies(&mut self, host: HostId, connection: Connection) {
        if let Some(agent) = self.hosts[host.0 as usize].agents.remove(&connection) {
            for attempt in agent.running.keys() {
                self.running.remove(&attempt.task);
            }
        }
    }
}
