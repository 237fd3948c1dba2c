//! The exit codes of `cos`: part of its interface, named once.

/// Everything that was asked for was done.
pub const SUCCESS: u8 = 0;
/// `cos` itself failed: a disk full, a bug. Nothing is said about the jobs.
pub const INTERNAL_ERROR: u8 = 1;
/// The command line or hosts.toml is wrong; nothing was started.
pub const USAGE_ERROR: u8 = 2;
/// No host is left that could run the jobs, from the start or in the middle of the run.
pub const NO_USABLE_HOST: u8 = 3;
/// The input holds no job.
pub const NO_JOBS: u8 = 4;
/// `cos doctor` found hosts that no job can run on, and others that are usable.
pub const SOME_HOSTS_UNUSABLE: u8 = 5;
/// Jobs failed. 101 is skipped: it is the code of a Rust panic.
pub const JOBS_FAILED: u8 = 100;
/// `--halt` stopped the run.
pub const HALTED: u8 = 102;
/// Stopped by SIGINT, as shells report it (128 + 2).
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM, as shells report it (128 + 15).
pub const TERMINATED: u8 = 143;

/// The code of a run that was stopped by a signal, as shells report it.
#[must_use]
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal).map_or(INTERNAL_ERROR, |signal| signal.saturating_add(128))
}
