//! A machine whose slots are threads of this process: for tests and documentation, where a program cannot be its own
//! worker.
//!
//! ```text
//!  kernel --VmCommand--> InProcess: queue, free cores --Order--> slot thread: tokio runtime, registry
//!         <--VmEvent----                              <--Report-
//! ```
//!
//! It calls tasks as any host does, with encoded arguments, so what does not encode or decode shows. What is lost is
//! isolation, since there is no process to be ended:
//!
//! * A panic is caught, as elsewhere. `exit`, `abort`, a signal or an exhausted memory end the program.
//! * An asynchronous task is cancelled where it waits. A plain function that runs cannot be stopped: what it returns in
//!   the end counts, and a machine that is shut down meanwhile leaves it behind.
//! * Tasks share the program's current directory, environment and statics; each slot has its own thread-locals.
//! * What a task writes to standard output goes where the program's goes; nothing is captured.
//! * There are no commands.

mod slot;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::host::{HostInfo, HostSpec, Stage};
use super::local::LOCAL;
use super::{VirtualMachine, VmCommand, VmEvent};
use crate::ids::{AttemptId, HostId, SlotId};
use crate::job::{Amounts, AttemptResult, Call, CallReport, Work};
use crate::runtime::spawner::{Heard, Said};
use crate::wire::message::{Containment, DirectoryReport, HostReport};
use slot::{Report, Slot};

/// The one host.
const HOST: HostId = HostId(0);

/// The machine.
pub(super) struct InProcess {
    hosts: Vec<HostSpec>,
    total: u32,
    free: Amounts,
    queue: VecDeque<Waiting>,
    running: HashMap<AttemptId, (SlotId, Amounts)>,
    /// Those of them that have lent their licence.
    lent: HashSet<AttemptId>,
    /// How many slots there are: as many as cores, and one more for each attempt that lends while none is idle.
    slot_count: u32,
    idle: BTreeSet<SlotId>,
    slots: BTreeMap<SlotId, Slot>,
    events: VecDeque<VmEvent>,
    reports: mpsc::UnboundedReceiver<Report>,
    /// For new slots.
    reporter: mpsc::UnboundedSender<Report>,
    phase: Phase,
    life: Life,
    /// Wakes the machine's user for events that its own commands have caused.
    waker: Option<Waker>,
}

struct Waiting {
    attempt: AttemptId,
    amounts: Amounts,
    work: Arc<Work>,
}

enum Phase {
    Open,
    /// Everything was told to stop; what does not is left behind when this is over.
    Closing(Duration, Option<Pin<Box<tokio::time::Sleep>>>),
    /// Nothing runs any more, as far as that can be had.
    Closed,
}

/// Whether the machine was shut down.
#[derive(PartialEq, Eq)]
enum Life {
    Alive,
    /// There is no event after the end of the host.
    ShutDown,
}

impl InProcess {
    pub(super) fn new(slots: u32) -> Self {
        let (reporter, reports) = mpsc::unbounded_channel();
        Self {
            hosts: vec![HostSpec {
                name: LOCAL.to_owned(),
                tags: Vec::new(),
                max_load: None,
            }],
            total: slots,
            free: Amounts::cores(slots),
            queue: VecDeque::new(),
            running: HashMap::new(),
            lent: HashSet::new(),
            slot_count: slots,
            idle: (1..=slots).map(SlotId).collect(),
            slots: BTreeMap::new(),
            events: VecDeque::new(),
            reports,
            reporter,
            phase: Phase::Open,
            life: Life::Alive,
            waker: None,
        }
    }

    fn say(&mut self, event: VmEvent) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn end(&mut self, attempt: AttemptId, result: AttemptResult) {
        self.say(VmEvent::Ended {
            host: HOST,
            attempt,
            result,
        });
    }

    fn connect(&mut self) {
        for stage in [Stage::Starting, Stage::Preparing] {
            self.say(VmEvent::Stage { host: HOST, stage });
        }
        self.phase = Phase::Open;
        let info = Arc::new(host_info(self.total));
        self.say(VmEvent::Up { host: HOST, info });
    }

