//! hosts.toml, SSH sessions, worker deployment and the SSH virtual machine of COS.

pub mod deploy;
pub mod doctor;
pub mod inventory;
pub mod launcher;
pub mod session;
pub mod ssh;
mod ssh_vm;

pub use ssh_vm::{Mirrors, SshVm, SshVmBuilder, SshVmError, StartDirectory};
