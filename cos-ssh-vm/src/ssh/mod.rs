//! The ssh client: what its words mean.

mod diagnosis;
mod failure;
mod words;

pub use self::diagnosis::{Circumstances, Diagnosis};
pub use self::failure::{AgentKeys, LoginObstacle, SshFailure};
pub use self::words::{Ending, diagnose};
