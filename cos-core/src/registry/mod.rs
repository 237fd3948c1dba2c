//! The typed tasks of this program: found by name, called with encoded arguments.
//!
//! `#[cos::task]` puts a `Handler` for each task into a table that the linker collects, whatever crate of the program
//! it is in. A client and its workers are the same program, so both have the same table: a [`Call`](crate::job::Call) names the task, and the
//! fingerprint of its signature shows when they are different builds after all.
//!
//! ```text
//!  client: double::job(3) --encode--> Call { task, fingerprint, arguments } --> host
//!  worker: Call --> invoke: look up, compare, decode, run, encode the value --> host's answer
//!  client: answer --decode--> u64
//! ```

mod codec;
mod invocation;
mod typed;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use linkme::distributed_slice;
use thiserror::Error;

#[doc(hidden)]
pub use codec::{Codec, Decoder, Encoder, TaskArgument, TaskValue, Undecodable, argument, value};
pub(crate) use invocation::{CallResult, invoke};
pub(crate) use typed::TypedCall;
#[doc(hidden)]
pub use typed::{Arguments, Called, Task, job};

use crate::job::Mismatch;

/// A typed task of this program.
#[doc(hidden)]
#[derive(Debug)]
pub struct Handler {
    name: &'static str,
    fingerprint: u64,
    place: Place,
    call: fn(&[u8]) -> Called<CallResult>,
}

impl Handler {
    /// The handler of a task that is defined there.
    pub const fn of<T: Task>(file: &'static str, line: u32) -> Self {
        Self {
            name: T::NAME,
            fingerprint: T::FINGERPRINT,
            place: Place { file, line },
            call: invocation::call::<T>,
        }
    }
}

/// A place in the source, as `src/search.rs:40`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Every task of the program, collected by the linker.
#[doc(hidden)]
#[distributed_slice]
pub static HANDLERS: [Handler];

/// Two tasks of one program have one name, so neither could be told from the other on a host.
///
/// Two functions of one module with a task of the same name inside are such a case.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("two tasks are called `{name}`: at {first} and at {second}; rename one")]
pub struct DuplicateTask {
    /// The name.
    pub name: &'static str,
    /// Where one is.
    pub first: Place,
    /// Where the other is.
    pub second: Place,
}

type Table = HashMap<&'static str, &'static Handler>;

/// Whether each task of this program has a name of its own. [`worker::init`](crate::worker::init) checks it, so a program
/// with such a mistake does not start.
///
/// # Errors
/// The first two that have not.
pub fn check() -> Result<(), DuplicateTask> {
    table().map(|_| ())
}

fn table() -> Result<&'static Table, DuplicateTask> {
    static TABLE: OnceLock<Result<Table, DuplicateTask>> = OnceLock::new();
    let table = TABLE.get_or_init(|| collect(&HANDLERS));
    table.as_ref().map_err(Clone::clone)
}

fn collect(handlers: &'static [Handler]) -> Result<Table, DuplicateTask> {
    let mut table = Table::with_capacity(handlers.len());
    for handler in handlers {
        if let Some(other) = table.insert(handler.name, handler) {
            // The linker's order is nobody's.
            let first = other.place.min(handler.place);
            let second = other.place.max(handler.place);
            let name = handler.name;
            return Err(DuplicateTask {
                name,
                first,
                second,
            });
        }
    }
    Ok(table)
}

/// The handler of a task, if this program has it with this signature.
fn find(name: &str, fingerprint: u64) -> Result<&'static Handler, Mismatch> {
    // A program with two tasks of one name encodes no call, and its workers do not start.
    let table = table().map_err(|_| Mismatch::Missing)?;
    let handler = table.get(name).ok_or(Mismatch::Missing)?;
    match handler.fingerprint == fingerprint {
        true => Ok(handler),
        false => Err(Mismatch::Signature),
    }
}

#[cfg(test)]
mod tests;
