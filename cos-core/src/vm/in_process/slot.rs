//! A slot that is a thread: one call at a time, on a tokio runtime of its own.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::ids::{AttemptId, SlotId};
use crate::job::Call;
use crate::registry::{CallResult, Called, invoke};

/// The stack of a slot: as much as a main thread usually has, since tasks that run in processes run on one (8 MiB).
const STACK: usize = 8 * 1024 * 1024;

/// What became of an attempt.
pub(super) struct Report {
    pub(super) attempt: AttemptId,
    /// `None` when it was stopped.
    pub(super) result: Option<CallResult>,
    pub(super) elapsed: Duration,
}

enum Order {
    Run(AttemptId, Call),
    Stop(AttemptId),
}

/// The handle of a slot. Dropping it drops what waits there; the thread ends as soon as nothing runs on it.
pub(super) struct Slot(mpsc::UnboundedSender<Order>);

/// The thread has ended.
pub(super) struct Gone;

impl Slot {
    pub(super) fn start(id: SlotId, reports: mpsc::UnboundedSender<Report>) -> io::Result<Self> {
        let (sender, orders) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("cos-slot-{id}"))
            .stack_size(STACK)
            .spawn(move || LocalSet::new().block_on(&runtime, serve(orders, reports)))?;
        Ok(Self(sender))
    }

    pub(super) fn run(&self, attempt: AttemptId, call: Call) -> Result<(), Gone> {
        self.0.send(Order::Run(attempt, call)).map_err(|_| Gone)
    }

    pub(super) fn stop(&self, attempt: AttemptId) {
        // A thread that is gone runs nothing.
        let _ = self.0.send(Order::Stop(attempt));
    }
}

async fn serve(mut orders: mpsc::UnboundedReceiver<Order>, reports: mpsc::UnboundedSender<Report>) {
    while let Some(order) = orders.recv().await {
        let Order::Run(attempt, call) = order else {
            // What is to be stopped has ended by itself.
            continue;
        };
        let began = Instant::now();
        let result = match invoke(&call) {
            Called::Done(result) => Some(result),
            Called::Future(future) => tokio::select! {
                // A stop comes first: a task that is always ready can still be cancelled.
                biased;
                () = stopped(&mut orders, attempt) => None,
                result = future => Some(result),
            },
        };
        let report = Report {
            attempt,
            result,
            elapsed: began.elapsed(),
        };
        // A machine that is gone wants no report.
        let _ = reports.send(report);
    }
}

/// Waits until an attempt is to be stopped.
async fn stopped(orders: &mut mpsc::UnboundedReceiver<Order>, attempt: AttemptId) {
    loop {
        match orders.recv().await {
            Some(Order::Stop(wanted)) if wanted == attempt => return,
            // Another run is not ordered while one is under way.
            Some(Order::Stop(_) | Order::Run(..)) => {}
            None => return,
        }
    }
}