    fn queue(&mut self, waiting: Waiting) {
        if matches!(self.phase, Phase::Open) {
            self.queue.push_back(waiting);
            self.start_what_fits();
        }
    }

    /// Starts what has waited longest, while its cores are free.
    fn start_what_fits(&mut self) {
        while let Some(next) = self.queue.front()
            && let Some(free) = self.free.checked_sub(next.amounts)
            && let Some(slot) = self.idle.pop_first()
            && let Some(next) = self.queue.pop_front()
        {
            self.free = free;
            self.running.insert(next.attempt, (slot, next.amounts));
            let attempt = next.attempt;
            match self.hand_over(slot, next) {
                Ok(()) => self.say(VmEvent::Started {
                    host: HOST,
                    attempt,
                    slot,
                }),
                Err(cause) => {
                    self.free_slot(attempt);
                    self.end(attempt, AttemptResult::NotStarted { cause });
                }
            }
        }
    }

    fn hand_over(&mut self, slot: SlotId, next: Waiting) -> Result<(), String> {
        let Waiting { attempt, work, .. } = next;
        let call = match &*work {
            Work::Command(_) => return Err("slots that are threads run no commands".to_owned()),
            Work::Call(call) => Call::clone(call),
        };
        if !self.slots.contains_key(&slot) {
            let made = Slot::start(slot, self.reporter.clone());
            let made = made.map_err(|error| format!("no thread for a slot: {error}"))?;
            self.slots.insert(slot, made);
        }
        let known = self.slots.get(&slot);
        let taken = known.is_some_and(|slot| slot.run(attempt, call).is_ok());
        match taken {
            true => Ok(()),
            // Its thread ended: the next attempt gets a new one.
            false => {
                self.slots.remove(&slot);
                Err("the thread of a slot has ended".to_owned())
            }
        }
    }

    fn free_slot(&mut self, attempt: AttemptId) -> bool {
        let Some((slot, amounts)) = self.running.remove(&attempt) else {
            return false;
        };
        self.idle.insert(slot);
        if !self.lent.remove(&attempt) {
            self.free = self.free.plus(amounts);
        }
        true
    }

    fn withdraw(&mut self, attempt: AttemptId) -> bool {
        let before = self.queue.len();
        self.queue.retain(|waiting| waiting.attempt != attempt);
        self.queue.len() < before
    }

    fn stop(&mut self, attempt: AttemptId) {
        if self.withdraw(attempt) {
            self.end(attempt, AttemptResult::Stopped(None));
            self.start_what_fits();
        } else if let Some((slot, _)) = self.running.get(&attempt)
            && let Some(slot) = self.slots.get(slot)
        {
            slot.stop(attempt);
        }
    }

    fn take(&mut self, report: Report) {
        let (attempt, result, elapsed) = match report {
            Report::Ended {
                attempt,
                result,
                elapsed,
            } => (attempt, result, elapsed),
            Report::Said { attempt, said } => return self.pass_on(attempt, said),
        };
        if self.free_slot(attempt) {
            let report = CallReport {
                elapsed,
                ..CallReport::default()
            };
            let result = match result {
                Some(result) => AttemptResult::Call { result, report },
                None => AttemptResult::Stopped(None),
            };
            self.end(attempt, result);
            self.start_what_fits();
        }
    }

    /// Passes on what a task says.
    fn pass_on(&mut self, attempt: AttemptId, said: Said) {
        let Some((_, amounts)) = self.running.get(&attempt) else {
            return;
        };
        let (host, amounts) = (HOST, *amounts);
        match said {
            Said::Told(bytes) => self.say(VmEvent::Told {
                host,
                attempt,
                bytes,
            }),
            Said::Wanted => self.say(VmEvent::Wanted { host, attempt }),
            Said::Lent => {
                self.say(VmEvent::Lent { host, attempt });
                if self.lent.insert(attempt) {
                    self.free = self.free.plus(amounts);
                    if self.idle.is_empty() {
                        self.slot_count += 1;
                        self.idle.insert(SlotId(self.slot_count));
                    }
                    self.start_what_fits();
                }
            }
        }
    }

