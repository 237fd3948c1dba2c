//! Kernel, runtime, dispatch, virtual machines, wire protocol and worker of COS, a cooperative multitasking OS
//! with task outsourcing.

pub mod clock;
pub mod dispatch;
pub mod encoding;
pub mod event;
pub mod ids;
pub mod job;
pub mod kernel;
pub mod runtime;
pub mod time;
pub mod vm;
pub mod wire;
pub mod worker;

pub use dispatch::{
    Dispatch, DispatchError, DispatchStream, Done, Flow, dispatch, dispatch_stream,
};
pub use runtime::{NoOs, Os, free_slots, slots};
