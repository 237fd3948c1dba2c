//! What one slot has been handed: the attempt that runs, and others that lie in its socket before their turn.

use std::collections::VecDeque;
use std::time::Duration;

use super::Waiting;
use crate::ids::AttemptId;
use crate::job::{Amounts, CommandJob, JobDirectory, LinePart, Program, Work};

/// How much work may lie in a slot before its turn (5 ms): a hundred times what a message to the slot takes, and too
/// little to be missed elsewhere.
const AHEAD: Duration = Duration::from_millis(5);

/// How many attempts may at most.
const AHEAD_ATTEMPTS: usize = 64;

/// Longer arguments and command lines are not sent ahead (4 KiB): they would fill the socket.
const AHEAD_BYTES: usize = 4 * 1024;

/// A slot with so much work ahead can be left alone for a moment (2.5 ms).
const ENOUGH: Duration = Duration::from_micros(2500);

/// The weight of the newest attempt in the running mean.
const WEIGHT: f64 = 0.25;

/// Which process of a slot an attempt runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::worker::agent) enum SlotKind {
    /// The one that starts commands.
    Command,
    /// The one that executes calls.
    Call,
}

impl Waiting {
    /// Which process it needs.
    pub(in crate::worker::agent) fn kind(&self) -> SlotKind {
        match &*self.work {
            Work::Command(_) => SlotKind::Command,
            Work::Call(_) => SlotKind::Call,
        }
    }

    /// Whether it may lie in a slot before its turn. A directory of its own is made when its turn has come.
    pub(super) fn may_go_ahead(&self) -> bool {
        match &*self.work {
            Work::Call(call) => self.more_arguments == 0 && call.arguments.len() <= AHEAD_BYTES,
            Work::Command(command) => {
                command.directory == JobDirectory::Run && length(command) <= AHEAD_BYTES
            }
        }
    }
}

/// About how long a command is as a message.
fn length(command: &CommandJob) -> usize {
    let program: usize = match &command.program {
        Program::Shell(parts) => parts
            .iter()
            .map(|part| match part {
                LinePart::Text(text) => text.len(),
                LinePart::Slot => 1,
            })
            .sum(),
        Program::Argv(words) => words.iter().map(|word| word.len()).sum(),
    };
    let variables = command.environment.iter();
    program
        + variables
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>()
}

/// For whom an attempt that lies in a slot was asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBack {
    No,
    /// It could run elsewhere.
    ForOthers,
    /// The client wants it.
    ForClient,
}

/// An attempt that lies in a slot.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) waiting: Waiting,
    pub(super) asked_back: AskedBack,
}

/// Whether what a lane takes is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Licence {
    Held,
    /// What runs waits, and others may have it meanwhile.
    Lent,
}

/// A slot that is in use.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) running: AttemptId,
    pub(super) amounts: Amounts,
    pub(super) kind: SlotKind,
    pub(super) licence: Licence,
    pub(super) ahead: VecDeque<Ahead>,
    /// What ran at the last look.
    pub(super) looked_at: Option<AttemptId>,
    /// Its process ends itself: it gets nothing more.
    pub(super) leaving: bool,
}

impl Lane {
    pub(super) fn of(waiting: &Waiting) -> Self {
        Self {
            running: waiting.attempt,
            amounts: waiting.amounts,
            kind: waiting.kind(),
            licence: Licence::Held,
            ahead: VecDeque::new(),
            looked_at: None,
            leaving: false,
        }
    }

    /// Whether an attempt may be sent ahead, in a slot of this pace.
    pub(super) fn has_room(&self, pace: Pace, waiting: &Waiting) -> bool {
        self.kind == waiting.kind()
            && self.licence == Licence::Held
            && !self.leaving
            && !self.is_stuck()
            && waiting.amounts == self.amounts
            && self.ahead.len() < pace.depth()
    }

    /// Whether what runs has run since the last look.
    pub(super) fn is_stuck(&self) -> bool {
        self.looked_at == Some(self.running)
    }

    /// Whether it has work ahead for a moment, at this pace.
    pub(super) fn has_enough(&self, pace: Pace) -> bool {
        let not_asked = |it: &&Ahead| it.asked_back == AskedBack::No;
        let ahead = self.ahead.iter().filter(not_asked).count();
        let goes_on = !self.leaving && !self.is_stuck() && self.licence == Licence::Held;
        goes_on && pace.of(ahead) >= ENOUGH
    }

    pub(super) fn position(&self, attempt: AttemptId) -> Option<usize> {
        let is_it = |it: &Ahead| it.waiting.attempt == attempt;
        self.ahead.iter().position(is_it)
    }
}

/// How long the attempts in a slot take.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// The running mean in seconds, once one has ended.
    mean: Option<f64>,
}

impl Pace {
    pub(super) fn add(&mut self, elapsed: Duration) {
        let elapsed = elapsed.as_secs_f64();
        let mean = self.mean.unwrap_or(elapsed);
        self.mean = Some(mean + (elapsed - mean) * WEIGHT);
    }

    /// How long so many take, as far as is known.
    fn of(self, number: usize) -> Duration {
        Duration::try_from_secs_f64(self.mean.unwrap_or(0.0) * number as f64).unwrap_or_default()
    }

    /// How many attempts may lie in the slot: none while nothing is known, or where a message takes no time against them.
    fn depth(self) -> usize {
        match self.mean {
            // A mean of zero gives infinity, and the cast saturates.
            Some(mean) => ((AHEAD.as_secs_f64() / mean) as usize).min(AHEAD_ATTEMPTS),
            None => 0,
        }
    }
}
