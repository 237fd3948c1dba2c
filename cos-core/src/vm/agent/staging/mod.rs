//! The client's side of staging: what a session sends of files, and what it takes back. Pure, but for the depot's threads.
//!
//! ```text
//! opening    the files of an attempt are opened and hashed; only then the attempt goes to the host
//! staged     the host knows digests and names, and asks for what its store does not have
//! settling   the attempt has ended there; what it gave back is being put in place here
//! ```

mod depot;
mod returning;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use cos_storage::{Digest, SourceFile};
use tokio::sync::mpsc;

use crate::ids::AttemptId;
use crate::job::{Amounts, AttemptResult, InputScope, JobDirectory, StagedInput, Staging, Work};
use crate::wire::frame::CHUNK;
use crate::wire::staging::{FILE_WINDOW, INPUT_WINDOW, InputFile, StageRequest, ToStaging};
pub(super) use depot::{Depot, Reply};
use depot::{DepotSession, MAX_PROBLEMS};

/// So many pieces are read ahead of the writer: enough that it does not wait for the disk's thread.
const MAX_READING: usize = 4;

/// Pieces are added to what is to be written only below this (128 KiB): all else waits behind them.
const UNWRITTEN_LIMIT: usize = 128 * 1024;

/// An attempt on its way to its host.
pub(super) struct Held {
    pub(super) attempt: AttemptId,
    pub(super) try_number: u32,
    pub(super) amounts: Amounts,
    pub(super) work: Arc<Work>,
}

/// What a session is to do next.
pub(super) enum Effect {
    /// Tell the agent.
    Say(ToStaging, Vec<u8>),
    /// Announce the files of an attempt and start it.
    Start(Held, Box<StageRequest>),
    /// The files of an attempt are not there, or not the same any more.
    Failed { attempt: AttemptId, cause: String },
    /// All that the attempt gave back is in place, but for what `problems` tell.
    Ended {
        attempt: AttemptId,
        result: AttemptResult,
        problems: Vec<String>,
    },
    /// A content has gone to the host as a whole.
    Sent { path: String, bytes: u64 },
}

/// The files of one session.
pub(super) struct SessionStaging {
    all_sessions: Depot,
    reply: mpsc::UnboundedSender<Reply>,
    /// Once something is to be staged.
    depot: Option<DepotSession>,
    attempts: HashMap<AttemptId, Attempt>,
    sources: HashMap<Digest, Source>,
    uploads: VecDeque<Upload>,
    reading: usize,
    /// What may still be sent.
    input_window: u64,
    /// What the agent may still send.
    file_window: u64,
    effects: VecDeque<Effect>,
}

struct Attempt {
    staging: Arc<Staging>,
    phase: Phase,
    /// The digests that it keeps sources for.
    needs: Vec<Digest>,
    problems: Vec<String>,
}

enum Phase {
    Opening {
        held: Held,
        inputs: Vec<StagedInput>,
        files: Vec<Option<Arc<SourceFile>>>,
    },
    Staged,
    Settling(AttemptResult),
}

struct Source {
    file: Arc<SourceFile>,
    users: usize,
}

struct Upload {
    file: Arc<SourceFile>,
    offset: u64,
}

impl SessionStaging {
    /// Nothing is staged yet. The answers of the depot come by the receiver.
    pub(super) fn new(all_sessions: Depot) -> (Self, mpsc::UnboundedReceiver<Reply>) {
        let (reply, replies) = mpsc::unbounded_channel();
        let staging = Self {
            all_sessions,
            reply,
            depot: None,
            attempts: HashMap::new(),
            sources: HashMap::new(),
            uploads: VecDeque::new(),
            reading: 0,
            input_window: INPUT_WINDOW,
            file_window: FILE_WINDOW,
            effects: VecDeque::new(),
        };
        (staging, replies)
    }

