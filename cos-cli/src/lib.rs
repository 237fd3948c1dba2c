//! The command `cos` as a library: its command line, job sources, records, output and progress display, each
//! usable and tested by itself.

pub mod arguments;
pub mod commands;
pub mod escape;
pub mod exit_code;
mod failure;
mod logging;
pub mod message;
pub mod output;
pub mod progress;
pub mod record;
pub mod run;
pub mod sources;
pub mod template;
mod worker;
