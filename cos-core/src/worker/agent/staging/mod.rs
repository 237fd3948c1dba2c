//! The files of attempts: brought before they start, given back after they have ended.
//!
//! ```text
//! gathering    which attempt waits for which content, and what is to be done next (pure)
//! returning    what an attempt gives back, one piece after the other
//! disk         the thread that touches files
//! ```
//!
//! The agent itself touches no file: whatever it wants done is a task for the disk's thread, and it goes on listening to
//! its client and its slots meanwhile.

mod disk;
mod gathering;
mod returning;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::task::{Context, Poll};

use bytes::Bytes;
use cos_storage::Suffix;

use super::attempts::{Refused, Waiting};
use super::ending::End;
use super::session::Session;
use super::turn::{Agent, Phase, protocol};
use super::work::Work;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit, StreamTotals};
use crate::wire::frame::CHUNK;
use crate::wire::message::FromAgent;
use crate::wire::staging::{FILE_WINDOW, FromStaging, INPUT_WINDOW, StageRequest, ToStaging};
use disk::{Disk, Done, Fault, Task};
use gathering::{Effect, Gathering};
use returning::Returned;

/// So many attempts give files back at the same time: each keeps descriptors.
const MAX_RETURNING: usize = 8;

/// The files of all attempts of an agent.
pub(super) struct Staging {
    local_storage: PathBuf,
    /// The thread, once there is something for it to do.
    disk: Option<Disk>,
    gathering: Gathering,
    /// Attempts whose files were announced, until they have ended.
    staged: HashMap<AttemptId, Staged>,
    /// What the client may still send.
    input_window: u64,
    /// What may still be sent to the client.
    file_window: u64,
    returning: Vec<Giving>,
    /// Attempts that have ended and wait until others have given back theirs.
    ended: VecDeque<(AttemptId, AttemptResult)>,
}

/// An attempt whose files were announced.
struct Staged {
    directory: PathBuf,
    /// Whether the directory is its own, and goes with it.
    own: bool,
    returns: Vec<Suffix>,
    remove: Vec<Suffix>,
}

/// An attempt that gives back files.
struct Giving {
    attempt: AttemptId,
    result: AttemptResult,
    staged: Staged,
    /// The thread was asked for the next piece.
    asked: bool,
    problems: bool,
}

impl Staging {
    pub(super) fn new(local_storage: PathBuf) -> Self {
        Self {
            local_storage,
            disk: None,
            gathering: Gathering::default(),
            staged: HashMap::new(),
            input_window: INPUT_WINDOW,
            file_window: FILE_WINDOW,
            returning: Vec::new(),
            ended: VecDeque::new(),
        }
    }

    /// The directory of an attempt whose files were announced, if it is its own.
    pub(super) fn own_directory(&self, attempt: AttemptId) -> Option<&PathBuf> {
        let staged = self.staged.get(&attempt)?;
        staged.own.then_some(&staged.directory)
    }

    /// Whether an attempt's start has to wait for its files.
    pub(super) fn gathers_for(&self, attempt: AttemptId) -> bool {
        self.gathering.knows(attempt)
    }

    /// Holds an attempt's start until its files are in place.
    pub(super) fn hold(&mut self, waiting: Waiting) {
        self.gathering.hold(waiting);
    }

    /// Whether nothing is being given back.
    pub(super) fn is_idle(&self) -> bool {
        self.returning.is_empty() && self.ended.is_empty()
    }

    /// An attempt has ended, or could not be started: says so when its files were given back.
    pub(super) fn end(&mut self, attempt: AttemptId, result: AttemptResult, session: &mut Session) {
        if !self.staged.contains_key(&attempt) {
            return session.say(FromAgent::Ended { attempt, result }, &[]);
        }
        self.ended.push_back((attempt, result));
        self.return_more(session);
    }

    /// Removes what an attempt that ends without giving anything back has in directories.
    pub(super) fn forget(&mut self, attempt: AttemptId) {
        if let Some(staged) = self.staged.remove(&attempt) {
            self.clean_up(staged);
        }
    }

    fn clean_up(&mut self, staged: Staged) {
        let Staged {
            directory,
            own,
            returns: _,
            remove,
        } = staged;
        if own {
            self.give(Task::RemoveDirectory { path: directory });
        } else if !remove.is_empty() {
            self.give(Task::RemoveFiles {
                directory,
                files: remove,
            });
        }
    }

    fn give(&mut self, task: Task) {
        if let Some(disk) = &self.disk {
            disk.give(task);
        }
    }

