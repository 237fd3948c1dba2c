//! One host as the display sees it.

use std::time::Duration;

use cos_core::event::PauseCause;
use cos_core::job::Exit;
use cos_core::time::Time;
use cos_core::vm::host::Stage;

/// One host as the display sees it.
#[derive(Debug, Clone)]
pub struct HostView {
    /// Its name, escaped.
    pub name: String,
    /// Its slots, once they are known.
    pub slots: Option<u32>,
    /// What it is doing.
    pub state: HostState,
    /// How many jobs run there.
    pub running: u32,
    /// How many jobs succeeded there.
    pub ok: u64,
    /// How many jobs failed there for good.
    pub failed: u64,
    /// How often it was lost.
    pub losses: u32,
    /// What it lacks, if a command was not there.
    pub missing: Option<MissingCommand>,
}

/// What a host is doing.
///
/// ```text
/// Waiting -> Starting -> Up <-> Paused
///               |        ^ \
///               v        |  v
///             Failed   Silent -> Lost -> Starting ...
/// ```
/// Any of them ends in `Closed`.
#[derive(Debug, Clone, PartialEq)]
pub enum HostState {
    /// It has not been tried yet.
    Waiting,
    /// It is getting ready.
    Starting {
        /// How far it has come.
        stage: Stage,
        /// Since when it is getting ready.
        since: Time,
    },
    /// It takes jobs.
    Up,
    /// It takes no new jobs for a while.
    Paused {
        /// Why.
        cause: PauseCause,
    },
    /// Nothing is heard of it; its jobs are in doubt.
    Silent {
        /// When it was heard last.
        heard: Time,
        /// When it is given up.
        lost_at: Time,
    },
    /// It could not be made ready.
    Failed {
        /// Why, one escaped sentence.
        cause: String,
        /// When it is tried again; `None`: not in this run.
        retry_at: Option<Time>,
    },
    /// It was up and is gone.
    Lost {
        /// How, one escaped sentence.
        cause: String,
        /// When it is tried again; `None`: not in this run.
        retry_at: Option<Time>,
    },
    /// It was disconnected as asked.
    Closed,
}

/// A command that a host does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingCommand {
    /// What its shell exited with: 126 or 127.
    pub exit: Exit,
    /// The last line that the shell wrote, escaped; may be empty.
    pub words: String,
    /// How many jobs went elsewhere for it; 0 as long as it still gets such jobs.
    pub moved: u32,
}

impl HostView {
    pub(super) fn new(name: String, slots: Option<u32>) -> Self {
        Self {
            name,
            slots,
            state: HostState::Waiting,
            running: 0,
            ok: 0,
            failed: 0,
            losses: 0,
            missing: None,
        }
    }

    /// Whether jobs may run there: it was made ready and is neither lost nor closed.
    pub fn is_up(&self) -> bool {
        match self.state {
            HostState::Up | HostState::Paused { .. } | HostState::Silent { .. } => true,
            HostState::Waiting
            | HostState::Starting { .. }
            | HostState::Failed { .. }
            | HostState::Lost { .. }
            | HostState::Closed => false,
        }
    }

    /// Whether it is out of this run, for now or for good.
    pub fn is_down(&self) -> bool {
        matches!(
            self.state,
            HostState::Failed { .. } | HostState::Lost { .. }
        )
    }

    /// Whether its user should look at it.
    pub fn is_troubled(&self) -> bool {
        match self.state {
            HostState::Silent { .. } | HostState::Paused { .. } => true,
            HostState::Failed { retry_at, .. } | HostState::Lost { retry_at, .. } => {
                retry_at.is_some()
            }
            HostState::Up => self.is_left_out(),
            HostState::Waiting | HostState::Starting { .. } | HostState::Closed => false,
        }
    }

    /// Whether it gets no jobs any more because a command is missing there.
    pub fn is_left_out(&self) -> bool {
        let moved = self.missing.as_ref().map_or(0, |missing| missing.moved);
        moved > 0 && self.running == 0
    }

    /// The host's start has come to this stage.
    pub(super) fn note_stage(&mut self, stage: Stage, at: Time) {
        if stage == Stage::Running {
            return;
        }
        let since = match self.state {
            HostState::Starting { since, .. } => since,
            _ => at,
        };
        self.state = HostState::Starting { stage, since };
    }

    /// Nothing was heard of it, or something again.
    pub(super) fn note_silence(&mut self, silent: Option<Duration>, lost_in: Duration, at: Time) {
        self.state = match silent {
            Some(silent) => HostState::Silent {
                heard: Time::from_boot(at.since_boot().saturating_sub(silent)),
                lost_at: at + lost_in,
            },
            None => HostState::Up,
        };
    }
}
