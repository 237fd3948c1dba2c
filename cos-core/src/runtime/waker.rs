//! Wakers of microthreads: what other threads, tokio's I/O and combinators of futures wake them by.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use crate::ids::Tid;
use crate::kernel::microthread::Row;

/// The microthreads that were woken from outside, in order, until the OS takes them.
#[derive(Default)]
pub(super) struct WakeQueue {
    woken: Mutex<Woken>,
    /// Whether there are any.
    any: AtomicBool,
    /// Whether the OS looks into the queue by itself before it sleeps.
    awake: AtomicBool,
}

#[derive(Default)]
struct Woken {
    threads: Vec<(Tid, Row)>,
    /// Wakes the OS.
    os: Option<Waker>,
}

impl WakeQueue {
    /// A turn of the OS begins: wake-ups need not wake it.
    pub(super) fn begin(&self, os: &Waker) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut woken.os {
            Some(known) => known.clone_from(os),
            none => *none = Some(os.clone()),
        }
        drop(woken);
        self.awake.store(true, Ordering::SeqCst);
    }

    /// The OS is about to sleep. Returns whether it must not, since a wake-up came.
    pub(super) fn end(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        self.any.load(Ordering::SeqCst)
    }

    /// Whether a wake-up came.
    pub(super) fn has_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Takes the wake-ups that came.
    pub(super) fn take(&self, into: &mut Vec<(Tid, Row)>) {
        self.any.store(false, Ordering::SeqCst);
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut woken.threads, into);
    }

    fn push(&self, tid: Tid, row: Row) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        woken.threads.push((tid, row));
        self.any.store(true, Ordering::SeqCst);
        let os = match self.awake.load(Ordering::SeqCst) {
            true => None,
            false => woken.os.clone(),
        };
        drop(woken);
        if let Some(os) = os {
            os.wake();
        }
    }
}

/// The waker that a microthread is polled with. It stays with the row: the next microthread there gets it too, unless
/// somebody has kept a clone.
pub(super) struct OwnWaker {
    shared: Arc<ThreadWaker>,
    waker: Waker,
}

struct ThreadWaker {
    tid: AtomicU64,
    row: Row,
    /// Whether it was woken since its last poll.
    notified: AtomicBool,
    queue: Arc<WakeQueue>,
}

impl OwnWaker {
    pub(super) fn new(tid: Tid, row: Row, queue: &Arc<WakeQueue>) -> Self {
        let shared = Arc::new(ThreadWaker {
            tid: AtomicU64::new(tid.0),
            row,
            notified: AtomicBool::new(false),
            queue: Arc::clone(queue),
        });
        let waker = Waker::from(Arc::clone(&shared));
        Self { shared, waker }
    }

    /// Makes it the waker of another microthread of the same row, if nobody else holds it. Returns whether it is.
    pub(super) fn reuse(&self, tid: Tid) -> bool {
        // One reference here, one in the waker.
        let is_alone = Arc::strong_count(&self.shared) == 2;
        if is_alone {
            self.shared.tid.store(tid.0, Ordering::Relaxed);
            self.shared.notified.store(false, Ordering::Relaxed);
        }
        is_alone
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The microthread is about to be polled: what woke it before has reached it.
    pub(super) fn clear(&self) {
        if self.shared.notified.load(Ordering::Relaxed) {
            self.shared.notified.swap(false, Ordering::AcqRel);
        }
    }

    /// Whether this microthread was woken since its last poll.
    pub(super) fn is_woken(&self, tid: Tid) -> bool {
        self.shared.tid.load(Ordering::Relaxed) == tid.0
            && self.shared.notified.load(Ordering::Acquire)
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.notified.swap(true, Ordering::AcqRel) {
            let tid = Tid(self.tid.load(Ordering::Relaxed));
            self.queue.push(tid, self.row);
        }
    }
}
