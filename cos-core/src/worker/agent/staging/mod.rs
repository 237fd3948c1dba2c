//! The files of attempts: brought before they start, given back after they have ended.
//!
//! ```text
//! gathering    which attempt waits for which content, and what is to be done next (pure)
//! returning    what an attempt gives back, one piece after the other
//! acting       what the agent does about files when its client, its disk or an attempt asks for it
//! disk         the thread that touches files
//! ```
//!
//! The agent itself touches no file: whatever it wants done is a task for the disk's thread, and it goes on listening to
//! its client and its slots meanwhile.

mod acting;
mod disk;
mod gathering;
mod returning;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use cos_storage::Suffix;

use super::attempts::Waiting;
use super::session::Session;
use crate::ids::AttemptId;
use crate::job::{AttemptResult, CommandEnd, Exit};
use crate::wire::frame::CHUNK;
use crate::wire::message::FromAgent;
use crate::wire::staging::{FILE_WINDOW, FromStaging, INPUT_WINDOW};
use disk::{Disk, Task};
use gathering::Gathering;
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
