//! Private sshd hosts: reaching them, deploying to them, and every way in which that can fail.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests"
)]

mod bad_lines;
mod connected_ahead;
mod deploy;
mod directories;
mod doctor;
mod driving;
mod machine;
mod shared_directories;
mod support;
mod unfit_workers;
mod unreachable;
