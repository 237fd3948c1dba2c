//! Deploying: brings the worker to a host that ssh has reached, and starts it there.
//!
//! ```text
//! client                                                    host
//!   login command (constant), script ------------------->   shell of the account, then /bin/sh
//!   <------------------------------- system, skip, corrupt  looks, verifies
//!   <----------------------------------------------- upload only when no intact worker is there
//!   the worker ------------------------------------------>  writes, verifies, tries, renames
//!   <------------------------------------------ run, frames the worker has taken the shell's place
//! ```
//!
//! A worker is kept under its SHA-256 in `<cache>/cos/workers/<uid>/<target>/<sha256>/cos-worker` and verified before
//! it is run. A start with a worker in place costs one round trip.

mod conversation;
mod failure;
mod said;
mod script;
mod worker;

pub(crate) use self::conversation::converse;
pub(crate) use self::failure::DeployFailure;
pub use self::script::{Script, ScriptParts};
pub use self::worker::{Worker, WorkerError, Workers};
