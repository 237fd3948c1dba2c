//! The lines that stay: what is said about jobs and hosts above the progress display, or instead of it.
//!
//! A [`Reporter`] turns events into [`Statement`]s. It says a thing once: what happens to every job of a host, or to
//! a host again and again, is told the first time and counted from then on.

mod gathered;
mod heartbeat;
mod host_events;
mod job;
mod job_events;
mod signs;
mod starting;
mod statement;
mod summary;

use std::collections::{BTreeMap, BTreeSet};

use cos_core::event::{RunEvent, Stamped};
use cos_core::ids::HostId;
use cos_core::time::Time;

use self::gathered::{Gathered, Noise};
use self::job::JobLine;
use self::starting::Announcement;
use super::facts::JobLabels;
use super::model::RunView;
use super::settings::{Detail, Settings};
use crate::message::{Message, Severity};

pub(super) use self::heartbeat::Heartbeat;
pub(super) use self::job::Columns;
pub(super) use self::signs::{running_jobs, sign_of_life};
pub(super) use self::statement::{Form, Margin, Statement};
pub use self::summary::Ending;

/// How many failed jobs the summary names.
const MAX_FAILURES_NAMED: usize = 5;

/// Decides what is said about a run.
#[derive(Debug)]
pub(super) struct Reporter {
    settings: Settings,
    announcement: Announcement,
    /// Hosts where the run's directory is not the client's, and why not.
    elsewhere: Gathered<String>,
    /// Hosts whose logins print text.
    noisy: Gathered<Noise>,
    /// The trouble of each host that has one, as it was told.
    troubles: BTreeMap<HostId, Trouble>,
    /// What was told and need not be told again.
    told_once: BTreeSet<Once>,
    /// The first failed jobs, for the summary.
    failures: Vec<JobLine>,
    /// How many of them have been told of in full.
    failures_described: usize,
    left_over: LeftOver,
    cut: CutOutput,
}

/// What is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Once {
    Elsewhere(HostId),
    IgnoredLines(HostId),
    LeftOut(HostId),
    Neighbours(HostId),
}

/// Processes that jobs left behind.
#[derive(Debug, Clone, Copy, Default)]
struct LeftOver {
    jobs: u64,
    processes: u64,
}

/// Output beyond its limit.
#[derive(Debug, Clone, Copy, Default)]
struct CutOutput {
    jobs: u64,
}

impl Reporter {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            announcement: Announcement::default(),
            elsewhere: Gathered::default(),
            noisy: Gathered::default(),
            troubles: BTreeMap::new(),
            told_once: BTreeSet::new(),
            failures: Vec::new(),
            failures_described: 0,
            left_over: LeftOver::default(),
            cut: CutOutput::default(),
        }
    }

    /// What is to be said about an event. `view` is the run before it.
    pub(super) fn report(
        &mut self,
        stamped: &Stamped,
        view: &RunView,
        labels: &dyn JobLabels,
    ) -> Vec<Statement> {
        let statements = match &stamped.event {
            RunEvent::TaskOutput { .. } | RunEvent::LateDropped { .. } => Vec::new(),
            RunEvent::TaskStarted { .. }
            | RunEvent::TaskSlow { .. }
            | RunEvent::TaskAgain { .. }
            | RunEvent::TaskEnded { .. } => self.report_task(stamped, view, labels),
            _ => self.report_host(stamped, view),
        };
        statements
            .into_iter()
            .filter(|statement| self.is_wanted(statement))
            .collect()
    }

    /// What is to be said now that an event was folded in, or that time has passed.
    pub(super) fn catch_up(&mut self, view: &RunView, now: Time) -> Vec<Statement> {
        let statements = self.announce(view, now, false);
        statements
            .into_iter()
            .filter(|statement| self.is_wanted(statement))
            .collect()
    }

    /// Whether a statement is worth a line to this user.
    pub(super) fn is_wanted(&self, statement: &Statement) -> bool {
        match statement {
            // These were chosen by the status level.
            Statement::Job(_) => true,
            Statement::Message(message) => {
                self.settings.detail > Detail::Quiet || message.severity() == Severity::Error
            }
            Statement::Run { .. } | Statement::Heading { .. } | Statement::Blank => {
                self.settings.detail > Detail::Quiet
            }
        }
    }

    /// Remembers that a thing was told; whether that is the first time.
    fn first_time(&mut self, once: Once) -> bool {
        self.told_once.insert(once)
    }

    fn is_verbose(&self) -> bool {
        self.settings.detail >= Detail::Verbose
    }
}

/// A host's trouble, as it was told; what ends it is told only after that.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// It does not answer.
    Silent,
    /// It fails jobs fast.
    Paused,
    /// It cannot be made ready, for this reason.
    Failed(String),
    /// It was lost.
    Lost,
}

fn message(message: Message) -> Vec<Statement> {
    vec![Statement::Message(message)]
}
