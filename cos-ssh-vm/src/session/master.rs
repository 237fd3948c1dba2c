//! The multiplexing master: the one ssh process that holds a host's connection.
//!
//! It is a child of this process, in the foreground (`-N`, no `-f`): nothing of it survives us, its standard error is
//! ours to read, and its end is an event. A session of its own keeps Ctrl-C from it and its questions from the
//! terminal.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::{Instant, MissedTickBehavior};

use super::control::ControlDirectory;
use super::last_words::LastWords;
use crate::inventory::{HostKeys, HostName};
use crate::ssh::Diagnosis;
use crate::ssh::{Ending, diagnose};

/// How often the control socket is looked for. ssh makes it, complete and under its final name, when the login has
/// succeeded, and announces it in no other way that all its versions have and no configuration changes.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The time for a login as a multiple of the connection's: ssh itself watches over connection and key exchange, and
/// only a login that takes long (a slow directory service, a key to be touched) comes here.
const LOGIN_FACTOR: u32 = 3;

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Its name for ssh.
    pub host: HostName,
    /// The ssh_config that is used instead of the user's own.
    pub ssh_config: Option<PathBuf>,
    /// Which host keys are accepted.
    pub host_keys: HostKeys,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// After how long a silence the connection is given up.
    pub silence: Duration,
}

impl Reach {
    /// ssh's arguments for a master with its control socket at `socket`.
    ///
    /// Nothing that the user's configuration says about how to get to the host is changed: user, port, keys, jump
    /// hosts, known hosts. What could make the master more than a connection is switched off, and host keys are
    /// never checked less strictly than `host_keys` says.
    pub fn arguments(&self, socket: &Path) -> Vec<OsString> {
        let seconds = |duration: Duration| duration.as_millis().div_ceil(1000).max(1);
        // Four unanswered questions make a silence.
        let alive_interval = seconds(self.silence / 4);
        let strict = match self.host_keys {
            HostKeys::Known => "yes",
            HostKeys::AcceptNew => "accept-new",
        };
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(file) = &self.ssh_config {
            arguments.extend(["-F".into(), file.into()]);
        }
        arguments.extend(["-M", "-N", "-T", "-S"].map(OsString::from));
        arguments.push(socket.into());
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={}", seconds(self.connect_timeout)),
            format!("StrictHostKeyChecking={strict}"),
            format!("ServerAliveInterval={alive_interval}"),
            "ServerAliveCountMax=4".to_owned(),
            "ControlPersist=no".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ForwardX11=no".to_owned(),
            "PermitLocalCommand=no".to_owned(),
            "RemoteCommand=none".to_owned(),
            // What is said at QUIET would not be enough to tell one failure from another.
            "LogLevel=INFO".to_owned(),
        ] {
            arguments.extend(["-o".into(), option.into()]);
        }
        arguments.extend(["--".into(), self.host.as_str().into()]);
        arguments
    }
}

/// A connection that is up. Dropping it closes it at once.
#[derive(Debug)]
pub(crate) struct Master {
    child: Child,
    words: LastWords,
    socket: PathBuf,
    /// The socket's directory lives as long as the master.
    _control: Arc<ControlDirectory>,
}

