//! What is to be run and what came of it: commands and calls, needs, attempt results, outcomes.

mod call_end;
mod command;
mod error;
mod needs;
mod outcome;
mod staging;
mod task;
mod work;

pub use call_end::{CallEnd, CallFailure, CallReport, Mismatch};
pub use command::{CommandJob, JobDirectory, LinePart, Program, Stream};
pub use error::{TaskError, TaskLabel, command_end};
pub use needs::{Amounts, Needs};
pub use outcome::{AttemptResult, CommandEnd, Exit, Outcome, StreamTotals, TaskEnd, Usage};
pub use staging::{InputScope, StagedInput, Staging};
pub use task::{CommandOutput, Job};
pub(crate) use task::{Finish, Payload, TaskAt, of_other_kind};
pub use work::{Call, Work};
