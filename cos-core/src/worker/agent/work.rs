//! What a prepared host does: attempts, the slots they run in, and what becomes of both.

use std::collections::HashSet;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use serde_bytes::ByteBuf;

use super::attempts::{Attempts, Waiting};
use super::preparation::Prepared;
use super::session::Session;
use super::slots::Slots;
use super::staging::Staging;
use crate::ids::{AttemptId, SlotId};
use crate::job::{self, AttemptResult, CallReport, CommandEnd, JobDirectory};
use crate::wire::message::{AgentNote, FromAgent};
use crate::worker::calls::{Ended, reap_all};
use crate::worker::containment::{self, Scope};
use crate::worker::slot::protocol::{FromSlot, Order, ToSlot};

/// How long the orphans of a dead slot may resist (5 s).
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// What a prepared host does.
pub(super) struct Work {
    pub(super) prepared: Prepared,
    pub(super) attempts: Attempts,
    pub(super) slots: Slots,
    pub(super) staging: Staging,
    /// What the setup script has left running on purpose, such as a key agent.
    pub(super) kept: HashSet<i32>,
}

impl Work {
    /// Hands an attempt to its slot. An error is the host's.
    pub(super) fn start(&mut self, slot: SlotId, waiting: Waiting) -> Result<(), String> {
        let Waiting {
            attempt,
            try_number,
            amounts,
            work,
        } = waiting;
        let job = match *work {
            job::Work::Command(job) => Box::new(job),
            job::Work::Call(call) => return Err(format!("no slot here can call {}", call.task)),
        };
        let directory = match job.directory {
            JobDirectory::Run => None,
            JobDirectory::Private => {
                let parent = self.prepared.private_parent();
                let parent = parent.map_err(|error| error.to_string())?;
                let own = parent.join(attempt.to_string()).into_os_string();
                Some(ByteBuf::from(own.into_vec()))
            }
        };
        let order = Order {
            attempt,
            try_number,
            cores: amounts.cores,
            directory,
            is_staged: self.staging.own_directory(attempt).is_some(),
            job,
        };
        let message = ToSlot::Run(Box::new(order));
        let process = self.slots.process(slot, &self.prepared);
        let sent = process.and_then(|process| process.push(&message));
        sent.map_err(|error| format!("no slot process: {error}"))
    }

    /// Tells the slot of a running attempt something about it.
    pub(super) fn tell(&mut self, attempt: AttemptId, message: &ToSlot) {
        if let Some(slot) = self.attempts.slot_of(attempt)
            && self.slots.tell(slot, message).is_err()
        {
            self.kill_slot(slot);
        }
    }

    /// Ends a slot that is of no more use; its end is then reported as any other.
    pub(super) fn kill_slot(&mut self, slot: SlotId) {
        if let Some(pid) = self
            .slots
            .pid_of(slot)
            .and_then(rustix::process::Pid::from_raw)
        {
            // It is a child that is not reaped, so the number is its own.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    pub(super) fn pass_on(&mut self, message: FromSlot, payload: &[u8], session: &mut Session) {
        match message {
            FromSlot::Output { attempt, stream } => {
                session.say(FromAgent::Output { attempt, stream }, payload);
            }
            FromSlot::Ended { attempt, result } => {
                if !self.attempts.end(attempt) {
                    return;
                }
                if let Some(killed) = left_over(&result) {
                    let note = AgentNote::LeftOver { attempt, killed };
                    session.say(FromAgent::Note(note), &[]);
                }
                self.staging.end(attempt, result, session);
            }
        }
    }

    /// A child has ended. If it was a slot, its last words are passed on, what its command has left is killed and its
    /// attempt is reported.
    pub(super) fn bury(&mut self, child: Ended, session: &mut Session, ended: &mut Vec<Ended>) {
        self.kept.remove(&child.pid);
        let Some(slot) = self.slots.slot_of(child.pid) else {
            return;
        };
        for frame in self.slots.last_words(slot) {
            self.pass_on(frame.header, &frame.payload, session);
        }
        self.slots.remove(slot);
        let living = self.slots.pids().chain(self.kept.iter().copied()).collect();
        containment::kill(
            Scope::Except(&living),
            &mut || reap_all(&mut |child| ended.push(child)),
            KILL_LIMIT,
        );
        let exit = child.exit;
        if let Some(attempt) = self.attempts.in_slot(slot) {
            self.attempts.end(attempt);
            let result = AttemptResult::SlotDied { exit };
            self.staging.end(attempt, result, session);
        }
        let cause = exit.to_string();
        let note = AgentNote::SlotRestarted { slot, cause };
        session.say(FromAgent::Note(note), &[]);
    }
}

fn left_over(result: &AttemptResult) -> Option<u32> {
    let left_over = match result {
        AttemptResult::Command(CommandEnd { left_over, .. })
        | AttemptResult::Stopped(Some(CommandEnd { left_over, .. }))
        | AttemptResult::Call {
            report: CallReport { left_over, .. },
            ..
        } => *left_over,
        AttemptResult::Stopped(None)
        | AttemptResult::NotStarted { .. }
        | AttemptResult::SlotDied { .. } => 0,
    };
    (left_over > 0).then_some(left_over)
}
