//! One command from its start to its end.
//!
//! ```text
//!            ended, nothing left                          all sent
//!  Alive ------------------------------------> Draining ------------> (result)
//!    |                                             ^
//!    | ended, processes left      killed, or ended |
//!    `-----------------------> Lingering ----------'
//! ```
//!
//! A stop sends TERM to the process group at once; when its grace is over the whole tree is killed, which ends `Alive`
//! as well as `Lingering`.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::capture::{Capture, Piece};
use super::channel::{AgentGone, Channel};
use super::directory::{enter, remove};
use super::memory::OutOfMemoryKills;
use super::protocol::{FromSlot, Order};
use super::spawning::{Commands, SpawnError, Spawned};
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit, Stream, StreamTotals, Usage};
use crate::wire::message::OUTPUT_WINDOW;
use crate::worker::calls::{Children, reap_all};
use crate::worker::containment::{self, Scope};

/// How long processes that resist are tried to be killed (5 s): one in an uninterruptible wait does.
pub(in crate::worker) const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long what a command leaves behind may still finish by itself (200 ms).
///
/// A shell does not wait for a process substitution (`cmd > >(gzip > log.gz)`), which ends as soon as it has read
/// everything. Something that stays for good was not meant to outlive its job.
pub(in crate::worker) const LEFT_OVER_GRACE: Duration = Duration::from_millis(200);

/// A grace beyond that is none (a year): a moment in time has a limit.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a command's end alone is waited for (2 ms): the output of a short one is read when it has ended, at once. One that
/// fills its pipes in that time waits for the rest of it.
const LISTEN_AFTER: Duration = Duration::from_millis(2);

/// How long a small output waits for more, so that most commands cost one message in all (5 ms).
const HOLD: Duration = Duration::from_millis(5);

/// Output that is larger is sent at once (16 KiB).
const HOLD_BYTES: usize = 16 * 1024;

/// When so many bytes wait for the agent, the command's pipes are left alone (256 KiB).
const UNWRITTEN_LIMIT: usize = 256 * 1024;

/// What became of a command after a turn.
pub(super) enum Step {
    Continue,
    /// Its result was pushed.
    Ended,
}

enum Phase {
    Alive,
    Lingering { command: Ended, until: Instant },
    Draining { command: Ended, left_over: u32 },
}

/// The end of the command itself.
#[derive(Clone, Copy)]
struct Ended {
    exit: Exit,
    usage: Usage,
    elapsed: Duration,
}

pub(super) struct Running {
    attempt: AttemptId,
    pid: i32,
    began: Instant,
    phase: Phase,
    /// When the tree is to be killed, once a stop was asked for.
    stop: Option<Instant>,
    /// Whether there are children, as far as the last reaping knows.
    children: Children,
    captures: [Capture; 2],
    credit: u64,
    held_since: Option<Instant>,
    kills_before: u32,
    /// The command's own directory, which goes with it.
    private: Option<PathBuf>,
}

impl Running {
    /// Starts a job. `None` when it could not be, which the agent is told.
    pub(super) fn start(
        order: &Order,
        commands: &mut Commands,
        kills_before: u32,
        channel: &mut Channel,
    ) -> Result<Option<Self>, AgentGone> {
        let (attempt, limit) = (order.attempt, order.job.output_limit);
        let private = match enter(order, commands.configuration()) {
            Ok(private) => private,
            Err(cause) => {
                let result = AttemptResult::NotStarted { cause };
                push(channel, &FromSlot::Ended { attempt, result }, &[])?;
                return Ok(None);
            }
        };
        let began = Instant::now();
        match commands.spawn(order) {
            Ok(Spawned {
                pid,
                stdout,
                stderr,
            }) => Ok(Some(Self {
                attempt,
                pid,
                began,
                phase: Phase::Alive,
                stop: None,
                children: Children::Some,
                captures: [
                    Capture::new(Stream::Stdout, stdout, limit),
                    Capture::new(Stream::Stderr, stderr, limit),
                ],
                credit: OUTPUT_WINDOW,
                held_since: None,
                kills_before,
                private,
            })),
            Err(error) => {
                remove(private.as_deref());
                report_unstarted(attempt, error, limit, channel)?;
                Ok(None)
            }
        }
    }

