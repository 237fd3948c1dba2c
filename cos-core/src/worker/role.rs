//! The roles a worker executable can take, and how they are written on a command line.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use super::{agent, bridge, call_slot, guardian, slot};
use crate::wire::PROTOCOL_VERSION;

/// What the first argument of a worker process begins with.
const ARGUMENT: &str = "--cos-worker=";

/// The exit status of a worker whose arguments make no sense.
const USAGE: i32 = 2;

/// The arguments that make a worker executable a bridge to a new agent.
///
/// `nonce` is the word before the first frame, `run` the run's id (at most 32 letters, digits and hyphens) and `host`
/// the host's name. The bridge's standard input and output become the agent's channel; what goes wrong is told on its
/// standard error.
pub fn bridge_arguments(nonce: &str, run: &str, host: &str) -> [String; 4] {
    [
        format!("{ARGUMENT}bridge"),
        nonce.to_owned(),
        run.to_owned(),
        host.to_owned(),
    ]
}

/// What this process is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    Bridge {
        nonce: String,
        run: String,
        host: String,
    },
    Guardian {
        place: PathBuf,
    },
    Agent {
        place: PathBuf,
    },
    Slot,
    CallSlot,
    /// Writes its environment to a file: the last act of a setup script.
    Environment {
        file: PathBuf,
        status: String,
    },
    /// Tells what the executable is.
    Version,
    /// Does nothing: shows that the executable can be executed where it lies.
    Trial,
    Unknown,
}

impl Role {
    /// The role of this process; `None` when it is no worker.
    pub(super) fn of_this_process() -> Option<Self> {
        Self::parse(std::env::args_os().skip(1))
    }

    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let first = arguments.next()?;
        let name = first.as_bytes().strip_prefix(ARGUMENT.as_bytes())?;
        let rest: Vec<OsString> = arguments.collect();
        let text = |at: usize| rest.get(at).map(|word| word.to_string_lossy().into_owned());
        let path = |at: usize| rest.get(at).map(PathBuf::from);
        let role = match name {
            b"bridge" => (|| {
                Some(Self::Bridge {
                    nonce: text(0)?,
                    run: text(1)?,
                    host: text(2)?,
                })
            })(),
            b"guardian" => path(0).map(|place| Self::Guardian { place }),
            b"agent" => path(0).map(|place| Self::Agent { place }),
            b"slot" => Some(Self::Slot),
            b"call-slot" => Some(Self::CallSlot),
            b"environment" => path(0)
                .zip(text(1))
                .map(|(file, status)| Self::Environment { file, status }),
            b"version" => Some(Self::Version),
            b"trial" => Some(Self::Trial),
            _ => None,
        };
        Some(role.unwrap_or(Self::Unknown))
    }

    /// Plays the role and gives the exit status.
    pub(super) fn run(self) -> i32 {
        match self {
            Self::Bridge { nonce, run, host } => bridge::run(&nonce, &run, &host),
            Self::Guardian { place } => guardian::run(&place),
            Self::Agent { place } => agent::run(&place),
            Self::Slot => slot::run(),
            Self::CallSlot => call_slot::run(),
            Self::Environment { file, status } => agent::write_environment(&file, &status),
            Self::Version => {
                let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
                let release = env!("CARGO_PKG_VERSION");
                let line =
                    format!("cos-worker {release} protocol {PROTOCOL_VERSION} {arch}-{os}\n");
                match std::io::stdout().write_all(line.as_bytes()) {
                    Ok(()) => 0,
                    Err(_) => 1,
                }
            }
            Self::Trial => 0,
            Self::Unknown => {
                complain("unknown worker role; workers are started by COS itself");
                USAGE
            }
        }
    }
}

/// A command that runs this executable in another role.
///
/// `/proc/self/exe` is the file that this process was started from, even when it has been replaced or removed since.
pub(super) fn command(role: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("cos-worker");
    command.arg(format!("{ARGUMENT}{role}")).args(arguments);
    command
}

/// Writes one line to standard error, which the client shows as the transport's own words.
pub(super) fn complain(message: &str) {
    // Nobody is there to be told when this fails.
    let _ = std::io::stderr().write_all(format!("cos-worker: {message}\n").as_bytes());
}

/// Gives this process a name of its own in `ps` and `top`; the kernel would call it `exe`.
pub(super) fn name_process(name: &std::ffi::CStr) {
    // A name is a convenience.
    let _ = rustix::thread::set_name(name);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Option<Role> {
        Role::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn only_the_first_argument_makes_a_worker() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&["run", "--cos-worker=trial"]), None);
        assert_eq!(parse(&["--cos-worker=trial"]), Some(Role::Trial));
        assert_eq!(parse(&["--cos-worker=nonsense"]), Some(Role::Unknown));
        assert_eq!(parse(&["--cos-worker=bridge", "n"]), Some(Role::Unknown));
    }

    #[test]
    fn a_bridge_reads_what_a_launcher_writes() {
        let words = bridge_arguments("n0nce", "7kq2", "ws03");
        let role = Role::parse(words.iter().map(OsString::from));
        assert_eq!(
            role,
            Some(Role::Bridge {
                nonce: "n0nce".to_owned(),
                run: "7kq2".to_owned(),
                host: "ws03".to_owned()
            })
        );
    }
}
