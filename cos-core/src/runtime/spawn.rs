//! `spawn`: the system call, as a builder that is awaited.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use thiserror::Error;

use super::behind::Behind;
use super::body::{BoxedBody, FutureBody, JobBody};
use super::context::{self, NoOs};
use super::handle::TaskHandle;
use super::remote::{JobResult, RemoteResult, RemoteTask};
use super::shared::Shared;
use super::wait::Wait;
use crate::clock;
use crate::ids::{HostId, TaskId, Tid};
use crate::job::{Job, Payload, TaskError};
use crate::kernel::microthread::{Place, Visibility};
use crate::kernel::{SubmitError, TaskPolicy, TaskRequest};

/// Makes a child of the calling microthread: of a future, which need not be `Send`, or of a job.
///
/// A system call: the child is put at the end of the ready queue and the caller behind it, so the child runs first.
///
/// ```
/// # cos_core::Os::new().block_on(async {
/// let greeting = cos_core::spawn(async { "hello".to_owned() }).await?;
/// assert_eq!(greeting.await?, "hello");
/// # Ok::<_, cos_core::Error>(())
/// # }).unwrap().unwrap();
/// ```
pub fn spawn<W: Spawnable>(work: W) -> Spawn<W> {
    Spawn {
        work,
        options: Options::default(),
    }
}

/// A spawn that was not made yet; it is awaited to be made. See [`spawn()`].
#[must_use = "nothing is spawned before this is awaited"]
#[derive(Debug)]
pub struct Spawn<W> {
    work: W,
    options: Options,
}

/// How a child is to be made.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Options {
    place: Wanted,
    host: Option<HostId>,
    patience: Patience,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Wanted {
    #[default]
    Local,
    Remote,
}

/// What the caller of a remote spawn waits for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Patience {
    #[default]
    UntilHandedOver,
    Enqueue,
    TryNow,
}

impl<T: 'static, X: 'static> Spawn<Job<T, X>> {
    /// Outsources the job to a host of the [machine](crate::Os::vm). The spawn waits until a slot is free and the job is
    /// handed over, unless [`enqueue`](Self::enqueue) or [`try_now`](Self::try_now) says otherwise. While hosts may come (back),
    /// it waits; when all are gone for good it fails.
    ///
    /// Without a machine the job runs in a local microthread, and a warning says so once. (A command is for hosts only.)
    pub fn remote(mut self) -> Self {
        self.options.place = Wanted::Remote;
        self
    }

    /// The same, on this host only.
    pub fn on(mut self, host: HostId) -> Self {
        self.options.host = Some(host);
        self.remote()
    }

    /// Waits for nothing: the job starts when a slot is free, in its turn.
    pub fn enqueue(mut self) -> Self {
        self.options.patience = Patience::Enqueue;
        self
    }

    /// Fails with [`SpawnError::NoFreeSlot`] when no slot is free.
    pub fn try_now(mut self) -> Self {
        self.options.patience = Patience::TryNow;
        self
    }
}

impl<W: Spawnable> IntoFuture for Spawn<W> {
    type Output = Result<TaskHandle<W::Output>, SpawnError>;
    type IntoFuture = Spawning<W::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.visible(Visibility::Shown)
    }
}

impl<W: Spawnable> Spawn<W> {
    pub(super) fn visible(self, visibility: Visibility) -> Spawning<W::Output> {
        Spawning {
            stage: Stage::New(New {
                work: self.work.prepare(),
                options: self.options,
                visibility,
            }),
            value: PhantomData,
        }
    }
}

/// What can be spawned: a `Future + 'static`, or a [`Job`]. Sealed in effect.
pub trait Spawnable {
    /// What the microthread ends with.
    type Output: 'static;

    #[doc(hidden)]
    fn prepare(self) -> Prepared<Self::Output>;
}

impl<F> Spawnable for F
where
    F: Future + 'static,
{
    type Output = F::Output;

    fn prepare(self) -> Prepared<F::Output> {
        Prepared(PreparedWork::Body(FutureBody::boxed(self)))
    }
}

impl<T: 'static, X: 'static> Spawnable for Job<T, X> {
    type Output = T;

    fn prepare(self) -> Prepared<T> {
        Prepared(PreparedWork::Job(Box::new(self.extra(()))))
    }
}

/// Work that is ready to be made a microthread of.
#[doc(hidden)]
pub struct Prepared<T>(PreparedWork<T>);

enum PreparedWork<T> {
    Body(BoxedBody),
    Job(Box<Job<T>>),
}