impl Master {
    /// Connects and logs in. Dropping the future leaves no process behind.
    ///
    /// The master ends with the thread that calls this first; it must be one that lives as long as it is needed.
    ///
    /// # Errors
    ///
    /// ssh's reasons, in its own words.
    pub(crate) async fn connect(
        reach: &Reach,
        control: Arc<ControlDirectory>,
    ) -> Result<Self, Diagnosis> {
        let mut master = Self::start(reach, control).map_err(|error| not_started(&error))?;
        let limit = reach.connect_timeout * LOGIN_FACTOR;
        let deadline = Instant::now() + limit;
        let mut looks = tokio::time::interval(LOOK_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = master.child.wait() => {
                    let ending = status.map_or(Ending::Exited(255), ending_of);
                    return Err(diagnose(ending, &master.words.all().await));
                }
                _ = looks.tick() => {
                    if master.socket.exists() {
                        return Ok(master);
                    }
                    if Instant::now() >= deadline {
                        return Err(login_took_too_long(limit, &master.words.so_far()));
                    }
                }
            }
        }
    }

    fn start(reach: &Reach, control: Arc<ControlDirectory>) -> io::Result<Self> {
        let socket = control.socket();
        let mut command = Command::new("ssh");
        command
            .args(reach.arguments(&socket))
            // An ssh to a jump host does not inherit BatchMode; without a terminal it would open a window.
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only system calls are made, which are async-signal-safe, and no memory is
        // allocated.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
                // A parent that ended before the line above is not noticed by it.
                match rustix::process::getppid() == Some(parent) {
                    true => Ok(()),
                    false => Err(io::ErrorKind::BrokenPipe.into()),
                }
            });
        }
        tracing::debug!(target: "cos::vm", command = ?command.as_std(), "starting ssh");
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self {
            child,
            words: LastWords::of(stderr),
            socket,
            _control: control,
        })
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whether the connection has not ended.
    pub(crate) fn is_up(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until the connection has ended and says why. Cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        // A master that was waited for before has its status kept; no other error is possible.
        let _ = self.child.wait().await;
        String::from_utf8_lossy(&self.words.all().await)
            .trim()
            .to_owned()
    }

    /// What ssh has said until now.
    pub(crate) fn words(&self) -> Vec<u8> {
        self.words.so_far()
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // Its whole session, since a ProxyCommand may go on without it. An id is only there while it has not been
        // waited for, so it cannot be another process's.
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn not_started(error: &io::Error) -> Diagnosis {
    if error.kind() == io::ErrorKind::NotFound {
        return diagnose(Ending::NotFound, b"");
    }
    diagnose(
        Ending::Exited(255),
        format!("ssh cannot be started: {error}").as_bytes(),
    )
}

/// ssh says nothing about a login that takes long, and that is not the time it has for the connection.
fn login_took_too_long(limit: Duration, words: &[u8]) -> Diagnosis {
    let mut diagnosis = diagnose(Ending::TimedOut(limit), words);
    if diagnosis.cause.is_empty() {
        let seconds = limit.as_secs();
        diagnosis.cause = format!("connected, but the login was not through after {seconds} s");
    }
    diagnosis
}

fn ending_of(status: ExitStatus) -> Ending {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Killed(signal.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arguments(host_keys: HostKeys, ssh_config: Option<&str>) -> Vec<String> {
        let reach = Reach {
            host: HostName::parse("ana@ws01").unwrap(),
            ssh_config: ssh_config.map(PathBuf::from),
            host_keys,
            connect_timeout: Duration::from_millis(2500),
            silence: Duration::from_secs(60),
        };
        let arguments = reach.arguments(Path::new("/run/x/0"));
        let words = arguments.into_iter().map(|word| word.into_string());
        words.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn the_host_comes_last_and_cannot_be_an_option() {
        let words = arguments(HostKeys::Known, Some("-odd file"));
        assert_eq!(words[..2], ["-F", "-odd file"]);
        assert_eq!(words[words.len() - 2..], ["--", "ana@ws01"]);
        assert!(!words.contains(&"-f".to_owned()));
    }

    #[test]
    fn host_keys_are_checked_as_strictly_as_was_said() {
        let has = |words: Vec<String>, option: &str| words.contains(&option.to_owned());
        let known = arguments(HostKeys::Known, None);
        assert!(has(known, "StrictHostKeyChecking=yes"));
        let new = arguments(HostKeys::AcceptNew, None);
        assert!(has(new, "StrictHostKeyChecking=accept-new"));
    }

    #[test]
    fn times_are_whole_seconds_and_never_none() {
        let words = arguments(HostKeys::Known, None);
        assert!(words.contains(&"ConnectTimeout=3".to_owned()));
        assert!(words.contains(&"ServerAliveInterval=15".to_owned()));
    }

    proptest! {
        #[test]
        fn whatever_is_a_host_name_is_one_argument_behind_the_options(text in "-?[ -~\n\0]{0,20}") {
            let Ok(host) = HostName::parse(&text) else { return Ok(()) };
            let reach = Reach {
                host,
                ssh_config: None,
                host_keys: HostKeys::Known,
                connect_timeout: Duration::from_secs(10),
                silence: Duration::from_secs(60),
            };
            let arguments = reach.arguments(Path::new("/run/x/0"));
            let behind: Vec<_> = arguments.iter().skip_while(|word| *word != "--").collect();
            prop_assert_eq!(behind, ["--", text.as_str()]);
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@:%/[]".contains(c);
            prop_assert!(text.chars().all(plain) && !text.starts_with('-'));
        }
    }
}
