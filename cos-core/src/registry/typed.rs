//! A call of a typed task from its arguments to its result, on the side that knows the types.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use super::codec::{Codec, Decoder, Encoder, Undecodable};
use crate::job::{
    Call, CallFailure, CommandOutput, Job, Outcome, Payload, TaskAt, TaskEnd, TaskError, TaskLabel,
    of_other_kind,
};
use crate::panics::{self, Catching, Panic};
use crate::vm::local::LOCAL;

/// A function that is a typed task. Implemented by `#[cos::task]`.
pub trait Task: 'static {
    /// The path of the function's module and its own name.
    const NAME: &'static str;
    /// Of its signature.
    const FINGERPRINT: u64;
    /// Its arguments.
    type Arguments: Arguments;
    /// What comes of it when it succeeds.
    type Value: 'static;
    /// How that travels.
    const VALUE: Codec<Self::Value>;

    /// Calls the function.
    fn call(arguments: Self::Arguments) -> Called<Result<Self::Value, String>>;
}

/// The arguments of a typed task. Implemented by `#[cos::task]`.
pub trait Arguments: Send + Sized + 'static {
    /// Encodes them, one after the other.
    fn encode(&self, encoder: &mut Encoder);

    /// Decodes them.
    ///
    /// # Errors
    /// When the bytes are no such arguments.
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Undecodable>;
}

/// What a call gives at once: a plain function its result, an asynchronous one a future.
pub enum Called<R> {
    /// It has run.
    Done(R),
    /// It is to be awaited.
    Future(Pin<Box<dyn Future<Output = R>>>),
}

impl<R> Called<R> {
    /// Of an asynchronous function.
    pub fn future(future: impl Future<Output = R> + 'static) -> Self {
        Self::Future(Box::pin(future))
    }
}

/// A call of a typed task with its arguments, before anybody has decided where it runs.
pub(crate) trait TypedCall<T>: Send {
    /// The name of the task, with the path of its module.
    fn name(&self) -> &'static str;

    /// The call as it travels to a host, or why it cannot.
    fn encode(&self) -> Result<Call, String>;

    /// Calls the function in this process, a plain one to its end. A panic is an error.
    ///
    /// In debug builds arguments and value go through the encoding, so that what cannot travel is seen here.
    fn call(self: Box<Self>, label: TaskLabel) -> Called<Result<T, TaskError>>;
}

/// A job that calls a typed task.
pub fn job<T: Task>(arguments: T::Arguments) -> Job<T::Value> {
    let call = Invocation::<T> {
        arguments,
        task: PhantomData,
    };
    Job::new(Payload::Call(Box::new(call)), finish::<T>)
}

struct Invocation<T: Task> {
    arguments: T::Arguments,
    task: PhantomData<fn() -> T>,
}

impl<T: Task> TypedCall<T::Value> for Invocation<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn encode(&self) -> Result<Call, String> {
        super::check().map_err(|duplicate| duplicate.to_string())?;
        Ok(Call {
            task: Cow::Borrowed(T::NAME),
            fingerprint: T::FINGERPRINT,
            arguments: encode_arguments(&self.arguments)?.into(),
        })
    }

    fn call(self: Box<Self>, label: TaskLabel) -> Called<Result<T::Value, TaskError>> {
        let arguments = match cfg!(debug_assertions) {
            true => through_encoding(&self.arguments),
            false => Ok(self.arguments),
        };
        let called = arguments
            .and_then(|arguments| panics::catch(|| T::call(arguments)).map_err(CallFailure::from));
        match called {
            Err(failure) => Called::Done(Err(local_error(failure, label))),
            Ok(Called::Done(result)) => {
                Called::Done(settle::<T>(Ok(result)).map_err(|failure| local_error(failure, label)))
            }
            Ok(Called::Future(future)) => Called::future(async move {
                let result = Catching::new(future).await;
                settle::<T>(result).map_err(|failure| local_error(failure, label))
            }),
        }
    }
}

/// What a call in this process came to.
fn settle<T: Task>(
    result: Result<Result<T::Value, String>, Panic>,
) -> Result<T::Value, CallFailure> {
    let value = result?.map_err(|text| CallFailure::Error { text })?;
    match cfg!(debug_assertions) {
        true => {
            let bytes = encode_value::<T>(&value)?;
            decode_value::<T>(&bytes).map_err(|error| CallFailure::Undecodable {
                error: error.to_string(),
            })
        }
        false => Ok(value),
    }
}

fn local_error(failure: CallFailure, label: TaskLabel) -> TaskError {
    failure.into_error(label, LOCAL.to_owned(), 1)
}

fn encode_arguments(arguments: &impl Arguments) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder::default();
    arguments.encode(&mut encoder);
    encoder.finish()
}

fn through_encoding<A: Arguments>(arguments: &A) -> Result<A, CallFailure> {
    let bytes = encode_arguments(arguments).map_err(|error| CallFailure::Unencodable { error })?;
    decode_arguments(&bytes).map_err(|error| CallFailure::Undecodable {
        error: error.to_string(),
    })
}

pub(super) fn decode_arguments<A: Arguments>(bytes: &[u8]) -> Result<A, Undecodable> {
    let mut decoder = Decoder::new(bytes);
    let arguments = A::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(arguments)
}

pub(super) fn encode_value<T: Task>(value: &T::Value) -> Result<Vec<u8>, CallFailure> {
    let mut encoder = Encoder::default();
    encoder.value(&T::VALUE, value);
    encoder
        .finish()
        .map_err(|error| CallFailure::Unencodable { error })
}

fn decode_value<T: Task>(bytes: &[u8]) -> Result<T::Value, Undecodable> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.value(&T::VALUE)?;
    decoder.finish()?;
    Ok(value)
}

/// Makes the result of what a host has sent.
fn finish<T: Task>(
    outcome: Outcome,
    _: CommandOutput,
    at: &dyn Fn() -> TaskAt,
) -> Result<T::Value, TaskError> {
    match outcome? {
        TaskEnd::Command(_) => Err(of_other_kind(at(), "a command's end where a value was due")),
        TaskEnd::Call(end) => decode_value::<T>(&end.value).map_err(|error| {
            let TaskAt { task, host } = at();
            let error = error.to_string();
            TaskError::Decode { task, host, error }
        }),
    }
}

impl From<Panic> for CallFailure {
    fn from(Panic { message, location }: Panic) -> Self {
        Self::Panicked { message, location }
    }
}
