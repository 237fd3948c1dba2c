//! Private sshd hosts on loopback and a seeded fault proxy, for tests.
//!
//! A [`Lab`] is a client with a home, a key and an `ssh_config` of its own, and the hosts that this
//! `ssh_config` names. A [`TestHost`] is a real sshd on a port of 127.0.0.1 with its own home
//! directory, scratch, login shell, environment, host key and sshd options; it needs no root (and
//! with root it can have mounts of its own), and it is up in some 20 milliseconds.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use cos_testlab::{Breakage, FaultPlan, Lab, Shell};
//!
//! let lab = Lab::new()?;
//! let fish = lab.host("ws01").shell(Shell::Fish).noisy().start()?;
//! let slow = lab.host("ws02").start()?;
//! let line = slow.through(FaultPlan::new().latency(Duration::from_millis(150)))?;
//! let dark = lab.broken_host("ws03", Breakage::Unreachable)?;
//!
//! let hosts_file = lab.client_home().join("hosts.toml");
//! lab.write_hosts_toml(&hosts_file)?;
//! let status = lab.command("cos").args(["run", "--hosts"]).arg(&hosts_file).arg("true").status()?;
//! assert!(status.success());
//! assert_eq!((fish.connections(), fish.sessions()), (1, 1));
//!
//! line.stall(); // the network is gone ...
//! line.resume(); // ... and back
//! slow.kill()?; // as when the machine dies
//! fish.wait_for_no_processes(Duration::from_secs(10))?; // nothing was left behind
//! # drop(dark);
//! # Ok(())
//! # }
//! ```
//!
//! # Faults
//!
//! | in a real lab | here |
//! |---|---|
//! | no answer; no route; sshd is off; no such name | [`Lab::broken_host`] |
//! | login refused; host key changed or unknown | [`HostBuilder::refuse_login`], [`HostBuilder::changed_host_key`], [`HostBuilder::unknown_host_key`] |
//! | MaxStartups, MaxSessions | [`HostBuilder::max_startups`] with [`TestHost::occupy_startups`], [`FaultPlan::close_first`]; [`HostBuilder::max_sessions`] |
//! | rc files that print; shells that are not POSIX | [`HostBuilder::noisy`], [`HostBuilder::shell`] |
//! | one NFS home; a tool that is missing on one host | [`HostBuilder::home`], [`HostBuilder::path_prefix`] |
//! | noexec, read-only or full directories; the same name for another directory | [`HostBuilder::mount`] |
//! | a machine that dies; sshd restarted | [`TestHost::kill`]; [`TestHost::stop_sshd`], [`TestHost::drop_connections`], [`TestHost::start_sshd`] |
//! | a bad network | [`TestHost::through`] a [`FaultProxy`] |
//!
//! # Limits
//!
//! Hosts share this machine: its kernel, user accounts, `/tmp`, `/var/tmp`, load and clock. The
//! account's real home is seen by programs that ask the user database instead of `$HOME`. sshd's
//! `StrictModes` is off, since the lab's directory is below `/tmp`. Without root, a daemon that has
//! lost every living ancestor, has cleared its environment and runs no program of the host's own
//! directory is not seen as the host's.
//!
//! The command `cos-testlab up 5` starts such a lab for a person to try things on.

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
mod worker;

pub use broken::{Breakage, BrokenHost};
pub use error::LabError;
pub use host::{
    HOST_VARIABLE, HostBuilder, HostProcess, Mount, NOISE, OccupiedStartups, Place, Shell, TestHost,
};
pub use lab::{Lab, LabBuilder};
pub use relay::{Fault, FaultPlan, FaultProxy, Toward};
pub use worker::{this_target, worker_executable};
