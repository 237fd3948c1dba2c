//! What the turn of the OS and the system calls of its program share: kernel, machine, observers, inboxes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::inbox::{Delivery, InboxId, Inboxes};
use super::log::log;
use crate::clock;
use crate::event::{RunEvent, Stamped};
use crate::ids::{HostId, TaskId};
use crate::job::TaskError;
use crate::kernel::{Action, Kernel, SubmitError, TaskRequest};
use crate::time::Time;
use crate::vm::{VirtualMachine, VmEvent};

/// How many events one turn takes from the machine before the program gets its turn.
const BATCH: usize = 1024;

/// A consumer of the event stream.
pub(super) type Observer = Box<dyn FnMut(&Stamped)>;

pub(crate) struct Shared {
    inner: RefCell<Inner>,
    /// Apart from the rest, since an observer may make system calls.
    observers: RefCell<Vec<Observer>>,
    grace: Duration,
}

struct Inner {
    kernel: Kernel,
    machine: Box<dyn VirtualMachine>,
    inboxes: Inboxes,
    events: VecDeque<Stamped>,
    /// Wakes the turn when a system call was made from outside of it.
    waker: Option<Waker>,
    machine_ended: bool,
}

impl Shared {
    pub(super) fn new(
        kernel: Kernel,
        machine: Box<dyn VirtualMachine>,
        observers: Vec<Observer>,
        grace: Duration,
    ) -> Self {
        let inner = Inner {
            kernel,
            machine,
            inboxes: Inboxes::default(),
            events: VecDeque::new(),
            waker: None,
            machine_ended: false,
        };
        Self {
            inner: RefCell::new(inner),
            observers: RefCell::new(observers),
            grace,
        }
    }

    /// Connects the hosts.
    pub(super) fn start(&self) {
        self.inner.borrow_mut().kernel.start(clock::now());
        self.carry_out();
    }

    /// Feeds the kernel with whatever the machine has and the clock says. Returns whether the machine has more.
    pub(super) fn turn(&self, context: &mut Context<'_>) -> bool {
        let now = clock::now();
        let mut more = false;
        {
            let inner = &mut *self.inner.borrow_mut();
            inner.waker = Some(context.waker().clone());
            let room = inner.kernel.wanting();
            for taken in 0.. {
                if taken == BATCH {
                    more = true;
                    break;
                }
                let Poll::Ready(event) = inner.machine.poll_event(context) else {
                    break;
                };
                let Some(event) = event else {
                    inner.machine_ended = true;
                    break;
                };
                inner.take(event, now);
            }
            inner.kernel.handle_timeout(now);
            inner.carry_out(now);
            if inner.kernel.wanting() > room {
                inner.inboxes.wake_all();
            }
        }
        self.observe();
        more
    }

    /// Carries out what the kernel wants after a system call.
    pub(super) fn carry_out(&self) {
        self.inner.borrow_mut().carry_out(clock::now());
        self.observe();
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

    /// When the kernel next wants to know the time.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.inner.borrow().kernel.poll_timeout()
    }

    pub(super) fn shut_down(&self, limit: Duration) {
        {
            let inner = &mut *self.inner.borrow_mut();
            let now = clock::now();
            inner.kernel.disconnect_all(self.grace, now);
            inner.carry_out(now);
            inner.machine.shutdown(self.grace, limit);
        }
        self.observe();
    }

    /// Takes the last events of a machine that was shut down; true when there are none any more.
    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> bool {
        while self.turn(context) {}
        self.inner.borrow().machine_ended
    }

    pub(crate) fn open_inbox(&self) -> InboxId {
        self.inner.borrow_mut().inboxes.open()
    }

    /// Closes an inbox; its tasks that still run are cancelled.
    pub(crate) fn close_inbox(&self, inbox: InboxId) {
        {
            let inner = &mut *self.inner.borrow_mut();
            let now = clock::now();
            for task in inner.inboxes.close(inbox) {
                inner.kernel.cancel(task, self.grace, now);
            }
            inner.wake();
        }
        self.carry_out();
    }

    pub(crate) fn submit(
        &self,
        request: TaskRequest,
        inbox: InboxId,
        captures: bool,
    ) -> Result<TaskId, SubmitError> {
        let task = {
            let inner = &mut *self.inner.borrow_mut();
            let task = inner.kernel.submit(request, clock::now())?;
            inner.inboxes.route(task, inbox, captures);
            inner.wake();
            task
        };
        self.carry_out();
        Ok(task)
    }

    /// Gives a job that cannot be run its outcome.
    pub(crate) fn submit_failed(&self, index: u64, error: TaskError, inbox: InboxId) -> TaskId {
        let task = {
            let inner = &mut *self.inner.borrow_mut();
            let task = inner.kernel.submit_failed(index, error);
            inner.inboxes.route(task, inbox, false);
            task
        };
        self.carry_out();
        task
    }

    pub(crate) fn take_delivery(&self, inbox: InboxId, waker: &Waker) -> Option<Delivery> {
        self.inner.borrow_mut().inboxes.take(inbox, waker)
    }

    pub(crate) fn waiting_deliveries(&self, inbox: InboxId) -> usize {
        self.inner.borrow().inboxes.waiting(inbox)
    }

    pub(crate) fn wanting(&self) -> usize {
        self.inner.borrow().kernel.wanting()
    }

    /// A host's name, for messages.
    pub(crate) fn host_name(&self, HostId(host): HostId) -> String {
        let inner = self.inner.borrow();
        let spec = inner.machine.hosts().get(host as usize);
        spec.map_or_else(|| format!("host {host}"), |spec| spec.name.clone())
    }

    pub(crate) fn slots(&self) -> usize {
        self.inner.borrow().kernel.slots()
    }

    pub(crate) fn free_slots(&self) -> usize {
        self.inner.borrow().kernel.free_slots()
    }
}

impl Inner {
    fn take(&mut self, event: VmEvent, now: Time) {
        self.kernel.handle(event, now);
        self.carry_out(now);
    }

    fn carry_out(&mut self, at: Time) {
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Vm(command) => self.machine.submit(command),
                // A command says nothing.
                Action::Deliver { .. } => {}
                Action::Emit(event) => {
                    log(&event, self.machine.hosts());
                    self.route(&event);
                    self.events.push_back(Stamped { at, event });
                }
            }
        }
    }

    fn route(&mut self, event: &RunEvent) {
        match event {
            RunEvent::TaskOutput {
                attempt,
                stream,
                bytes,
                ..
            } => {
                self.inboxes.capture(attempt.task, *stream, bytes);
            }
            RunEvent::TaskAgain { attempt, .. } => self.inboxes.discard(attempt.task),
            RunEvent::TaskEnded {
                task,
                outcome,
                host,
                tries,
                ..
            } => {
                self.inboxes.deliver(*task, outcome.clone(), *host, *tries);
            }
            _ => {}
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
