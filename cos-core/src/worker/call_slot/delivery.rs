//! What a call has printed and returned, on its way to the agent: as far and as fast as the client takes it.

use std::time::Duration;

use bytes::Bytes;

use super::output::{Outputs, STREAMS};
use super::state::{Running, State, UNWRITTEN_LIMIT};
use crate::job::{AttemptResult, CallFailure, CallReport, CommandEnd, CommandJob, Exit, Usage};
use crate::wire::frame::CHUNK;
use crate::worker::calls::usage_so_far;
use crate::worker::slot::channel::AgentGone;
use crate::worker::slot::protocol::FromSlot;

/// How many bytes of each output stream of a call are sent; what it writes beyond is read, counted and dropped.
const OUTPUT_LIMIT: u64 = CommandJob::OUTPUT_LIMIT;

/// What came of a call.
pub(super) struct Finished {
    pub(super) result: Result<Bytes, CallFailure>,
    pub(super) elapsed: Duration,
    pub(super) usage: Usage,
    pub(super) left_over: u32,
    /// It could not even begin, by the host's fault.
    pub(super) not_started: Option<String>,
}

/// Whether everything of a call but its end was sent.
pub(super) enum Drained {
    All,
    /// The client or the agent must take something first.
    Waits,
}

impl State {
    /// Reads what the running call has printed, as far as the client takes it. What nobody has printed is dropped.
    pub(super) fn read(
        &mut self,
        outputs: &Outputs,
        ready: [bool; 2],
        buffer: &mut [u8],
    ) -> Result<(), AgentGone> {
        if self.running.is_none() {
            outputs.discard(buffer);
            return Ok(());
        }
        for (at, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            self.read_one(outputs, at, buffer)?;
        }
        Ok(())
    }

    /// Reads once from one stream. False when it was empty, or nothing of it may be sent now.
    fn read_one(
        &mut self,
        outputs: &Outputs,
        at: usize,
        buffer: &mut [u8],
    ) -> Result<bool, AgentGone> {
        let Some(running) = &mut self.running else {
            return Ok(false);
        };
        let totals = &mut running.totals[at];
        let limit = OUTPUT_LIMIT - totals.sent;
        let room = match limit {
            0 => buffer.len() as u64,
            limit => limit.min(running.credit).min(buffer.len() as u64),
        };
        // A buffer's length fits.
        let piece = &mut buffer[..room as usize];
        if piece.is_empty() {
            return Ok(false);
        }
        let Some(count) = outputs.read(at, piece) else {
            return Ok(false);
        };
        totals.seen += count as u64;
        if limit > 0 {
            totals.sent += count as u64;
            running.credit -= count as u64;
            let (attempt, stream) = (running.attempt, STREAMS[at]);
            self.push(&FromSlot::Output { attempt, stream }, &buffer[..count])?;
        }
        Ok(true)
    }

    /// Sends what a finished call has printed, and of its value what does not fit beside its end.
    pub(super) fn drain(
        &mut self,
        outputs: &Outputs,
        finished: &mut Finished,
        buffer: &mut [u8],
    ) -> Drained {
        if self.is_stopping() {
            // Nobody grants credit for a call that was stopped, and its value is not wanted.
            self.count(outputs, buffer);
            finished.result = Ok(Bytes::new());
            return Drained::All;
        }
        let ready = outputs.ready();
        for (at, _) in ready.iter().enumerate().filter(|(_, ready)| **ready) {
            loop {
                if self.channel.unwritten() > UNWRITTEN_LIMIT {
                    return Drained::Waits;
                }
                match self.read_one(outputs, at, buffer) {
                    Ok(true) => {}
                    Ok(false) if self.is_starved() => return Drained::Waits,
                    // The I/O thread meets the same agent and ends this process.
                    Ok(false) | Err(AgentGone) => break,
                }
            }
        }
        let Ok(value) = &mut finished.result else {
            return Drained::All;
        };
        while value.len() > CHUNK {
            let Some(running) = &mut self.running else {
                break;
            };
            let part = running.credit.min(CHUNK as u64);
            if part == 0 || self.channel.unwritten() > UNWRITTEN_LIMIT {
                return Drained::Waits;
            }
            running.credit -= part;
            let (attempt, part) = (running.attempt, value.split_to(part as usize));
            if self.push(&FromSlot::Value { attempt }, &part).is_err() {
                break;
            }
        }
        Drained::All
    }

    fn is_stopping(&self) -> bool {
        self.running.as_ref().is_some_and(|it| it.stop.is_some())
    }

    pub(super) fn is_starved(&self) -> bool {
        let starves = |it: &Running| it.credit == 0;
        self.running.as_ref().is_some_and(starves)
    }

    /// Sends of what is in the pipes what still may be, and counts the rest.
    fn count(&mut self, outputs: &Outputs, buffer: &mut [u8]) {
        for at in 0..STREAMS.len() {
            while matches!(self.read_one(outputs, at, buffer), Ok(true)) {}
            while let (Some(running), Some(count)) = (&mut self.running, outputs.read(at, buffer)) {
                running.totals[at].seen += count as u64;
            }
        }
    }

    /// Tells the end of the call that runs.
    pub(super) fn end(&mut self, finished: Finished) {
        let Some(running) = self.running.take() else {
            return;
        };
        let [stdout, stderr] = running.totals;
        let Finished {
            result,
            elapsed,
            usage,
            left_over,
            not_started,
        } = finished;
        let report = CallReport {
            usage,
            elapsed,
            stdout,
            stderr,
            left_over,
        };
        let result = match (running.stop, not_started) {
            (Some(_), _) => AttemptResult::Stopped(Some(end_of_stopped(report))),
            (None, Some(cause)) => AttemptResult::NotStarted { cause },
            (None, None) => AttemptResult::Call { result, report },
        };
        let attempt = running.attempt;
        // It fits: causes are cut where they arise. A broken socket is the I/O thread's to see.
        let _ = self.push(&FromSlot::Ended { attempt, result }, &[]);
    }

    /// Tells that the call that runs has failed, and that nothing more runs here. For a process that is about to abort.
    pub(super) fn abandon(&mut self, outputs: &Outputs, failure: CallFailure, buffer: &mut [u8]) {
        if self.running.is_none() {
            return;
        }
        self.count(outputs, buffer);
        let _ = self.push(&FromSlot::Leaving, &[]);
        let elapsed = self.running.as_ref().map(|it| it.began.elapsed());
        self.end(Finished {
            result: Err(failure),
            elapsed: elapsed.unwrap_or_default(),
            usage: usage_so_far(),
            left_over: 0,
            not_started: None,
        });
        self.flush_all();
    }
}

/// A call that was stopped and ended by itself within its grace.
fn end_of_stopped(report: CallReport) -> CommandEnd {
    CommandEnd {
        exit: Exit::Code(0),
        usage: report.usage,
        elapsed: report.elapsed,
        stdout: report.stdout,
        stderr: report.stderr,
        left_over: report.left_over,
        out_of_memory_kills: 0,
    }
}
