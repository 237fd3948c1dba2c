//! What `#[cos::task]` and `#[cos::main]` write into programs. No interface: it changes with them.

use std::fmt::Display;

pub use linkme;

pub use crate::registry::{
    Argument, Arguments, Called, Codec, Decoder, Encoder, HANDLERS, Handler, Task, Undecodable,
    Value, argument, job, value,
};

/// The text of a task's error, with its causes where the error can tell them.
pub fn error_text<E: Display>(error: &E) -> String {
    format!("{error:#}")
}
