//! What a session does about files.

use bytes::Bytes;

use super::{Break, Phase, Session, protocol};
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit, Stream};
use crate::vm::VmEvent;
use crate::vm::agent::staging::{Effect, Held};
use crate::vm::host::HostNote;
use crate::wire::frame::FrameError;
use crate::wire::message::ToAgent;
use crate::wire::staging::{FromStaging, StageRequest, ToStaging};

impl Session<'_> {
    /// Whether commands start in the client's own directory there.
    pub(super) fn shares_directory(&self) -> bool {
        let Phase::Up {
            shares_directory, ..
        } = self.phase
        else {
            return false;
        };
        shares_directory
    }

    /// Does what has to be done about files now.
    pub(super) fn stage(&mut self) -> Result<(), Break> {
        loop {
            let unwritten = self.out.len() - self.written;
            self.staging.send_more(unwritten);
            let Some(effect) = self.staging.next_effect() else {
                return Ok(());
            };
            let host = self.host;
            match effect {
                Effect::Say(message, payload) => {
                    self.link
                        .push(ToAgent::Staging(message), &payload, &mut self.out)
                        .map_err(protocol)?;
                }
                Effect::Start(held, request) => self.announce(held, request)?,
                Effect::Failed { attempt, cause } => {
                    self.not_executed(attempt, Exit::NOT_STAGED, format!("cos: {cause}\n"));
                }
                Effect::Ended {
                    attempt,
                    result,
                    problems,
                } => self.settled(attempt, result, &problems),
                Effect::Sent { path, bytes } => {
                    let note = HostNote::Sent { path, bytes };
                    self.emit(VmEvent::Note { host, note });
                }
            }
        }
    }

    /// Tells the agent of an attempt's files, and then of the attempt.
    fn announce(&mut self, held: Held, request: Box<StageRequest>) -> Result<(), Break> {
        let attempt = held.attempt;
        let stage = ToAgent::Staging(ToStaging::Stage { attempt, request });
        match self.link.push(stage, &[], &mut self.out) {
            Ok(()) => self.start(held),
            Err(FrameError::TooLong { .. }) => {
                self.staging.returned(attempt);
                let words = "cos: more files than can be staged for one job\n".to_owned();
                self.not_executed(attempt, Exit::NOT_STAGED, words);
                Ok(())
            }
            Err(error) => Err(protocol(error)),
        }
    }

    /// An attempt has ended, and what it gave back is in place, but for what `problems` tell.
    fn settled(&mut self, attempt: AttemptId, result: AttemptResult, problems: &[String]) {
        let host = self.host;
        let words: String = problems.iter().map(|it| format!("cos: {it}\n")).collect();
        let result = match result {
            AttemptResult::Command(mut end) if !problems.is_empty() => {
                note_problems(&mut end, words.len() as u64);
                AttemptResult::Command(end)
            }
            result => result,
        };
        if !words.is_empty() {
            self.emit(VmEvent::Output {
                host,
                attempt,
                stream: Stream::Stderr,
                bytes: words.into(),
            });
        }
        self.emit(VmEvent::Ended {
            host,
            attempt,
            result,
        });
    }

    /// Acts on what the agent says of files.
    pub(super) fn hear_staging(
        &mut self,
        message: FromStaging,
        payload: &Bytes,
    ) -> Result<(), Break> {
        let staging = &mut self.staging;
        let said = match message {
            FromStaging::Want { digest, offset } => {
                staging.wanted(digest, offset);
                Ok(())
            }
            FromStaging::Credit { bytes } => {
                staging.credit(bytes);
                Ok(())
            }
            FromStaging::File {
                attempt,
                path,
                mode,
            } => staging.file(attempt, path, mode),
            FromStaging::FilePiece { attempt } => staging.file_piece(attempt, payload),
            FromStaging::FileEnd { attempt } => {
                staging.file_end(attempt);
                Ok(())
            }
            FromStaging::Directory { attempt, path } => staging.directory(attempt, path),
            FromStaging::Failed { attempt, cause } => {
                staging.failed(attempt, cause);
                Ok(())
            }
        };
        said.map_err(|words| protocol(format!("protocol error: {words}")))
    }
}

/// A command that succeeded and whose files are not all here has failed; one that has failed anyway keeps its own exit.
fn note_problems(end: &mut CommandEnd, words: u64) {
    end.stderr.seen += words;
    end.stderr.sent += words;
    if end.exit == Exit::Code(0) {
        end.exit = Exit::NOT_STAGED;
    }
}
