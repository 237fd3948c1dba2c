//! A slot: a small process that runs one command at a time.
//!
//! It is single-threaded and waits in one `poll` for its agent, for the end of a child and for the command's output.
//! It is a child subreaper, so that whatever a command leaves behind becomes its own child.

pub(super) mod beginning;
mod capture;
pub(super) mod channel;
mod directory;
mod environment;
pub(super) mod memory;
pub(super) mod protocol;
pub(super) mod running;
mod spawning;

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGCHLD;

use super::calls::reap_all;
use super::containment::{self, Scope};
use super::role::{complain, name_process};
use beginning::begin;
use channel::{AgentGone, Channel};
use memory::OutOfMemoryKills;
use protocol::ToSlot;
use running::{KILL_LIMIT, Running, Step};
use spawning::Commands;

/// Runs a slot until its agent closes the socket that is its standard input.
pub(super) fn run() -> i32 {
    name_process(c"cos-slot");
    match Slot::new() {
        Ok(mut slot) => {
            let AgentGone = slot.serve();
            containment::kill(Scope::All, &mut || reap_all(&mut |_| {}), KILL_LIMIT);
            0
        }
        Err(error) => {
            complain(&format!("slot: {error}"));
            1
        }
    }
}

struct Slot {
    channel: Channel,
    /// Readable when a child may have ended.
    children: UnixStream,
    /// How commands are started, once the agent has said what they are to see.
    commands: Option<Commands>,
    running: Option<Box<Running>>,
    memory: OutOfMemoryKills,
    buffer: Box<[u8]>,
}

/// What `poll` found.
#[derive(Default)]
struct Found {
    agent: bool,
    children: bool,
    outputs: [bool; 2],
}

impl Slot {
    fn new() -> std::io::Result<Self> {
        let socket = begin()?;
        let (children, writer) = UnixStream::pair()?;
        children.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(SIGCHLD, writer)?;
        Ok(Self {
            channel: Channel::new(socket)?,
            children,
            commands: None,
            running: None,
            memory: OutOfMemoryKills::of_this_group(),
            buffer: vec![0; crate::wire::frame::CHUNK].into_boxed_slice(),
        })
    }

    fn serve(&mut self) -> AgentGone {
        loop {
            if let Err(gone) = self.turn() {
                return gone;
            }
        }
    }

    /// Waits for something to happen, acts on it, and writes at most once.
    fn turn(&mut self) -> Result<(), AgentGone> {
        let found = self.wait()?;
        if found.agent {
            for frame in self.channel.receive()? {
                self.obey(frame.header)?;
            }
        }
        if found.children {
            // What it says is only that it is worth reaping.
            let mut bytes = [0; 64];
            while matches!(self.children.read(&mut bytes), Ok(64)) {}
        }
        let mut hold = None;
        if let Some(running) = &mut self.running {
            if found.children {
                running.reap();
            }
            for (at, ready) in found.outputs.iter().enumerate() {
                if *ready {
                    running.read(at, &mut self.buffer, &mut self.channel)?;
                }
            }
            match running.step(&mut self.buffer, &mut self.channel, &self.memory)? {
                Step::Continue => hold = running.flush_at(self.channel.unwritten()),
                Step::Ended => self.running = None,
            }
        }
        if hold.is_some_and(|until| until > Instant::now()) {
            return Ok(());
        }
        if let Some(running) = &mut self.running {
            running.flushed();
        }
        self.channel.flush()
    }

    fn wait(&mut self) -> Result<Found, AgentGone> {
        let mut agent = PollFlags::IN;
        let mut outputs: [Option<BorrowedFd<'_>>; 2] = [None, None];
        let mut until = None;
        let unwritten = self.channel.unwritten();
        if let Some(running) = &self.running {
            outputs = running.wanted_outputs(unwritten);
            until = running.wake_at(unwritten);
        }
        // Bytes that are held back for a moment are no reason to wake up.
        if unwritten > 0 && until.is_none() {
            agent |= PollFlags::OUT;
        }
        let mut polled = Vec::with_capacity(4);
        polled.push(PollFd::from_borrowed_fd(self.channel.descriptor(), agent));
        polled.push(PollFd::from_borrowed_fd(
            self.children.as_fd(),
            PollFlags::IN,
        ));
        for output in outputs.iter().flatten() {
            polled.push(PollFd::from_borrowed_fd(*output, PollFlags::IN));
        }
        let limit = until.map(|moment| {
            let left = moment.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match poll(&mut polled, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(AgentGone),
        }
        let readable = |at: usize| {
            polled.get(at).is_some_and(|it| {
                it.revents()
                    .intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            })
        };
        let mut found = Found {
            agent: readable(0),
            children: readable(1),
            outputs: [false; 2],
        };
        let mut at = 2;
        for (wanted, ready) in outputs.iter().zip(&mut found.outputs) {
            if wanted.is_some() {
                *ready = readable(at);
                at += 1;
            }
        }
        Ok(found)
    }

    fn obey(&mut self, message: ToSlot) -> Result<(), AgentGone> {
        match message {
            ToSlot::Configure(configuration) => {
                lower_priority(configuration.nice);
                self.commands = Some(Commands::new(configuration).map_err(|_| AgentGone)?);
            }
            ToSlot::Run(order) => {
                // An agent that starts two commands at once is broken.
                let (Some(commands), None) = (&mut self.commands, &self.running) else {
                    return Err(AgentGone);
                };
                let kills = self.memory.count();
                self.running =
                    Running::start(&order, commands, kills, &mut self.channel)?.map(Box::new);
            }
            ToSlot::Stop { attempt, grace } => {
                if let Some(running) = &mut self.running {
                    running.stop(attempt, grace);
                }
            }
            ToSlot::Credit { attempt, bytes } => {
                if let Some(running) = &mut self.running {
                    running.grant(attempt, bytes);
                }
            }
            // An agent that takes this for a call slot is broken.
            ToSlot::Call(_)
            | ToSlot::Arguments { .. }
            | ToSlot::Resume { .. }
            | ToSlot::Tell { .. }
            | ToSlot::Recall { .. } => {
                return Err(AgentGone);
            }
        }
        Ok(())
    }
}

/// Makes the priority of this process what its commands are to inherit. One that may not be raised stays as it is.
pub(super) fn lower_priority(by: i32) {
    if by != 0 {
        let _ = rustix::process::nice(by);
    }
}
