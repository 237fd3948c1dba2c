//! The guardian: starts the agent, and kills what the agent leaves behind when it dies.
//!
//! The agent contains its slots and a slot contains its command, as child subreapers. Above the agent there is this
//! tiny process, for the day on which the agent itself is killed.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_child_subreaper, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::calls::{Ended, Reaped, reap_all, reap_blocking};
use super::containment::{self, Scope};
use super::descriptors::take_standard_input;
use super::place::Place;
use super::record::Record;
use super::role::{self, complain, name_process};
use crate::job::Exit;

/// How long the tree of a dead agent may resist (10 s): a process in an uninterruptible wait does.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Runs a guardian; the exit status is 0 when the agent ended as it should.
pub(super) fn run(place: &Path) -> i32 {
    name_process(c"cos-guardian");
    let place = Place::at(place);
    let status = guard(&place);
    // The agent removes what is its own. What is still there belongs to one that died, and its scratch says so too.
    if let Some(record) = Record::read(&place)
        && let Err(error) = cos_storage::sweep(&record.local_storage)
    {
        complain(&error.to_string());
    }
    if let Err(error) = place.remove() {
        complain(&format!("{}: {error}", place.path().display()));
    }
    status
}

fn guard(place: &Place) -> i32 {
    let agent = match start(place) {
        Ok(agent) => agent,
        Err(error) => {
            complain(&format!("the agent could not be started: {error}"));
            return 1;
        }
    };
    let exit = wait_for(agent);
    let killed = containment::kill(Scope::All, &mut || reap_all(&mut |_| {}), KILL_LIMIT);
    if !matches!(exit, Exit::Code(0 | 1)) {
        complain(&format!("agent died: {exit}"));
    }
    for survivor in &killed.survivors {
        complain(&format!("process {survivor} could not be killed"));
    }
    match exit {
        Exit::Code(0) => 0,
        _ => 1,
    }
}

/// Leaves the session of the login, whose end would be this process's, and starts the agent in its own.
fn start(place: &Place) -> std::io::Result<i32> {
    let listener: OwnedFd = take_standard_input()?;
    setsid()?;
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let agent = role::command("agent", [place.path()])
        .stdin(Stdio::from(listener))
        .spawn()?;
    let agent = agent.id().cast_signed();
    forward(signals, agent)?;
    Ok(agent)
}

/// Passes on what an administrator sends to every process of COS: it means the agent, which knows how to leave.
fn forward(mut signals: Signals, agent: i32) -> std::io::Result<()> {
    let pass_on = move || {
        for number in signals.forever() {
            if let (Some(agent), Some(signal)) =
                (Pid::from_raw(agent), Signal::from_named_raw(number))
            {
                // An agent that is gone needs no signal.
                let _ = kill_process(agent, signal);
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(pass_on)?;
    Ok(())
}

/// Reaps until the agent has ended.
fn wait_for(agent: i32) -> Exit {
    loop {
        match reap_blocking() {
            Reaped::Child(Ended { pid, exit, .. }) if pid == agent => return exit,
            Reaped::Child(_) | Reaped::NoneEnded => {}
            // It was there and cannot be gone unseen.
            Reaped::NoChildren => return Exit::Code(1),
        }
    }
}
