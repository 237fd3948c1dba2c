//! The calls of this slot: those that wait, and the one that runs.
//!
//! ```text
//!   Call, Arguments ..                          finished             drained
//!  -------------------> waiting ---> running --------------> draining -------> Ended
//!                          |            |
//!         Recall: Returned |            | Stop: TERM to the process group; at the end of the grace Leaving, and this
//!          Stop: Ended     v            v process kills itself
//! ```

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cos_storage::MirroredStorage;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process, kill_process_group};

use crate::encoding::VALUE_LIMIT;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, Call, StreamTotals};
use crate::runtime::spawner::Heard;
use crate::wire::frame::Frame;
use crate::wire::message::OUTPUT_WINDOW;
use crate::worker::slot::channel::{AgentGone, Channel};
use crate::worker::slot::lower_priority;
use crate::worker::slot::protocol::{CallOrder, FromSlot, StorageEntry, ToSlot};

/// When so many bytes wait for the agent, nothing is added to them for a while (256 KiB).
pub(super) const UNWRITTEN_LIMIT: usize = 256 * 1024;

/// A grace beyond that is none (a year): a moment in time has a limit.
const LONGEST_GRACE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long the agent may take to read the last words of this process (2 s).
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// A call before its turn.
struct Waiting {
    order: Box<CallOrder>,
    arguments: Vec<Bytes>,
    /// How many bytes of arguments are still to come.
    missing: u64,
}

/// What the I/O thread knows of the call that runs.
pub(super) struct Running {
    pub(super) attempt: AttemptId,
    pub(super) began: Instant,
    /// How many more bytes of output and value the client takes.
    pub(super) credit: u64,
    pub(super) totals: [StreamTotals; 2],
    /// When this process is to kill itself, once a stop was asked for.
    pub(super) stop: Option<Instant>,
    /// What it was told and has not heard yet.
    heard: VecDeque<Heard>,
    /// Wakes it when it is told something.
    listener: Option<Waker>,
}

/// A call whose turn has come.
pub(super) struct Begun {
    pub(super) attempt: AttemptId,
    pub(super) call: Call,
    /// Where it starts.
    pub(super) directory: Arc<Path>,
}

/// What the I/O thread is to wait for, beside frames and its alarm.
#[derive(Clone, Copy, Default)]
pub(super) struct Interest {
    pub(super) writable: bool,
    pub(super) outputs: [bool; 2],
    pub(super) until: Option<Instant>,
}

pub(super) struct State {
    pub(super) channel: Channel,
    /// Where calls start, once the agent has said so.
    directory: Option<Arc<Path>>,
    waiting: VecDeque<Waiting>,
    pub(super) running: Option<Running>,
    /// When the I/O thread's alarm goes off.
    armed: Option<Instant>,
    /// What it waits for.
    interest: Interest,
}

impl State {
    pub(super) fn new(socket: UnixStream) -> std::io::Result<Self> {
        Ok(Self {
            channel: Channel::new(socket)?,
            directory: None,
            waiting: VecDeque::new(),
            running: None,
            armed: None,
            interest: Interest::default(),
        })
    }

    /// Reads what the agent says and acts on it.
    pub(super) fn listen(&mut self) -> Result<(), AgentGone> {
        for Frame { header, payload } in self.channel.receive()? {
            self.obey(header, payload)?;
        }
        Ok(())
    }

    fn obey(&mut self, message: ToSlot, payload: Bytes) -> Result<(), AgentGone> {
        match message {
            ToSlot::Configure(configuration) => {
                lower_priority(configuration.nice);
                self.directory = Some(path(&configuration.directory));
                if let Some(entries) = &configuration.storage {
                    translate_by(entries);
                }
                Ok(())
            }
            ToSlot::Call(order) => self.queue(order, payload),
            ToSlot::Arguments { attempt } => self.more_arguments(attempt, payload),
            ToSlot::Recall { attempt } => self.give_back(attempt),
            ToSlot::Resume { attempt } => {
                self.tell(attempt, Heard::Resumed);
                Ok(())
            }
            ToSlot::Tell { attempt } => {
                self.tell(attempt, Heard::Told(payload));
                Ok(())
            }
            ToSlot::Stop { attempt, grace } => self.stop(attempt, grace),
            ToSlot::Credit { attempt, bytes } => {
                if let Some(running) = self.running_as(attempt) {
                    running.credit = running.credit.saturating_add(bytes);
                }
                Ok(())
            }
            // An agent that takes this for a command's slot is broken.
            ToSlot::Run(_) => Err(AgentGone),
        }
    }

