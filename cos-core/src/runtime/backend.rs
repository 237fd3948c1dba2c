//! Who runs remote work for an OS: in a client a kernel and its machine, behind a trait, since a worker's OS asks its spawner.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::spawner::{Children, SpawnerCall};
use crate::event::Stamped;
use crate::ids::{AttemptId, HostId, TaskId};
use crate::job::{Call, Needs, TaskError};
use crate::kernel::{Action, Kernel, KernelConfig, SubmitError, TaskRequest};
use crate::time::Time;
use crate::vm::host::HostSpec;
use crate::vm::{VirtualMachine, VmCommand};

/// How many events one turn takes from the machine before the program gets its turn.
const BATCH: usize = 1024;

/// Something that remote work has brought about.
pub(super) enum Happening {
    /// A task was handed to a host.
    Handed { task: TaskId, host: HostId },
    /// Something to be told to observers; the end of a task among it.
    Event(Stamped),
    /// A task wants a call to be made here.
    Call(SpawnerCall),
    /// A call that the spawner was asked for has returned.
    Returned {
        call: u64,
        result: Result<Bytes, Box<TaskError>>,
    },
}

/// Runs tasks elsewhere. After each call, what has happened is taken with [`next`](Self::next).
pub(super) trait Backend {
    /// Accepts a task, which has exactly one end.
    fn submit(&mut self, request: TaskRequest, now: Time) -> Result<TaskId, SubmitError>;

    /// Gives a job that cannot be run its outcome.
    fn submit_failed(&mut self, index: u64, error: TaskError, now: Time) -> TaskId;

    /// Ends a task that is not wanted any more: TERM, and KILL after `grace`.
    fn cancel(&mut self, task: TaskId, grace: Duration, now: Time);

    /// Whether a task with these needs would be handed over at once.
    fn has_room(&self, needs: &Needs) -> bool;

    /// Why no task with these needs can run any more.
    fn no_host_left(&self, needs: &Needs) -> Option<String>;

    /// The slots of all hosts that are up.
    fn slots(&self) -> usize;

    /// Slots less the tasks without an end.
    fn free_slots(&self) -> usize;

    /// How many more tasks keep every slot busy, with those that may wait there.
    fn wanting(&self) -> usize;

    /// Takes in what comes from elsewhere, and what is due. Returns whether there is more.
    fn poll(&mut self, context: &mut Context<'_>, now: Time) -> bool;

    /// The next thing that has happened.
    fn next(&mut self) -> Option<Happening>;

    /// When it wants to be polled though nothing has come.
    fn deadline(&self) -> Option<Time>;

    /// The hosts, by their ids.
    fn hosts(&self) -> &[HostSpec];

    /// Ends everything everywhere.
    fn shut_down(&mut self, grace: Duration, limit: Duration, now: Time);

    /// Whether that is done.
    fn is_over(&self) -> bool;

    /// Whether microthreads may be polled: a task that waits has lent its licence to others.
    fn holds_licence(&self) -> bool {
        true
    }

    /// Every microthread waits.
    fn lend_licence(&mut self) {}

    /// One of them could go on.
    fn want_licence(&mut self) {}

    /// What a task is called everywhere: a task's OS numbers its children itself, and knows it from the moment when the child is
    /// handed to a host until it ends.
    fn task_id(&self, task: TaskId) -> Option<TaskId> {
        Some(task)
    }

    /// Whether this is a task of another OS, its spawner.
    fn is_link(&self) -> bool {
        false
    }

    /// Has a call made in the spawner, which answers if it gets a number for that. False when it cannot be sent.
    fn call_spawner(&mut self, _: Call, _answer: Option<u64>) -> bool {
        false
    }

    /// Tells a task what the call that it has asked for came to.
    fn answer_call(
        &mut self,
        _caller: AttemptId,
        _answer: Option<u64>,
        _result: Result<Bytes, Box<TaskError>>,
    ) {
    }
}

/// A kernel that decides and a machine that acts.
pub(super) struct Outsourcing {
    kernel: Kernel,
    machine: Box<dyn VirtualMachine>,
    children: Children,
    happenings: VecDeque<Happening>,
    machine_ended: bool,
}

impl Outsourcing {
    /// Begins to connect the machine's hosts.
    pub(super) fn start(config: KernelConfig, machine: Box<dyn VirtualMachine>, now: Time) -> Self {
        let kernel = Kernel::new(config, machine.hosts());
        let mut this = Self {
            kernel,
            machine,
            children: Children::default(),
            happenings: VecDeque::new(),
            machine_ended: false,
        };
        this.kernel.start(now);
        this.carry_out(now);
        this
    }

