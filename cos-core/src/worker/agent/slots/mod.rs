//! The slot processes of an agent.

mod process;
mod progress;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::task::{Context, Poll};

use super::attempts::SlotKind;
use super::preparation::Prepared;
use crate::ids::SlotId;
use crate::wire::frame::{CHUNK, Frame};
use crate::worker::slot::protocol::{FromSlot, ToSlot};

pub(super) use process::SlotProcess;

/// When so many bytes wait for a slot (4 MiB), the slot is stuck and of no more use.
const STUCK: usize = 4 << 20;

/// A slot that broke the protocol, or does not read: it is to be killed.
#[derive(Debug)]
pub(super) struct Broken;

/// The number of a process that is not reaped: no other has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pid(pub(super) i32);

/// The slot processes, started when they are first needed. A slot has one of each kind at most.
pub(super) struct Slots {
    processes: BTreeMap<Pid, SlotProcess>,
    /// The processes that take attempts.
    serving: HashMap<(SlotId, SlotKind), Pid>,
    piece: Vec<u8>,
}

impl Slots {
    /// No process yet.
    pub(super) fn new() -> Self {
        Self {
            processes: BTreeMap::new(),
            serving: HashMap::new(),
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
        kind: SlotKind,
        prepared: &Prepared,
    ) -> io::Result<&mut SlotProcess> {
        let pid = match self.serving.get(&(slot, kind)) {
            Some(pid) => *pid,
            None => {
                let mut process = SlotProcess::start(slot, kind, prepared)?;
                let configuration = prepared.configuration(slot);
                process.push(&ToSlot::Configure(Box::new(configuration)), &[])?;
                let pid = process.pid();
                self.serving.insert((slot, kind), pid);
                self.processes.insert(pid, process);
                pid
            }
        };
        let process = self.processes.get_mut(&pid);
        process.ok_or_else(|| io::Error::other("it has just ended"))
    }

    /// The process of a slot that takes attempts, if there is one.
    pub(super) fn serving(&mut self, slot: SlotId, kind: SlotKind) -> Option<&mut SlotProcess> {
        let pid = self.serving.get(&(slot, kind))?;
        self.processes.get_mut(pid)
    }

    /// A process, as long as it is not removed.
    pub(super) fn get(&mut self, pid: Pid) -> Option<&mut SlotProcess> {
        self.processes.get_mut(&pid)
    }

    /// Gives a process nothing more; what it still says counts. False when it already got nothing.
    pub(super) fn retire(&mut self, pid: Pid) -> bool {
        let before = self.serving.len();
        self.serving.retain(|_, serving| *serving != pid);
        self.serving.len() < before
    }

    /// Writes what waits. Slots that are stuck come back.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Vec<Pid> {
        let mut stuck = Vec::new();
        for (pid, process) in &mut self.processes {
            if process.poll_write(context).is_pending() && process.unwritten() > STUCK {
                stuck.push(*pid);
            }
        }
        stuck
    }

    /// Reads what the slots have said. Each message comes with its process; one that broke the protocol comes with
    /// [`Broken`]. Pending when there is nothing.
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        said: &mut Vec<(Pid, Result<Frame<FromSlot>, Broken>)>,
    ) {
        for (pid, process) in &mut self.processes {
            while let Poll::Ready(read) = process.poll_read(context, &mut self.piece) {
                // The end of a socket is the end of its process, which the reaper tells of.
                if !read {
                    break;
                }
                loop {
                    match process.next_frame() {
                        Ok(Some(frame)) => said.push((*pid, Ok(frame))),
                        Ok(None) => break,
                        Err(_) => {
                            said.push((*pid, Err(Broken)));
                            break;
                        }
                    }
                }
            }
        }
    }

    /// What a process that has ended had said before.
    pub(super) fn last_words(&mut self, pid: Pid) -> Vec<Frame<FromSlot>> {
        let process = self.processes.get_mut(&pid);
        process.map_or_else(Vec::new, |process| process.last_words(&mut self.piece))
    }

    /// The process numbers of all.
    pub(super) fn pids(&self) -> impl Iterator<Item = i32> {
        self.processes.keys().map(|pid| pid.0)
    }

    /// Takes out a process that has ended; the next attempt for its slot starts a new one.
    pub(super) fn remove(&mut self, pid: Pid) -> Option<SlotProcess> {
        self.retire(pid);
        self.processes.remove(&pid)
    }
}
