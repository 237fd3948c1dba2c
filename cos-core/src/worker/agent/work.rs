//! What a prepared host does: attempts, the slots they run in, and what becomes of both.

use std::collections::HashSet;
use std::future::Future;
use std::os::unix::ffi::OsStringExt;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use serde_bytes::ByteBuf;
use tokio::time::Sleep;

use super::attempts::{AfterEnd, Attempts, Found, Returned, SlotKind, Waiting};
use super::overdue::Overdue;
use super::preparation::Prepared;
use super::session::Session;
use super::slots::{Pid, SlotProcess, Slots};
use super::staging::Staging;
use crate::ids::{AttemptId, SlotId};
use crate::job::{self, AttemptResult, CallReport, CommandEnd, CommandJob, JobDirectory};
use crate::wire::message::{AgentNote, FromAgent};
use crate::worker::slot::memory::MemoryWatch;
use crate::worker::slot::protocol::{CallOrder, FromSlot, Order, ToSlot};

/// How long a call that lies in a slot waits behind one that takes longer than it should have (100 ms).
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// What a prepared host does.
pub(super) struct Work {
    pub(super) prepared: Prepared,
    pub(super) attempts: Attempts,
    pub(super) slots: Slots,
    pub(super) staging: Staging,
    /// Calls that are to stop.
    pub(super) overdue: Overdue,
    /// When to look for calls that wait behind long ones.
    pub(super) look: Option<Pin<Box<Sleep>>>,
    pub(super) memory: MemoryWatch,
    /// What the setup script has left running on purpose, such as a key agent.
    pub(super) kept: HashSet<i32>,
}

impl Work {
    /// Starts what fits, and lets what is short lie in slots before its turn.
    pub(super) fn start_what_fits(&mut self, session: &mut Session) {
        while let Some((slot, waiting)) = self.attempts.start_next() {
            let attempt = waiting.attempt;
            match self.start(slot, waiting) {
                Ok(()) => session.say(FromAgent::Started { attempt, slot }, &[]),
                Err(cause) => {
                    self.attempts.end(attempt, None);
                    let result = AttemptResult::NotStarted { cause };
                    self.staging.end(attempt, result, session);
                }
            }
        }
        while let Some((slot, waiting)) = self.attempts.send_ahead() {
            let Some(process) = self.slots.serving(slot, waiting.kind()) else {
                continue;
            };
            let pushed = match &*waiting.work {
                job::Work::Call(call) => push_call(process, waiting, call),
                // One that has a directory of its own is not sent ahead.
                job::Work::Command(job) => push_command(process, waiting, job, None, false),
            };
            if pushed.is_err() {
                process.kill();
            }
        }
        for (_, attempt) in self.attempts.ask_back() {
            self.ask_back(attempt);
        }
    }

    /// Hands an attempt to its slot. An error is the host's.
    fn start(&mut self, slot: SlotId, waiting: Waiting) -> Result<(), String> {
        let kind = waiting.kind();
        let directory = match waiting.work.command() {
            Some(command) => self.directory_of(waiting.attempt, command)?,
            None => None,
        };
        let is_staged = self.staging.own_directory(waiting.attempt).is_some();
        let process = self.slots.process(slot, kind, &self.prepared);
        let failed = |error| format!("no slot process: {error}");
        let process = process.map_err(failed)?;
        process.progress.begin(waiting.attempt);
        let pushed = match &*waiting.work {
            job::Work::Call(call) => push_call(process, &waiting, call),
            job::Work::Command(job) => push_command(process, &waiting, job, directory, is_staged),
        };
        pushed.map_err(failed)
    }

    /// The directory that a command is to have of its own.
    fn directory_of(
        &mut self,
        attempt: AttemptId,
        command: &CommandJob,
    ) -> Result<Option<ByteBuf>, String> {
        match command.directory {
            JobDirectory::Run => Ok(None),
            JobDirectory::Private => {
                let parent = self.prepared.private_parent();
                let parent = parent.map_err(|error| error.to_string())?;
                let own = parent.join(attempt.to_string()).into_os_string();
                Ok(Some(ByteBuf::from(own.into_vec())))
            }
        }
    }

