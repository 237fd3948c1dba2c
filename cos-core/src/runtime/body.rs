//! The body of a local microthread: its future, and its value in the same place when it has ended.

use std::any::{Any, type_name};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::job::{TaskError, TaskLabel};
use crate::registry::{Called, TypedCall};

/// A body, whatever its future and its value.
pub(crate) trait Body {
    /// Polls the future. `Ready(Ok)`: the value is here now.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Box<TaskError>>>;

    /// Puts the value into `into`, an `Option` of its type; false when it is of another type.
    fn take(self: Pin<&mut Self>, into: &mut dyn Any) -> bool;

    /// What to call the microthread.
    fn name(&self) -> &str;

    /// The type of the value.
    fn value_type(&self) -> &'static str;
}

/// A body in the one allocation that a spawn makes.
pub(crate) type BoxedBody = Pin<Box<dyn Body>>;

pin_project! {
    /// The body of a plain future.
    #[project = FutureBodyProjection]
    pub(crate) enum FutureBody<F: Future> {
        Running { #[pin] future: F },
        Ended { value: Option<F::Output> },
    }
}

impl<F> FutureBody<F>
where
    F: Future + 'static,
{
    pub(crate) fn boxed(future: F) -> BoxedBody {
        Box::pin(Self::Running { future })
    }
}

impl<F> Body for FutureBody<F>
where
    F: Future + 'static,
{
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Box<TaskError>>> {
        if let FutureBodyProjection::Running { future } = self.as_mut().project() {
            let Poll::Ready(value) = future.poll(context) else {
                return Poll::Pending;
            };
            let value = Some(value);
            self.set(Self::Ended { value });
        }
        Poll::Ready(Ok(()))
    }

    fn take(self: Pin<&mut Self>, into: &mut dyn Any) -> bool {
        match (self.project(), into.downcast_mut::<Option<F::Output>>()) {
            (FutureBodyProjection::Ended { value }, Some(into)) => {
                *into = value.take();
                true
            }
            _ => false,
        }
    }

    fn name(&self) -> &str {
        type_name::<F>()
    }

    fn value_type(&self) -> &'static str {
        type_name::<F::Output>()
    }
}

/// The body of a typed job that runs here. The call is made in its first turn, when it has a tid.
pub(crate) struct JobBody<T> {
    name: &'static str,
    progress: Progress<T>,
}

type LocalCall<T> = Pin<Box<dyn Future<Output = Result<T, TaskError>>>>;

enum Progress<T> {
    New(Box<dyn TypedCall<T>>),
    Running(LocalCall<T>),
    Ended(Option<T>),
}

// Nothing in it is pinned: the call has a place of its own.
impl<T> Unpin for JobBody<T> {}

impl<T: 'static> JobBody<T> {
    pub(crate) fn boxed(call: Box<dyn TypedCall<T>>) -> BoxedBody {
        Box::pin(Self {
            name: call.name(),
            progress: Progress::New(call),
        })
    }
}

impl<T: 'static> Body for JobBody<T> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Box<TaskError>>> {
        let progress = &mut self.get_mut().progress;
        if let Progress::New(_) = progress
            && let Progress::New(call) = std::mem::replace(progress, Progress::Ended(None))
        {
            let label = TaskLabel::local(call.name(), super::tid());
            // A plain function has run when this returns.
            match call.call(label) {
                Called::Future(future) => *progress = Progress::Running(future),
                Called::Done(Ok(value)) => *progress = Progress::Ended(Some(value)),
                Called::Done(Err(error)) => return Poll::Ready(Err(Box::new(error))),
            }
        }
        if let Progress::Running(call) = progress {
            let Poll::Ready(result) = call.as_mut().poll(context) else {
                return Poll::Pending;
            };
            *progress = Progress::Ended(None);
            match result {
                Ok(value) => *progress = Progress::Ended(Some(value)),
                Err(error) => return Poll::Ready(Err(Box::new(error))),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(self: Pin<&mut Self>, into: &mut dyn Any) -> bool {
        match (
            &mut self.get_mut().progress,
            into.downcast_mut::<Option<T>>(),
        ) {
            (Progress::Ended(value), Some(into)) => {
                *into = value.take();
                true
            }
            _ => false,
        }
    }

    fn name(&self) -> &str {
        self.name
    }

    fn value_type(&self) -> &'static str {
        type_name::<T>()
    }
}

/// The body of a job that cannot run here: it fails in its first turn.
pub(crate) struct FailedBody<T> {
    error: Option<Box<TaskError>>,
    value: PhantomData<fn() -> T>,
}

impl<T: 'static> FailedBody<T> {
    pub(crate) fn boxed(error: TaskError) -> BoxedBody {
        Box::pin(Self {
            error: Some(Box::new(error)),
            value: PhantomData,
        })
    }
}

impl<T: 'static> Body for FailedBody<T> {
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Box<TaskError>>> {
        Poll::Ready(self.get_mut().error.take().map_or(Ok(()), Err))
    }

    fn take(self: Pin<&mut Self>, _: &mut dyn Any) -> bool {
        false
    }

    fn name(&self) -> &str {
        "a job that cannot run here"
    }

    fn value_type(&self) -> &'static str {
        type_name::<T>()
    }
}
