//! Killing everything below this process: stop, look again, kill, reap, until nothing is left.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::{Process, all, descendants};
use crate::worker::calls::Children;

/// What is to be killed of the processes below this one.
#[derive(Debug, Clone, Copy)]
pub(in crate::worker) enum Scope<'a> {
    /// Everything.
    All,
    /// Everything but these children and what is below them.
    Except(&'a HashSet<i32>),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::worker) struct Killed {
    /// How many processes were killed.
    pub(in crate::worker) count: u32,
    /// Which could not be, within the limit.
    pub(in crate::worker) survivors: Vec<i32>,
}

/// How long to wait between two looks at processes that are dying.
const PAUSE: Duration = Duration::from_micros(500);

/// How many looks must find nothing where children remain in any case.
const LOOKS: u32 = 3;

/// Kills what `scope` names. This process must be a child subreaper.
///
/// Everything is stopped first and looked for again until nothing new is found: a process that is stopped forks no
/// more, so one that forks faster than it can be killed is caught too. `reap` reaps every child that has ended and
/// tells whether others remain.
///
/// A look at `/proc` takes time, and may miss a process that was forked meanwhile by one that ended meanwhile. The
/// kernel misses none: as long as this process has a child, something is left.
pub(in crate::worker) fn kill(
    scope: Scope<'_>,
    reap: &mut dyn FnMut() -> Children,
    limit: Duration,
) -> Killed {
    let deadline = Instant::now() + limit;
    let mut killed = HashSet::new();
    let mut looks_in_vain = 0;
    loop {
        let mut dying = stop(scope, deadline);
        let found_nothing = dying.is_empty();
        looks_in_vain = if found_nothing { looks_in_vain + 1 } else { 0 };
        for process in &dying {
            killed.insert((process.pid, process.start_time));
            // It may have ended meanwhile, or be another user's: the look below tells.
            let _ = process.signal(Signal::KILL);
        }
        let children = loop {
            let children = reap();
            dying.retain(Process::lives);
            if dying.is_empty() || Instant::now() >= deadline {
                break children;
            }
            std::thread::sleep(PAUSE);
        };
        let nothing_left = match scope {
            Scope::All => children == Children::None,
            Scope::Except(_) => looks_in_vain >= LOOKS,
        };
        if (found_nothing && nothing_left) || Instant::now() >= deadline {
            reap();
            let survivors: Vec<i32> = dying.iter().map(|process| process.pid).collect();
            let count = u32::try_from(killed.len() - survivors.len()).unwrap_or(u32::MAX);
            return Killed { count, survivors };
        }
    }
}

/// The numbers of all processes below this one.
pub(in crate::worker) fn below_this_process() -> HashSet<i32> {
    let found = targets(Scope::All);
    found.iter().map(|process| process.pid).collect()
}

fn targets(scope: Scope<'_>) -> Vec<Process> {
    let own = std::process::id().cast_signed();
    let table = all();
    let mut found = descendants(own, &table);
    if let Scope::Except(kept) = scope {
        let spared: HashSet<i32> = kept
            .iter()
            .flat_map(|root| descendants(*root, &table))
            .map(|process| process.pid)
            .chain(kept.iter().copied())
            .collect();
        found.retain(|process| !spared.contains(&process.pid));
    }
    found.retain(|process| !process.ended);
    found
}

/// Stops everything that is to be killed, until a look finds nothing new.
fn stop(scope: Scope<'_>, deadline: Instant) -> Vec<Process> {
    let mut stopped: Vec<Process> = Vec::new();
    loop {
        let found = targets(scope);
        let is_known = |process: &Process| {
            let identity = (process.pid, process.start_time);
            stopped
                .iter()
                .any(|known| (known.pid, known.start_time) == identity)
        };
        let new: Vec<Process> = found.into_iter().filter(|it| !is_known(it)).collect();
        if new.is_empty() || Instant::now() >= deadline {
            return stopped;
        }
        for process in new {
            let _ = process.signal(Signal::STOP);
            stopped.push(process);
        }
    }
}
