//! What became of the jobs of a run, and the exit code that says it.

use cos_core::job::TaskError;

use crate::arguments::{Halt, HaltUrgency};
use crate::exit_code;

/// Counts of jobs by their outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    /// Ended well.
    pub(super) succeeded: u64,
    /// Ended badly: exit code, signal, timeout, quarantine; or could not even be made.
    pub(super) failed: u64,
    /// Were cancelled while they ran or waited.
    pub(super) cancelled: u64,
    /// Could not be run, since no host was left for them.
    pub(super) not_run: u64,
}

/// Why a run stopped before the end of its jobs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// A signal asked for it.
    Signal(i32),
    /// `--halt` was met.
    Halt,
    /// No host is left.
    NoHost,
    /// Standard output was closed by its reader.
    OutputClosed,
    /// The input cannot be read further.
    Input,
    /// This machine failed the run, such as by a full disk.
    Internal,
}

impl Tally {
    /// Counts one outcome.
    pub(super) fn count<T>(&mut self, result: &Result<T, TaskError>) {
        let field = match result {
            Ok(_) => &mut self.succeeded,
            Err(TaskError::Cancelled { .. }) => &mut self.cancelled,
            Err(
                TaskError::NoHostLeft { .. }
                | TaskError::HostLost { .. }
                | TaskError::CommandMissing { .. },
            ) => &mut self.not_run,
            Err(_) => &mut self.failed,
        };
        *field += 1;
    }

    /// All jobs that have an outcome.
    #[must_use]
    pub(super) fn total(&self) -> u64 {
        self.succeeded + self.failed + self.cancelled + self.not_run
    }

    /// Whether `--halt` is met.
    #[must_use]
    pub(super) fn halts(&self, halt: Halt, total: Option<u64>) -> Option<HaltUrgency> {
        halt.verdict(self.failed, self.succeeded, total)
    }

    /// The exit code of the run.
    #[must_use]
    pub(super) fn exit_code(&self, stop: Option<Stop>) -> u8 {
        match stop {
            Some(Stop::Signal(signal)) => exit_code::of_signal(signal),
            Some(Stop::Halt) => exit_code::HALTED,
            Some(Stop::NoHost) => exit_code::NO_USABLE_HOST,
            Some(Stop::Input) => exit_code::USAGE_ERROR,
            Some(Stop::Internal) => exit_code::INTERNAL_ERROR,
            Some(Stop::OutputClosed) | None if self.not_run > 0 => exit_code::NO_USABLE_HOST,
            Some(Stop::OutputClosed) | None if self.failed > 0 => exit_code::JOBS_FAILED,
            Some(Stop::OutputClosed) => exit_code::SUCCESS,
            None if self.total() == 0 => exit_code::NO_JOBS,
            None => exit_code::SUCCESS,
        }
    }
}

#[cfg(test)]
mod tests {
    use cos_core::job::TaskLabel;

    use super::*;

    #[test]
    fn each_end_has_its_code() {
        let mut tally = Tally::default();
        assert_eq!(tally.exit_code(None), exit_code::NO_JOBS);
        tally.count(&Ok(()));
        assert_eq!(tally.exit_code(None), exit_code::SUCCESS);
        tally.count::<()>(&Err(TaskError::Quarantined {
            task: TaskLabel::default(),
            host: "ws01".to_owned(),
            crashes: 3,
            cause: "SIGKILL".to_owned(),
        }));
        assert_eq!(tally.exit_code(None), exit_code::JOBS_FAILED);
        assert_eq!(tally.exit_code(Some(Stop::Halt)), exit_code::HALTED);
        assert_eq!(
            tally.exit_code(Some(Stop::Signal(15))),
            exit_code::TERMINATED
        );
        tally.count::<()>(&Err(TaskError::NoHostLeft {
            task: TaskLabel::default(),
            cause: String::new(),
        }));
        assert_eq!(tally.exit_code(None), exit_code::NO_USABLE_HOST);
        assert_eq!(tally.total(), 3);
    }
}
