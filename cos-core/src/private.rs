//! What `#[cos::task]` and `#[cos::main]` write into programs. No interface: it changes with them.

use std::fmt::Display;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

pub use linkme;

pub use crate::registry::{
    Arguments, Called, Codec, Decoder, Encoder, HANDLERS, Handler, Task, TaskArgument, TaskValue,
    Undecodable, argument, job, value,
};

use crate::{Error, Os};

/// The text of a task's error, with its causes where the error can tell them.
pub fn error_text<E: Display>(error: &E) -> String {
    format!("{error:#}")
}

/// Runs a program: as a worker if it was started as one, else `main` on an OS.
pub fn main<F>(main: impl FnOnce() -> F) -> ExitCode
where
    F: Future,
    F::Output: Ending,
{
    crate::worker::init();
    let lines = crate::task_lines(std::io::stdout(), std::io::stderr());
    // The program is not made before there is an OS: what it does at once may be a system call.
    let program = async { main().await };
    let error = match Os::new().observe(lines).block_on(program) {
        Ok(output) => output.error(),
        Err(error) => Some(error_text(&Error::from(error))),
    };
    match error {
        None => ExitCode::SUCCESS,
        Some(error) => {
            // Nobody is there to be told when this fails.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What an asynchronous `main` can return.
#[diagnostic::on_unimplemented(
    message = "`main` cannot return `{Self}`",
    label = "neither `()` nor a `Result<(), E>` where `E: Display`",
    note = "write `async fn main() -> cos::Result<()>`"
)]
pub trait Ending {
    /// The text of the error, if it is one.
    fn error(self) -> Option<String>;
}

impl Ending for () {
    fn error(self) -> Option<String> {
        None
    }
}

impl<E: Display> Ending for Result<(), E> {
    fn error(self) -> Option<String> {
        self.err().map(|error| error_text(&error))
    }
}
