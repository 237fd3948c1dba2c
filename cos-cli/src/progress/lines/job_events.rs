//! What is said about tasks.

use std::time::Duration;

use cos_core::event::{AgainCause, RunEvent, Stamped};
use cos_core::ids::{AttemptId, HostId};
use cos_core::job::{CommandEnd, TaskError, command_end};

use super::job::{Clock, JobLine, end_note};
use super::{MAX_FAILURES_NAMED, Reporter, Statement};
use crate::arguments::StatusLevel;
use crate::message::Message;
use crate::progress::facts::JobLabels;
use crate::progress::format::{Amount, Bytes};
use crate::progress::line::Tone;
use crate::progress::model::{RunView, sentence, shown_command};

/// What every line about a task needs, looked up while the task is still known.
struct Subject {
    index: u64,
    host: Option<String>,
    command: String,
    running_for: Option<Duration>,
}

impl Subject {
    fn line(self, label: &'static str, tone: Tone, clock: Clock, note: String) -> JobLine {
        JobLine {
            label,
            tone,
            clock,
            host: self.host,
            index: self.index,
            command: self.command,
            note,
        }
    }

    /// How long it took: by the host's count, else by ours.
    fn took(&self, end: Option<&CommandEnd>) -> Clock {
        match end.map(|end| end.elapsed).or(self.running_for) {
            Some(time) => Clock::Took(time),
            None => Clock::Blank,
        }
    }
}

impl Reporter {
    pub(super) fn report_task(
        &mut self,
        stamped: &Stamped,
        view: &RunView,
        labels: &dyn JobLabels,
    ) -> Vec<Statement> {
        let at = stamped.at;
        let subject = |attempt: Option<AttemptId>, index: u64, host: Option<HostId>| {
            let job = attempt.and_then(|attempt| view.running_job(attempt));
            Subject {
                index,
                host: host
                    .and_then(|host| view.host(host))
                    .map(|host| host.name.clone()),
                command: match job {
                    Some(job) => job.command.clone(),
                    None => shown_command(labels, index),
                },
                running_for: job.map(|job| at.since(job.since)),
            }
        };
        let level = self.settings.status_level;
        let (line, end) = match &stamped.event {
            RunEvent::TaskStarted { index, host, .. } if level >= StatusLevel::All => {
                let subject = subject(None, *index, Some(*host));
                let line = subject.line("START", Tone::Good, Clock::Blank, String::new());
                (Some(line), None)
            }
            RunEvent::TaskSlow {
                attempt,
                index,
                host,
                threshold,
            } if level >= StatusLevel::Slow => {
                let subject = subject(Some(*attempt), *index, Some(*host));
                let clock = Clock::Passed(*threshold);
                let line = subject.line("SLOW", Tone::Warning, clock, String::new());
                (Some(line), None)
            }
            RunEvent::TaskAgain {
                attempt,
                index,
                host,
                cause,
            } => {
                let subject = || subject(Some(*attempt), *index, Some(*host));
                let is_told = view.host(*host).is_some_and(|host| host.is_down());
                let wanted = level >= StatusLevel::Retry;
                let line = wanted.then(|| self.again_line(subject, cause, is_told));
                let end = match cause {
                    AgainCause::Retry { end, .. } => Some((end, *index, *host)),
                    _ => None,
                };
                (line.flatten(), end)
            }
            RunEvent::TaskEnded {
                attempt,
                index,
                host,
                tries,
                outcome,
                ..
            } => {
                let subject = || subject(*attempt, *index, *host);
                let line = match outcome {
                    Ok(end) => (level >= StatusLevel::Pass).then(|| {
                        let subject = subject();
                        let clock = subject.took(end.command());
                        let note = match tries {
                            0 | 1 => String::new(),
                            tries => format!("try {tries}"),
                        };
                        subject.line("PASS", Tone::Good, clock, note)
                    }),
                    // What ends a whole run is told by whoever ends it, not for each of its jobs.
                    Err(
                        TaskError::NoHostLeft { .. }
                        | TaskError::HostLost { .. }
                        | TaskError::CommandMissing { .. },
                    ) => None,
                    Err(error) => self.error_line(subject, error),
                };
                (
                    line,
                    command_end(outcome)
                        .zip(*host)
                        .map(|(end, host)| (end, *index, host)),
                )
            }
            _ => (None, None),
        };
        let mut statements = Vec::new();
        // What a job has written comes after the line that says where jobs run.
        let has_run = matches!(
            &stamped.event,
            RunEvent::TaskEnded {
                attempt: Some(_),
                ..
            }
        );
        if line.is_some() || has_run {
            statements.extend(self.announce(view, at, true));
        }
        statements.extend(line.map(Statement::Job));
        if let Some((end, index, host)) = end {
            statements.extend(self.leavings(end, index, host, view));
        }
        statements
    }

