//! From a call as it travelled to the task's own code.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::job::{Call, CallFailure};
use crate::registry::{self, CallResult, Called};

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
            Called::Future(future) => match self.runtime() {
                Ok(runtime) => runtime.block_on(future),
                Err(error) => Err(CallFailure::Error {
                    text: format!("no runtime for an asynchronous task: {error}"),
                }),
            },
        }
    }

    fn runtime(&mut self) -> io::Result<&Runtime> {
        match &mut self.runtime {
            Some(runtime) => Ok(runtime),
            none => Ok(none.insert(Builder::new_current_thread().enable_all().build()?)),
        }
    }
}
