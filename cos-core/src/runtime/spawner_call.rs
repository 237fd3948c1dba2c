//! Calls that a task makes in its spawner: the program that has set the whole run going.

use std::rc::Rc;

use bytes::Bytes;

use crate::job::{
    Call, CallEnd, CallReport, CommandOutput, Job, Payload, TaskAt, TaskEnd, TaskError, TaskLabel,
};
use crate::kernel::microthread::{MAIN, Place, Visibility};
use crate::registry::{Called, invoke};
use crate::vm::local::LOCAL;

use super::body::FutureBody;
use super::context;
use super::shared::Shared;
use super::spawner::SpawnerCall;
use super::tid;

/// Runs a job in the spawner, as a microthread there, and gives its result. In the spawner itself it runs in line.
///
/// The spawner of every task, however deep it is nested, is the program that runs the OS with the machine: a function that is
/// called so sees that program's statics and thread-locals. Calls of one task begin in the order in which it makes them.
///
/// Errors of the job come back as errors. Dropping the future does not take the call back.
///
/// # Errors
/// [`TaskError`], as of a remote task.
pub async fn spawner_call<T: 'static, X>(job: Job<T, X>) -> Result<T, TaskError> {
    let os = context::current().map_err(no_spawner)?;
    let is_here = os
        .inner
        .borrow()
        .backend
        .as_ref()
        .is_none_or(|it| !it.is_link());
    let Job {
        payload, finish, ..
    } = job;
    let call = match payload {
        Payload::Call(call) if is_here => {
            let label = TaskLabel::local(call.name(), tid());
            return match call.call(label) {
                Called::Done(result) => result,
                Called::Future(future) => future.await,
            };
        }
        payload => encode(payload)?,
    };
    let label = TaskLabel::named(&call.task, 0);
    let number = os.next_index();
    let mut wait = os
        .wait(|threads, caller| threads.open_wait(caller))
        .map_err(no_spawner)?;
    {
        let inner = &mut *os.inner.borrow_mut();
        let sent = match &mut inner.backend {
            Some(backend) => backend.call_spawner(call, Some(number)),
            None => false,
        };
        if !sent {
            return Err(too_long(label));
        }
        inner.calls_under_way.insert(number, wait.id());
    }
    std::future::poll_fn(|context| wait.poll(context)).await;
    let result = os.inner.borrow_mut().calls_returned.remove(&number);
    settle(result, finish, label)
}

/// Has a job run in the spawner and does not wait for it. What comes of it, an error too, is nobody's.
///
/// # Errors
/// When the job cannot be sent: its arguments do not encode, or there is no spawner.
pub fn spawner_notify<T: 'static, X>(job: Job<T, X>) -> Result<(), TaskError> {
    let Job { payload, .. } = job;
    let Ok(os) = context::current() else {
        let call = encode(payload)?;
        let label = TaskLabel::named(&call.task, 0);
        return match super::spawner::notify(call) {
            true => Ok(()),
            false => Err(no_spawner(label)),
        };
    };
    let call = encode(payload)?;
    let label = TaskLabel::named(&call.task, 0);
    let is_link = os
        .inner
        .borrow()
        .backend
        .as_ref()
        .is_some_and(|it| it.is_link());
    if !is_link {
        let asked = SpawnerCall {
            call,
            caller: None,
            answer: None,
        };
        os.make_call(asked);
        return Ok(());
    }
    let inner = &mut *os.inner.borrow_mut();
    let backend = inner.backend.as_mut();
    match backend.is_some_and(|backend| backend.call_spawner(call, None)) {
        true => Ok(()),
        false => Err(too_long(label)),
    }
}

/// The blocking forms, for tasks that are plain functions.
pub mod blocking {
    use super::*;

