//! What microthreads end with, and how whoever joins them gets it.

use std::any::type_name;
use std::fmt;

use thiserror::Error;

use super::body::BoxedBody;
use super::remote::RemoteEnding;
use crate::ids::HostId;
use crate::job::TaskError;

/// What a microthread has ended with, in the tables.
pub(crate) enum Ending {
    /// A local one: its value lies in its body.
    Value(BoxedBody),
    /// A local one that has failed, or one that a machine never gave a result for.
    Error(Box<TaskError>),
    /// A remote one: its outcome, from which the value is made when it is joined.
    Remote(Box<RemoteEnding>),
    /// Main, whose value goes to the caller of the OS.
    Main,
}

/// The value is of another type than was asked for.
pub(crate) struct OtherType {
    /// Its type.
    pub(crate) found: &'static str,
}

impl Ending {
    /// The value as a `T`.
    pub(crate) fn into_result<T: 'static>(self) -> Result<Result<T, TaskError>, OtherType> {
        let mut value: Option<T> = None;
        let found = match self {
            Self::Value(mut body) => match body.as_mut().take(&mut value) {
                true => "a value that was taken",
                false => body.value_type(),
            },
            Self::Error(error) => return Ok(Err(*error)),
            Self::Remote(mut ending) => match ending.take(&mut value) {
                Ok(true) => "a value that was taken",
                Ok(false) => ending.value_type(),
                Err(error) => return Ok(Err(error)),
            },
            Self::Main => "main's value",
        };
        value.map(Ok).ok_or(OtherType { found })
    }

    /// How many tries were made.
    pub(crate) fn tries(&self) -> u32 {
        match self {
            Self::Remote(ending) => ending.tries,
            Self::Value(_) | Self::Error(_) | Self::Main => 1,
        }
    }

    /// What the microthread was called.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Value(body) => body.name(),
            Self::Error(_) => "failed",
            Self::Remote(ending) => ending.name(),
            Self::Main => "main",
        }
    }

    /// Where it ran last, if it was remote.
    pub(crate) fn host(&self) -> Option<HostId> {
        match self {
            Self::Remote(ending) => ending.host(),
            Self::Value(_) | Self::Error(_) | Self::Main => None,
        }
    }
}

/// The result of a microthread that was joined by its tid: of a type that only its spawner knows.
pub struct Value(pub(super) Ending);

impl Value {
    /// The result, as the type that the microthread ends with.
    ///
    /// # Errors
    /// [`ValueError::Task`] when the microthread has failed, [`ValueError::Type`] when its result is of another type.
    pub fn get<T: 'static>(self) -> Result<T, ValueError> {
        match self.0.into_result() {
            Ok(result) => Ok(result?),
            Err(OtherType { found }) => Err(ValueError::Type {
                wanted: type_name::<T>(),
                found,
            }),
        }
    }

    /// The host on which a remote task ran last; `None` for a local microthread.
    pub fn host_id(&self) -> Option<HostId> {
        self.0.host()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ending::Value(body) => write!(f, "Value({})", body.value_type()),
            Ending::Error(error) => write!(f, "Value({error:?})"),
            Ending::Remote(ending) => write!(f, "Value({})", ending.value_type()),
            Ending::Main => f.write_str("Value(())"),
        }
    }
}

/// Why a [`Value`] gives no result.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The task has failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The result is of another type.
    #[error("the result is {found}, not {wanted}")]
    Type {
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
}
