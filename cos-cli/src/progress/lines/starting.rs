//! The line that begins a run, and what has to be said of all hosts together.

use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::time::Time;

use super::{Reporter, Statement};
use crate::message::Message;
use crate::progress::format::Amount;
use crate::progress::line::{Line, Tone};
use crate::progress::model::{HostState, HostView, RunView};

/// So long after the first host is up the others are waited for, so that one line can tell of all.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many hosts are named in a sentence.
const MAX_NAMED: usize = 3;

/// Whether the beginning of the run has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Announcement {
    /// Not yet.
    Awaited {
        /// When the first host came up.
        first_up: Option<Time>,
        /// Hosts where the run's directory is not the client's, and the reason that the first of them gave.
        elsewhere: Vec<(HostId, String)>,
    },
    /// It has.
    Made,
}

impl Default for Announcement {
    fn default() -> Self {
        Self::Awaited {
            first_up: None,
            elsewhere: Vec::new(),
        }
    }
}

impl Reporter {
    /// The beginning of the run, once it can be told; at once if something about a job `is_next`.
    pub(super) fn announce(&mut self, view: &RunView, now: Time, is_next: bool) -> Vec<Statement> {
        let Announcement::Awaited { first_up, .. } = &mut self.announcement else {
            return Vec::new();
        };
        let is_up = view.hosts().iter().any(HostView::is_up);
        if first_up.is_none() && is_up {
            *first_up = Some(now);
        }
        let is_due = first_up.is_some_and(|first_up| now.since(first_up) >= PATIENCE);
        let all_known = is_up && !view.hosts().iter().any(is_on_its_way);
        if !(is_due || all_known || is_next) {
            return Vec::new();
        }
        let mut statements = Vec::new();
        let awaited = std::mem::replace(&mut self.announcement, Announcement::Made);
        if let Announcement::Awaited { elsewhere, .. } = awaited {
            statements.extend(not_shared(view, &elsewhere));
        }
        statements.push(starting(view));
        statements
    }

    /// A host came up on which the run's directory is not the client's.
    pub(super) fn note_elsewhere(
        &mut self,
        view: &RunView,
        host: HostId,
        reason: String,
    ) -> Vec<Statement> {
        match &mut self.announcement {
            Announcement::Awaited { elsewhere, .. } => {
                elsewhere.push((host, reason));
                Vec::new()
            }
            Announcement::Made => not_shared(view, &[(host, reason)]).into_iter().collect(),
        }
    }
}

fn is_on_its_way(host: &HostView) -> bool {
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
    Statement::Run {
        label: "Starting",
        tone: Tone::Good,
        body: Line::new().plain(body),
    }
}

/// That jobs on some hosts do not run in the client's directory: named, with the reason and the cure.
fn not_shared(view: &RunView, elsewhere: &[(HostId, String)]) -> Option<Statement> {
    let (first, reason) = elsewhere.first()?;
    let name = |host: &HostId| view.host(*host).map_or("?", |host| host.name.as_str());
    let names: Vec<&str> = elsewhere.iter().map(|(host, _)| name(host)).collect();
    let named = match names.len() {
        0..=MAX_NAMED => names.join(", "),
        number => format!(
            "{} and {} more hosts",
            names[..MAX_NAMED - 1].join(", "),
            number - (MAX_NAMED - 1)
        ),
    };
    let message = Message::warning(format_args!(
        "the working directory is not shared with {named}; jobs run in an empty scratch directory there"
    ))
    .cause(format_args!("{}: {reason}", name(first)))
    .hint("the same tree under another path: name it in `mirrored_storage` of hosts.toml")
    .hint("a directory of the hosts' own: begin the command with `cd DIR &&`");
    Some(Statement::Message(message))
}