    fn queue(&mut self, order: Box<CallOrder>, first: Bytes) -> Result<(), AgentGone> {
        let (attempt, missing) = (order.attempt, order.more_arguments);
        if self.directory.is_none() || missing > VALUE_LIMIT as u64 {
            return Err(AgentGone);
        }
        self.waiting.push_back(Waiting {
            order,
            arguments: vec![first],
            missing,
        });
        match missing.min(OUTPUT_WINDOW) {
            0 => Ok(()),
            bytes => self.push(&FromSlot::ArgumentsWanted { attempt, bytes }, &[]),
        }
    }

    fn more_arguments(&mut self, attempt: AttemptId, part: Bytes) -> Result<(), AgentGone> {
        let is_it = |it: &&mut Waiting| it.order.attempt == attempt;
        let Some(waiting) = self.waiting.iter_mut().find(is_it) else {
            // It was withdrawn meanwhile.
            return Ok(());
        };
        let before = waiting.missing;
        let count = part.len() as u64;
        waiting.missing = before.checked_sub(count).ok_or(AgentGone)?;
        waiting.arguments.push(part);
        // A window was asked for before: what has come makes room for as much again, if so much is left.
        match before.saturating_sub(OUTPUT_WINDOW).min(count) {
            0 => Ok(()),
            bytes => self.push(&FromSlot::ArgumentsWanted { attempt, bytes }, &[]),
        }
    }

    /// Gives back a call that has not begun.
    ///
    /// One whose turn it is has, even if the main thread has not come to it: the agent takes it for begun since it was told
    /// the end of the one before.
    fn give_back(&mut self, attempt: AttemptId) -> Result<(), AgentGone> {
        let next = self.waiting.front().map(|it| it.order.attempt);
        let its_turn = self.running.is_none() && next == Some(attempt);
        match !its_turn && self.withdraw(attempt) {
            true => self.push(&FromSlot::Returned { attempt }, &[]),
            false => Ok(()),
        }
    }

    fn withdraw(&mut self, attempt: AttemptId) -> bool {
        let is_it = |it: &Waiting| it.order.attempt == attempt;
        let at = self.waiting.iter().position(is_it);
        at.and_then(|at| self.waiting.remove(at)).is_some()
    }

    fn stop(&mut self, attempt: AttemptId, grace: Duration) -> Result<(), AgentGone> {
        if self.withdraw(attempt) {
            let result = AttemptResult::Stopped(None);
            return self.push(&FromSlot::Ended { attempt, result }, &[]);
        }
        if let Some(running) = self.running_as(attempt) {
            let kill_at = Instant::now() + grace.min(LONGEST_GRACE);
            let earlier = running.stop.unwrap_or(kill_at);
            running.stop = Some(earlier.min(kill_at));
            if !grace.is_zero() {
                // What the task has started is in this process's group, unless it left it. This process only takes note.
                let _ = kill_process_group(getpid(), Signal::TERM);
            }
        }
        Ok(())
    }

    /// Tells the call that runs something.
    fn tell(&mut self, attempt: AttemptId, heard: Heard) {
        if let Some(running) = self.running_as(attempt) {
            running.heard.push_back(heard);
            if let Some(listener) = running.listener.take() {
                listener.wake();
            }
        }
    }

