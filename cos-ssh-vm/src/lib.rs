//! hosts.toml, SSH sessions, worker deployment and the SSH virtual machine of COS.

pub mod inventory;
pub mod ssh;
