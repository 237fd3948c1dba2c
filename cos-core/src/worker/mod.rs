//! What runs on a host: the processes between an ssh channel and a command.
//!
//! ```text
//! sshd - sh - bridge      passes its standard input and output to the agent, then only waits
//! guardian                tiny subreaper; kills what is left if the agent is killed
//!   `- agent              one per client run and host: speaks with the client, queues attempts, keeps slots
//!        |- slot          one per running command: starts it, captures its output, kills what it leaves behind
//!        |    `- the command, in a process group of its own
//!        `- call slot     one per running call of a typed task, which it executes itself
//! ```
//!
//! All of them are the same executable, which is entered by its first argument (never by its environment, which a
//! command's child programs inherit). A program that can be a worker calls [`init`] before anything else.

mod agent;
mod bridge;
mod call_slot;
mod calls;
mod containment;
mod descriptors;
mod guardian;
mod place;
mod record;
mod role;
mod slot;
mod vfork;

use std::io::Write;

pub use role::bridge_arguments;

/// Serves as a worker process if the first argument asks for one, and then does not return. Returns at once otherwise.
///
/// It is to be called at the very beginning of `main`, before any thread or file exists. [`macro@main`](crate::main) does.
///
/// A program of which two [tasks](macro@crate::task) have the same name cannot tell them apart on a host: it says so on
/// standard error, naming both places, and exits with status 1.
pub fn init() {
    if let Err(duplicate) = crate::registry::check() {
        // Nobody is there to be told when this fails.
        let _ = writeln!(std::io::stderr(), "error: {duplicate}");
        std::process::exit(1);
    }
    if let Some(role) = role::Role::of_this_process() {
        std::process::exit(role.run());
    }
}
