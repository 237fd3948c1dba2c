//! The stream of results: pulls jobs while there is room, gives results as they come.

use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{Done, Source};
use crate::clock;
use crate::ids::TaskId;
use crate::job::{Finish, Job, TaskAt, TaskError, TaskLabel};
use crate::kernel::{TaskPolicy, TaskRequest};
use crate::runtime::inbox::{Delivery, InboxId};
use crate::runtime::shared::Shared;
use crate::time::Time;

/// The results of a [`dispatch`](super::dispatch()) in the order in which they come. Dropping it cancels what runs.
#[must_use = "a stream does nothing unless polled"]
pub struct DispatchStream<S, T, X> {
    shared: Rc<Shared>,
    inbox: InboxId,
    source: Option<S>,
    policy: TaskPolicy,
    window: Option<usize>,
    next_index: u64,
    running: HashMap<TaskId, Running<T, X>>,
}

struct Running<T, X> {
    index: u64,
    extra: X,
    since: Time,
    finish: Finish<T>,
    /// The name of a typed task, for what is said about it.
    name: Option<&'static str>,
}

impl<S, T, X> Unpin for DispatchStream<S, T, X> {}

impl<S, T, X> DispatchStream<S, T, X> {
    pub(super) fn new(
        shared: Rc<Shared>,
        source: S,
        policy: TaskPolicy,
        window: Option<usize>,
    ) -> Self {
        let inbox = shared.open_inbox();
        Self {
            shared,
            inbox,
            source: Some(source),
            policy,
            window,
            next_index: 0,
            running: HashMap::new(),
        }
    }

    /// Takes no further job from the source; those that run finish.
    pub fn stop_source(&mut self) {
        self.source = None;
    }

    /// How many jobs are under way.
    pub fn under_way(&self) -> usize {
        self.running.len()
    }

    /// How many jobs were taken from the source so far.
    pub fn taken(&self) -> u64 {
        self.next_index
    }

    fn room(&self) -> usize {
        let undelivered = self.shared.waiting_deliveries(self.inbox);
        match self.window {
            Some(window) => window.saturating_sub(self.running.len()),
            None => self.shared.wanting().saturating_sub(undelivered),
        }
    }
}

impl<S, T, X> DispatchStream<S, T, X>
where
    S: Source<Job = Job<T, X>>,
{
    fn pull(&mut self, context: &mut Context<'_>) {
        while self.room() > 0 {
            let Some(source) = &mut self.source else {
                return;
            };
            match source.poll_job(context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.source = None,
                Poll::Ready(Some(job)) => self.submit(job),
            }
        }
    }

    fn submit(&mut self, job: Job<T, X>) {
        let index = self.next_index;
        self.next_index += 1;
        let Job {
            payload,
            finish,
            captures,
            needs,
            class,
            extra,
        } = job;
        let name = payload.name();
        let submitted = payload.work(index).and_then(|work| {
            let request = TaskRequest {
                index,
                work,
                parent: None,
                needs,
                class,
                policy: self.policy,
            };
            let task = self.shared.submit(request, self.inbox, captures);
            task.map_err(|error| TaskError::NoHostLeft {
                task: TaskLabel::maybe(name, index),
                cause: error.to_string(),
            })
        });
        let since = clock::now();
        let task =
            submitted.unwrap_or_else(|error| self.shared.submit_failed(index, error, self.inbox));
        let running = Running {
            index,
            extra,
            since,
            finish,
            name,
        };
        self.running.insert(task, running);
    }

    fn done(&mut self, delivery: Delivery) -> Option<Done<T, X>> {
        let Delivery {
            task,
            outcome,
            host,
            tries,
            captured,
        } = delivery;
        let Running {
            index,
            extra,
            since,
            finish,
            name,
        } = self.running.remove(&task)?;
        let elapsed = clock::now().since(since);
        let at = || TaskAt {
            task: TaskLabel::maybe(name, task.0),
            host: host.map_or_else(String::new, |host| self.shared.host_name(host)),
        };
        let result = finish(outcome, captured, &at);
        Some(Done {
            index,
            task,
            extra,
            result,
            host,
            tries,
            elapsed,
        })
    }
}

impl<S, T, X> Stream for DispatchStream<S, T, X>
where
    S: Source<Job = Job<T, X>>,
{
    type Item = Done<T, X>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.pull(context);
        let shared = Rc::clone(&this.shared);
        while let Some(delivery) = shared.take_delivery(this.inbox, context.waker()) {
            if let Some(done) = this.done(delivery) {
                return Poll::Ready(Some(done));
            }
        }
        match this.source.is_none() && this.running.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        }
    }
}

impl<S, T, X> Drop for DispatchStream<S, T, X> {
    fn drop(&mut self) {
        self.shared.close_inbox(self.inbox);
    }
}
