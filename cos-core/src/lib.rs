//! Kernel, runtime, dispatch, virtual machines, wire protocol and worker of COS, a cooperative multitasking OS
//! with task outsourcing.
//!
//! Functions become tasks, which run as microthreads here or in slots elsewhere:
//!
//! ```
//! use cos_core as cos;
//! use cos::vm::local::LocalVm;
//!
//! #[cos::task]
//! fn double(x: u64) -> u64 {
//!     2 * x
//! }
//!
//! #[cos::main]
//! async fn main() -> cos::Result<()> {
//!     cos::set_vm(LocalVm::in_process(2))?; // in a lab: cos_ssh_vm::SshVm::discover().await?
//!     let results = cos::dispatch((0..100).map(double::job)).collect().await?;
//!     assert_eq!(results[99], 198);
//!     Ok(())
//! }
//! ```
//!
//! A program gives an [`Os`] a machine and runs a future on it. In there [`dispatch()`] takes jobs from an iterator as slots
//! free up, and gives their results in the order of the jobs or as they come.
//!
//! ```no_run
//! use cos_core::job::{CommandJob, Job};
//! use cos_core::vm::local::LocalVm;
//! use cos_core::wire::message::SlotCount;
//! use cos_core::{Flow, Os, dispatch};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     cos_core::worker::init(); // this program is its own worker
//!     let machine = LocalVm::new("demo", SlotCount::Cores)?;
//!     Os::new().vm(machine).block_on(async {
//!         // An endless source: what is not asked for is never made.
//!         let jobs = (1u64..).map(|n| Job::captured(CommandJob::shell(n, format!("factor {n}"))).extra(n));
//!         dispatch(jobs)
//!             .for_each(|done| match (done.extra, done.result) {
//!                 (_, Err(_)) | (1000, _) => Flow::StopSoon,
//!                 _ => Flow::Go,
//!             })
//!             .await
//!     })??;
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | to | see |
//! |---|---|
//! | run many commands and take their results | [`dispatch()`], [`dispatch_stream`], [`job`] |
//! | watch everything that happens | [`event`], [`Os::observe`] |
//! | use this machine, or write a way to reach others | [`vm::local`], [`vm::agent`] and its [`launcher`](vm::agent::launcher) |
//! | make a function a task, a program an OS | [`macro@task`], [`macro@main`] |
//! | try tasks without hosts | [`LocalVm::in_process`](vm::local::LocalVm::in_process) |
//! | make a program a worker | [`worker::init`] |
//! | understand who decides what | [`kernel`]: pure, no clock, no sockets; [`runtime`]: the only place where it meets the world |
//! | understand what goes over a channel | [`wire`] |
//!
//! Hosts that are reached by ssh are the crate `cos-ssh-vm`; the command `cos` is `cos-cli`. Neither is needed here, and
//! neither a terminal nor ssh is known in this crate.

// Generated code says `::cos_core`, also in this crate's own unit tests.
#[cfg(test)]
extern crate self as cos_core;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod clock;
pub mod dispatch;
pub mod encoding;
mod error;
pub mod escape;
pub mod event;
pub mod ids;
pub mod job;
pub mod kernel;
mod panics;
pub mod registry;
pub mod runtime;
mod task_lines;
pub mod time;
pub mod vm;
pub mod wire;
pub mod worker;

pub use cos_macros::{main, task};
pub use cos_storage::{AbstractPath, to_abstract_path, to_actual_path};
pub use dispatch::{
    Dispatch, DispatchError, DispatchStream, Done, Flow, dispatch, dispatch_single, dispatch_stream,
};
pub use error::{Error, Result};
pub use job::{Job, TaskError};
pub use runtime::{
    NoOs, Os, OsError, OsHandle, SetVmError, SpawnError, TaskHandle, TaskInfo, TaskSet, TaskStatus,
    Value, ValueError, blocking, finalize, finished_tasks, free_slots, join, join_checked,
    local_task_count, remote_task_count, set_vm, slots, spawn, spawner_call, spawner_notify,
    task_count, task_info, tid, try_join, yield_now,
};

pub use task_lines::task_lines;

/// The programs of the README, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The program of the guide for those who come from PyOPUS.
#[cfg(doctest)]
#[doc = include_str!("../../docs/from-pyopus.md")]
struct FromPyopus;
