//! The line about one host.

use cos_core::event::PauseCause;
use cos_core::time::Time;
use cos_core::vm::host::Stage;

use crate::progress::format::{Amount, Bytes, Coarse};
use crate::progress::line::{Line, Tone, padded, right_aligned};
use crate::progress::model::{HostState, HostView, Oldest, RunView};
use crate::progress::text;

/// The columns of the meter, and of the word that stands there instead of it.
const METER: usize = 8;
/// From these columns on there is a meter.
const WITH_METER: usize = 60;
/// A command that would be cut to less is left out.
const LEAST_COMMAND: usize = 5;

/// How the columns of the lines about hosts are laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostColumns {
    /// Those of the name.
    pub(super) name: usize,
    /// Those of the slots in use.
    pub(super) slots: usize,
    /// Those of the whole line.
    pub(super) line: usize,
}

/// `         big 32/32 ######## #90 sim.sh c090.net 2m04s (+31 more)`
pub(super) fn host_row(
    view: &RunView,
    host: &HostView,
    oldest: Option<Oldest<'_>>,
    columns: HostColumns,
    now: Time,
) -> Line {
    let name = right_aligned(&host.name, columns.name);
    let slots = padded(&slots(view, host), columns.slots);
    let mut line = Line::new().with(Tone::Name, name).plain(" ");
    if columns.slots > 0 {
        line.push(Tone::Plain, format!("{slots} "));
    }
    let meter = columns.line >= WITH_METER;
    let (tone, word) = word(host);
    match word {
        Some(word) => line.push(tone, padded(word, METER)),
        None if meter => line.push(Tone::Plain, meter_of(view, host)),
        None => {}
    }
    if word.is_some() || meter {
        line.push(Tone::Plain, " ");
    }
    let room = columns.line.saturating_sub(line.width());
    line.plain(detail(host, oldest, room, now))
        .truncated(columns.line)
}

/// `32/32`
fn slots(view: &RunView, host: &HostView) -> String {
    match (host.slots, &host.state) {
        (Some(slots), state) if *state != HostState::Closed => {
            let used = match state {
                HostState::Up | HostState::Paused { .. } => view.slots_used(host),
                // Where jobs are in doubt, nobody knows what they use.
                _ => 0,
            };
            format!("{used}/{slots}")
        }
        _ => String::new(),
    }
}

/// What stands in the place of the meter where a host is not simply up.
fn word(host: &HostView) -> (Tone, Option<&'static str>) {
    match &host.state {
        HostState::Waiting => (Tone::Plain, Some("waiting")),
        HostState::Starting { stage, .. } => {
            let word = match stage {
                Stage::Connecting => "connect",
                Stage::Probing => "probe",
                Stage::Uploading { .. } => "upload",
                Stage::Starting => "start",
                Stage::Preparing | Stage::Running => "prepare",
            };
            (Tone::Plain, Some(word))
        }
        HostState::Up if host.is_left_out() => (Tone::Warning, Some("left out")),
        HostState::Up => (Tone::Plain, None),
        HostState::Paused { .. } => (Tone::Warning, Some("paused")),
        HostState::Silent { .. } => (Tone::Bad, Some("DOWN")),
        HostState::Failed { .. } => (Tone::Bad, Some("failed")),
        HostState::Lost { .. } => (Tone::Bad, Some("LOST")),
        HostState::Closed => (Tone::Plain, Some("closed")),
    }
}

fn meter_of(view: &RunView, host: &HostView) -> String {
    let slots = host.slots.unwrap_or(0).max(1);
    let used = view.slots_used(host);
    let filled = (u64::from(used) * METER as u64).div_ceil(u64::from(slots));
    let filled = usize::try_from(filled).unwrap_or(METER).min(METER);
    format!("{}{}", "#".repeat(filled), ".".repeat(METER - filled))
}

fn detail(host: &HostView, oldest: Option<Oldest<'_>>, room: usize, now: Time) -> String {
    let until = |retry_at: Option<Time>| match retry_at {
        Some(at) if at > now => format!(", next try in {}", Coarse(at.since(now))),
        Some(_) => ", next try now".to_owned(),
        None => String::new(),
    };
    match &host.state {
        HostState::Waiting => String::new(),
        HostState::Starting {
            stage: Stage::Uploading { bytes },
            ..
        } => format!("{} of worker", Bytes(*bytes)),
        HostState::Starting { since, .. } => format!("for {}", Coarse(now.since(*since))),
        HostState::Up => match (oldest, &host.missing) {
            (Some(oldest), _) => oldest_job(oldest, room, now),
            (None, Some(missing)) if host.is_left_out() => {
                let moved = Amount(u64::from(missing.moved), "job");
                format!("{}, {moved} moved", missing.exit)
            }
            (None, _) => "idle".to_owned(),
        },
        HostState::Paused { cause } => match cause {
            PauseCause::FailsFast { failures } => {
                format!("failed {} in a row", Amount(u64::from(*failures), "job"))
            }
            PauseCause::Load {
                others_per_core,
                limit,
            } => format!("others' load {others_per_core:.2} per core, limit {limit}"),
        },
        HostState::Silent { heard, lost_at } => {
            let doubt = Amount(u64::from(host.running), "job");
            let lease = match lost_at.since(now).as_secs() {
                0 => "lease over".to_owned(),
                _ => format!("lease ends in {}", Coarse(lost_at.since(now))),
            };
            let rest = format!("{}, {doubt} in doubt, {lease}", Coarse(now.since(*heard)));
            match rest.len() + "no answer for ".len() <= room {
                true => format!("no answer for {rest}"),
                false => format!("silent {rest}"),
            }
        }
        HostState::Failed { cause, retry_at } | HostState::Lost { cause, retry_at } => {
            let until = until(*retry_at);
            // The line begins with the name.
            let cause = cause.strip_prefix(&host.name).unwrap_or(cause).trim_start();
            let cause = cause.strip_prefix("is ").unwrap_or(cause);
            let cause = text::truncate(cause, room.saturating_sub(until.len()));
            format!("{cause}{until}")
        }
        HostState::Closed => String::new(),
    }
}

/// `#90 sim.sh c090.net 2m04s (+31 more)`, the command cut so that the rest is seen.
fn oldest_job(oldest: Oldest<'_>, room: usize, now: Time) -> String {
    let number = format!("#{} ", oldest.job.index.saturating_add(1));
    let age = Coarse(now.since(oldest.job.since)).to_string();
    let more = match oldest.others {
        0 => String::new(),
        others => format!(" (+{others} more)"),
    };
    let left = room.saturating_sub(number.len() + 1 + age.len() + more.len());
    if left < LEAST_COMMAND {
        return format!("{number}{age}{more}");
    }
    let command = text::truncate(&oldest.job.command, left);
    let gap = if command.is_empty() { "" } else { " " };
    format!("{number}{command}{gap}{age}{more}")
}
