//! A slot that is a thread: one call at a time, on a tokio runtime of its own.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::ids::{AttemptId, SlotId};
use crate::job::Call;
use crate::registry::{CallResult, Called, invoke};
use crate::runtime::run_task;
use crate::runtime::spawner::{self, Heard, Line, Said};

/// The stack of a slot: as much as a main thread usually has, since tasks that run in processes run on one (8 MiB).
const STACK: usize = 8 * 1024 * 1024;

/// What a slot has to say of an attempt.
pub(super) enum Report {
    /// What became of it.
    Ended {
        attempt: AttemptId,
        /// `None` when it was stopped.
        result: Option<CallResult>,
        elapsed: Duration,
    },
    /// What it says to its spawner, and of its licence.
    Said { attempt: AttemptId, said: Said },
}

enum Order {
    Run(AttemptId, Call),
    Stop(AttemptId),
}

/// The handle of a slot. Dropping it drops what waits there; the thread ends as soon as nothing runs on it.
pub(super) struct Slot {
    orders: mpsc::UnboundedSender<Order>,
    heard: mpsc::UnboundedSender<(AttemptId, Heard)>,
}

/// How a task in a slot reaches its spawner.
struct SlotLine {
    attempt: AttemptId,
    reports: mpsc::UnboundedSender<Report>,
    heard: Rc<RefCell<mpsc::UnboundedReceiver<(AttemptId, Heard)>>>,
}

impl Line for SlotLine {
    fn say(&mut self, said: Said) {
        let attempt = self.attempt;
        // A machine that is gone hears nothing.
        let _ = self.reports.send(Report::Said { attempt, said });
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<Heard> {
        let mut heard = self.heard.borrow_mut();
        while let Poll::Ready(Some((attempt, words))) = heard.poll_recv(context) {
            // What was meant for an earlier attempt is nobody's.
            if attempt == self.attempt {
                return Poll::Ready(words);
            }
        }
        Poll::Pending
    }
}

/// The thread has ended.
pub(super) struct Gone;

impl Slot {
    pub(super) fn start(id: SlotId, reports: mpsc::UnboundedSender<Report>) -> io::Result<Self> {
        let (sender, orders) = mpsc::unbounded_channel();
        let (heard, hears) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("cos-slot-{id}"))
            .stack_size(STACK)
            .spawn(move || LocalSet::new().block_on(&runtime, serve(orders, hears, reports)))?;
        Ok(Self {
            orders: sender,
            heard,
        })
    }

    pub(super) fn run(&self, attempt: AttemptId, call: Call) -> Result<(), Gone> {
        let order = Order::Run(attempt, call);
        self.orders.send(order).map_err(|_| Gone)
    }

    pub(super) fn stop(&self, attempt: AttemptId) {
        // A thread that is gone runs nothing.
        let _ = self.orders.send(Order::Stop(attempt));
    }

    /// Passes on what an attempt is told.
    pub(super) fn hear(&self, attempt: AttemptId, heard: Heard) {
        let _ = self.heard.send((attempt, heard));
    }
}

async fn serve(
    mut orders: mpsc::UnboundedReceiver<Order>,
    heard: mpsc::UnboundedReceiver<(AttemptId, Heard)>,
    reports: mpsc::UnboundedSender<Report>,
) {
    let heard = Rc::new(RefCell::new(heard));
    while let Some(order) = orders.recv().await {
        let Order::Run(attempt, call) = order else {
            // What is to be stopped has ended by itself.
            continue;
        };
        let began = Instant::now();
        spawner::set_line(Box::new(SlotLine {
            attempt,
            reports: reports.clone(),
            heard: Rc::clone(&heard),
        }));
        let called = invoke(&call);
        let line = spawner::take_line();
        let result = match called {
            Called::Done(result) => Some(result),
            Called::Future(future) => tokio::select! {
                // A stop comes first: a task that is always ready can still be cancelled.
                biased;
                () = stopped(&mut orders, attempt) => None,
                result = run(line, future) => Some(result),
            },
        };
        let report = Report::Ended {
            attempt,
            result,
            elapsed: began.elapsed(),
        };
        // A machine that is gone wants no report.
        let _ = reports.send(report);
    }
}

/// Runs an asynchronous task in an OS of its own.
async fn run(line: Option<Box<dyn Line>>, task: impl Future<Output = CallResult>) -> CallResult {
    match line {
        Some(line) => run_task(line, task).await,
        // The task has kept it, in a plain function's place.
        None => task.await,
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
