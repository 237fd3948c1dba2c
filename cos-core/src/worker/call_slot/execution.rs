//! From a call as it travelled to the task's own code.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::job::{Call, CallFailure};
use crate::registry::{self, CallResult, Called};
use crate::runtime::{Os, OsError};

/// What calls run on.
#[derive(Default)]
pub(super) struct Executor {
    /// For asynchronous functions, made when the first is called.
    runtime: Option<Runtime>,
}

impl Executor {
    /// Makes a call. A plain function runs on this very stack.
    pub(super) fn execute(&mut self, call: &Call) -> CallResult {
        match registry::invoke(call) {
            Called::Done(result) => result,
            Called::Future(future) => self.run(future).unwrap_or_else(|error| {
                let text = format!("an asynchronous task cannot run here: {error}");
                Err(CallFailure::Error { text })
            }),
        }
    }

    /// Runs a future as the main microthread of an OS without a machine.
    fn run<R>(&mut self, future: impl Future<Output = R>) -> Result<R, OsError> {
        let runtime = self.runtime()?;
        runtime.block_on(Os::new().run(future))
    }

    fn runtime(&mut self) -> io::Result<&Runtime> {
        match &mut self.runtime {
            Some(runtime) => Ok(runtime),
            none => Ok(none.insert(Builder::new_current_thread().enable_all().build()?)),
        }
    }
}