    /// Asks the command to end.
    pub(super) fn stop(&mut self, attempt: AttemptId, grace: Duration) {
        if attempt != self.attempt {
            return;
        }
        let kill_at = Instant::now() + grace.min(LONGEST_GRACE);
        self.stop = Some(self.stop.map_or(kill_at, |earlier| earlier.min(kill_at)));
        if let (Some(group), false) = (Pid::from_raw(self.pid), grace.is_zero()) {
            // A group that is gone needs no signal. Its number is not reused while the command is not reaped.
            if matches!(self.phase, Phase::Alive) {
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
    }

    /// Lets so many more bytes through.
    pub(super) fn grant(&mut self, attempt: AttemptId, bytes: u64) {
        if attempt == self.attempt {
            self.credit = self.credit.saturating_add(bytes);
        }
    }

    /// The output descriptors that are worth polling.
    pub(super) fn wanted_outputs(&self, unwritten: usize) -> [Option<BorrowedFd<'_>>; 2] {
        if unwritten > UNWRITTEN_LIMIT || self.listen_at().is_some() {
            return [None, None];
        }
        let [stdout, stderr] = &self.captures;
        [stdout.wanted(self.credit), stderr.wanted(self.credit)]
    }

    /// When to wake up at the latest.
    pub(super) fn wake_at(&self, unwritten: usize) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Alive => self.stop,
            Phase::Lingering { until, .. } => Some(self.stop.unwrap_or(*until)),
            Phase::Draining { .. } => None,
        };
        [phase, self.flush_at(unwritten), self.listen_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// From when on the outputs are listened to; `None` when that is now.
    fn listen_at(&self) -> Option<Instant> {
        let from = self.began + LISTEN_AFTER;
        (matches!(self.phase, Phase::Alive) && Instant::now() < from).then_some(from)
    }

    /// Until when what is pushed may be held back; `None` when there is no reason to.
    pub(super) fn flush_at(&self, unwritten: usize) -> Option<Instant> {
        let since = self.held_since?;
        (1..HOLD_BYTES).contains(&unwritten).then(|| since + HOLD)
    }

    /// What was held back has been written, as far as the agent takes it.
    pub(super) fn flushed(&mut self) {
        self.held_since = None;
    }

    /// Reaps children that have ended.
    pub(super) fn reap(&mut self) {
        let mut own = None;
        self.children = reap_all(&mut |child| {
            if child.pid == self.pid {
                own = Some(child);
            }
        });
        if let (Some(child), Phase::Alive) = (own, &self.phase) {
            let command = Ended {
                exit: child.exit,
                usage: child.usage,
                elapsed: self.began.elapsed(),
            };
            let until = Instant::now() + LEFT_OVER_GRACE;
            self.phase = Phase::Lingering { command, until };
        }
    }

    /// Reads once from one of the outputs and pushes what is to be sent.
    pub(super) fn read(
        &mut self,
        at: usize,
        buffer: &mut [u8],
        channel: &mut Channel,
    ) -> Result<Piece, AgentGone> {
        let Some(capture) = self.captures.get_mut(at) else {
            return Ok(Piece::End);
        };
        let piece = capture.read(buffer, self.credit);
        if let Piece::Send(count) = piece {
            self.credit -= count as u64;
            self.held_since.get_or_insert_with(Instant::now);
            let (attempt, stream) = (self.attempt, capture.stream);
            push(
                channel,
                &FromSlot::Output { attempt, stream },
                &buffer[..count],
            )?;
        }
        Ok(piece)
    }

    /// Acts on what has changed and on what time asks for.
    pub(super) fn step(
        &mut self,
        buffer: &mut [u8],
        channel: &mut Channel,
        memory: &OutOfMemoryKills,
    ) -> Result<Step, AgentGone> {
        let now = Instant::now();
        let mut left_over = 0;
        let is_due = |moment: Option<Instant>| moment.is_some_and(|moment| moment <= now);
        match &self.phase {
            Phase::Alive if is_due(self.stop) => {
                self.kill();
                // One that cannot be killed now is tried again after a while.
                self.stop = Some(now + KILL_LIMIT);
            }
            Phase::Lingering { .. } if self.children == Children::None => {}
            Phase::Lingering { until, .. } if is_due(Some(self.stop.unwrap_or(*until))) => {
                left_over = self.kill();
            }
            Phase::Alive | Phase::Lingering { .. } => return Ok(Step::Continue),
            Phase::Draining { .. } => {}
        }
        match self.phase {
            // A process that cannot be killed keeps its slot; the agent sees to it when it ends.
            Phase::Alive => return Ok(Step::Continue),
            Phase::Lingering { command, .. } => {
                self.phase = Phase::Draining { command, left_over };
            }
            Phase::Draining { .. } => {}
        }
        self.drain(buffer, channel, memory)
    }

    /// Kills everything that is left of the command and says how many processes that were, the command itself aside.
    fn kill(&mut self) -> u32 {
        let mut reap = || {
            self.reap();
            self.children
        };
        let killed = containment::kill(Scope::All, &mut reap, KILL_LIMIT);
        killed.count
    }

    /// Nobody grants credit for a command that was stopped: what cannot be sent now is only counted.
    fn close_limits_at_credit(&mut self) {
        if self.credit == 0 {
            self.captures.iter_mut().for_each(Capture::close_limit);
        }
    }

    /// Sends what is still in the pipes. Nothing writes to them any more.
    fn drain(
        &mut self,
        buffer: &mut [u8],
        channel: &mut Channel,
        memory: &OutOfMemoryKills,
    ) -> Result<Step, AgentGone> {
        for at in 0..self.captures.len() {
            while channel.unwritten() <= UNWRITTEN_LIMIT {
                if self.stop.is_some() {
                    self.close_limits_at_credit();
                }
                match self.read(at, buffer, channel)? {
                    Piece::Send(_) | Piece::Dropped => {}
                    Piece::Empty | Piece::End => break,
                }
            }
        }
        let [stdout, stderr] = &self.captures;
        let waits = |capture: &Capture| {
            let starved = capture.wanted(self.credit).is_none();
            !capture.has_ended() && (starved || channel.unwritten() > UNWRITTEN_LIMIT)
        };
        if waits(stdout) || waits(stderr) {
            return Ok(Step::Continue);
        }
        remove(self.private.as_deref());
        self.report(channel, memory)?;
        Ok(Step::Ended)
    }

    fn report(&self, channel: &mut Channel, memory: &OutOfMemoryKills) -> Result<(), AgentGone> {
        let Phase::Draining { command, left_over } = self.phase else {
            return Ok(());
        };
        let [stdout, stderr] = &self.captures;
        let end = CommandEnd {
            exit: command.exit,
            usage: command.usage,
            elapsed: command.elapsed,
            stdout: stdout.totals(),
            stderr: stderr.totals(),
            left_over,
            out_of_memory_kills: self.out_of_memory_kills(command.exit, memory),
        };
        let result = match self.stop {
            Some(_) => AttemptResult::Stopped(Some(end)),
            None => AttemptResult::Command(end),
        };
        let attempt = self.attempt;
        push(channel, &FromSlot::Ended { attempt, result }, &[])
    }

    /// The killer's strikes while the command ran, if the command looks as if it had been struck.
    fn out_of_memory_kills(&self, exit: Exit, memory: &OutOfMemoryKills) -> u32 {
        const KILLED: i32 = libc::SIGKILL;
        const SHELL_SAW_KILLED: i32 = 128 + libc::SIGKILL;
        match exit {
            Exit::Signal(KILLED) | Exit::Code(SHELL_SAW_KILLED) => {
                memory.count().saturating_sub(self.kills_before)
            }
            _ => 0,
        }
    }
}

fn report_unstarted(
    attempt: AttemptId,
    error: SpawnError,
    limit: u64,
    channel: &mut Channel,
) -> Result<(), AgentGone> {
    let result = match error {
        SpawnError::Host { cause } => AttemptResult::NotStarted { cause },
        SpawnError::Job { exit, words } => {
            let sent = words
                .len()
                .min(usize::try_from(limit).unwrap_or(usize::MAX));
            let stream = Stream::Stderr;
            let output = FromSlot::Output { attempt, stream };
            push(channel, &output, &words.as_bytes()[..sent])?;
            let stderr = StreamTotals {
                seen: words.len() as u64,
                sent: sent as u64,
            };
            AttemptResult::Command(CommandEnd::not_executed(exit, stderr))
        }
    };
    push(channel, &FromSlot::Ended { attempt, result }, &[])
}

/// A message that does not fit into a frame cannot be: payloads are chunks, and causes are short.
pub(super) fn push(
    channel: &mut Channel,
    message: &FromSlot,
    payload: &[u8],
) -> Result<(), AgentGone> {
    channel.push(message, payload).map_err(|_| AgentGone)
}
