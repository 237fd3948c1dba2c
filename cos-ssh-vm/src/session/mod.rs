//! Connections: one ssh master for each host, and one channel through it.
//!
//! The `openssh` crate speaks the multiplexing protocol; its own master is a daemon that outlives a killed client, so
//! the master is started here instead.

mod admission;
mod channel;
mod control;
mod last_words;
mod master;

pub use self::admission::Admission;
pub(crate) use self::channel::{Channel, Streams};
pub use self::control::ControlDirectory;
pub(crate) use self::master::Master;
pub use self::master::Reach;
