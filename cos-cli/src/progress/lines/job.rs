//! The line about one job.

use std::time::Duration;

use cos_core::job::{CommandEnd, Exit};

use crate::progress::format::{Coarse, Fine};
use crate::progress::line::{Line, Tone, padded};
use crate::progress::text;

/// The columns of a command that are shown however narrow the terminal is.
const LEAST_COMMAND: usize = 16;

/// What is said about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::progress) struct JobLine {
    /// `FAIL`, `RETRY`.
    pub(super) label: &'static str,
    /// How bad it is.
    pub(super) tone: Tone,
    /// The time in the brackets.
    pub(super) clock: Clock,
    /// The host's name, escaped.
    pub(super) host: Option<String>,
    /// The job's number, from 0.
    pub(super) index: u64,
    /// Its command, escaped.
    pub(super) command: String,
    /// What happened.
    pub(super) note: String,
}

/// The time in the brackets of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::progress) enum Clock {
    /// It took so long.
    Took(Duration),
    /// It has taken longer than that.
    Passed(Duration),
    /// There is nothing to tell.
    Blank,
}

/// How the columns of the lines about jobs are laid out.
#[derive(Debug, Clone, Copy)]
pub(in crate::progress) struct Columns {
    /// Those of a host's name.
    pub(in crate::progress) host: usize,
    /// Those of a job's number with its `#`.
    pub(in crate::progress) number: usize,
    /// Those of the whole line.
    pub(in crate::progress) line: usize,
}

impl JobLine {
    /// The line after its label.
    pub(super) fn body(&self, columns: Columns, label_width: usize) -> Line {
        let mut line = Line::new().plain(format!("{} ", self.clock.bracket()));
        if let Some(host) = &self.host {
            line.push(Tone::Name, padded(host, columns.host));
            line.push(Tone::Plain, "  ");
        }
        let number = format!("#{}", self.index.saturating_add(1));
        line.push(
            Tone::Plain,
            padded(&number, columns.number.max(number.len())),
        );
        line.push(Tone::Plain, " ");
        let mut note = String::new();
        if !self.note.is_empty() {
            note = format!("  {}", self.note);
        }
        let taken = label_width + line.width() + text::width(&note);
        let room = columns.line.saturating_sub(taken).max(LEAST_COMMAND);
        line.plain(text::truncate(&self.command, room)).plain(note)
    }
}

impl Clock {
    fn bracket(self) -> String {
        match self {
            Self::Took(time) => format!("[{:>7}]", Fine(time)),
            Self::Passed(time) if time < Duration::from_secs(1) => format!("[>{:>6}]", Fine(time)),
            Self::Passed(time) => format!("[>{:>6}]", Coarse(time)),
            Self::Blank => format!("[{:7}]", ""),
        }
    }
}

/// How a command ended, with what is known beyond its exit.
pub(super) fn end_note(end: &CommandEnd) -> String {
    match end.exit {
        Exit::Signal(9) if end.out_of_memory_kills > 0 => {
            format!("{}, likely out of memory", end.exit)
        }
        exit => exit.to_string(),
    }
}
