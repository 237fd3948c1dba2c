//! How many jobs came to which end.

use cos_core::job::TaskError;

/// How many jobs came to which end; every job that has its outcome is counted in exactly one of the first six.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// They succeeded.
    pub ok: u64,
    /// They failed on their last try, or no command could be made of their values.
    pub failed: u64,
    /// They took too long on their last try.
    pub timed_out: u64,
    /// They saw too many crashes.
    pub quarantined: u64,
    /// They were stopped while they ran.
    pub stopped: u64,
    /// They never ran: no host was left, or the run had ended.
    pub not_run: u64,
    /// Of those that succeeded: not on their first try.
    pub ok_after_retry: u64,
    /// Of those that succeeded: slower than most.
    pub ok_slow: u64,
    /// How often a job was tried again because it had failed or taken too long.
    pub retries: u64,
    /// Messages of attempts that were no longer current, all dropped.
    pub late: u64,
}

impl Counts {
    /// How many jobs have their outcome.
    pub fn settled(&self) -> u64 {
        self.ok + self.went_wrong() + self.stopped + self.not_run
    }

    /// How many jobs ended badly by themselves.
    pub fn went_wrong(&self) -> u64 {
        self.failed + self.timed_out + self.quarantined
    }

    pub(super) fn note_success(&mut self, tries: u32, slow: bool) {
        self.ok += 1;
        self.ok_after_retry += u64::from(tries > 1);
        self.ok_slow += u64::from(slow);
    }

    /// `ran` is whether the task was running when this came of it.
    pub(super) fn note_error(&mut self, error: &TaskError, ran: bool) {
        match error {
            TaskError::CommandFailed { .. } | TaskError::Invalid { .. } => self.failed += 1,
            TaskError::TimedOut { .. } => self.timed_out += 1,
            TaskError::Quarantined { .. } => self.quarantined += 1,
            TaskError::Cancelled { end, .. } if ran || end.is_some() => self.stopped += 1,
            TaskError::Cancelled { .. }
            | TaskError::NoHostLeft { .. }
            | TaskError::HostLost { .. }
            | TaskError::CommandMissing { .. } => self.not_run += 1,
            // A new kind of error is at least not lost.
            _ => self.failed += 1,
        }
    }
}
