//! The block that ends a run.

use cos_core::time::Time;

use super::statement::wrapped;
use super::{Detail, Reporter, Statement};
use crate::message::Message;
use crate::progress::format::{Amount, Fine};
use crate::progress::line::{Line, Tone};
use crate::progress::model::{Counts, HostState, HostView, RunView};

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending<'a> {
    /// Every job has its outcome.
    Complete,
    /// It was stopped before, by this: `Ctrl-C`, `--halt`.
    Stopped {
        /// What stopped it, in a few words.
        by: &'a str,
    },
}

impl Reporter {
    /// The block that ends a run.
    pub(in crate::progress) fn summary(
        &mut self,
        view: &RunView,
        now: Time,
        ending: Ending<'_>,
        columns: usize,
    ) -> Vec<Statement> {
        if self.settings.detail == Detail::Quiet {
            return Vec::new();
        }
        // A run may be over before every host was heard of.
        let mut statements = self.tell_gathered(view, now, true);
        statements.extend(self.summary_of_leavings());
        let counts = view.counts();
        // A run that stops early leaves jobs that were never handed out.
        let total = view.total().unwrap_or(0).max(counts.settled());
        let untouched = total - counts.settled();
        let results = results(counts, untouched);
        let good = counts.ok == total && ending == Ending::Complete;
        let tone = if good { Tone::Good } else { Tone::Bad };
        let mut body = format!(
            "[{:>7}] {}: {results}",
            Fine(view.elapsed(now)),
            Amount(total, "job")
        );
        if let Ending::Stopped { by } = ending {
            body.push_str(&format!(" (stopped by {by})"));
        }
        statements.push(Statement::Blank);
        statements.push(run_line("Summary", tone, body));
        statements.extend(self.failures(counts));
        statements.extend(hosts(view, columns));
        statements.push(run_line(
            "Joblog",
            Tone::Good,
            format!("{}/joblog", view.directory()),
        ));
        statements
    }

    /// The first so many failed jobs have been told of in full.
    pub(in crate::progress) fn leave_out_failures(&mut self, number: usize) {
        self.failures_described = number;
    }

    /// A few failed jobs, and how many more there are.
    fn failures(&self, counts: &Counts) -> Vec<Statement> {
        let described = self.failures_described.min(self.failures.len());
        let named = self.failures[described..]
            .iter()
            .cloned()
            .map(Statement::Job);
        let more = counts
            .went_wrong()
            .saturating_sub(self.failures.len() as u64);
        let rest = (more > 0).then(|| run_line("", Tone::Bad, format!("... and {more} more")));
        named.chain(rest).collect()
    }

    /// What was told once and happened again.
    fn summary_of_leavings(&self) -> Vec<Statement> {
        let mut notes = Vec::new();
        if self.left_over.jobs > 1 {
            notes.push(Message::note(format_args!(
                "killed {} of {} in all",
                Amount(self.left_over.processes, "left-over process"),
                Amount(self.left_over.jobs, "job"),
            )));
        }
        if self.cut.jobs > 1 {
            notes.push(Message::warning(format_args!(
                "{} wrote more than is kept",
                Amount(self.cut.jobs, "job")
            )));
        }
        notes.into_iter().map(Statement::Message).collect()
    }
}

pub(super) fn run_line(label: &'static str, tone: Tone, body: String) -> Statement {
    Statement::Run {
        label,
        tone,
        body: Line::new().plain(body),
    }
}

/// `997 ok (2 after retry, 1 slow), 3 failed`
fn results(counts: &Counts, untouched: u64) -> String {
    let mut parts = Vec::new();
    let mut asides = Vec::new();
    if counts.ok_after_retry > 0 {
        asides.push(format!("{} after retry", counts.ok_after_retry));
    }
    if counts.ok_slow > 0 {
        asides.push(format!("{} slow", counts.ok_slow));
    }
    let aside = match asides.is_empty() {
        true => String::new(),
        false => format!(" ({})", asides.join(", ")),
    };
    parts.push(format!("{} ok{aside}", counts.ok));
    for (number, name) in [
        (counts.failed, "failed"),
        (counts.timed_out, "timed out"),
        (counts.quarantined, "quarantined"),
        (counts.stopped, "stopped"),
        (counts.not_run + untouched, "not run"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {name}"));
        }
    }
    let mut text = parts.join(", ");
    if counts.late > 0 {
        text.push_str(&format!(
            " ({} dropped)",
            Amount(counts.late, "late result")
        ));
    }
    text
}

/// `Hosts big 412 / ws01 131 (2 failed) / ws04 lost`
fn hosts(view: &RunView, columns: usize) -> Vec<Statement> {
    if view.hosts().len() < 2 {
        return Vec::new();
    }
    let items: Vec<String> = view.hosts().iter().map(host_item).collect();
    let lines = wrapped(&items, " / ", columns);
    let mut statements = Vec::new();
    for (position, line) in lines.into_iter().enumerate() {
        let label = if position == 0 { "Hosts" } else { "" };
        statements.push(run_line(label, Tone::Good, line));
    }
    statements
}

fn host_item(host: &HostView) -> String {
    let settled = host.ok + host.failed;
    let mut asides = Vec::new();
    if host.failed > 0 {
        asides.push(format!("{} failed", host.failed));
    }
    let fate = match &host.state {
        HostState::Lost { .. } => Some("lost"),
        HostState::Failed { .. } => Some("down"),
        HostState::Waiting | HostState::Starting { .. } => Some("not ready"),
        HostState::Up | HostState::Paused { .. } | HostState::Silent { .. } | HostState::Closed => {
            None
        }
    };
    if let Some(fate) = fate {
        if settled == 0 {
            return format!("{} {fate}", host.name);
        }
        asides.push(fate.to_owned());
    } else if host.losses > 0 {
        asides.push(format!("lost {}", times(host.losses)));
    }
    if let Some(missing) = &host.missing
        && missing.moved > 0
    {
        asides.push(format!(
            "{} moved: {}",
            Amount(u64::from(missing.moved), "job"),
            missing.exit
        ));
    }
    match asides.is_empty() {
        true => format!("{} {settled}", host.name),
        false => format!("{} {settled} ({})", host.name, asides.join(", ")),
    }
}

fn times(number: u32) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        more => format!("{more} times"),
    }
}
