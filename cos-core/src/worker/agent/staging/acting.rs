//! What the agent does about files when its client, its disk or an attempt asks for it.

use std::task::{Context, Poll};

use bytes::Bytes;

use super::Staged;
use super::disk::{Done, Fault, Task};
use super::gathering::Effect;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit, StreamTotals};
use crate::wire::message::FromAgent;
use crate::wire::staging::{FILE_WINDOW, FromStaging, StageRequest, ToStaging};
use crate::worker::agent::attempts::{Refused, Waiting};
use crate::worker::agent::ending::End;
use crate::worker::agent::session::Session;
use crate::worker::agent::turn::{Agent, Phase, protocol};
use crate::worker::agent::work::Work;

impl Agent {
    /// Does what the client says about files.
    pub(in crate::worker::agent) fn obey_staging(
        &mut self,
        message: ToStaging,
        payload: Bytes,
    ) -> Result<(), End> {
        let work = match &mut self.phase {
            Phase::Working(work) | Phase::Closing(work, _) => work,
            Phase::Unprepared | Phase::Locating(_) | Phase::SettingUp(..) => {
                return Err(protocol("files before the host was ready"));
            }
        };
        match message {
            ToStaging::Stage { attempt, request } => work.stage(attempt, *request)?,
            ToStaging::Piece { digest, offset } => {
                let staging = &mut work.staging;
                let length = payload.len() as u64;
                staging.input_window = staging
                    .input_window
                    .checked_sub(length)
                    .ok_or_else(|| protocol("more of an input than was granted"))?;
                if staging.gathering.expects(digest) {
                    // A copy: the payload is part of a larger piece of what was read, which would be kept.
                    let bytes = Bytes::copy_from_slice(&payload);
                    staging.give(Task::Append {
                        digest,
                        offset,
                        bytes,
                    });
                } else {
                    staging.input_window += length;
                    let credit = FromStaging::Credit { bytes: length };
                    self.session.say(FromAgent::Staging(credit), &[]);
                }
            }
            ToStaging::Unavailable { digest, cause } => {
                work.staging.gathering.unavailable(digest, &cause);
            }
            ToStaging::FileCredit { bytes } => {
                let staging = &mut work.staging;
                staging.file_window = staging.file_window.saturating_add(bytes).min(FILE_WINDOW);
                staging.ask_for_more(&self.session);
            }
        }
        Ok(())
    }

    /// Acts on what the disk's thread has done, and on what follows from it.
    pub(in crate::worker::agent) fn poll_staging(&mut self, context: &mut Context<'_>) {
        let (Phase::Working(work) | Phase::Closing(work, _)) = &mut self.phase else {
            return;
        };
        loop {
            work.carry_out(&mut self.session);
            let Some(disk) = &mut work.staging.disk else {
                return;
            };
            let Poll::Ready(Some(done)) = disk.poll_done(context) else {
                break;
            };
            work.note(done, &mut self.session);
        }
        work.staging.ask_for_more(&self.session);
    }
}

impl Work {
    fn stage(&mut self, attempt: AttemptId, request: StageRequest) -> Result<(), End> {
        if self.staging.staged.contains_key(&attempt) {
            return Err(protocol("an attempt's files came twice"));
        }
        let directory = match request.own_directory {
            false => Ok(self.prepared.path().to_owned()),
            true => {
                let parent = self.prepared.private_parent();
                let parent = parent.map_err(|error| error.to_string());
                parent.map(|parent| parent.join(attempt.to_string()))
            }
        };
        let directory = self.staging.start_disk().and(directory);
        let directory = match directory {
            Ok(directory) => directory,
            Err(words) => {
                self.staging.gathering.refuse(attempt, Fault::Host(words));
                return Ok(());
            }
        };
        let own = request.own_directory;
        let gathering = &mut self.staging.gathering;
        gathering.stage(attempt, &request, directory.clone(), own);
        let StageRequest {
            returns, remove, ..
        } = request;
        let staged = Staged {
            directory,
            own,
            returns,
            remove,
        };
        self.staging.staged.insert(attempt, staged);
        Ok(())
    }

    /// Takes an attempt back that waits for its files. False when it does not.
    pub(in crate::worker::agent) fn withdraw_gathering(&mut self, attempt: AttemptId) -> bool {
        let waits = self.staging.gathering.withdraw(attempt).is_some();
        if waits {
            self.staging.forget(attempt);
        }
        waits
    }

    /// Takes back everything that has not started.
    pub(in crate::worker::agent) fn withdraw_all(&mut self) -> Vec<Waiting> {
        let mut all = self.attempts.withdraw_all();
        all.extend(self.staging.gathering.withdraw_all());
        for waiting in &all {
            self.staging.forget(waiting.attempt);
        }
        all
    }

    /// Does what has to be done next for attempts that wait for their files.
    fn carry_out(&mut self, session: &mut Session) {
        while let Some(effect) = self.staging.gathering.next_effect() {
            match effect {
                Effect::Do(task) => self.staging.give(task),
                Effect::Say(message) => session.say(FromAgent::Staging(message), &[]),
                Effect::Ready(waiting) => {
                    let attempt = waiting.attempt;
                    if let Err(refused) = self.attempts.push(waiting) {
                        let cause = refused_words(&refused);
                        let result = AttemptResult::NotStarted { cause };
                        self.staging.forget(attempt);
                        session.say(FromAgent::Ended { attempt, result }, &[]);
                    }
                }
                Effect::Failed { attempt, fault } => {
                    self.staging.forget(attempt);
                    let result = match fault {
                        Fault::Host(cause) => AttemptResult::NotStarted { cause },
                        Fault::Job(cause) => {
                            let failed = FromStaging::Failed { attempt, cause };
                            session.say(FromAgent::Staging(failed), &[]);
                            let nothing = StreamTotals::default();
                            AttemptResult::Command(CommandEnd::not_executed(
                                Exit::NOT_STAGED,
                                nothing,
                            ))
                        }
                    };
                    session.say(FromAgent::Ended { attempt, result }, &[]);
                }
            }
        }
    }

    /// Takes in what the disk's thread has done.
    fn note(&mut self, done: Done, session: &mut Session) {
        let gathering = &mut self.staging.gathering;
        match done {
            Done::Found { digest, found } => gathering.found(digest, found),
            Done::Appended {
                digest,
                bytes,
                progress,
            } => {
                gathering.appended(digest, progress);
                self.staging.input_window += bytes;
                session.say(FromAgent::Staging(FromStaging::Credit { bytes }), &[]);
            }
            Done::MadeDirectory { attempt, made } => gathering.made_directory(attempt, made),
            Done::Placed {
                attempt,
                input,
                placed,
            } => gathering.placed(attempt, input, placed),
            Done::Next { attempt, returned } => self.staging.pass_on(attempt, returned, session),
        }
    }
}

fn refused_words(refused: &Refused) -> String {
    match refused {
        Refused::TooLarge(total) => format!("it takes more than {total}, which are given here"),
        Refused::TooMany => "too many attempts wait".to_owned(),
        Refused::Known => "it runs already".to_owned(),
    }
}