    /// Takes an attempt back that has not begun, for the client. True when it is taken; where a slot has it, that says so.
    pub(super) fn recall(&mut self, attempt: AttemptId) -> bool {
        match self.attempts.withdraw(attempt) {
            Found::Waiting => {
                self.staging.forget(attempt);
                true
            }
            Found::InSlot(_) => {
                self.ask_back(attempt);
                false
            }
            Found::Nowhere => self.withdraw_gathering(attempt),
        }
    }

    /// Stops an attempt. True when it only waited; where a slot has it, that says how it ended.
    pub(super) fn stop(&mut self, attempt: AttemptId, grace: Duration) -> bool {
        match self.attempts.find_to_stop(attempt) {
            Found::Waiting => {
                self.staging.forget(attempt);
                return true;
            }
            Found::Nowhere => return self.withdraw_gathering(attempt),
            Found::InSlot(_) => {}
        }
        if let Some((slot, kind)) = self.attempts.slot_of(attempt) {
            if kind == SlotKind::Call {
                self.overdue.watch(attempt, grace);
            }
            if let Some(process) = self.slots.serving(slot, kind) {
                process.progress.stop(attempt);
            }
            self.tell_slot(slot, kind, &ToSlot::Stop { attempt, grace });
        }
        false
    }

    /// Lets so much more output of an attempt through.
    pub(super) fn grant(&mut self, attempt: AttemptId, bytes: u64) {
        if let Some((slot, kind)) = self.attempts.slot_of(attempt) {
            if let Some(process) = self.slots.serving(slot, kind) {
                process.progress.grant(attempt, bytes);
            }
            self.tell_slot(slot, kind, &ToSlot::Credit { attempt, bytes });
        }
    }

    /// Passes on a further part of a call's arguments, which its slot has asked for.
    pub(super) fn pass_arguments(&mut self, attempt: AttemptId, part: &[u8]) {
        if let Some((slot, SlotKind::Call)) = self.attempts.slot_of(attempt)
            && let Some(process) = self.slots.serving(slot, SlotKind::Call)
            && process.push(&ToSlot::Arguments { attempt }, part).is_err()
        {
            process.kill();
        }
    }

    /// Lets an attempt go on that has lent its licence.
    pub(super) fn resume(&mut self, attempt: AttemptId) {
        self.attempts.resume(attempt);
        if let Some((slot, kind @ SlotKind::Call)) = self.attempts.slot_of(attempt) {
            self.tell_slot(slot, kind, &ToSlot::Resume { attempt });
        }
    }

    /// Passes on what the client's runtime tells a call. A command does not listen.
    pub(super) fn pass_words(&mut self, attempt: AttemptId, words: &[u8]) {
        if let Some((slot, SlotKind::Call)) = self.attempts.slot_of(attempt)
            && let Some(process) = self.slots.serving(slot, SlotKind::Call)
            && process.push(&ToSlot::Tell { attempt }, words).is_err()
        {
            process.kill();
        }
    }

    /// Asks a slot to give back an attempt that lies there.
    fn ask_back(&mut self, attempt: AttemptId) {
        if let Some((slot, kind)) = self.attempts.slot_of(attempt) {
            self.tell_slot(slot, kind, &ToSlot::Recall { attempt });
        }
    }

    /// Tells a slot something, if it has a process.
    fn tell_slot(&mut self, slot: SlotId, kind: SlotKind, message: &ToSlot) {
        if let Some(process) = self.slots.serving(slot, kind)
            && process.push(message, &[]).is_err()
        {
            process.kill();
        }
    }

    /// Ends a slot that is of no more use; its end is then reported as any other.
    pub(super) fn kill_slot(&mut self, pid: Pid) {
        if let Some(process) = self.slots.get(pid) {
            process.kill();
        }
    }

