//! What is to be run and what came of it: commands, needs, attempt results, outcomes.

mod command;
mod needs;
mod outcome;
mod task;

pub use command::{CommandJob, JobDirectory, LinePart, Program, Stream};
pub use needs::{Amounts, Needs};
pub use outcome::{AttemptResult, CommandEnd, Exit, Outcome, StreamTotals, TaskError, Usage};
pub use task::{CommandOutput, CommandResult, Job};
