//! The line that begins a run.

use std::time::Duration;

use cos_core::time::Time;

use super::{Reporter, Statement};
use crate::progress::format::Amount;
use crate::progress::line::Line;
use crate::progress::model::{HostState, HostView, RunView};

/// So long after the first host is up the others are waited for, so that one line can tell of all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the beginning of the run has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Announcement {
    /// Not yet.
    Awaited {
        /// When the first host came up.
        first_up: Option<Time>,
    },
    /// It has.
    Made,
}

impl Default for Announcement {
    fn default() -> Self {
        Self::Awaited { first_up: None }
    }
}

impl Reporter {
    /// The beginning of the run, once it can be told; at once if something about a job `is_next`.
    pub(super) fn announce(&mut self, view: &RunView, now: Time, is_next: bool) -> Vec<Statement> {
        let mut statements = self.tell_gathered(view, now, false);
        let Announcement::Awaited { first_up } = &mut self.announcement else {
            return statements;
        };
        let is_up = view.hosts().iter().any(HostView::is_up);
        if first_up.is_none() && is_up {
            *first_up = Some(now);
        }
        let is_due = first_up.is_some_and(|first_up| now.since(first_up) >= PATIENCE);
        let all_known = is_up && !view.hosts().iter().any(is_on_its_way);
        if !(is_due || all_known || is_next) || view.is_held_back() {
            return statements;
        }
        self.announcement = Announcement::Made;
        statements.push(starting(view));
        statements
    }
}

/// Whether it may yet come up for the first time, or again.
pub(super) fn is_on_its_way(host: &HostView) -> bool {
    matches!(host.state, HostState::Waiting | HostState::Starting { .. })
}

/// `Starting 1000 jobs on 5 hosts, 68 slots (run 7kq2, 1 host down)`
fn starting(view: &RunView) -> Statement {
    let hosts = view.hosts();
    let up = hosts.iter().filter(|host| host.is_up());
    let slots: u64 = up
        .clone()
        .filter_map(|host| host.slots)
        .map(u64::from)
        .sum();
    let count = |wanted: fn(&HostView) -> bool| hosts.iter().filter(|host| wanted(host)).count();
    let jobs = match view.total() {
        Some(total) => Amount(total, "job").to_string(),
        None => "jobs".to_owned(),
    };
    let mut body = format!(
        "{jobs} on {}, {} (run {}",
        Amount(up.count() as u64, "host"),
        Amount(slots, "slot"),
        view.run()
    );
    body.push_str(&match (count(HostView::is_down), count(is_on_its_way)) {
        (0, 0) => String::new(),
        (down, 0) => format!(", {} down", Amount(down as u64, "host")),
        (0, coming) => format!(", {} still connecting", Amount(coming as u64, "host")),
        (down, coming) => format!(", {down} down, {coming} connecting"),
    });
    body.push(')');
    Statement::Heading {
        label: "Starting",
        body: Line::new().plain(body),
    }
}