/// Why a spawn has made no child.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// No slot is free now, and the caller does not want to wait.
    #[error("no slot is free")]
    NoFreeSlot,
    /// Every host that may run it is gone for good.
    #[error("no host is left: {cause}")]
    NoHostLeft {
        /// What became of them.
        cause: String,
    },
    /// There is no such host.
    #[error("there is no host number {0}")]
    UnknownHost(HostId),
    /// No host can ever meet its needs.
    #[error(transparent)]
    NeedsNotMet(SubmitError),
    /// It runs on hosts only, and the OS has no machine.
    #[error(
        "a command runs on a host, and the OS has no virtual machine: give it one with Os::vm or set_vm"
    )]
    NoVm,
    /// The machine was put away while it waited, or takes no tasks any more.
    #[error("the virtual machine is being shut down")]
    Stopping,
    /// The job cannot be made or handed over: its arguments cannot be encoded.
    #[error(transparent)]
    Job(Box<TaskError>),
    /// There is no OS here.
    #[error(transparent)]
    NoOs(#[from] NoOs),
}

impl SpawnError {
    fn of_submit(error: SubmitError) -> Self {
        match error {
            SubmitError::UnknownHost(host) => Self::UnknownHost(host),
            SubmitError::NoHostLeft { cause } => Self::NoHostLeft { cause },
            SubmitError::Stopping => Self::Stopping,
            other => Self::NeedsNotMet(other),
        }
    }

    fn of_refusal(error: TaskError) -> Self {
        match error {
            TaskError::NoHostLeft { cause, .. } => Self::NoHostLeft { cause },
            TaskError::Cancelled { .. } => Self::Stopping,
            other => Self::Job(Box::new(other)),
        }
    }
}

/// A spawn under way. Dropping it before it is ready cancels the child.
#[must_use = "nothing is spawned before this is awaited"]
pub struct Spawning<T> {
    stage: Stage<T>,
    value: PhantomData<fn() -> T>,
}

enum Stage<T> {
    New(New<T>),
    /// The child is there, and its spawner waits for its turn.
    Made {
        turn: Behind,
        handle: TaskHandle<T>,
    },
    /// There is no slot, which is told in the next turn: a caller that tries again and again lets others run.
    Refused(Behind),
    Over,
}

struct New<T> {
    work: Prepared<T>,
    options: Options,
    visibility: Visibility,
}

// Nothing in it is pinned: a body has a place of its own.
impl<T> Unpin for Spawning<T> {}

impl<T: 'static> Future for Spawning<T> {
    type Output = Result<TaskHandle<T>, SpawnError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Stage::New(_) = this.stage
            && let Stage::New(new) = std::mem::replace(&mut this.stage, Stage::Over)
        {
            this.stage = new.make(context)?;
        }
        let turn = match &mut this.stage {
            Stage::Made { turn, .. } | Stage::Refused(turn) => turn,
            Stage::New(_) | Stage::Over => return Poll::Pending,
        };
        if turn.poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(match std::mem::replace(&mut this.stage, Stage::Over) {
            Stage::Made { handle, .. } => match handle.os().refusal(handle.tid()) {
                None => Ok(handle),
                Some(error) => Err(SpawnError::of_refusal(*error)),
            },
            _ => Err(SpawnError::NoFreeSlot),
        })
    }
}

impl<T> Drop for Spawning<T> {
    fn drop(&mut self) {
        if let Stage::Made { handle, .. } = &self.stage {
            let os = Rc::clone(handle.os());
            // Its refusal, should there be one, is nobody's.
            drop(os.refusal(handle.tid()));
            os.cancel_children(std::iter::once(handle.tid()));
        }
    }
}

impl<T: 'static> New<T> {
    fn make(self, context: &Context<'_>) -> Result<Stage<T>, SpawnError> {
        let os = context::current()?;
        let parent = os.caller()?;
        let Self {
            work: Prepared(work),
            options,
            visibility,
        } = self;
        let job = match work {
            PreparedWork::Body(body) => return local(&os, parent, visibility, body, context),
            PreparedWork::Job(job) => *job,
        };
        let has_machine = os.inner.borrow().backend.is_some();
        let outsourced = options.place == Wanted::Remote || options.host.is_some();
        let job = match job.payload {
            Payload::Call(call) if !outsourced || !has_machine => {
                if let Some(host) = options.host {
                    return Err(SpawnError::UnknownHost(host));
                }
                if outsourced {
                    os.warn_of_no_machine();
                }
                return local(&os, parent, visibility, JobBody::boxed(call), context);
            }
            payload => Job { payload, ..job },
        };
        if !has_machine {
            return Err(SpawnError::NoVm);
        }
        remote(&os, parent, visibility, job, options)
    }
}