    /// The next thing to be done.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Begins to open what an attempt needs. `shared` says that the directory in which commands of the host start is the
    /// client's own. Gives the attempt back if nothing is to be staged.
    pub(super) fn begin(&mut self, held: Held, shared: bool) -> Option<Held> {
        let command = held.work.command();
        let Some((staging, directory)) =
            command.and_then(|it| Some((it.staging.clone()?, &it.directory)))
        else {
            return Some(held);
        };
        let in_place = shared && staging.in_place && *directory == JobDirectory::Run;
        let is_there = |input: &StagedInput| {
            in_place && input.source == staging.root.join(input.path.as_path())
        };
        let inputs: Vec<StagedInput> = staging
            .inputs
            .iter()
            .filter(|input| !is_there(input))
            .cloned()
            .collect();
        if inputs.is_empty() && (staging.returns.is_empty() || in_place) {
            return Some(held);
        }
        let attempt = held.attempt;
        let depot = match &self.depot {
            Some(depot) => depot,
            None => match self.all_sessions.session(self.reply.clone()) {
                Ok(depot) => self.depot.insert(depot),
                Err(cause) => {
                    self.effects.push_back(Effect::Failed { attempt, cause });
                    return None;
                }
            },
        };
        for (index, input) in inputs.iter().enumerate() {
            depot.open(attempt, index, input.source.clone());
        }
        let files = inputs.iter().map(|_| None).collect();
        let staging = match in_place {
            false => staging,
            true => Arc::new(Staging {
                returns: Vec::new(),
                ..(*staging).clone()
            }),
        };
        let phase = Phase::Opening {
            held,
            inputs,
            files,
        };
        self.attempts.insert(
            attempt,
            Attempt {
                staging,
                phase,
                needs: Vec::new(),
                problems: Vec::new(),
            },
        );
        self.announce_if_opened(attempt);
        None
    }

    /// Takes an attempt back that has not gone to the host.
    pub(super) fn withdraw(&mut self, attempt: AttemptId) -> bool {
        let is_here = |attempt: &Attempt| matches!(attempt.phase, Phase::Opening { .. });
        let is_here = self.attempts.get(&attempt).is_some_and(is_here);
        if is_here {
            self.attempts.remove(&attempt);
        }
        is_here
    }

    /// Takes in an answer of the depot.
    pub(super) fn note(&mut self, reply: Reply) {
        match reply {
            Reply::Opened {
                attempt,
                index,
                file,
            } => self.opened(attempt, index, file),
            Reply::Piece {
                file,
                offset,
                length,
                bytes,
            } => self.read(&file, offset, length, bytes),
            Reply::Written { bytes } => {
                self.file_window += bytes;
                self.say(ToStaging::FileCredit { bytes }, Vec::new());
            }
            Reply::Settled { attempt, problems } => {
                if let Some(settled) = self.attempts.remove(&attempt)
                    && let Phase::Settling(result) = settled.phase
                {
                    let mut all = settled.problems;
                    all.extend(problems);
                    self.effects.push_back(Effect::Ended {
                        attempt,
                        result,
                        problems: all,
                    });
                }
            }
        }
    }

    fn opened(&mut self, attempt: AttemptId, index: usize, file: Result<Arc<SourceFile>, String>) {
        let Some(Attempt {
            phase: Phase::Opening { files, .. },
            ..
        }) = self.attempts.get_mut(&attempt)
        else {
            return;
        };
        match file {
            Ok(file) => {
                if let Some(place) = files.get_mut(index) {
                    *place = Some(file);
                }
                self.announce_if_opened(attempt);
            }
            Err(cause) => {
                self.attempts.remove(&attempt);
                self.effects.push_back(Effect::Failed { attempt, cause });
            }
        }
    }

    fn announce_if_opened(&mut self, attempt: AttemptId) {
        let Some(opening) = self.attempts.get_mut(&attempt) else {
            return;
        };
        match &opening.phase {
            Phase::Opening { files, .. } if files.iter().all(Option::is_some) => {}
            _ => return,
        }
        let phase = std::mem::replace(&mut opening.phase, Phase::Staged);
        let Phase::Opening {
            held,
            inputs,
            files,
        } = phase
        else {
            return;
        };
        let mut request = StageRequest {
            own_directory: held
                .work
                .command()
                .is_some_and(|it| it.directory == JobDirectory::Private),
            returns: opening.staging.returns.clone(),
            ..StageRequest::default()
        };
        for (input, file) in inputs.into_iter().zip(files.into_iter().flatten()) {
            let digest = file.digest();
            let once = input.scope == InputScope::Run;
            if opening.staging.clean_up && !once {
                request.remove.push(input.path.clone());
            }
            request.inputs.push(InputFile {
                digest,
                size: file.size(),
                mode: file.mode(),
                path: input.path,
                once,
            });
            opening.needs.push(digest);
            self.sources
                .entry(digest)
                .or_insert(Source { file, users: 0 })
                .users += 1;
        }
        if opening.staging.clean_up {
            request
                .remove
                .extend(opening.staging.returns.iter().cloned());
        }
        self.effects
            .push_back(Effect::Start(held, Box::new(request)));
    }

