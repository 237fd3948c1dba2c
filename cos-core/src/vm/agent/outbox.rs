//! Events on their way from the I/O thread to the OS thread, counted for each host.
//!
//! A session must not wait for the OS thread, which may compute for an hour, so the queue has no length. What bounds it
//! instead: a session whose events have piled up stops *reading* from its host until they are taken. Its agent then
//! keeps what it has to say, within its own bounds, and goes on hearing heartbeats.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::vm::VmEvent;

/// So many events of one host may wait before the host is no longer read from.
const FULL: usize = 16 * 1024;

/// Reading goes on when no more than so many are left.
const DRAINED: usize = FULL / 2;

/// An event in the queue.
pub(super) struct Queued {
    event: VmEvent,
    backlog: Arc<Backlog>,
}

impl Queued {
    /// Takes the event out; its host may send another in its place.
    pub(super) fn take(self) -> VmEvent {
        if self.backlog.waiting.fetch_sub(1, Ordering::AcqRel) == DRAINED + 1 {
            self.backlog.drained.notify_one();
        }
        self.event
    }
}

#[derive(Default)]
struct Backlog {
    waiting: AtomicUsize,
    drained: Notify,
}

/// Where one host's events go.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: mpsc::UnboundedSender<Queued>,
    backlog: Arc<Backlog>,
}

impl Outbox {
    pub(super) fn new(queue: mpsc::UnboundedSender<Queued>) -> Self {
        let backlog = Arc::default();
        Self { queue, backlog }
    }

    /// Puts an event into the queue. Nobody listens when the machine was dropped; the command channel says so too.
    pub(super) fn send(&self, event: VmEvent) {
        self.backlog.waiting.fetch_add(1, Ordering::AcqRel);
        let backlog = Arc::clone(&self.backlog);
        let _ = self.queue.send(Queued { event, backlog });
    }

    /// Whether so many events wait that no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.backlog.waiting.load(Ordering::Acquire) >= FULL
    }

    /// Waits until reading may go on. Cancel safe; may wake early.
    pub(super) async fn drained(&self) {
        self.backlog.drained.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::HostId;

    #[tokio::test]
    async fn a_full_outbox_is_drained_by_taking() {
        let (queue, mut events) = mpsc::unbounded_channel();
        let outbox = Outbox::new(queue);
        let event = VmEvent::Silent {
            host: HostId(0),
            silent_for: None,
        };
        while !outbox.is_full() {
            outbox.send(event.clone());
        }
        let drained = outbox.drained();
        let taken = async {
            let mut taken = 0;
            while taken < FULL - DRAINED {
                let Some(queued) = events.recv().await else {
                    break;
                };
                assert_eq!(queued.take(), event);
                taken += 1;
            }
            taken
        };
        let ((), taken) = tokio::join!(drained, taken);
        assert_eq!(taken, FULL - DRAINED);
        assert!(!outbox.is_full());
    }
}
