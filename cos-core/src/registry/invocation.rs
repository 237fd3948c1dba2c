//! A call by name and bytes, as a host receives it.

use bytes::Bytes;

use super::typed::{Called, Task, decode_arguments, encode_value};
use crate::job::{Call, CallFailure};
use crate::panics::{self, Catching, Panic};

/// The encoded value of a call, or why there is none.
pub(crate) type CallResult = Result<Bytes, CallFailure>;

/// Calls a task of this program. A plain function has run when this returns; an asynchronous one is to be awaited.
///
/// Nothing of what the call or its arguments do passes: a panic is a failure. An `exit`, an `abort` and a signal end the
/// process, which is why hosts have a process for each slot.
pub(crate) fn invoke(call: &Call) -> Called<CallResult> {
    match super::find(&call.task, call.fingerprint) {
        Ok(handler) => (handler.call)(&call.arguments),
        Err(mismatch) => Called::Done(Err(CallFailure::NotRegistered(mismatch))),
    }
}

/// Decodes, calls and encodes.
pub(super) fn call<T: Task>(arguments: &[u8]) -> Called<CallResult> {
    let called = panics::catch(|| decode_arguments(arguments).map(T::call));
    match called {
        Err(panic) => Called::Done(Err(panic.into())),
        Ok(Err(undecodable)) => Called::Done(Err(CallFailure::Undecodable {
            error: undecodable.to_string(),
        })),
        Ok(Ok(Called::Done(result))) => Called::Done(settle::<T>(Ok(result))),
        Ok(Ok(Called::Future(future))) => {
            Called::future(async move { settle::<T>(Catching::new(future).await) })
        }
    }
}

fn settle<T: Task>(result: Result<Result<T::Value, String>, Panic>) -> CallResult {
    let value = result?.map_err(|text| CallFailure::Error { text })?;
    // `Serialize`, too, may be the user's own code.
    let bytes = panics::catch(|| encode_value::<T>(&value))??;
    Ok(bytes.into())
}
