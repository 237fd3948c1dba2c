//! The I/O thread: speaks with the agent, reads what is printed and keeps the time, whatever the main thread does.

use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::shared::Shared;
use super::state::{Interest, end_this_process};
use crate::wire::frame::CHUNK;
use crate::worker::calls::reap_all;
use crate::worker::containment::{self, Scope};
use crate::worker::slot::channel::AgentGone;
use crate::worker::slot::running::KILL_LIMIT;

/// Serves until the agent is gone, and ends the process then.
pub(super) fn serve(shared: &Shared) {
    // Whatever ends this thread, a slot without it is none.
    let _guard = EndsTheProcess;
    let mut buffer = vec![0; CHUNK];
    let mut interest = shared.lock().take_interest();
    while let Ok(found) = wait(shared, interest) {
        match turn(shared, found, &mut buffer) {
            Ok(next) => interest = next,
            Err(AgentGone) => break,
        }
        shared.notify();
    }
    containment::kill(Scope::All, &mut || reap_all(&mut |_| {}), KILL_LIMIT);
}

struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        end_this_process();
    }
}

/// What `poll` found.
struct Found {
    agent: bool,
    alarm: bool,
    outputs: [bool; 2],
}

fn turn(shared: &Shared, found: Found, buffer: &mut [u8]) -> Result<Interest, AgentGone> {
    let mut state = shared.lock();
    if found.alarm {
        state.disarm();
        let mut expirations = [0; 8];
        // It was polled; what it says is how often it went off.
        let _ = rustix::io::read(shared.alarm(), &mut expirations);
    }
    if found.agent {
        state.listen()?;
    }
    if found.outputs != [false; 2] {
        state.read(&shared.outputs, found.outputs, buffer)?;
    }
    state.end_overdue();
    let only_output = !found.alarm && !found.agent;
    if !(only_output && shared.hold(&mut state)) {
        state.channel.flush()?;
    }
    Ok(state.take_interest())
}

fn wait(shared: &Shared, interest: Interest) -> Result<Found, AgentGone> {
    let [stdout, stderr] = shared.outputs.descriptors();
    let flags = |wanted: bool, flags: PollFlags| match wanted {
        true => flags,
        false => PollFlags::empty(),
    };
    let agent = PollFlags::IN | flags(interest.writable, PollFlags::OUT);
    let mut polled = [
        PollFd::from_borrowed_fd(shared.socket(), agent),
        PollFd::from_borrowed_fd(shared.alarm(), PollFlags::IN),
        PollFd::from_borrowed_fd(stdout, flags(interest.outputs[0], PollFlags::IN)),
        PollFd::from_borrowed_fd(stderr, flags(interest.outputs[1], PollFlags::IN)),
    ];
    let limit = interest.until.map(|moment| {
        let left = moment.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    match poll(&mut polled, limit.as_ref()) {
        Ok(_) => {}
        Err(Errno::INTR) => return wait(shared, interest),
        Err(_) => return Err(AgentGone),
    }
    let [agent, alarm, stdout, stderr] = polled.map(|it| it.revents());
    Ok(Found {
        agent: agent.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
        alarm: alarm.contains(PollFlags::IN),
        outputs: [stdout, stderr].map(|found| found.contains(PollFlags::IN)),
    })
}
