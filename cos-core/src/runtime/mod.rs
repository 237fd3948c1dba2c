//! The only place where the kernel meets the world: reads the clock, polls the machine and the program, carries
//! out the kernel's actions.
//!
//! One turn of [`Os::run`]:
//!
//! ```text
//!  machine --events--> kernel --actions--> machine, observers, inboxes
//!  clock   --now-----> kernel --actions--> ...
//!  main    <--polled-- (its system calls go to the kernel) --actions--> ...
//! ```
//!
//! A turn ends when nothing is left to be done, and the next begins when the machine, a timer or the program wakes it.

mod calls;
pub(crate) mod context;
pub(crate) mod inbox;
mod log;
mod os;
pub(crate) mod shared;

pub use calls::{free_slots, slots};
pub use context::NoOs;
pub use os::Os;