    /// Asks back, after a while, what lies in slots behind calls that take long.
    pub(super) fn look_at_slots(&mut self, context: &mut Context<'_>) {
        while self.attempts.has_ahead() {
            let look = self
                .look
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_AFTER)));
            if look.as_mut().poll(context).is_pending() {
                return;
            }
            self.look = None;
            for (_, attempt) in self.attempts.ask_back_stuck() {
                self.ask_back(attempt);
            }
        }
    }

    /// Ends the slots of calls that should have stopped.
    pub(super) fn kill_overdue(&mut self, context: &mut Context<'_>) {
        for attempt in self.overdue.poll(context) {
            if let Some((slot, kind)) = self.attempts.slot_of(attempt)
                && let Some(process) = self.slots.serving(slot, kind)
            {
                process.kill();
            }
        }
    }

    /// Passes on what a slot says.
    pub(super) fn pass_on(
        &mut self,
        pid: Pid,
        message: FromSlot,
        payload: &[u8],
        session: &mut Session,
    ) {
        let Some(process) = self.slots.get(pid) else {
            return;
        };
        let (slot, kind) = (process.slot, process.kind);
        match message {
            FromSlot::Output { attempt, stream } => {
                process.progress.printed(attempt, stream, payload.len());
                session.say(FromAgent::Output { attempt, stream }, payload);
            }
            FromSlot::Value { attempt } => {
                process.progress.sent_value(attempt, payload.len());
                session.say(FromAgent::Value { attempt }, payload);
            }
            FromSlot::Told { attempt } => session.say(FromAgent::Told { attempt }, payload),
            FromSlot::Wanted { attempt } => session.say(FromAgent::Wanted { attempt }, &[]),
            FromSlot::Lent { attempt } => {
                for behind in self.attempts.lend(attempt) {
                    let message = ToSlot::Recall { attempt: behind };
                    self.tell_slot(slot, SlotKind::Call, &message);
                }
                session.say(FromAgent::Lent { attempt }, &[]);
            }
            FromSlot::ArgumentsWanted { attempt, bytes } => {
                session.say(FromAgent::ArgumentsWanted { attempt, bytes }, &[]);
            }
            FromSlot::Returned { attempt } => {
                if self.attempts.returned(slot, attempt) == Returned::ToClient {
                    self.staging.forget(attempt);
                    session.say(FromAgent::Returned { attempt }, &[]);
                }
            }
            FromSlot::Leaving => {
                if self.slots.retire(pid) {
                    self.attempts.leaving(slot, kind);
                }
            }
            FromSlot::Ended { attempt, result } => self.ended(pid, attempt, result, session),
        }
    }

    fn ended(
        &mut self,
        pid: Pid,
        attempt: AttemptId,
        result: AttemptResult,
        session: &mut Session,
    ) {
        let report = match &result {
            AttemptResult::Call { report, .. } => Some(report),
            _ => None,
        };
        let elapsed = match &result {
            AttemptResult::Call { report, .. } => Some(report.elapsed),
            AttemptResult::Command(end) => Some(end.elapsed),
            _ => None,
        };
        let after = self.attempts.end(attempt, elapsed);
        if after == AfterEnd::Unknown {
            return;
        }
        self.overdue.forget(attempt);
        let usage = report.map(|it| it.usage).unwrap_or_default();
        if let Some(killed) = left_over(&result) {
            let note = AgentNote::LeftOver { attempt, killed };
            session.say(FromAgent::Note(note), &[]);
        }
        self.staging.end(attempt, result, session);
        let Some(process) = self.slots.get(pid) else {
            return;
        };
        match after {
            AfterEnd::Next(next) => {
                process.progress.end(usage);
                process.progress.begin(next);
                let (attempt, slot) = (next, process.slot);
                session.say(FromAgent::Started { attempt, slot }, &[]);
            }
            AfterEnd::Idle => process.progress.end(usage),
            AfterEnd::HadNotBegun | AfterEnd::Unknown => {}
        }
    }
}

fn push_call(
    process: &mut SlotProcess,
    waiting: &Waiting,
    call: &job::Call,
) -> std::io::Result<()> {
    let order = CallOrder {
        attempt: waiting.attempt,
        task: call.task.clone(),
        fingerprint: call.fingerprint,
        more_arguments: waiting.more_arguments,
    };
    process.push(&ToSlot::Call(Box::new(order)), &call.arguments)
}

fn push_command(
    process: &mut SlotProcess,
    waiting: &Waiting,
    job: &CommandJob,
    directory: Option<ByteBuf>,
    is_staged: bool,
) -> std::io::Result<()> {
    let order = Order {
        attempt: waiting.attempt,
        try_number: waiting.try_number,
        cores: waiting.amounts.cores,
        directory,
        is_staged,
        job: Box::new(job.clone()),
    };
    process.push(&ToSlot::Run(Box::new(order)), &[])
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
