//! hosts.toml, SSH sessions, worker deployment and the SSH virtual machine of COS.

pub mod deploy;
pub mod inventory;
pub mod launcher;
pub mod session;
pub mod ssh;