    fn again_line(
        &self,
        subject: impl Fn() -> Subject,
        cause: &AgainCause,
        host_loss_is_told: bool,
    ) -> Option<JobLine> {
        match cause {
            AgainCause::Retry {
                end,
                try_number,
                tries,
            } => {
                let subject = subject();
                let next = try_number.saturating_add(1);
                let note = format!("{}, try {next}/{tries} next", end_note(end));
                let clock = subject.took(Some(end));
                Some(subject.line("RETRY", Tone::Warning, clock, note))
            }
            AgainCause::CallFailed {
                failure,
                try_number,
                tries,
            } => {
                let subject = subject();
                let next = try_number.saturating_add(1);
                let failure = sentence(failure.to_string().as_bytes());
                let note = format!("{failure}, try {next}/{tries} next");
                let clock = subject.took(None);
                Some(subject.line("RETRY", Tone::Warning, clock, note))
            }
            AgainCause::TimedOut {
                after,
                try_number,
                tries,
            } => {
                let next = try_number.saturating_add(1);
                let note = format!("timed out, try {next}/{tries} next");
                Some(subject().line("RETRY", Tone::Warning, Clock::Passed(*after), note))
            }
            // The line about the host has counted it.
            AgainCause::Crash { .. } if host_loss_is_told => None,
            AgainCause::Crash {
                crashes,
                limit,
                cause,
            } => {
                let subject = subject();
                let cause = sentence(cause.as_bytes());
                let note = format!("{cause}, crash {crashes}/{limit}");
                let clock = subject.took(None);
                Some(subject.line("CRASH", Tone::Bad, clock, note))
            }
            AgainCause::NotStarted { cause } if self.is_verbose() && !host_loss_is_told => {
                let cause = sentence(cause.as_bytes());
                let note = format!("not started: {cause}");
                Some(subject().line("MOVED", Tone::Warning, Clock::Blank, note))
            }
            AgainCause::CommandMissing { exit } if self.is_verbose() => {
                let note = format!("{exit}, goes to another host");
                Some(subject().line("MOVED", Tone::Warning, Clock::Blank, note))
            }
            // The line about the host tells it, once.
            AgainCause::NotStarted { .. } | AgainCause::CommandMissing { .. } => None,
        }
    }

    fn error_line(&mut self, subject: impl Fn() -> Subject, error: &TaskError) -> Option<JobLine> {
        let subject = subject();
        let (label, clock, note) = match error {
            TaskError::CommandFailed { end, tries, .. } => {
                let note = format!("{}{}", end_note(end), after_tries(*tries));
                ("FAIL", subject.took(Some(end)), note)
            }
            TaskError::TimedOut { after, tries, .. } => {
                let note = format!("timed out{}", after_tries(*tries));
                ("TIMEOUT", Clock::Passed(*after), note)
            }
            TaskError::Quarantined { crashes, cause, .. } => {
                let cause = sentence(cause.as_bytes());
                let crashes = u64::from(*crashes);
                let note = format!("{}, the last: {cause}", Amount(crashes, "crash"));
                ("QUARANTINED", subject.took(None), note)
            }
            TaskError::Cancelled { end, .. } => {
                let wanted = self.settings.status_level >= StatusLevel::All && end.is_some();
                let clock = subject.took(end.as_ref());
                return wanted
                    .then(|| subject.line("STOPPED", Tone::Warning, clock, String::new()));
            }
            TaskError::Invalid { cause } => ("FAIL", Clock::Blank, sentence(cause.as_bytes())),
            error => ("FAIL", Clock::Blank, sentence(error.to_string().as_bytes())),
        };
        let line = subject.line(label, Tone::Bad, clock, note);
        if self.failures.len() < MAX_FAILURES_NAMED {
            self.failures.push(line.clone());
        }
        (self.settings.status_level >= StatusLevel::Fail).then_some(line)
    }

    /// What a job left behind: processes, output beyond its limit. Told for the first job, counted for the others.
    fn leavings(
        &mut self,
        end: &CommandEnd,
        index: u64,
        host: HostId,
        view: &RunView,
    ) -> Vec<Statement> {
        let number = index.saturating_add(1);
        let name = view.host(host).map_or("?", |host| host.name.as_str());
        let mut statements = Vec::new();
        if end.left_over > 0 {
            self.left_over.jobs += 1;
            self.left_over.processes += u64::from(end.left_over);
            if self.left_over.jobs == 1 {
                statements.push(Statement::Message(Message::note(format_args!(
                    "{name}: killed {} of job {number}",
                    Amount(u64::from(end.left_over), "left-over process"),
                ))));
            }
        }
        for (stream, totals) in [("output", end.stdout), ("error", end.stderr)] {
            if totals.sent >= totals.seen {
                continue;
            }
            self.cut.jobs += 1;
            if self.cut.jobs == 1 {
                statements.push(Statement::Message(
                    Message::warning(format_args!(
                        "{name}: standard {stream} of job {number}: {} seen, {} kept",
                        Bytes(totals.seen),
                        Bytes(totals.sent),
                    ))
                    .hint("--max-output BYTES keeps more; a job may also write to a file"),
                ));
            }
        }
        statements
    }
}

/// What is said of several tries.
fn after_tries(tries: u32) -> String {
    match tries {
        0 | 1 => String::new(),
        tries => format!(", try {tries}/{tries}"),
    }
}