fn local<T: 'static>(
    os: &Rc<Shared>,
    parent: Tid,
    visibility: Visibility,
    body: BoxedBody,
    context: &Context<'_>,
) -> Result<Stage<T>, SpawnError> {
    let tid = os.spawn_local(visibility, body)?;
    let turn = Behind::begin(os, context)?;
    let handle = TaskHandle::new(os, tid, parent, None);
    Ok(Stage::Made { turn, handle })
}

fn remote<T: 'static>(
    os: &Rc<Shared>,
    parent: Tid,
    visibility: Visibility,
    job: Job<T>,
    options: Options,
) -> Result<Stage<T>, SpawnError> {
    let Job {
        payload,
        finish,
        captures,
        mut needs,
        class,
        ..
    } = job;
    needs.host = options.host.or(needs.host);
    if options.patience == Patience::TryNow {
        let inner = os.inner.borrow();
        let backend = inner.backend.as_ref();
        let has_room = backend.is_some_and(|backend| backend.has_room(&needs));
        let hopeless = backend.and_then(|backend| backend.no_host_left(&needs));
        drop(inner);
        if !has_room && hopeless.is_none() {
            let wait = os.wait(|threads, tid| threads.yield_now(tid))?;
            return Ok(Stage::Refused(Behind::Wait(wait)));
        }
    }
    let index = os.next_index();
    let work = payload
        .work(index)
        .map_err(|error| SpawnError::Job(Box::new(error)))?;
    let target = needs.host;
    let request = TaskRequest {
        index,
        work,
        parent: None,
        needs,
        class,
        policy: TaskPolicy::default(),
    };
    let result = Box::new(JobResult {
        finish,
        name: payload.name(),
    });
    let spawn = RemoteSpawn {
        request,
        captures,
        result,
        waits: options.patience != Patience::Enqueue,
    };
    let (tid, task, wait) = os.spawn_remote(visibility, spawn)?;
    let handle = TaskHandle::new(os, tid, parent, Some((task, target)));
    let turn = Behind::Wait(wait);
    Ok(Stage::Made { turn, handle })
}

/// A remote child that is to be made.
pub(super) struct RemoteSpawn {
    pub(super) request: TaskRequest,
    pub(super) captures: bool,
    pub(super) result: Box<dyn RemoteResult>,
    /// Whether the caller waits until it is handed over.
    pub(super) waits: bool,
}

impl Shared {
    /// Makes a remote child, whose spawner waits.
    fn spawn_remote(
        self: &Rc<Self>,
        visibility: Visibility,
        spawn: RemoteSpawn,
    ) -> Result<(Tid, TaskId, Wait), SpawnError> {
        let caller = self.caller()?;
        let (tid, task, wait) = {
            let inner = &mut *self.inner.borrow_mut();
            let backend = inner.backend.as_mut().ok_or(SpawnError::NoVm)?;
            let target = spawn.request.needs.host;
            let task = backend
                .submit(spawn.request, clock::now())
                .map_err(SpawnError::of_submit)?;
            let threads = &mut inner.threads;
            let (child, wait) = match spawn.waits {
                true => threads.spawn_held(caller, visibility, Some(task)),
                false => threads.spawn(caller, visibility, Place::Remote(Some(task))),
            };
            let held = spawn.waits.then_some(wait);
            let row = RemoteTask::new(child.tid, held, target, spawn.captures, spawn.result);
            inner.remote.insert(task, row);
            (child.tid, task, Wait::new(self, caller, wait))
        };
        self.carry_out();
        Ok((tid, task, wait))
    }

    /// Why a spawn that waited for a host has come to nothing, told once.
    fn refusal(&self, tid: Tid) -> Option<Box<TaskError>> {
        let inner = &mut *self.inner.borrow_mut();
        match inner.refusals.is_empty() {
            true => None,
            false => inner.refusals.remove(&tid),
        }
    }

    /// The number of the next task that is no job of a dispatch.
    pub(super) fn next_index(&self) -> u64 {
        let inner = &mut *self.inner.borrow_mut();
        inner.next_index += 1;
        inner.next_index - 1
    }

    /// Says once that remote tasks run here.
    pub(crate) fn warn_of_no_machine(&self) {
        if !self.warned.replace(true) {
            tracing::warn!(
                target: "cos::vm",
                "there is no virtual machine: remote tasks run in local microthreads"
            );
        }
    }
}