    fn carry_out(&mut self, at: Time) {
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Vm(command) => {
                    if let VmCommand::Start { host, attempt, .. } = &command {
                        let (task, host) = (attempt.task, *host);
                        self.happenings.push_back(Happening::Handed { task, host });
                        self.children.handed(task, host, &mut self.kernel);
                    }
                    self.machine.submit(command);
                }
                Action::Deliver { attempt, bytes } => {
                    self.children.hear(attempt, &bytes, &mut self.kernel, at);
                    while let Some(call) = self.children.next_call() {
                        self.happenings.push_back(Happening::Call(call));
                    }
                }
                Action::Emit(event) => {
                    self.children.observe(&event, &mut self.kernel);
                    let stamped = Stamped { at, event };
                    self.happenings.push_back(Happening::Event(stamped));
                }
            }
        }
    }
}

impl Backend for Outsourcing {
    fn submit(&mut self, request: TaskRequest, now: Time) -> Result<TaskId, SubmitError> {
        let task = self.kernel.submit(request, now)?;
        self.carry_out(now);
        Ok(task)
    }

    fn submit_failed(&mut self, index: u64, error: TaskError, now: Time) -> TaskId {
        let task = self.kernel.submit_failed(index, error);
        self.carry_out(now);
        task
    }

    fn cancel(&mut self, task: TaskId, grace: Duration, now: Time) {
        self.kernel.cancel(task, grace, now);
        self.carry_out(now);
    }

    fn has_room(&self, needs: &Needs) -> bool {
        self.kernel.has_room(needs)
    }

    fn no_host_left(&self, needs: &Needs) -> Option<String> {
        self.kernel.no_host_left(needs)
    }

    fn slots(&self) -> usize {
        self.kernel.slots()
    }

    fn free_slots(&self) -> usize {
        self.kernel.free_slots()
    }

    fn wanting(&self) -> usize {
        self.kernel.wanting()
    }

    fn poll(&mut self, context: &mut Context<'_>, now: Time) -> bool {
        let mut more = true;
        for _ in 0..BATCH {
            match self.machine.poll_event(context) {
                Poll::Ready(Some(event)) => {
                    self.kernel.handle(event, now);
                    self.carry_out(now);
                }
                Poll::Ready(None) => {
                    self.machine_ended = true;
                    more = false;
                    break;
                }
                Poll::Pending => {
                    more = false;
                    break;
                }
            }
        }
        self.kernel.handle_timeout(now);
        self.carry_out(now);
        self.children.tell_rooms(&mut self.kernel);
        self.carry_out(now);
        more
    }

    fn next(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    fn deadline(&self) -> Option<Time> {
        self.kernel.poll_timeout()
    }

    fn hosts(&self) -> &[HostSpec] {
        self.machine.hosts()
    }

    fn shut_down(&mut self, grace: Duration, limit: Duration, now: Time) {
        self.kernel.disconnect_all(grace, now);
        self.carry_out(now);
        self.machine.shutdown(grace, limit);
    }

    fn is_over(&self) -> bool {
        self.machine_ended
    }

    fn answer_call(
        &mut self,
        caller: AttemptId,
        answer: Option<u64>,
        result: Result<Bytes, Box<TaskError>>,
    ) {
        self.children
            .returned(caller, answer, result, &mut self.kernel);
        self.carry_out(crate::clock::now());
    }
}
