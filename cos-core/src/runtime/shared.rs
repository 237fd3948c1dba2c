//! What the turns of the OS and the system calls of its program share: microthreads, their bodies, whoever runs remote work,
//! observers.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::backend::Backend;
use super::bodies::Bodies;
use super::body::BoxedBody;
use super::context::NoOs;
use super::remote::RemoteTasks;
use super::spawner::SpawnerCall;
use super::value::Ending;
use super::wait::Wait;
use super::waker::WakeQueue;
use crate::clock;
use crate::event::Stamped;
use crate::ids::Tid;
use crate::job::TaskError;
use crate::kernel::KernelConfig;
use crate::kernel::microthread::{
    Answer, Child, MAIN, Microthreads, SCHEDULER, Visibility, WaitId,
};
use crate::panics;
use crate::time::Time;

/// A consumer of the event stream.
pub(super) type Observer = Box<dyn FnMut(&Stamped)>;

/// One OS. No call of the program's own code is ever made while its tables are borrowed.
pub(crate) struct Shared {
    pub(super) inner: RefCell<Inner>,
    /// Apart from the rest, since an observer may make system calls.
    observers: RefCell<Vec<Observer>>,
    pub(super) wakes: Arc<WakeQueue>,
    /// Who is being polled.
    running: Cell<Option<Child>>,
    /// What tells its waker from others.
    own_waker: Cell<*const ()>,
    pub(super) config: KernelConfig,
    pub(super) grace: Duration,
    pub(super) shutdown_limit: Duration,
    /// Whether it was said that remote tasks run here, since there is no machine.
    pub(super) warned: Cell<bool>,
}

/// The tables.
pub(super) struct Inner {
    pub(super) threads: Microthreads<Ending>,
    pub(super) bodies: Bodies,
    /// Wakers of waits that are polled by other wakers than their microthread's own.
    pub(super) wakers: HashMap<WaitId, Waker>,
    pub(super) backend: Option<Box<dyn Backend>>,
    /// Machines that are being shut down.
    pub(super) retired: Vec<Box<dyn Backend>>,
    /// Waits of those who want to know when they are.
    pub(super) retirement_waits: Vec<WaitId>,
    /// The names of the backend's hosts.
    pub(super) host_names: Vec<Arc<str>>,
    pub(super) remote: RemoteTasks,
    /// Waits of those who have more tasks than there was room for.
    pub(super) room_waits: Vec<WaitId>,
    /// Calls that were asked of the spawner, and the waits for their results.
    pub(super) calls_under_way: HashMap<u64, WaitId>,
    /// Those that have returned.
    pub(super) calls_returned: HashMap<u64, Result<bytes::Bytes, Box<TaskError>>>,
    /// Calls that tasks want to be made here.
    pub(super) calls_wanted: VecDeque<SpawnerCall>,
    /// Why spawns that waited for a host have come to nothing.
    pub(super) refusals: HashMap<Tid, Box<TaskError>>,
    /// Numbers for the tasks of spawns.
    pub(super) next_index: u64,
    /// What is to be dropped when the tables are not borrowed any more.
    pub(super) graveyard: Vec<Ending>,
    pub(super) events: VecDeque<Stamped>,
    /// Wakes the OS.
    pub(super) waker: Option<Waker>,
}

impl Shared {
    pub(super) fn new(
        config: KernelConfig,
        observers: Vec<Observer>,
        grace: Duration,
        shutdown_limit: Duration,
    ) -> Self {
        let wakes = Arc::new(WakeQueue::default());
        let mut inner = Inner {
            threads: Microthreads::new(),
            bodies: Bodies::new(Arc::clone(&wakes)),
            wakers: HashMap::new(),
            backend: None,
            retired: Vec::new(),
            retirement_waits: Vec::new(),
            host_names: Vec::new(),
            remote: RemoteTasks::default(),
            room_waits: Vec::new(),
            calls_under_way: HashMap::new(),
            calls_returned: HashMap::new(),
            calls_wanted: VecDeque::new(),
            refusals: HashMap::new(),
            next_index: 0,
            graveyard: Vec::new(),
            events: VecDeque::new(),
            waker: None,
        };
        if let Some(row) = inner.threads.row(MAIN) {
            inner.bodies.insert(MAIN, row, None);
        }
        Self {
            inner: RefCell::new(inner),
            observers: RefCell::new(observers),
            wakes,
            running: Cell::new(None),
            own_waker: Cell::new(std::ptr::null()),
            config,
            grace,
            shutdown_limit,
            warned: Cell::new(false),
        }
    }

    /// Does something with the tables, and drops afterwards what it leaves to be dropped.
    pub(super) fn with<R>(&self, call: impl FnOnce(&mut Inner) -> R) -> R {
        let result = call(&mut self.inner.borrow_mut());
        self.bury();
        result
    }

    /// Drops what was left to be dropped: the program's own code, which may make system calls and panic.
    fn bury(&self) {
        loop {
            let dead = {
                let inner = &mut *self.inner.borrow_mut();
                if !inner.threads.has_discarded() && inner.graveyard.is_empty() {
                    return;
                }
                inner.graveyard.append(&mut inner.threads.discarded());
                std::mem::take(&mut inner.graveyard)
            };
            for ending in dead {
                if let Err(panic) = panics::catch(|| drop(ending)) {
                    let message = panic.message;
                    tracing::error!(target: "cos::kernel", message, "the drop of a microthread panicked");
                }
            }
        }
    }

