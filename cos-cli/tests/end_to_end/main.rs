//! The command `cos` from end to end: real sshd hosts, real processes, real signals.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

mod arguments;
mod directories;
mod hosts_that_fail;
mod limits;
mod main_job;
mod network;
mod output;
mod records;
mod signals;
mod staging;
mod staging_page;
mod work_that_is_lost;
