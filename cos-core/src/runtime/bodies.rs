//! The table of bodies: the future and the waker of each local microthread, by its row.

use std::sync::Arc;

use super::body::BoxedBody;
use super::waker::{OwnWaker, WakeQueue};
use crate::ids::Tid;
use crate::kernel::microthread::Row;

/// The bodies. Main has a waker here and its future elsewhere, since it need not live as long as the program.
pub(super) struct Bodies {
    slots: Vec<Slot>,
    queue: Arc<WakeQueue>,
}

#[derive(Default)]
struct Slot {
    body: Option<BoxedBody>,
    waker: Option<OwnWaker>,
}

impl Bodies {
    pub(super) fn new(queue: Arc<WakeQueue>) -> Self {
        let slots = Vec::new();
        Self { slots, queue }
    }

    /// Takes a new microthread in.
    pub(super) fn insert(&mut self, tid: Tid, row: Row, body: Option<BoxedBody>) {
        let slot = self.slot(row);
        slot.body = body;
        let known = slot.waker.take().and_then(|waker| waker.reuse(tid));
        let waker = known.unwrap_or_else(|| OwnWaker::new(tid, row, &self.queue));
        self.slot(row).waker = Some(waker);
    }

    fn slot(&mut self, row: Row) -> &mut Slot {
        let index = row.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Slot::default);
        }
        &mut self.slots[index]
    }

    /// Takes body and waker out, for a poll.
    pub(super) fn take(&mut self, row: Row) -> (Option<BoxedBody>, Option<OwnWaker>) {
        match self.slots.get_mut(row.index()) {
            Some(slot) => (slot.body.take(), slot.waker.take()),
            None => (None, None),
        }
    }

    /// Puts them back after it.
    pub(super) fn put(&mut self, row: Row, body: Option<BoxedBody>, waker: OwnWaker) {
        let slot = self.slot(row);
        slot.body = body;
        slot.waker = Some(waker);
    }

    /// The body of a microthread that is gone.
    pub(super) fn remove(&mut self, row: Row) -> Option<BoxedBody> {
        self.slots.get_mut(row.index())?.body.take()
    }

    /// The body of a microthread that is not being polled.
    pub(super) fn get(&self, row: Row) -> Option<&BoxedBody> {
        self.slots.get(row.index())?.body.as_ref()
    }

    /// Whether a microthread was woken from outside since its last poll.
    pub(super) fn is_woken(&self, tid: Tid, row: Row) -> bool {
        let slot = self.slots.get(row.index());
        let waker = slot.and_then(|slot| slot.waker.as_ref());
        waker.is_some_and(|waker| waker.is_woken(tid))
    }

    /// All bodies that are left.
    pub(super) fn clear(&mut self) -> Vec<BoxedBody> {
        let slots = std::mem::take(&mut self.slots);
        slots.into_iter().filter_map(|slot| slot.body).collect()
    }
}
