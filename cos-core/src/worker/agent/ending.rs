//! How an agent ends.

use std::time::Duration;

use super::session::SessionError;
use super::turn::{Agent, Phase};
use super::work::Work;
use crate::job::Exit;
use crate::wire::message::FromAgent;
use crate::worker::calls::reap_all;
use crate::worker::containment::{self, Scope};

/// How long processes may resist (5 s): one in an uninterruptible wait does.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long a client may take to read the last words (2 s).
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// Why an agent ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client asked for it.
    Shutdown,
    /// The host's administrator asked for it.
    Signal(i32),
    /// The client was not heard for a whole lease.
    Silent(Duration),
    /// The session is over.
    Session(SessionError),
}

impl From<SessionError> for End {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl Agent {
    /// Kills everything, removes everything, says goodbye where somebody listens. An error is worth a line of the bridge.
    pub(super) async fn finish(mut self, end: End) -> Result<(), String> {
        if let End::Signal(signal) = end {
            self.session.say(FromAgent::Leaving { signal }, &[]);
        }
        let left = self.clean_up();
        match end {
            End::Shutdown | End::Signal(_) => {
                self.session.say(FromAgent::Bye { left }, &[]);
                self.flush().await;
                match end {
                    End::Signal(signal) => Err(format!("ended by {}", Exit::Signal(signal))),
                    _ => Ok(()),
                }
            }
            // The hello, which names this worker's version, is what the client needs to read.
            End::Session(error @ SessionError::Version { .. }) => {
                self.flush().await;
                Err(error.to_string())
            }
            End::Session(SessionError::Ended) => Ok(()),
            End::Session(error) => Err(error.to_string()),
            End::Silent(silent_for) => Err(format!(
                "the client was silent for {} s; its lease has ended",
                silent_for.as_secs()
            )),
        }
    }

    /// Leaves nothing, or says what is left.
    fn clean_up(&mut self) -> Vec<String> {
        let phase = std::mem::replace(&mut self.phase, Phase::Unprepared);
        let killed = containment::kill(Scope::All, &mut || reap_all(&mut |_| {}), KILL_LIMIT);
        let survivors = killed.survivors.iter();
        let mut left: Vec<String> = survivors.map(|pid| format!("process {pid}")).collect();
        let directories = match phase {
            Phase::Unprepared => None,
            // A thread is making directories at this moment: the guardian sees to them.
            Phase::Locating(_) => return left,
            Phase::SettingUp(prepared, _) => Some(prepared.directories),
            Phase::Working(work) | Phase::Closing(work, _) => {
                let Work {
                    prepared, staging, ..
                } = *work;
                staging.finish();
                Some(prepared.directories)
            }
        };
        if let Some(scratch) = directories.and_then(|it| it.scratch) {
            let removal = scratch.remove();
            if !removal.is_complete() {
                left.push(removal.to_string());
            }
        }
        if let Err(error) = self.place.remove() {
            left.push(format!("{}: {error}", self.place.path().display()));
        }
        left
    }

    /// Writes what waits, for a while.
    async fn flush(&mut self) {
        let written = std::future::poll_fn(|context| self.session.poll_write(context));
        // A client that does not read its last words is not waited for.
        let _ = tokio::time::timeout(LAST_WORDS_LIMIT, written).await;
    }
}