    /// What the call that runs was told.
    pub(super) fn poll_heard(
        &mut self,
        attempt: AttemptId,
        context: &mut Context<'_>,
    ) -> Poll<Heard> {
        let Some(running) = self.running_as(attempt) else {
            return Poll::Pending;
        };
        match running.heard.pop_front() {
            Some(heard) => Poll::Ready(heard),
            None => {
                running.listener = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn running_as(&mut self, attempt: AttemptId) -> Option<&mut Running> {
        self.running.as_mut().filter(|it| it.attempt == attempt)
    }

    /// Whether there is a call whose turn it is and whose arguments are there.
    pub(super) fn has_next(&self) -> bool {
        let is_whole = |it: &Waiting| it.missing == 0;
        self.running.is_none() && self.waiting.front().is_some_and(is_whole)
    }

    /// Takes the call whose turn it is, if there is one.
    pub(super) fn begin(&mut self) -> Option<Begun> {
        if !self.has_next() {
            return None;
        }
        let directory = Arc::clone(self.directory.as_ref()?);
        let Waiting {
            order,
            mut arguments,
            ..
        } = self.waiting.pop_front()?;
        self.running = Some(Running {
            attempt: order.attempt,
            began: Instant::now(),
            credit: OUTPUT_WINDOW,
            totals: Default::default(),
            stop: None,
            heard: VecDeque::new(),
            listener: None,
        });
        let arguments = match arguments.len() {
            1 => arguments.remove(0),
            _ => arguments.concat().into(),
        };
        Some(Begun {
            attempt: order.attempt,
            call: Call {
                task: order.task,
                fingerprint: order.fingerprint,
                arguments,
            },
            directory,
        })
    }

    /// Kills this process if the grace of the call that runs is over. The agent kills what is below it, sends what is in
    /// the pipes and tells the end.
    ///
    /// The lock is held meanwhile, so no other call can have begun.
    pub(super) fn end_overdue(&mut self) {
        let stop = self.running.as_ref().and_then(|it| it.stop);
        if stop.is_some_and(|at| at <= Instant::now()) {
            let _ = self.push(&FromSlot::Leaving, &[]);
            self.flush_all();
            end_this_process();
        }
    }

    pub(super) fn push(&mut self, message: &FromSlot, payload: &[u8]) -> Result<(), AgentGone> {
        self.channel.push(message, payload).map_err(|_| AgentGone)
    }

    /// Writes what can be written. That the agent is gone shows to the I/O thread.
    pub(super) fn flush(&mut self) {
        let _ = self.channel.flush();
    }

    /// Writes everything, for a while.
    pub(super) fn flush_all(&mut self) {
        let limit = Timespec {
            tv_sec: LAST_WORDS_LIMIT.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        while self.channel.flush().is_ok() && self.channel.unwritten() > 0 {
            let writable = PollFd::from_borrowed_fd(self.channel.descriptor(), PollFlags::OUT);
            if !matches!(poll(&mut [writable], Some(&limit)), Ok(1..)) {
                break;
            }
        }
    }

    /// What the I/O thread is to wait for now.
    pub(super) fn take_interest(&mut self) -> Interest {
        let unwritten = self.channel.unwritten();
        let outputs = [unwritten <= UNWRITTEN_LIMIT && !self.is_starved(); 2];
        self.interest = Interest {
            // What is held back for a moment is the alarm's.
            writable: unwritten > 0 && self.armed.is_none(),
            outputs,
            until: self.running.as_ref().and_then(|it| it.stop),
        };
        self.interest
    }

    /// Whether a call runs whose output the I/O thread does not wait for.
    pub(super) fn wants_outputs_polled(&self) -> bool {
        self.interest.outputs.contains(&false)
    }

    /// The alarm of the I/O thread went off.
    pub(super) fn disarm(&mut self) {
        self.armed = None;
    }

    /// Takes note that the I/O thread is to wake after a while; false when it does so in any case.
    pub(super) fn arm(&mut self, after: Duration) -> bool {
        let at = Instant::now() + after;
        match self.armed {
            Some(armed) if armed <= at => false,
            _ => {
                self.armed = Some(at);
                true
            }
        }
    }
}

/// Ends this process at once, without anything that a task may have registered for its exit.
pub(super) fn end_this_process() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort();
}

fn path(bytes: &[u8]) -> Arc<Path> {
    Path::new(OsStr::from_bytes(bytes)).into()
}

/// From now on paths of this process are translated by the mirrored storage that its agent has proved.
fn translate_by(entries: &[StorageEntry]) {
    let storage = |mistake: Option<String>| {
        MirroredStorage::proven(entries.iter().map(|entry| {
            let problem = entry.problem.clone().or_else(|| mistake.clone());
            (OsStr::from_bytes(&entry.path), problem)
        }))
    };
    // An entry that can be none is as good as one that is not shared: it says so when it is used.
    let storage = storage(None).or_else(|error| storage(Some(error.to_string())));
    if let Ok(storage) = storage {
        cos_storage::set_process_storage(storage);
    }
}
