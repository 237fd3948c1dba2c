//! From a call as it travelled to the task's own code.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Runtime};

use super::line::SlotLine;
use crate::job::{Call, CallFailure};
use crate::registry::{self, CallResult, Called};
use crate::runtime::spawner::{self, Line};
use crate::runtime::{Os, run_task};

/// What calls run on.
#[derive(Default)]
pub(super) struct Executor {
    /// For asynchronous functions, made when the first is called.
    runtime: Option<Runtime>,
}

impl Executor {
    /// Makes a call, which reaches its spawner by `line`. A plain function runs on this very stack.
    pub(super) fn execute(&mut self, call: &Call, line: SlotLine) -> CallResult {
        spawner::set_line(Box::new(line));
        let called = registry::invoke(call);
        let line = spawner::take_line();
        match called {
            Called::Done(result) => result,
            Called::Future(future) => self.run(line, future).unwrap_or_else(|error| {
                let text = format!("an asynchronous task cannot run here: {error}");
                Err(CallFailure::Error { text })
            }),
        }
    }

    /// Runs a future as the main microthread of an OS whose machine is its spawner's.
    fn run<R>(
        &mut self,
        line: Option<Box<dyn Line>>,
        future: impl Future<Output = R>,
    ) -> io::Result<R> {
        let runtime = self.runtime()?;
        match line {
            Some(line) => Ok(runtime.block_on(run_task(line, future))),
            None => runtime
                .block_on(Os::new().run(future))
                .map_err(io::Error::other),
        }
    }

    fn runtime(&mut self) -> io::Result<&Runtime> {
        match &mut self.runtime {
            Some(runtime) => Ok(runtime),
            none => Ok(none.insert(Builder::new_current_thread().enable_all().build()?)),
        }
    }
}
