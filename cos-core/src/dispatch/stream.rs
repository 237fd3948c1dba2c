//! The stream of results: pulls jobs while there is room, gives results as they come.

use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::options::{Options, Place};
use super::{Done, Source};
use crate::clock;
use crate::ids::{TaskId, Tid};
use crate::job::{Job, Payload, TaskError, TaskLabel};
use crate::kernel::TaskRequest;
use crate::kernel::microthread::{Answer, GroupId, Visibility};
use crate::runtime::behind::Behind;
use crate::runtime::body::{FailedBody, JobBody};
use crate::runtime::context::{self, NoOs};
use crate::runtime::remote::JobResult;
use crate::runtime::shared::Shared;
use crate::runtime::value::Ending;
use crate::runtime::wait::Wait;
use crate::time::Time;

/// The results of a [`dispatch`](super::dispatch()) in the order in which they come. Dropping it cancels what runs.
///
/// A `futures` stream. It begins when it is polled first, by a microthread of an OS; polling it elsewhere panics.
#[must_use = "a stream does nothing unless polled"]
pub struct DispatchStream<S, T, X> {
    source: Option<S>,
    options: Options,
    next_index: u64,
    running: HashMap<Tid, Running<X>>,
    waits: Waits,
    group: Option<Group>,
    value: std::marker::PhantomData<fn() -> T>,
}

/// A job that was taken from the source.
struct Running<X> {
    index: u64,
    extra: X,
    since: Time,
    task: Option<TaskId>,
}

/// What the dispatch waits for.
#[derive(Default)]
struct Waits {
    /// Its turn after a local child was made.
    turn: Option<Behind>,
    /// The next child that finishes.
    join: Option<Wait>,
    /// More room.
    room: Option<Wait>,
}

/// The children, which no other join sees.
#[derive(Clone)]
struct Group {
    os: Rc<Shared>,
    id: GroupId,
}

impl<S, T, X> Unpin for DispatchStream<S, T, X> {}

