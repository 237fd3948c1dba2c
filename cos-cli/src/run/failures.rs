//! The first jobs that failed, told in full at the end of the run: where each was tried, its command, its last words.
//!
//! ```text
//! error: job 188 failed on all 3 tries (ws03, ws02, ws01): exit 1
//!   command: sim.sh c188.net
//!   stderr, last lines:  Error: no convergence at t=1.2e-9
//! ```

use std::collections::HashMap;

use cos_core::event::AgainCause;
use cos_core::job::{Exit, Outcome, Stream, TaskError};

use super::jobs::JobRecord;
use crate::escape::escape_line;
use crate::message::Message;
use crate::output::{Capture, CapturedStream};
use crate::progress::text;

/// How many jobs are told of in full. The others have a line each, and their output is in the run directory.
const MOST_TOLD: usize = 3;
/// How many jobs are named that were not run.
const MOST_NOT_RUN: usize = 5;
/// How many of its last lines are shown of a job.
const LAST_LINES: usize = 5;
/// How many of its last bytes are looked at.
const LAST_BYTES: usize = 2000;
/// The columns of a command and of a line of output: what is longer is cut.
const MOST_COLUMNS: usize = 200;

/// Collects what is to be told.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// The hosts of the tries that have failed so far, of jobs that are under way.
    tried: HashMap<u64, Vec<String>>,
    told: Vec<Message>,
    /// The first jobs that found no host.
    not_run: Vec<String>,
}

impl Failures {
    /// A job runs again.
    pub(super) fn note_again(&mut self, sequence: u64, host: &str, cause: &AgainCause) {
        if let AgainCause::Retry { .. }
        | AgainCause::CallFailed { .. }
        | AgainCause::TimedOut { .. } = cause
        {
            let hosts = self.tried.entry(sequence).or_default();
            hosts.push(host.to_owned());
        }
    }

    /// A job has its outcome.
    pub(super) fn note_end(
        &mut self,
        sequence: u64,
        outcome: &Outcome,
        job: &JobRecord,
        capture: Option<&Capture>,
    ) {
        let tried = self.tried.remove(&sequence).unwrap_or_default();
        let Err(error) = outcome else { return };
        if let TaskError::NoHostLeft { .. }
        | TaskError::HostLost { .. }
        | TaskError::CommandMissing { .. } = error
            && self.not_run.len() < MOST_NOT_RUN
        {
            let command = shortened(&job.command);
            self.not_run.push(format!("#{sequence} {command}"));
        }
        if self.told.len() >= MOST_TOLD {
            return;
        }
        let Some(headline) = headline(sequence, error, tried) else {
            return;
        };
        let command = shortened(&job.command);
        let mut message = Message::error(headline).cause(format_args!("command: {command}"));
        if let Some(cure) = &job.cure {
            message = message.hint(cure);
        }
        if let Some(words) = capture.and_then(last_words) {
            message = message.cause(words);
        }
        self.told.push(message);
    }

    /// The jobs that were not run since no host was left for them, so many in all.
    pub(super) fn not_run(&self, number: u64) -> Option<Message> {
        if self.not_run.is_empty() {
            return None;
        }
        let jobs = if number == 1 { "job was" } else { "jobs were" };
        let mut message = Message::error(format_args!("{number} {jobs} not run"));
        for job in &self.not_run {
            message = message.cause(job);
        }
        Some(match number.saturating_sub(self.not_run.len() as u64) {
            0 => message,
            more => message.cause(format_args!(
                "and {more} more, which the joblog does not have"
            )),
        })
    }

    /// What is to be told, at the end of the run.
    pub(super) fn take(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.told)
    }
}

/// `job 188 failed on all 3 tries (ws03, ws02, ws01): exit 1`; nothing for a job that was never to blame.
fn headline(sequence: u64, error: &TaskError, mut tried: Vec<String>) -> Option<String> {
    let (host, tries, how) = match error {
        TaskError::CommandFailed { host, end, tries } => {
            let how = match end.exit {
                Exit::Signal(9) if end.out_of_memory_kills > 0 => {
                    format!("{}, likely out of memory", end.exit)
                }
                exit => exit.to_string(),
            };
            (host, *tries, how)
        }
        TaskError::TimedOut {
            host, after, tries, ..
        } => {
            let after = humantime::format_duration(*after);
            (host, *tries, format!("took longer than {after}"))
        }
        TaskError::Invalid { cause } => {
            return Some(format!("job {sequence} was not run: {cause}"));
        }
        TaskError::Quarantined { .. } => return Some(format!("job {sequence} is {error}")),
        _ => return None,
    };
    if tries < 2 {
        return Some(format!("job {sequence} failed on {host}: {how}"));
    }
    let hosts = match tried.iter().all(|other| other == host) {
        true => format!("on {host}"),
        false => {
            tried.push(host.clone());
            tried.join(", ")
        }
    };
    Some(format!(
        "job {sequence} failed on all {tries} tries ({hosts}): {how}"
    ))
}

