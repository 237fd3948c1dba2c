//! Keeping processes together: finding everything below a subreaper, and killing it so that nothing is left.
//!
//! Process groups do not contain a child that calls `setsid`. A child subreaper does: whatever loses its parent
//! below it becomes its own child, so a walk over `/proc` from it finds everything.

mod cookie;
mod kill;
mod process;
mod sweep;

pub(super) use cookie::{COOKIE, Cookie};
pub(super) use kill::{Scope, below_this_process, kill};
pub(super) use sweep::sweep;
