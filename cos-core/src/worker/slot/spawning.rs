//! Turns a job into a process.

use std::ffi::{CString, NulError};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use signal_hook::consts::SIGCHLD;

use super::beginning::NOTED;
use super::environment::Environment;
use super::protocol::{Configuration, Order};
use crate::job::{CommandJob, Exit, LinePart, Program};
use crate::worker::vfork::{Image, Spawner};

/// Signals that a slot handles.
const HANDLED: [i32; 4] = [SIGCHLD, NOTED[0], NOTED[1], NOTED[2]];

/// Where a program is looked for when there is no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A process that was started.
#[derive(Debug)]
pub(super) struct Spawned {
    pub(super) pid: i32,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

/// A process that could not be started.
#[derive(Debug)]
pub(super) enum SpawnError {
    /// The job is to blame: it names what is not there or cannot be executed. It ends as a shell would end it.
    Job { exit: Exit, words: String },
    /// The host is to blame.
    Host { cause: String },
}

/// Starts the commands of one slot.
pub(super) struct Commands {
    configuration: Box<Configuration>,
    environment: Environment,
    spawner: Spawner,
}

impl Commands {
    /// Commands with the environment of this process.
    pub(super) fn new(configuration: Box<Configuration>) -> io::Result<Self> {
        Ok(Self {
            environment: Environment::new(std::env::vars_os(), &configuration)?,
            configuration,
            spawner: Spawner::new(&HANDLED),
        })
    }

    /// What is the same for all of them.
    pub(super) fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Starts a job. Its standard input is this process's own, `/dev/null`, and so are directory and niceness.
    pub(super) fn spawn(&mut self, order: &Order) -> Result<Spawned, SpawnError> {
        self.start(order).map_err(|error| {
            let name = match &order.job.program {
                Program::Shell(_) => &self.configuration.shell[..],
                Program::Argv(words) => words.first().map_or(&b""[..], |name| name),
            };
            blame(&order.job, &String::from_utf8_lossy(name), &error)
        })
    }

    fn start(&mut self, order: &Order) -> io::Result<Spawned> {
        let Configuration { shell, slot, .. } = &*self.configuration;
        let environment = self.environment.of_command(order)?;
        let (programs, arguments) = match &order.job.program {
            Program::Shell(parts) => {
                let shell = CString::new(&shell[..])?;
                let option = CString::from(c"-c");
                let line = CString::new(line(parts, *slot))?;
                (vec![shell.clone()], vec![shell, option, line])
            }
            Program::Argv(words) => {
                let name = words.first().map_or(&b""[..], |name| name);
                let programs = candidates(name, environment.value(b"PATH"))?;
                let words = words.iter().map(|word| CString::new(&word[..]));
                (programs, words.collect::<Result<_, _>>()?)
            }
        };
        let (stdout, stdout_writer) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        let pid = self.spawner.spawn(&Image {
            programs: &programs,
            arguments: &arguments,
            environment: &environment.strings(),
            stdout: stdout_writer.as_fd(),
            stderr: stderr_writer.as_fd(),
        })?;
        Ok(Spawned {
            pid,
            stdout: stdout.into(),
            stderr: stderr.into(),
        })
    }
}

/// Where a program of this name may lie. The job's own `PATH` counts, as for a shell.
fn candidates(name: &[u8], path: Option<&[u8]>) -> Result<Vec<CString>, NulError> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.contains(&b'/') {
        return Ok(vec![CString::new(name)?]);
    }
    let directories = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
    let in_directory = |directory: &[u8]| match directory {
        // The one where the command starts.
        b"" => CString::new(name),
        _ => CString::new([directory, b"/", name].concat()),
    };
    directories.map(in_directory).collect()
}

fn line(parts: &[LinePart], slot: u32) -> Vec<u8> {
    let mut line = Vec::new();
    for part in parts {
        match part {
            LinePart::Text(text) => line.extend_from_slice(text),
            LinePart::Slot => line.extend_from_slice(slot.to_string().as_bytes()),
        }
    }
    line
}

/// Whose fault it is that a process could not be started, in the terms of a shell.
fn blame(job: &CommandJob, name: &str, error: &io::Error) -> SpawnError {
    let by_shell = matches!(job.program, Program::Shell(_));
    let exit = match error.kind() {
        io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => Some(Exit::TOO_LONG),
        io::ErrorKind::NotFound if !by_shell => Some(Exit::NOT_FOUND),
        io::ErrorKind::NotADirectory if !by_shell => Some(Exit::NOT_FOUND),
        io::ErrorKind::PermissionDenied if !by_shell => Some(Exit::NOT_EXECUTABLE),
        _ if error.raw_os_error() == Some(libc::ENOEXEC) && !by_shell => Some(Exit::NOT_EXECUTABLE),
        _ => None,
    };
    match exit {
        Some(exit) => SpawnError::Job {
            exit,
            words: format!("cos: {name}: {error}\n"),
        },
        None => SpawnError::Host {
            cause: format!("{name}: {error}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_fills_the_holes_of_a_line() {
        let text = |text: &[u8]| LinePart::Text(text.to_vec());
        let parts = [text(b"echo "), LinePart::Slot, text(b" \xff")];
        assert_eq!(line(&parts, 12), b"echo 12 \xff");
    }

    #[test]
    fn a_program_is_looked_for_where_a_shell_would() {
        let found = |name: &[u8], path| candidates(name, path).unwrap();
        let both = [c"/a/ls".to_owned(), c"/b c/ls".to_owned()];
        assert_eq!(found(b"ls", Some(b"/a:/b c")), both);
        let here_first = [c"ls".to_owned(), c"/a/ls".to_owned()];
        assert_eq!(found(b"ls", Some(b":/a")), here_first);
        let usual = [c"/bin/ls".to_owned(), c"/usr/bin/ls".to_owned()];
        assert_eq!(found(b"ls", None), usual);
        assert_eq!(found(b"./ls", Some(b"/a")), [c"./ls".to_owned()]);
        assert!(found(b"", Some(b"/a")).is_empty());
    }
}
