//! The only place where the kernel meets the world: reads the clock, polls machine and microthreads, carries out the kernel's
//! actions; and the system calls of programs.
//!
//! One look of [`Os::run`] at what there is to do:
//!
//! ```text
//!  machine, clock --> Backend --what has happened--> observers, microthreads that wait
//!  other wakers   --> WakeQueue --------------------> ready queue
//!  ready queue    --> a turn: the body is polled, its system calls change the tables ... and the next
//! ```
//!
//! The order of turns is [`kernel::microthread`](crate::kernel::microthread)'s. What lies here beside its rows: futures and values
//! (`body`, `bodies`, `value`), wakers (`waker`), the tasks of remote ones (`remote`), and whoever runs those (`backend`).
//!
//! A microthread is polled with a waker of its own, so that sockets and channels of tokio can wake it. A system call that
//! waits needs none: it is a `wait`, whose turn names it. Only where it is polled with another waker, as in `FuturesUnordered`, is that one
//! kept, and woken in the wait's turn.

mod along;
mod backend;
pub(crate) mod behind;
mod bodies;
pub(crate) mod body;
mod calls;
pub(crate) mod context;
mod handle;
mod join;
mod log;
mod machine;
mod os;
mod os_handle;
pub(crate) mod remote;
mod routing;
pub(crate) mod shared;
mod spawn;
pub(crate) mod spawner;
mod spawner_call;
mod task_set;
mod turn;
pub(crate) mod value;
pub(crate) mod wait;
mod waker;

pub use calls::{
    TaskInfo, TaskStatus, YieldNow, finished_tasks, free_slots, local_task_count,
    remote_task_count, slots, task_count, task_info, tid, yield_now,
};
pub use context::NoOs;
pub use handle::TaskHandle;
pub use join::{Join, JoinError, join, join_checked, try_join};
pub use machine::{SetVmError, finalize, set_vm};
pub(crate) use os::run_task;
pub use os::{Os, OsError};
pub use os_handle::{BlockingTask, OsHandle};
pub use spawn::{Spawn, SpawnError, Spawnable, Spawning, spawn};
pub use spawner_call::{blocking, spawner_call, spawner_notify};
pub use task_set::{IntoSpawn, JoinNext, TaskSet};
pub use value::{Value, ValueError};
