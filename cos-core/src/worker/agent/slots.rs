//! The slot processes of an agent.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use tokio::net::UnixStream;

use super::preparation::Prepared;
use crate::ids::SlotId;
use crate::wire::frame::{CHUNK, Frame, FrameReader, write_frame};
use crate::worker::role;
use crate::worker::slot::protocol::{FromSlot, ToSlot};

/// When so many bytes wait for a slot (4 MiB), the slot is stuck and of no more use.
const STUCK: usize = 4 << 20;

/// A slot that broke the protocol, or does not read: it is to be killed.
#[derive(Debug)]
pub(super) struct Broken;

/// One slot process.
pub(super) struct SlotProcess {
    pid: i32,
    socket: UnixStream,
    frames: FrameReader,
    out: Vec<u8>,
}

/// The slot processes, started when they are first needed.
pub(super) struct Slots {
    processes: BTreeMap<SlotId, SlotProcess>,
    piece: Vec<u8>,
}

impl Slots {
    /// No process yet.
    pub(super) fn new() -> Self {
        Self {
            processes: BTreeMap::new(),
            piece: vec![0; CHUNK],
        }
    }

    /// The process of a slot, which is started if there is none.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn process(
        &mut self,
        slot: SlotId,
        prepared: &Prepared,
    ) -> io::Result<&mut SlotProcess> {
        match self.processes.entry(slot) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let mut process = SlotProcess::start(slot, prepared)?;
                let configuration = prepared.configuration(slot);
                process.push(&ToSlot::Configure(Box::new(configuration)))?;
                Ok(entry.insert(process))
            }
        }
    }

    /// Sends a message to a slot if it has a process.
    ///
    /// # Errors
    /// When the message does not fit into a frame.
    pub(super) fn tell(&mut self, slot: SlotId, message: &ToSlot) -> io::Result<()> {
        match self.processes.get_mut(&slot) {
            Some(process) => process.push(message),
            None => Ok(()),
        }
    }

    /// Writes what waits. Slots that are stuck come back.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Vec<SlotId> {
        let mut stuck = Vec::new();
        for (slot, process) in &mut self.processes {
            if process.poll_write(context).is_pending() && process.out.len() > STUCK {
                stuck.push(*slot);
            }
        }
        stuck
    }

    /// Reads what the slots have said. Each message comes with its slot; a slot that broke the protocol comes with
    /// [`Broken`]. Pending when there is nothing.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        said: &mut Vec<(SlotId, Result<Frame<FromSlot>, Broken>)>,
    ) {
        for (slot, process) in &mut self.processes {
            while let Poll::Ready(read) = process.poll_read(context, &mut self.piece) {
                // The end of a socket is the end of its process, which the reaper tells of.
                if !read {
                    break;
                }
                loop {
                    match process.frames.next_frame() {
                        Ok(Some(frame)) => said.push((*slot, Ok(frame))),
                        Ok(None) => break,
                        Err(_) => {
                            said.push((*slot, Err(Broken)));
                            break;
                        }
                    }
                }
            }
        }
    }

    /// What a slot that has ended had said before.
    pub(super) fn last_words(&mut self, slot: SlotId) -> Vec<Frame<FromSlot>> {
        let mut said = Vec::new();
        let Some(process) = self.processes.get_mut(&slot) else {
            return said;
        };
        // Past the runtime, which may not yet know that there is something to read.
        while let Ok(count @ 1..) = rustix::io::read(&process.socket, &mut self.piece) {
            process.frames.feed(&self.piece[..count]);
            while let Ok(Some(frame)) = process.frames.next_frame() {
                said.push(frame);
            }
        }
        said
    }

    /// The process numbers of all slots.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.processes.values().map(|process| process.pid)
    }

    /// The process number of a slot.
    pub(super) fn pid_of(&self, slot: SlotId) -> Option<i32> {
        self.processes.get(&slot).map(|process| process.pid)
    }

    /// The slot whose process has this number.
    pub(super) fn slot_of(&self, pid: i32) -> Option<SlotId> {
        let mut slots = self.processes.iter();
        slots.find_map(|(slot, process)| (process.pid == pid).then_some(*slot))
    }

    /// Forgets a slot whose process has ended; the next message to it starts a new one.
    pub(super) fn remove(&mut self, slot: SlotId) {
        self.processes.remove(&slot);
    }
}

impl SlotProcess {
    fn start(slot: SlotId, prepared: &Prepared) -> io::Result<Self> {
        let (own, its) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let socket = UnixStream::from_std(own)?;
        let number = slot.to_string();
        let mut command = role::command("slot", [&number]);
        command
            .env_clear()
            .envs(prepared.environment())
            .stdin(Stdio::from(OwnedFd::from(its)))
            .process_group(0);
        let child = command.spawn()?;
        Ok(Self {
            pid: child.id().cast_signed(),
            socket,
            frames: FrameReader::new(),
            out: Vec::new(),
        })
    }

    /// Takes a message to be written by the next write. A slot that takes nothing shows by its end.
    ///
    /// # Errors
    /// When the message does not fit into a frame.
    pub(super) fn push(&mut self, message: &ToSlot) -> io::Result<()> {
        write_frame(message, &[], &mut self.out).map_err(io::Error::other)
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.out.is_empty() {
            if ready!(self.socket.poll_write_ready(context)).is_err() {
                self.out.clear();
                break;
            }
            match self.socket.try_write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.out.clear(),
            }
        }
        Poll::Ready(())
    }

    /// Reads once. Ready with false when nothing can come any more.
    fn poll_read(&mut self, context: &mut Context<'_>, piece: &mut [u8]) -> Poll<bool> {
        loop {
            if ready!(self.socket.poll_read_ready(context)).is_err() {
                return Poll::Ready(false);
            }
            match self.socket.try_read(piece) {
                Ok(0) => return Poll::Ready(false),
                Ok(count) => {
                    self.frames.feed(&piece[..count]);
                    return Poll::Ready(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(false),
            }
        }
    }
}
