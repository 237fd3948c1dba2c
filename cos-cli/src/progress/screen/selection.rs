//! Which hosts have a line of their own when there are too many.

use std::time::Duration;

use cos_core::time::Time;

use crate::progress::model::{HostState, HostView, Oldest, RunView};

/// So long the same hosts are shown, unless one gets into trouble or out of it.
const HOLD: Duration = Duration::from_secs(3);
/// A job of this age makes its host worth a line: at the end of a run it is what everything waits for.
const OLD_JOB: Duration = Duration::from_secs(10);

/// The hosts that are shown, by position; kept for a while so that lines do not jump about.
#[derive(Debug, Default)]
pub(in crate::progress) struct Selection {
    shown: Vec<usize>,
    chosen_at: Time,
    /// What makes a new choice due at once.
    cause: Cause,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Cause {
    places: usize,
    troubled: Vec<usize>,
    absent: usize,
}

/// How much a host is worth a line; less is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Troubled,
    HoldsOldJob,
    Working,
    Idle,
    GettingReady,
    Out,
}

impl Selection {
    /// The positions of the hosts to show, at most `places`, in the order of the hosts.
    pub(super) fn choose(
        &mut self,
        view: &RunView,
        oldest: &[Option<Oldest<'_>>],
        places: usize,
        now: Time,
    ) -> &[usize] {
        let present = present(view);
        let cause = Cause {
            places,
            troubled: present
                .iter()
                .copied()
                .filter(|position| view.hosts()[*position].is_troubled())
                .collect(),
            absent: view.hosts().len() - present.len(),
        };
        if cause != self.cause || now.since(self.chosen_at) >= HOLD {
            let mut ranked = present;
            ranked.sort_by_key(|position| {
                let host = &view.hosts()[*position];
                let worth = worth(host, oldest[*position], now);
                (worth, u32::MAX - host.slots.unwrap_or(0), *position)
            });
            ranked.truncate(places);
            ranked.sort_unstable();
            *self = Self {
                shown: ranked,
                chosen_at: now,
                cause,
            };
        }
        &self.shown
    }
}

/// The positions of the hosts that are part of the run, or were.
pub(super) fn present(view: &RunView) -> Vec<usize> {
    let hosts = view.hosts().iter().enumerate();
    hosts
        .filter(|(_, host)| host.state != HostState::Closed)
        .map(|(position, _)| position)
        .collect()
}

fn worth(host: &HostView, oldest: Option<Oldest<'_>>, now: Time) -> Worth {
    if host.is_troubled() {
        return Worth::Troubled;
    }
    match host.state {
        HostState::Waiting | HostState::Starting { .. } => return Worth::GettingReady,
        HostState::Failed { .. } | HostState::Lost { .. } | HostState::Closed => return Worth::Out,
        HostState::Up | HostState::Paused { .. } | HostState::Silent { .. } => {}
    }
    match oldest {
        Some(oldest) if now.since(oldest.job.since) >= OLD_JOB => Worth::HoldsOldJob,
        Some(_) => Worth::Working,
        None => Worth::Idle,
    }
}
