//! The table of bodies: the future and the waker of each local microthread, by its row.

use std::sync::Arc;

use super::body::BoxedBody;
use super::waker::{OwnWaker, WakeQueue};
use crate::ids::Tid;
use crate::kernel::microthread::Row;

/// The bodies. Main has a waker here and its future elsewhere, since it need not live as long as the program.
pub(super) struct Bodies {
    /// Empty where a microthread is being polled. A slot stays with its row, so a spawn allocates none.
    slots: Vec<Option<Box<Slot>>>,
    queue: Arc<WakeQueue>,
}

/// What a turn needs: one pointer is moved for it.
pub(super) struct Slot {
    pub(super) body: Option<BoxedBody>,
    pub(super) waker: OwnWaker,
}

impl Bodies {
    pub(super) fn new(queue: Arc<WakeQueue>) -> Self {
        let slots = Vec::new();
        Self { slots, queue }
    }

    /// Takes a new microthread in.
    pub(super) fn insert(&mut self, tid: Tid, row: Row, body: Option<BoxedBody>) {
        let known = self.take(row);
        let slot = match known {
            Some(mut slot) if slot.waker.reuse(tid) => {
                slot.body = body;
                slot
            }
            _ => {
                let waker = OwnWaker::new(tid, row, &self.queue);
                Box::new(Slot { body, waker })
            }
        };
        self.put(row, slot);
    }

    /// Takes a microthread out, for a poll.
    pub(super) fn take(&mut self, row: Row) -> Option<Box<Slot>> {
        self.slots.get_mut(row.index())?.take()
    }

    /// Puts it back after it.
    pub(super) fn put(&mut self, row: Row, slot: Box<Slot>) {
        let index = row.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(slot);
    }

    /// The body of a microthread that is gone.
    pub(super) fn remove(&mut self, row: Row) -> Option<BoxedBody> {
        self.slots.get_mut(row.index())?.as_mut()?.body.take()
    }

    /// The body of a microthread that is not being polled.
    pub(super) fn get(&self, row: Row) -> Option<&BoxedBody> {
        self.slots.get(row.index())?.as_ref()?.body.as_ref()
    }

    /// Whether a microthread was woken from outside since its last poll.
    pub(super) fn is_woken(&self, tid: Tid, row: Row) -> bool {
        let slot = self.slots.get(row.index()).and_then(Option::as_ref);
        slot.is_some_and(|slot| slot.waker.is_woken(tid))
    }

    /// All bodies that are left.
    pub(super) fn clear(&mut self) -> Vec<BoxedBody> {
        let slots = std::mem::take(&mut self.slots);
        let slots = slots.into_iter().flatten();
        slots.filter_map(|slot| slot.body).collect()
    }
}