/// The last lines that a job wrote to standard error, or where it wrote none, to standard output.
fn last_words(capture: &Capture) -> Option<String> {
    let of = |stream: Stream, name: &str| {
        let captured = capture.stream(stream);
        let lines = last_lines(captured)?;
        let cut = captured.seen > captured.kept.len();
        let which = if cut { "last lines kept" } else { "last lines" };
        Some(match lines.as_slice() {
            [line] => format!("{name}, {which}:  {line}"),
            lines => format!("{name}, {which}:\n  {}", lines.join("\n  ")),
        })
    };
    of(Stream::Stderr, "stderr").or_else(|| of(Stream::Stdout, "stdout"))
}

/// Escaped and cut; `None` where there is nothing to read.
fn last_lines(captured: &CapturedStream) -> Option<Vec<String>> {
    // A temporary file that cannot be read has been told of by whoever shows the output.
    let tail = captured.tail(LAST_BYTES).ok()?;
    let cut_at_start = captured.kept.len() > tail.len() as u64;
    let mut lines: Vec<&[u8]> = tail
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii_end())
        .collect();
    if cut_at_start && lines.len() > 1 {
        // The first one has lost its beginning.
        lines.remove(0);
    }
    lines.retain(|line| !line.is_empty());
    let first = lines.len().saturating_sub(LAST_LINES);
    let shown: Vec<String> = lines[first..].iter().map(|line| shortened(line)).collect();
    (!shown.is_empty()).then_some(shown)
}

/// One line, escaped and cut.
fn shortened(line: &[u8]) -> String {
    // A character takes at most four bytes; whatever is beyond is not even looked at.
    let bytes = &line[..line.len().min(4 * (MOST_COLUMNS + 1))];
    text::truncate(&escape_line(bytes), MOST_COLUMNS).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cos_core::job::{CommandEnd, TaskEnd};

    use super::*;
    use crate::arguments::OutputMode;
    use crate::output::TextSink;
    use crate::output::{OutputOptions, OutputRouter};
    use crate::sources::Row;

    fn end(exit: Exit) -> CommandEnd {
        CommandEnd {
            exit,
            usage: Default::default(),
            elapsed: Duration::from_secs(1),
            stdout: Default::default(),
            stderr: Default::default(),
            left_over: 0,
            out_of_memory_kills: 0,
        }
    }

    fn failed(host: &str, tries: u32) -> Outcome {
        Err(TaskError::CommandFailed {
            host: host.to_owned(),
            end: end(Exit::Code(1)),
            tries,
        })
    }

    fn record() -> JobRecord {
        JobRecord {
            row: Row::default(),
            command: b"sim.sh c188.net".to_vec(),
            tag: None,
            to_map: None,
            cure: None,
        }
    }

    /// What is told of a job that wrote this.
    fn told(stdout: &[u8], stderr: &[u8]) -> String {
        let sink = TextSink::new(
            Box::new(std::io::sink()),
            false,
            Box::new(std::io::sink()),
            false,
        );
        let options = OutputOptions {
            mode: OutputMode::Group,
            keep_order: false,
            capture_limit: u64::MAX,
        };
        let mut router = OutputRouter::new(sink, options);
        router.start(188, None);
        router.write(188, Stream::Stdout, stdout).expect("written");
        router.write(188, Stream::Stderr, stderr).expect("written");
        let mut failures = Failures::default();
        failures.note_end(188, &failed("ws01", 1), &record(), router.capture(188));
        failures.take().remove(0).to_string()
    }

    #[test]
    fn every_try_is_told_with_its_host() {
        let mut failures = Failures::default();
        for (host, number) in [("ws03", 1), ("ws02", 2)] {
            let cause = AgainCause::Retry {
                end: end(Exit::Code(1)),
                try_number: number,
                tries: 3,
            };
            failures.note_again(188, host, &cause);
        }
        failures.note_end(188, &failed("ws01", 3), &record(), None);
        let told: Vec<_> = failures.take().iter().map(Message::to_string).collect();
        assert_eq!(
            told,
            [
                "error: job 188 failed on all 3 tries (ws03, ws02, ws01): exit 1\n  command: sim.sh c188.net\n"
            ]
        );
    }

    #[test]
    fn the_last_words_are_few_and_escaped() {
        assert_eq!(
            told(b"x = 1\n", b"Error: \x1b[2Jno convergence\r\n\n"),
            "error: job 188 failed on ws01: exit 1\n  command: sim.sh c188.net\n  \
             stderr, last lines:  Error: \\x1b[2Jno convergence\n"
        );
        let many: String = (1..=1000).map(|line| format!("line {line}\n")).collect();
        assert_eq!(
            told(many.as_bytes(), b"")
                .lines()
                .skip(2)
                .collect::<Vec<_>>(),
            [
                "  stdout, last lines:",
                "    line 996",
                "    line 997",
                "    line 998",
                "    line 999",
                "    line 1000"
            ]
        );
        let long = told(b"", &[b'x'; 100_000]);
        assert!(long.len() < 1000, "{long}");
        assert_eq!(told(b"", b"").lines().count(), 2);
    }

    #[test]
    fn only_the_first_failures_are_told() {
        let mut failures = Failures::default();
        for sequence in 1..=100 {
            failures.note_end(sequence, &failed("ws01", 1), &record(), None);
        }
        failures.note_end(
            101,
            &Ok(TaskEnd::Command(end(Exit::Code(0)))),
            &record(),
            None,
        );
        assert_eq!(failures.take().len(), MOST_TOLD);
        assert!(failures.tried.is_empty());
    }
}
