//! A call slot: a process of the program that defined the typed tasks, which runs one call at a time.
//!
//! ```text
//!   agent --socket--> I/O thread --waiting--> main thread     runs one call after the other
//!     ^                  |  ^                    |  |
//!     `------ frames ----'  `--- fd 1 and 2 -----'  |
//!     ^                                             |
//!     `-------------------- frames -----------------'         what has ended is told before the next begins
//! ```
//!
//! A task is the user's own code: it may compute for hours, print, change directory, start processes and threads, panic,
//! exit or crash. So it has the main thread, with the main thread's stack, and everything that must go on meanwhile is
//! done by the I/O thread. What both need is behind one lock (`shared`), which no code of a task ever holds.
//!
//! Several calls may lie here before their turn. That the end of one is pushed and the next is taken in one step tells the
//! agent which call runs without being told: the next that has neither ended nor been returned. So a death of this
//! process is the end of that call alone.
//!
//! Frames travel on a private descriptor, and fd 1 and 2 are pipes that are read here and, once this process has died, by
//! the agent. They are emptied before each end is told, so that a task's output is its own to the last byte. Children
//! are reaped between calls only: a task waits for its own. What it leaves behind is killed, since this process is a
//! child subreaper.

mod aborting;
mod calling;
mod delivery;
mod execution;
mod io_thread;
mod left_over;
mod line;
mod output;
mod shared;
mod state;

use std::io;
use std::sync::Arc;

use super::descriptors::receive_pair;
use super::role::{complain, name_process};
use super::slot::beginning::begin;
use shared::Shared;

/// Runs a call slot, which ends when its agent does; returns when it could not begin.
pub(super) fn run() -> i32 {
    name_process(c"cos-call-slot");
    match start() {
        Ok(shared) => calling::serve(&shared),
        Err(error) => {
            complain(&format!("call slot: {error}"));
            1
        }
    }
}

fn start() -> io::Result<Arc<Shared>> {
    let socket = begin()?;
    let (stdout, stderr, _) = receive_pair(&socket)?;
    let shared = Arc::new(Shared::new(socket, [stdout, stderr])?);
    aborting::watch(&shared);
    let of_thread = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("cos-io".to_owned())
        .spawn(move || io_thread::serve(&of_thread))?;
    Ok(shared)
}
