//! The command `cos` as a library: its command line, job sources, records, output and progress display, each
//! usable and tested by itself.
//!
//! ```text
//! arguments   the command line as types; GNU parallel's flags are answered with a sentence
//! commands    one file for each command but run
//! run         cos run: plan (all mistakes before any ssh), jobs, conduct (results, signals, --halt), sinks (observers)
//! sources     where jobs come from: :::, files, standard input; combined and read lazily
//! template    a command with holes, and values that stay data wherever they stand
//! progress    the picture at the bottom of a terminal, and the lines that stay
//! output      what jobs write: grouped, by line, in order, tagged, spooled
//! record      the run's directory: job log, events, archive of outputs, --results
//! message     errors, warnings and hints
//! ```
//!
//! Everything that a run shows or records comes from one stream of [`RunEvent`](cos_core::event::RunEvent)s. Standard output
//! belongs to the jobs; all else goes to standard error.

pub mod arguments;
pub mod commands;
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

pub use cos_core::escape;