impl<S, T, X> DispatchStream<S, T, X> {
    pub(super) fn new(source: S, options: Options) -> Self {
        Self {
            source: Some(source),
            options,
            next_index: 0,
            running: HashMap::new(),
            waits: Waits::default(),
            group: None,
            value: std::marker::PhantomData,
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

    fn is_local(&self, os: &Shared) -> bool {
        self.options.place == Place::Local || !os.has_machine()
    }

    /// How many more jobs are to be taken from the source now.
    fn room(&self, group: &Group) -> usize {
        let under_way = self.running.len();
        let os = &group.os;
        if let Some(window) = self.options.window {
            return window.saturating_sub(under_way);
        }
        if self.is_local(os) {
            return os.slots().unwrap_or(0).max(1).saturating_sub(under_way);
        }
        let most = match (self.options.prefetch, os.slots()) {
            (Some(depth), Some(slots)) if slots > 0 => {
                slots.saturating_mul(depth.saturating_add(1))
            }
            _ => usize::MAX,
        };
        // Results that nobody has taken count: a slow consumer slows the source.
        let wanting = os.wanting().saturating_sub(os.finished_in(group.id));
        wanting.min(most.saturating_sub(under_way))
    }
}

impl<S, T, X> DispatchStream<S, T, X>
where
    S: Source<Job = Job<T, X>>,
    T: 'static,
{
    /// One look at everything that the dispatch waits for.
    fn advance(
        &mut self,
        group: &Group,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Done<T, X>>, NoOs>> {
        loop {
            if let Some(turn) = &mut self.waits.turn {
                if turn.poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.waits.turn = None;
            }
            if let Some(join) = &mut self.waits.join
                && let Poll::Ready(answer) = join.poll(context)
            {
                self.waits.join = None;
                match answer {
                    Answer::Joined(Some((tid, ending))) => {
                        if let Some(done) = self.done(group, tid, ending) {
                            return Poll::Ready(Ok(Some(done)));
                        }
                    }
                    // The microthread that had made them has ended, and they with it.
                    _ => self.running.clear(),
                }
                continue;
            }
            if self.pull(group, context)? {
                continue;
            }
            if self.source.is_none() && self.running.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let (os, id) = (&group.os, group.id);
            if self.waits.join.is_none() && !self.running.is_empty() {
                let join = os.wait(|threads, caller| threads.join_group(caller, id))?;
                self.waits.join = Some(join);
                continue;
            }
            let wants_room = self.source.is_some() && self.options.window.is_none();
            if wants_room && !self.is_local(os) {
                let room = match &mut self.waits.room {
                    Some(room) => room,
                    none => none.insert(os.wait_for_room()?),
                };
                if room.poll(context).is_ready() {
                    self.waits.room = None;
                    continue;
                }
            }
            return Poll::Pending;
        }
    }

    /// Takes jobs from the source while there is room. Returns whether a local child has its first turn, before which
    /// nothing else is done.
    fn pull(&mut self, group: &Group, context: &mut Context<'_>) -> Result<bool, NoOs> {
        while self.room(group) > 0 {
            let Some(source) = &mut self.source else {
                break;
            };
            match source.poll_job(context) {
                Poll::Pending => break,
                Poll::Ready(None) => self.source = None,
                Poll::Ready(Some(job)) => {
                    if self.is_local(&group.os) {
                        self.run_here(group, job, context)?;
                        return Ok(true);
                    }
                    self.outsource(group, job);
                }
            }
        }
        Ok(false)
    }

    fn run_here(
        &mut self,
        group: &Group,
        job: Job<T, X>,
        context: &Context<'_>,
    ) -> Result<(), NoOs> {
        let body = match job.payload {
            Payload::Call(call) => JobBody::boxed(call),
            Payload::Invalid(cause) => FailedBody::<T>::boxed(TaskError::Invalid { cause }),
            Payload::Command(_) => FailedBody::<T>::boxed(TaskError::NoHostLeft {
                task: TaskLabel::default(),
                cause: "a command runs on a host, and there is no virtual machine".to_owned(),
            }),
        };
        let visibility = Visibility::Grouped(group.id);
        let tid = group.os.spawn_local(visibility, body)?;
        self.waits.turn = Some(Behind::begin(&group.os, context)?);
        self.note(tid, None, job.extra);
        Ok(())
    }

    fn outsource(&mut self, group: &Group, job: Job<T, X>) {
        let index = self.next_index;
        let Job {
            payload,
            finish,
            captures,
            mut needs,
            class,
            extra,
        } = job;
        needs.host = self.options.host.or(needs.host);
        let name = payload.name();
        let result = || Box::new(JobResult { finish, name });
        let submitted = payload.work(index).and_then(|work| {
            let request = TaskRequest {
                index,
                work,
                parent: None,
                needs,
                class,
                policy: self.options.policy,
            };
            let made = group.os.submit(group.id, request, captures, result());
            made.map_err(|error| TaskError::NoHostLeft {
                task: TaskLabel::maybe(name, index),
                cause: error.to_string(),
            })
        });
        let (tid, task) = submitted
            .unwrap_or_else(|error| group.os.submit_failed(group.id, index, error, result()));
        self.note(tid, task, extra);
    }

    fn note(&mut self, tid: Tid, task: Option<TaskId>, extra: X) {
        let index = self.next_index;
        self.next_index += 1;
        let running = Running {
            index,
            extra,
            since: clock::now(),
            task,
        };
        self.running.insert(tid, running);
    }

    fn done(&mut self, group: &Group, tid: Tid, ending: Ending) -> Option<Done<T, X>> {
        let Running {
            index,
            extra,
            since,
            task,
        } = self.running.remove(&tid)?;
        let (host, attempts) = (ending.host(), ending.tries());
        Some(Done {
            index,
            tid,
            task,
            extra,
            result: group.os.result(tid, ending),
            host,
            attempts,
            elapsed: clock::now().since(since),
        })
    }
}

impl<S, T, X> Stream for DispatchStream<S, T, X>
where
    S: Source<Job = Job<T, X>>,
    T: 'static,
{
    type Item = Done<T, X>;

    #[expect(
        clippy::panic,
        reason = "documented: a system call outside of an OS has no answer"
    )]
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let group = match &this.group {
            Some(group) => Ok(group.clone()),
            None => Group::open().inspect(|group| this.group = Some(group.clone())),
        };
        match group.map(|group| this.advance(&group, context)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(next))) => Poll::Ready(next),
            Ok(Poll::Ready(Err(error))) | Err(error) => panic!("{error}"),
        }
    }
}

impl Group {
    fn open() -> Result<Self, NoOs> {
        let os = context::current()?;
        os.caller()?;
        let id = os.open_group();
        Ok(Self { os, id })
    }
}

impl<S, T, X> Drop for DispatchStream<S, T, X> {
    fn drop(&mut self) {
        self.waits = Waits::default();
        if let Some(Group { os, id }) = self.group.take() {
            os.cancel_children(self.running.keys().copied());
            os.close_group(id);
        }
    }
}