    /// Runs a job in the spawner and blocks until it has returned. For tasks that are plain functions; the task's slot is free
    /// for others meanwhile.
    ///
    /// In the spawner itself a plain job runs in line. An asynchronous one there would wait for a turn that never comes, and is
    /// refused, as it is in the body of an asynchronous task: use [`spawner_call`](super::spawner_call) there.
    ///
    /// # Errors
    /// [`TaskError`], as of a remote task; [`TaskError::Invalid`] for what would block for ever.
    pub fn spawner_call<T: 'static, X>(job: Job<T, X>) -> Result<T, TaskError> {
        let Job {
            payload, finish, ..
        } = job;
        if !super::super::spawner::has_line() {
            let Payload::Call(call) = payload else {
                return Err(would_block());
            };
            let is_here = context::with(|os| {
                let inner = os.inner.borrow();
                inner.backend.as_ref().is_none_or(|it| !it.is_link())
            });
            if is_here == Ok(false) {
                return Err(would_block());
            }
            let label = TaskLabel::local(call.name(), tid());
            return match call.call(label) {
                Called::Done(result) => result,
                Called::Future(_) => Err(would_block()),
            };
        }
        let call = encode(payload)?;
        let label = TaskLabel::named(&call.task, 0);
        let result = super::super::spawner::call_and_block(call);
        settle(result, finish, label)
    }
}

fn encode<T>(payload: Payload<T>) -> Result<Call, TaskError> {
    let work = payload.work(0)?;
    match work.call() {
        Some(call) => Ok(call.clone()),
        None => Err(TaskError::Invalid {
            cause: "a command runs on a host, not in the spawner".to_owned(),
        }),
    }
}

fn settle<T>(
    result: Option<Result<Bytes, Box<TaskError>>>,
    finish: crate::job::Finish<T>,
    label: TaskLabel,
) -> Result<T, TaskError> {
    let at = || TaskAt {
        task: label.clone(),
        host: LOCAL.to_owned(),
    };
    let outcome = match result {
        Some(Ok(value)) => Ok(TaskEnd::Call(CallEnd {
            value,
            report: CallReport::default(),
        })),
        Some(Err(error)) => Err(*error),
        None => Err(too_long(label.clone())),
    };
    finish(outcome, CommandOutput::default(), &at)
}

fn no_spawner(_: impl Sized) -> TaskError {
    TaskError::Invalid {
        cause: "there is no OS and no spawner here".to_owned(),
    }
}

fn too_long(task: TaskLabel) -> TaskError {
    TaskError::Encode {
        task,
        host: LOCAL.to_owned(),
        error: "it is too long to be sent to the spawner".to_owned(),
    }
}

fn would_block() -> TaskError {
    TaskError::Invalid {
        cause: "it would block the OS that is to run it: await cos::spawner_call instead"
            .to_owned(),
    }
}

impl Shared {
    /// Makes a call that a task has asked for, as a microthread that no join sees.
    pub(super) fn make_call(self: &Rc<Self>, asked: SpawnerCall) {
        let SpawnerCall {
            call,
            caller,
            answer,
        } = asked;
        let os = Rc::downgrade(self);
        let body = FutureBody::boxed(async move {
            let label = TaskLabel::named(&call.task, 0);
            let result = match invoke(&call) {
                Called::Done(result) => result,
                Called::Future(future) => future.await,
            };
            let result = result.map_err(|failure| {
                let error = failure.into_error(label, LOCAL.to_owned(), 1);
                Box::new(error)
            });
            if let (Some(os), Some(caller)) = (os.upgrade(), caller) {
                let inner = &mut *os.inner.borrow_mut();
                if let Some(backend) = &mut inner.backend {
                    backend.answer_call(caller, answer, result);
                }
                inner.wake();
            }
        });
        let inner = &mut *self.inner.borrow_mut();
        let (child, wait) = inner
            .threads
            .spawn(MAIN, Visibility::Detached, Place::Local);
        inner.threads.withdraw(wait);
        inner.bodies.insert(child.tid, child.row, Some(body));
        inner.wake();
    }
}
