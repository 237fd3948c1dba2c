//! The fault proxy: a relay on loopback between a client and a host that can be told to misbehave.
//!
//! One thread per proxy polls all its sockets. It holds the lock on the proxy's state for a whole
//! turn, so whatever a handle's method changes holds for every byte that is forwarded after it.

mod connection;
mod event_loop;
mod lane;
mod plan;
mod proxy;

pub use plan::{Fault, FaultPlan, Toward};
pub use proxy::FaultProxy;
