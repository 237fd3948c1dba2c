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
        /// Hosts where the run's directory is not the client's, and why.
        elsewhere: Vec<(HostId, String)>,
        /// Hosts whose login prints text, how many lines, and the first.
        noisy: Vec<(HostId, u32, String)>,
    },
    /// It has.
    Made,
}

impl Default for Announcement {
    fn default() -> Self {
        Self::Awaited {
            first_up: None,
            elsewhere: Vec::new(),
            noisy: Vec::new(),
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
        let mut statements = self.notes_of_all(view);
        statements.push(starting(view));
        statements
    }

    /// What was kept to be said of all hosts together. Nothing is kept after that.
    pub(super) fn notes_of_all(&mut self, view: &RunView) -> Vec<Statement> {
        let mut statements = Vec::new();
        let awaited = std::mem::replace(&mut self.announcement, Announcement::Made);
        if let Announcement::Awaited {
            mut elsewhere,
            mut noisy,
            ..
        } = awaited
        {
            elsewhere.sort_by_key(|(host, _)| *host);
            noisy.sort_by_key(|(host, ..)| *host);
            statements.extend(ignored(view, &noisy));
            statements.extend(not_shared(view, &elsewhere));
        }
        statements
    }

    /// The login of a host prints text.
    pub(super) fn note_noise(
        &mut self,
        view: &RunView,
        host: HostId,
        lines: u32,
        first: String,
    ) -> Vec<Statement> {
        match &mut self.announcement {
            Announcement::Awaited { noisy, .. } => {
                noisy.push((host, lines, first));
                Vec::new()
            }
            Announcement::Made => ignored(view, &[(host, lines, first)]).into_iter().collect(),
        }
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

/// That logins print text.
fn ignored(view: &RunView, noisy: &[(HostId, u32, String)]) -> Option<Statement> {
    let hosts: Vec<HostId> = noisy.iter().map(|(host, ..)| *host).collect();
    let message = match noisy {
        [] => return None,
        [(host, lines, first)] => {
            let lines = Amount(u64::from(*lines), "line");
            let name = name(view, *host);
            Message::note(format_args!(
                "{name}: ignored {lines} that its login prints"
            ))
            .cause(first)
        }
        [(host, _, first), ..] => {
            let named = named(view, &hosts);
            let name = name(view, *host);
            Message::note(format_args!("ignored what the logins of {named} print"))
                .cause(format_args!("{name}: {first}"))
        }
    };
    Some(Statement::Message(message))
}

/// That jobs on some hosts do not run in the client's directory: named, with the reason and the cure.
fn not_shared(view: &RunView, elsewhere: &[(HostId, String)]) -> Option<Statement> {
    let (first, reason) = elsewhere.first()?;
    let hosts: Vec<HostId> = elsewhere.iter().map(|(host, _)| *host).collect();
    let named = named(view, &hosts);
    let message = Message::warning(format_args!(
        "the working directory is not shared with {named}; jobs run in an empty scratch directory there"
    ))
    .cause(format_args!("{}: {reason}", name(view, *first)))
    .hint("name what is shared in `mirrored_storage` of hosts.toml")
    .hint("a directory of the hosts' own: begin the command with `cd DIR &&`");
    Some(Statement::Message(message))
}

fn name(view: &RunView, host: HostId) -> &str {
    view.host(host).map_or("?", |host| host.name.as_str())
}

/// `ws01, ws02 and 3 more hosts`
fn named(view: &RunView, hosts: &[HostId]) -> String {
    let shown = match hosts.len() {
        0..=MAX_NAMED => hosts.len(),
        _ => MAX_NAMED - 1,
    };
    let names: Vec<&str> = hosts[..shown]
        .iter()
        .map(|host| name(view, *host))
        .collect();
    let more = hosts.len() - shown;
    match (names.as_slice(), more) {
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more hosts", names.join(", ")),
    }
}
