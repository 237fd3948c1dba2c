//! What a slot of either kind does first.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, Signal, set_child_subreaper, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::worker::descriptors::take_standard_input;

/// Signals that an administrator sends to every process of COS. They are the agent's to act on, so a slot only takes note.
///
/// A handler, unlike an ignored signal, is not inherited by commands.
pub(in crate::worker) const NOTED: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// Takes the socket to the agent, which is standard input, and makes this process one that dies with its agent and
/// keeps what its jobs leave behind.
///
/// # Errors
/// When the agent is gone already, or the system refuses.
pub(in crate::worker) fn begin() -> io::Result<UnixStream> {
    let socket: OwnedFd = take_standard_input()?;
    let agent = rustix::process::getppid();
    // The agent's main thread starts its slots, and lives as long as the agent.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != agent || agent.is_none_or(Pid::is_init) {
        return Err(io::Error::other("its agent is gone"));
    }
    set_child_subreaper(Some(rustix::process::getpid()))?;
    for number in NOTED {
        signal_hook::flag::register(number, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(UnixStream::from(socket))
}