    fn start_disk(&mut self) -> Result<(), String> {
        if self.disk.is_none() {
            let disk = Disk::start(self.local_storage.clone());
            self.disk = Some(disk.map_err(|error| format!("no thread for files: {error}"))?);
        }
        Ok(())
    }

    /// Lets the next attempts that have ended give back their files.
    fn return_more(&mut self, session: &mut Session) {
        while self.returning.len() < MAX_RETURNING {
            let Some((attempt, result)) = self.ended.pop_front() else {
                return;
            };
            let Some(mut staged) = self.staged.remove(&attempt) else {
                session.say(FromAgent::Ended { attempt, result }, &[]);
                continue;
            };
            let asked = std::mem::take(&mut staged.returns);
            let ran = matches!(
                result,
                AttemptResult::Command(_) | AttemptResult::Stopped(Some(_))
            );
            if asked.is_empty() || !ran {
                self.clean_up(staged);
                session.say(FromAgent::Ended { attempt, result }, &[]);
                continue;
            }
            let directory = staged.directory.clone();
            self.give(Task::Return {
                attempt,
                directory,
                asked,
            });
            self.returning.push(Giving {
                attempt,
                result,
                staged,
                asked: false,
                problems: false,
            });
        }
        self.ask_for_more(session);
    }

    /// Asks for the next pieces, as far as the client takes them.
    fn ask_for_more(&mut self, session: &Session) {
        if session.is_congested() {
            return;
        }
        let Some(disk) = &self.disk else {
            return;
        };
        let outstanding = self.returning.iter().filter(|giving| giving.asked).count() as u64;
        let mut room = self.file_window.saturating_sub(outstanding * CHUNK as u64);
        for giving in self.returning.iter_mut().filter(|giving| !giving.asked) {
            if room < CHUNK as u64 {
                break;
            }
            room -= CHUNK as u64;
            giving.asked = true;
            disk.give(Task::Next {
                attempt: giving.attempt,
            });
        }
    }

    /// Passes on what an attempt gives back.
    fn pass_on(&mut self, attempt: AttemptId, returned: Returned, session: &mut Session) {
        let Some(at) = self
            .returning
            .iter()
            .position(|giving| giving.attempt == attempt)
        else {
            return;
        };
        // To the end of the line: every attempt gets its turn.
        let mut giving = self.returning.remove(at);
        giving.asked = false;
        let (message, payload) = match returned {
            Returned::Directory(path) => (FromStaging::Directory { attempt, path }, Vec::new()),
            Returned::File { path, mode } => (
                FromStaging::File {
                    attempt,
                    path,
                    mode,
                },
                Vec::new(),
            ),
            Returned::Piece(bytes) => {
                self.file_window = self.file_window.saturating_sub(bytes.len() as u64);
                (FromStaging::FilePiece { attempt }, bytes)
            }
            Returned::FileEnd => (FromStaging::FileEnd { attempt }, Vec::new()),
            Returned::Problem(cause) => {
                giving.problems = true;
                (FromStaging::Failed { attempt, cause }, Vec::new())
            }
            Returned::End => {
                let Giving {
                    result,
                    staged,
                    problems,
                    ..
                } = giving;
                self.clean_up(staged);
                let result = if problems {
                    with_problems(result)
                } else {
                    result
                };
                session.say(FromAgent::Ended { attempt, result }, &[]);
                return self.return_more(session);
            }
        };
        session.say(FromAgent::Staging(message), &payload);
        self.returning.push(giving);
        self.ask_for_more(session);
    }

    /// Waits until the thread touches nothing any more.
    pub(super) fn finish(self) {
        if let Some(disk) = self.disk {
            disk.end();
        }
    }
}

/// The result of a command that succeeded and did not leave what was asked for.
fn with_problems(result: AttemptResult) -> AttemptResult {
    match result {
        AttemptResult::Command(end) if end.exit == Exit::Code(0) => {
            AttemptResult::Command(CommandEnd {
                exit: Exit::NOT_STAGED,
                ..end
            })
        }
        result => result,
    }
}

impl Agent {
    /// Does what the client says about files.
    pub(super) fn obey_staging(&mut self, message: ToStaging, payload: Bytes) -> Result<(), End> {
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
    pub(super) fn poll_staging(&mut self, context: &mut Context<'_>) {
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
    pub(super) fn withdraw_gathering(&mut self, attempt: AttemptId) -> bool {
        let waits = self.staging.gathering.withdraw(attempt).is_some();
        if waits {
            self.staging.forget(attempt);
        }
        waits
    }

    /// Takes back everything that has not started.
    pub(super) fn withdraw_all(&mut self) -> Vec<Waiting> {
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
