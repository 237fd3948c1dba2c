//! hosts.toml, SSH sessions, worker deployment and the SSH virtual machine of COS.
//!
//! ```text
//! inventory   which hosts there are: hosts.toml, --sshlogin, this machine
//! session     one ssh master for each host, one channel through it
//! ssh         what ssh's words mean, and what a user can do
//! deploy      the worker's way to a host: script, conversation, workers for targets
//! launcher    session and deploy together: a byte stream to an agent
//! SshVm       the hosts of an inventory as one virtual machine
//! doctor      everything that a start tells about each host
//! ```
//!
//! A program that embeds COS says [`SshVm::discover`], and has the hosts that `cos run` would have. What it wants otherwise,
//! it says to [`SshVm::builder`]:
//!
//! ```no_run
//! use cos_ssh_vm::inventory::Inventory;
//! use cos_ssh_vm::SshVm;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = "[[host]]\nname = \"ws[01-12]\"\nslots = 4\n";
//! let inventory = Inventory::from_text(text, "hosts.toml".as_ref()).map_err(|report| report.to_string())?;
//! let machine = SshVm::builder()
//!     .inventory(inventory)
//!     .worker("aarch64-unknown-linux-musl", "workers/aarch64")
//!     .start()?;
//! # drop(machine);
//! # Ok(())
//! # }
//! ```

pub mod cleaning;
pub mod deploy;
pub mod doctor;
pub mod inventory;
pub mod launcher;
pub mod session;
pub mod ssh;
mod ssh_vm;

pub use ssh_vm::{Mirrors, SshVm, SshVmBuilder, SshVmError, StartDirectory};
