//! Tasks that make system calls: what a task's own OS and the client's OS say to each other.
//!
//! ```text
//!  worker: spawn(..).remote() --> Link --Told--> host, kernel --Deliver--> Children --> kernel: a task below that attempt
//!          handle.await       <--     <--Tell--              <--         <-- its end
//! ```
//!
//! A task's OS has no machine. Its backend is a [`Link`] to the client, which runs whatever any task spawns, on any host. So there
//! is one kernel that sees all tasks, and one queue. The host between passes the messages on without a look into them.
//!
//! Both ends believe nothing of the other's lengths: a message has a limit, and so has the number of children that an
//! attempt may have under way. What breaks the rules ends the task that said it.

mod children;
mod link;
mod pieces;
mod protocol;
mod thread;

pub(super) use children::{Children, SpawnerCall};
pub(super) use link::Link;
pub(crate) use link::{Heard, Line, Said};
pub(super) use thread::{call_and_block, has_line, notify};
pub(crate) use thread::{set_line, take_line};
