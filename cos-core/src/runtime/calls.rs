//! System calls about the OS itself.

use super::context;

/// How many slots the hosts that are up have together; `None` outside of an OS.
pub fn slots() -> Option<usize> {
    context::current().ok().map(|shared| shared.slots())
}

/// How many of them are free: slots less the tasks that were accepted, never below 0; `None` outside of an OS.
pub fn free_slots() -> Option<usize> {
    context::current().ok().map(|shared| shared.free_slots())
}