    /// Tells a task something.
    fn tell(&mut self, attempt: AttemptId, heard: Heard) {
        let Some((slot, amounts)) = self.running.get(&attempt) else {
            return;
        };
        if heard == Heard::Resumed && self.lent.remove(&attempt) {
            // The kernel sees to it that they are free.
            self.free = self.free.checked_sub(*amounts).unwrap_or_default();
        }
        if let Some(slot) = self.slots.get(slot) {
            slot.hear(attempt, heard);
        }
    }

    fn close(&mut self, grace: Duration) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        for Waiting { attempt, .. } in std::mem::take(&mut self.queue) {
            self.end(attempt, AttemptResult::Stopped(None));
        }
        // A slot whose orders end drops what waits in it.
        self.slots.clear();
        self.phase = Phase::Closing(grace, None);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Goes on closing: true when that has said something.
    fn poll_closing(&mut self, context: &mut Context<'_>) -> bool {
        let Phase::Closing(grace, sleep) = &mut self.phase else {
            return false;
        };
        if !self.running.is_empty() {
            let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*grace)));
            if sleep.as_mut().poll(context).is_pending() {
                return false;
            }
        }
        self.phase = Phase::Closed;
        let left = self.running.drain().map(|(attempt, (slot, _))| {
            format!("attempt {attempt}: a function that runs on a thread cannot be stopped (slot {slot})")
        });
        let left = left.collect();
        self.idle = (1..=self.total).map(SlotId).collect();
        self.slot_count = self.total;
        self.lent.clear();
        self.free = Amounts::cores(self.total);
        self.say(VmEvent::Closed { host: HOST, left });
        true
    }
}

impl VirtualMachine for InProcess {
    fn hosts(&self) -> &[HostSpec] {
        &self.hosts
    }

    fn submit(&mut self, command: VmCommand) {
        match command {
            VmCommand::Connect { .. } => self.connect(),
            VmCommand::Start {
                attempt,
                amounts,
                work,
                ..
            } => self.queue(Waiting {
                attempt,
                amounts,
                work,
            }),
            VmCommand::Stop { attempt, .. } => self.stop(attempt),
            VmCommand::Recall { attempt, .. } => {
                if self.withdraw(attempt) {
                    self.say(VmEvent::Returned {
                        host: HOST,
                        attempt,
                    });
                    self.start_what_fits();
                }
            }
            VmCommand::Disconnect { grace, .. } => self.close(grace),
            VmCommand::Resume { attempt, .. } => self.tell(attempt, Heard::Resumed),
            VmCommand::Tell { attempt, bytes, .. } => self.tell(attempt, Heard::Told(bytes)),
            // There is no output.
            VmCommand::Credit { .. } => {}
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.life == Life::ShutDown && matches!(self.phase, Phase::Closed) {
                return Poll::Ready(None);
            }
            match self.reports.poll_recv(context) {
                Poll::Ready(Some(report)) => self.take(report),
                // It holds a sender itself, so the channel does not end.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending if self.poll_closing(context) => {}
                Poll::Pending => {
                    self.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    fn shutdown(&mut self, grace: Duration, limit: Duration) {
        self.life = Life::ShutDown;
        self.close(grace.min(limit));
    }
}

/// What the host tells of itself.
fn host_info(slots: u32) -> HostInfo {
    let names = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
    let memory = rustix::system::sysinfo();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let here = std::env::current_dir().unwrap_or_default();
    let here = std::os::unix::ffi::OsStringExt::into_vec(here.into_os_string());
    HostInfo {
        name: LOCAL.to_owned(),
        report: HostReport {
            node: text(names.nodename()),
            system: format!("{} {}", text(names.machine()), text(names.sysname())),
            kernel: text(names.release()),
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            slots,
            memory_kib: u64::from(memory.mem_unit) * memory.totalram / 1024,
            load_hundredths: 0,
            clock: clock.map_or(0, |since| since.as_secs()),
            containment: Containment::Threads,
            directory: DirectoryReport::Shared { path: here.into() },
            kills_user_processes: false,
            neighbours: Vec::new(),
            swept: Vec::new(),
            mirrors: Vec::new(),
            cleared: None,
        },
        release: env!("CARGO_PKG_VERSION").to_owned(),
        uploaded: 0,
        start_time: Duration::ZERO,
        round_trip: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
