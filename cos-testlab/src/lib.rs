//! Private sshd hosts on loopback and a seeded fault proxy, for tests.
//!
//! ```no_run
//! # fn main() -> Result<(), cos_testlab::LabError> {
//! use cos_testlab::{Lab, Shell};
//!
//! let lab = Lab::new()?;
//! let host = lab.host("ws01").shell(Shell::Fish).noisy().start()?;
//! let output = lab.ssh().args(["ws01", "echo hello"]).output();
//! assert_eq!(host.connections(), 1);
//! host.kill()?;
//! assert!(host.processes().is_empty());
//! # drop(output);
//! # Ok(())
//! # }
//! ```

mod broken;
mod client;
mod error;
mod host;
mod inventory;
mod janitor;
mod keys;
mod lab;
mod loopback;
mod programs;
mod quoting;
mod relay;

pub use broken::{Breakage, BrokenHost};
pub use error::LabError;
pub use host::{
    HOST_VARIABLE, HostBuilder, HostProcess, Mount, NOISE, OccupiedStartups, Place, Shell, TestHost,
};
pub use lab::{Lab, LabBuilder};
pub use relay::{Fault, FaultPlan, FaultProxy, Toward};
