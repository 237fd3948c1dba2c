//! The one channel of a connection: a command on the host, with its three streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openssh::{ChildStdin, ChildStdout, Session, Stdio};

use super::last_words::LastWords;
use super::master::Master;
use crate::ssh::{Diagnosis, Ending, SshFailure, diagnose};

/// How long a master may take to end when its connection is lost (1 s); it says why before it does.
const MASTER_END: Duration = Duration::from_secs(1);

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// With this status.
    Status(i32),
    /// Nobody could tell: the connection was lost, or a signal killed it.
    Unknown,
}

/// A command that runs on a host, and the connection that it runs through. Dropping it closes both.
pub(crate) struct Channel {
    exit: Exiting,
    words: LastWords,
    master: Master,
}

enum Exiting {
    Running(Pin<Box<dyn Future<Output = Exit> + Send>>),
    Over(Exit),
}

/// A running command and its standard streams.
pub(crate) struct Streams {
    pub(crate) channel: Channel,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
}

impl Channel {
    /// Runs `command` on the host of `master`.
    ///
    /// # Errors
    ///
    /// When sshd opens no channel, or the connection has ended.
    pub(crate) async fn open(mut master: Master, command: &str) -> Result<Streams, Diagnosis> {
        let session = Arc::new(Session::resume_mux(master.socket().into(), None));
        let spawned = session
            .arc_raw_command(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await;
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return Err(not_opened(&mut master, &chain(&error))),
        };
        let streams = (
            child.stdin().take(),
            child.stdout().take(),
            child.stderr().take(),
        );
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(not_opened(&mut master, "the channel has no streams"));
        };
        let exit = Box::pin(async move {
            match child.wait().await {
                Ok(status) => status.code().map_or(Exit::Unknown, Exit::Status),
                // The crate's own reading of status 127.
                Err(openssh::Error::Remote(_)) => Exit::Status(127),
                Err(_) => Exit::Unknown,
            }
        });
        Ok(Streams {
            channel: Self {
                exit: Exiting::Running(exit),
                words: LastWords::of(stderr),
                master,
            },
            stdin,
            stdout,
        })
    }

    /// Waits until the command or the connection has ended. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Exit {
        match &mut self.exit {
            Exiting::Over(exit) => *exit,
            Exiting::Running(running) => {
                let exit = running.as_mut().await;
                self.exit = Exiting::Over(exit);
                exit
            }
        }
    }

    /// Whether the connection is up, whatever has become of the command.
    pub(crate) fn is_connected(&mut self) -> bool {
        self.master.is_up()
    }

    /// Waits until the command or the connection has ended, and says why in the words of the one or the other.
    /// Cancel safe.
    pub(crate) async fn last_words(&mut self) -> String {
        let exit = self.ended().await;
        let mut words = text(&self.words.all().await);
        if exit == Exit::Unknown {
            // The connection is on its way down, or a signal ended the command alone.
            let connection = tokio::time::timeout(MASTER_END, self.master.ended()).await;
            let connection = connection.unwrap_or_else(|_| text(&self.master.words()));
            words = format!("{words}\n{connection}").trim().to_owned();
        }
        words
    }
}

fn text(words: &[u8]) -> String {
    String::from_utf8_lossy(words).trim().to_owned()
}

/// The crate's messages have their reason in the source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn not_opened(master: &mut Master, why: &str) -> Diagnosis {
    let mut words = master.words();
    words.extend_from_slice(b"\n");
    words.extend_from_slice(why.as_bytes());
    let diagnosis = diagnose(Ending::Exited(255), &words);
    match master.is_up() {
        // The same words would mean another thing before the login.
        true => Diagnosis {
            failure: SshFailure::SessionRefused,
            on_the_way: false,
            ..diagnosis
        },
        false => diagnosis,
    }
}
