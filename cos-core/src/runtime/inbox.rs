//! Where the outcomes of one dispatch wait for it.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use bytes::Bytes;
use slab::Slab;

use crate::ids::{HostId, TaskId};
use crate::job::{CommandOutput, Outcome, Stream};

/// The position of a dispatch among the open ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InboxId(usize);

/// An outcome on its way to the dispatch that asked for it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) task: TaskId,
    pub(crate) outcome: Outcome,
    pub(crate) host: Option<HostId>,
    pub(crate) tries: u32,
    pub(crate) captured: CommandOutput,
}

#[derive(Debug, Default)]
struct Inbox {
    arrived: VecDeque<Delivery>,
    waker: Option<Waker>,
}

/// The inboxes of all open dispatches, and which task belongs to which.
#[derive(Debug, Default)]
pub(super) struct Inboxes {
    open: Slab<Inbox>,
    routes: HashMap<TaskId, Route>,
}

#[derive(Debug)]
struct Route {
    inbox: usize,
    captured: Option<CommandOutput>,
}

impl Inboxes {
    pub(super) fn open(&mut self) -> InboxId {
        InboxId(self.open.insert(Inbox::default()))
    }

    /// Closes an inbox and names the tasks that were still to come.
    pub(super) fn close(&mut self, InboxId(id): InboxId) -> Vec<TaskId> {
        self.open.try_remove(id);
        let mut orphans: Vec<TaskId> = self
            .routes
            .iter()
            .filter(|(_, route)| route.inbox == id)
            .map(|(task, _)| *task)
            .collect();
        orphans.sort_unstable();
        for task in &orphans {
            self.routes.remove(task);
        }
        orphans
    }

    pub(super) fn route(&mut self, task: TaskId, InboxId(inbox): InboxId, captures: bool) {
        let captured = captures.then(CommandOutput::default);
        self.routes.insert(task, Route { inbox, captured });
    }

    /// Keeps output for a task that wants it.
    pub(super) fn capture(&mut self, task: TaskId, stream: Stream, bytes: &Bytes) {
        let Some(Route {
            captured: Some(captured),
            ..
        }) = self.routes.get_mut(&task)
        else {
            return;
        };
        match stream {
            Stream::Stdout => captured.stdout.extend_from_slice(bytes),
            Stream::Stderr => captured.stderr.extend_from_slice(bytes),
        }
    }

    /// Forgets the output of an attempt whose task runs again.
    pub(super) fn discard(&mut self, task: TaskId) {
        if let Some(Route {
            captured: Some(captured),
            ..
        }) = self.routes.get_mut(&task)
        {
            *captured = CommandOutput::default();
        }
    }

    pub(super) fn deliver(
        &mut self,
        task: TaskId,
        outcome: Outcome,
        host: Option<HostId>,
        tries: u32,
    ) {
        let Some(Route { inbox, captured }) = self.routes.remove(&task) else {
            return;
        };
        let Some(inbox) = self.open.get_mut(inbox) else {
            return;
        };
        let captured = captured.unwrap_or_default();
        inbox.arrived.push_back(Delivery {
            task,
            outcome,
            host,
            tries,
            captured,
        });
        if let Some(waker) = inbox.waker.take() {
            waker.wake();
        }
    }

    /// The next delivery of an inbox; without one, `waker` is woken by the next delivery or by [`wake_all`](Self::wake_all).
    pub(super) fn take(&mut self, InboxId(id): InboxId, waker: &Waker) -> Option<Delivery> {
        let inbox = self.open.get_mut(id)?;
        let delivery = inbox.arrived.pop_front();
        if delivery.is_none() {
            match &mut inbox.waker {
                Some(known) => known.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
        delivery
    }

    /// How many deliveries wait in an inbox.
    pub(super) fn waiting(&self, InboxId(id): InboxId) -> usize {
        self.open.get(id).map_or(0, |inbox| inbox.arrived.len())
    }

    /// Wakes every dispatch, since there is room for more of its jobs.
    pub(super) fn wake_all(&mut self) {
        for (_, inbox) in &mut self.open {
            if let Some(waker) = inbox.waker.take() {
                waker.wake();
            }
        }
    }
}