    /// Who makes a system call.
    pub(crate) fn caller(&self) -> Result<Tid, NoOs> {
        self.calling().map(|child| child.tid).ok_or(NoOs)
    }

    /// The same, with its position.
    pub(super) fn calling(&self) -> Option<Child> {
        self.running.get()
    }

    /// The same, and the scheduler where no microthread is polled.
    pub(super) fn running(&self) -> Tid {
        self.calling().map_or(SCHEDULER, |child| child.tid)
    }

    /// Somebody is polled, with a waker that `own` tells from others; or nobody.
    pub(super) fn set_running(&self, child: Option<Child>, own: *const ()) {
        self.running.set(child);
        self.own_waker.set(own);
    }

    /// Whether a turn of `tid` polls whoever has this waker.
    pub(super) fn is_own_waker(&self, tid: Tid, waker: &Waker) -> bool {
        self.own_waker.get() == waker.data() && self.calling().is_some_and(|child| child.tid == tid)
    }

    /// Begins a wait of the caller's.
    pub(crate) fn wait(
        self: &Rc<Self>,
        begin: impl FnOnce(&mut Microthreads<Ending>, Tid) -> WaitId,
    ) -> Result<Wait, NoOs> {
        let tid = self.caller()?;
        let id = begin(&mut self.inner.borrow_mut().threads, tid);
        Ok(Wait::new(self, tid, id))
    }

    pub(super) fn take_answer(&self, id: WaitId) -> Option<Answer<Ending>> {
        self.inner.borrow_mut().threads.take(id)
    }

    /// Keeps a waker for a wait, and gives the one that was kept.
    pub(super) fn keep_waker(&self, id: WaitId, waker: Option<&Waker>) -> Option<Waker> {
        let waker = waker.cloned();
        let wakers = &mut self.inner.borrow_mut().wakers;
        match waker {
            Some(waker) => wakers.insert(id, waker),
            None => wakers.remove(&id),
        }
    }

    pub(super) fn withdraw(&self, id: WaitId) {
        self.with(|inner| inner.threads.withdraw(id));
        self.wake_if_outside();
    }

    /// Something was dropped that belongs to this OS: if that was outside of its turns, it must look what has changed.
    fn wake_if_outside(&self) {
        if self.running.get().is_none() {
            self.inner.borrow_mut().wake();
        }
    }

    /// Makes a local child at the end of the ready queue; the caller is to go behind it.
    pub(crate) fn spawn_local(&self, visibility: Visibility, body: BoxedBody) -> Result<Tid, NoOs> {
        let caller = self.caller()?;
        let inner = &mut *self.inner.borrow_mut();
        let child = inner.threads.spawn_first(caller, visibility);
        inner.bodies.insert(child.tid, child.row, Some(body));
        Ok(child.tid)
    }

    /// Ends microthreads that are not wanted any more, with their children.
    pub(crate) fn cancel_children(&self, tids: impl Iterator<Item = Tid>) {
        self.with(|inner| {
            for tid in tids {
                let orphans = inner.threads.cancel(tid);
                inner.end_orphans(orphans, self.grace);
            }
        });
        self.carry_out();
        self.wake_if_outside();
    }

    /// A microthread has ended.
    pub(super) fn finish(&self, tid: Tid, ending: Ending) {
        let has_remote = self.with(|inner| {
            let orphans = inner.threads.finish(tid, ending);
            inner.end_orphans(orphans, self.grace)
        });
        if has_remote {
            self.carry_out();
        }
    }

    /// Lets the backend take in what has come. Returns whether it has more.
    pub(super) fn poll_backend(&self, context: &mut Context<'_>) -> bool {
        let now = clock::now();
        let more = {
            let inner = &mut *self.inner.borrow_mut();
            match &mut inner.waker {
                Some(known) => known.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            let mut more = false;
            for backend in &mut inner.retired {
                more |= backend.poll(context, now);
            }
            if let Some(backend) = &mut inner.backend {
                let room = backend.wanting();
                more |= backend.poll(context, now);
                if backend.wanting() > room {
                    inner.wake_for_room();
                }
            }
            more
        };
        self.carry_out();
        self.inner.borrow_mut().forget_retired();
        more
    }

    /// Makes the calls that tasks have asked for.
    pub(super) fn make_calls(self: &Rc<Self>) {
        loop {
            let next = self.inner.borrow_mut().calls_wanted.pop_front();
            let Some(call) = next else { return };
            self.make_call(call);
        }
    }

    /// Takes what has happened elsewhere to those whom it concerns.
    pub(super) fn carry_out(&self) {
        self.with(Inner::carry_out);
        self.observe();
    }

    /// Shows further events to one more observer.
    pub(super) fn add_observer(&self, observer: Observer) {
        if let Ok(mut observers) = self.observers.try_borrow_mut() {
            observers.push(observer);
        }
    }

    fn observe(&self) {
        // An observer that makes a system call adds events, which are shown after the present one.
        let Ok(mut observers) = self.observers.try_borrow_mut() else {
            return;
        };
        loop {
            let next = self.inner.borrow_mut().events.pop_front();
            let Some(stamped) = next else { return };
            for observer in observers.iter_mut() {
                observer(&stamped);
            }
        }
    }

    /// When the backend wants to be polled though nothing has come.
    pub(super) fn deadline(&self) -> Option<Time> {
        let inner = self.inner.borrow();
        let backends = inner.backend.iter().chain(&inner.retired);
        backends.filter_map(|backend| backend.deadline()).min()
    }
}