    /// The host has all that an attempt needs, or needs it no more.
    pub(super) fn release_inputs(&mut self, attempt: AttemptId) {
        let Some(staged) = self.attempts.get_mut(&attempt) else {
            return;
        };
        for digest in staged.needs.drain(..) {
            if let Some(source) = self.sources.get_mut(&digest) {
                source.users -= 1;
                if source.users == 0 {
                    self.sources.remove(&digest);
                }
            }
        }
    }

    /// An attempt came back without having run.
    pub(super) fn returned(&mut self, attempt: AttemptId) {
        self.release_inputs(attempt);
        self.attempts.remove(&attempt);
    }

    /// An attempt has ended on its host. Gives its result back if there is nothing to wait for.
    pub(super) fn ended(
        &mut self,
        attempt: AttemptId,
        result: AttemptResult,
    ) -> Option<AttemptResult> {
        self.release_inputs(attempt);
        let (Some(staged), Some(depot)) = (self.attempts.get_mut(&attempt), &self.depot) else {
            return Some(result);
        };
        staged.phase = Phase::Settling(result);
        depot.settle(attempt);
        None
    }

    /// Something of an attempt could not be staged there, or not be given back.
    pub(super) fn failed(&mut self, attempt: AttemptId, cause: String) {
        if let Some(staged) = self.attempts.get_mut(&attempt) {
            if let Some(depot) = &self.depot {
                depot.abandon(attempt);
            }
            if staged.problems.len() < MAX_PROBLEMS {
                staged.problems.push(cause);
            }
        }
    }

    /// The host does not have a content.
    pub(super) fn wanted(&mut self, digest: Digest, offset: u64) {
        match self.sources.get(&digest) {
            // Asked for again, it is on its way.
            Some(_)
                if self
                    .uploads
                    .iter()
                    .any(|upload| upload.file.digest() == digest) => {}
            Some(source) if offset < source.file.size() => {
                let file = Arc::clone(&source.file);
                self.uploads.push_back(Upload { file, offset });
            }
            _ => {
                let cause = "nobody needs it any more".to_owned();
                self.say(ToStaging::Unavailable { digest, cause }, Vec::new());
            }
        }
    }

    /// The host has written so many bytes of inputs.
    pub(super) fn credit(&mut self, bytes: u64) {
        self.input_window = self.input_window.saturating_add(bytes).min(INPUT_WINDOW);
    }

    /// Reads the next pieces, a piece of each file in turn, as far as the window and what waits to be written allow.
    pub(super) fn send_more(&mut self, unwritten: usize) {
        let Some(depot) = &self.depot else {
            return;
        };
        while unwritten < UNWRITTEN_LIMIT && self.reading < MAX_READING && self.input_window > 0 {
            let Some(mut upload) = self.uploads.pop_front() else {
                return;
            };
            let left = upload.file.size() - upload.offset;
            let length = left.min(self.input_window).min(CHUNK as u64);
            self.reading += 1;
            self.input_window -= length;
            depot.read(Arc::clone(&upload.file), upload.offset, length as usize);
            upload.offset += length;
            if upload.offset < upload.file.size() {
                self.uploads.push_back(upload);
            }
        }
    }

    fn read(
        &mut self,
        file: &Arc<SourceFile>,
        offset: u64,
        length: usize,
        bytes: Result<Vec<u8>, String>,
    ) {
        self.reading -= 1;
        let digest = file.digest();
        match bytes {
            Ok(bytes) => {
                self.say(ToStaging::Piece { digest, offset }, bytes);
                if offset + length as u64 == file.size() {
                    let (path, bytes) = (file.shown().to_owned(), file.size());
                    self.effects.push_back(Effect::Sent { path, bytes });
                }
            }
            Err(cause) => {
                self.input_window += length as u64;
                self.uploads.retain(|upload| upload.file.digest() != digest);
                self.say(ToStaging::Unavailable { digest, cause }, Vec::new());
            }
        }
    }

    fn say(&mut self, message: ToStaging, payload: Vec<u8>) {
        self.effects.push_back(Effect::Say(message, payload));
    }
}

#[cfg(test)]
mod tests;
