//! A slot: a small process that runs one command at a time.
//!
//! The agent may hand it the next ones while one runs. Each begins when the agent has been written that the one before it
//! has ended: however this process may end, the agent knows which one it ran.
//!
//! ```text
//!  Idle ----> Beginning ----> Running
//!   ^             ^              |
//!   `-------------+--------------'
//!     none waits   one waits
//! ```
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

use std::collections::VecDeque;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::SIGCHLD;

use super::calls::reap_all;
use super::containment::{self, Scope};
use super::role::{complain, name_process};
use crate::ids::AttemptId;
use crate::job::AttemptResult;
use beginning::begin;
use channel::{AgentGone, Channel};
use memory::OutOfMemoryKills;
use protocol::{FromSlot, Order, ToSlot};
use running::{KILL_LIMIT, Running, Step};
use spawning::Commands;

/// How many orders may wait (256): more than an agent hands over.
const MOST_ORDERS: usize = 256;

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
    /// Commands to be run after the present one, in this order.
    orders: VecDeque<Box<Order>>,
    state: State,
    memory: OutOfMemoryKills,
    buffer: Box<[u8]>,
}

/// What a slot is at.
enum State {
    Idle,
    /// It begins a command as soon as everything before that is written. It cannot be given back: for the agent, it runs.
    Beginning(Box<Order>),
    Running(Box<Running>),
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
            orders: VecDeque::new(),
            state: State::Idle,
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

    /// Waits for something to happen, acts on it, and writes.
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
        if let State::Running(running) = &mut self.state {
            if found.children {
                running.reap();
            }
            for (at, ready) in found.outputs.iter().enumerate() {
                if *ready {
                    running.read(at, &mut self.buffer, &mut self.channel)?;
                }
            }
            match running.step(&mut self.buffer, &mut self.channel, &self.memory)? {
                Step::Continue => {
                    let hold = running.flush_at(self.channel.unwritten());
                    if hold.is_some_and(|until| until > Instant::now()) {
                        return Ok(());
                    }
                    running.flushed();
                }
                Step::Ended => self.state = State::Idle,
            }
        }
        self.take_next();
        self.channel.flush()?;
        self.begin()
    }

    /// Takes up the next order, if none is being carried out.
    fn take_next(&mut self) {
        if let State::Idle = self.state
            && let Some(order) = self.orders.pop_front()
        {
            self.state = State::Beginning(order);
        }
    }

    /// Starts what is to begin, once everything before it is written.
    fn begin(&mut self) -> Result<(), AgentGone> {
        while self.channel.unwritten() == 0
            && let State::Beginning(order) = &self.state
        {
            // An agent that has not said what commands are to see is broken.
            let commands = self.commands.as_mut().ok_or(AgentGone)?;
            let kills = self.memory.count();
            self.state = match Running::start(order, commands, kills, &mut self.channel)? {
                Some(running) => State::Running(Box::new(running)),
                None => State::Idle,
            };
            self.take_next();
            self.channel.flush()?;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<Found, AgentGone> {
        let mut agent = PollFlags::IN;
        let mut outputs: [Option<BorrowedFd<'_>>; 2] = [None, None];
        let mut until = None;
        let unwritten = self.channel.unwritten();
        if let State::Running(running) = &self.state {
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
                if self.orders.len() >= MOST_ORDERS {
                    return Err(AgentGone);
                }
                self.orders.push_back(order);
                self.take_next();
            }
            ToSlot::Recall { attempt } => {
                if self.forget(attempt) {
                    return running::push(&mut self.channel, &FromSlot::Returned { attempt }, &[]);
                }
            }
            ToSlot::Stop { attempt, grace } => self.stop(attempt, grace)?,
            ToSlot::Credit { attempt, bytes } => {
                if let State::Running(running) = &mut self.state {
                    running.grant(attempt, bytes);
                }
            }
            // An agent that takes this for a call slot is broken.
            ToSlot::Call(_)
            | ToSlot::Arguments { .. }
            | ToSlot::Resume { .. }
            | ToSlot::Tell { .. } => return Err(AgentGone),
        }
        Ok(())
    }

    fn stop(&mut self, attempt: AttemptId, grace: Duration) -> Result<(), AgentGone> {
        if let State::Running(running) = &mut self.state {
            running.stop(attempt, grace);
        }
        let begins = matches!(&self.state, State::Beginning(order) if order.attempt == attempt);
        if begins {
            self.state = State::Idle;
        }
        if begins || self.forget(attempt) {
            let result = AttemptResult::Stopped(None);
            running::push(&mut self.channel, &FromSlot::Ended { attempt, result }, &[])?;
            self.take_next();
        }
        Ok(())
    }

    /// Drops an order that waits. False when there is none of this attempt.
    fn forget(&mut self, attempt: AttemptId) -> bool {
        let at = self.orders.iter().position(|it| it.attempt == attempt);
        at.and_then(|at| self.orders.remove(at)).is_some()
    }
}

/// Makes the priority of this process what its commands are to inherit. One that may not be raised stays as it is.
pub(super) fn lower_priority(by: i32) {
    if by != 0 {
        let _ = rustix::process::nice(by);
    }
}
