//! The error of a whole program.

use std::error::Error as StdError;
use std::fmt;

/// Any error, for the ends of programs and of tasks: [`macro@main`](crate::main) prints it with its causes, and a task's
/// becomes the text of its [`TaskError::Failed`](crate::job::TaskError::Failed).
///
/// The functions of this library return enums of their own, which say what can be done; each becomes an `Error` by `?`.
///
/// ```
/// fn parse(text: &str) -> cos_core::Result<f64> {
///     let value: f64 = text.trim().parse()?;
///     if value.is_nan() {
///         return Err(cos_core::Error::message("no number"));
///     }
///     Ok(value)
/// }
///
/// assert_eq!(parse(" 2.5 ").unwrap(), 2.5);
/// assert_eq!(parse("nan").unwrap_err().to_string(), "no number");
/// assert_eq!(parse("x").unwrap_err().to_string(), "invalid float literal");
/// ```
///
/// `{}` writes the error, `{:#}` also its causes, each after a colon. It is no `std::error::Error` itself, or `?` could
/// not make one of everything.
pub struct Error(Box<dyn StdError + Send + Sync>);

/// A result whose error can be any.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that is nothing but a text.
    pub fn message(text: impl fmt::Display) -> Self {
        Self(text.to_string().into())
    }

    /// The error as a value of the standard library.
    pub fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0
    }

    /// The error if it is an `E`.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// What caused it, and so on down to the first cause.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        std::iter::successors(self.0.source(), |&cause| StdError::source(cause))
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        if f.alternate() {
            let mut last = self.0.to_string();
            for cause in self.causes() {
                // An error that repeats its cause in its own text has said it.
                let text = cause.to_string();
                if !last.ends_with(&text) {
                    write!(f, ": {text}")?;
                }
                last = text;
            }
        }
        Ok(())
    }
}

/// As a `main` that returns it shows it: the error and its causes, a line each.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        for cause in self.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct Start(#[source] Io);

    #[derive(Debug, thiserror::Error)]
    #[error("no such file")]
    struct Io;

    #[test]
    fn causes_are_told_when_they_are_asked_for() {
        let error = Error::from(Start(Io));
        assert_eq!(error.to_string(), "cannot start");
        assert_eq!(format!("{error:#}"), "cannot start: no such file");
        assert_eq!(
            format!("{error:?}"),
            "cannot start\n  caused by: no such file"
        );
        assert!(error.downcast_ref::<Start>().is_some());
    }
}
