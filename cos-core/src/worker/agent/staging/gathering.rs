//! Which attempt waits for which content, and what is to be done next. Pure.
//!
//! ```text
//! content    queued --find--> finding --not there--> arriving --whole--> placed for each that waits, released
//!                                `------- there ------------------------^
//! attempt    its directory made, its inputs placed one by one, its start held until all are
//! ```
//!
//! Many attempts that need one content wait for one transfer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;

use cos_storage::{Digest, Suffix};

use super::disk::{Fault, Found, Progress, Task};
use crate::ids::AttemptId;
use crate::wire::staging::{FromStaging, InputFile, StageRequest};
use crate::worker::agent::attempts::Waiting;

/// So many contents are looked for or brought at the same time: each keeps a descriptor.
const MAX_ACTIVE: usize = 16;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// By the disk's thread.
    Do(Task),
    /// By the client.
    Say(FromStaging),
    /// An attempt has all that it needs.
    Ready(Waiting),
    /// An attempt cannot have it.
    Failed { attempt: AttemptId, fault: Fault },
}

/// The attempts that wait, and the contents that they wait for.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    attempts: HashMap<AttemptId, Gathered>,
    contents: HashMap<Digest, Content>,
    queued: VecDeque<Digest>,
    active: usize,
    /// What lies in the run's directory for all attempts.
    placed: HashSet<(Digest, Suffix)>,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
struct Gathered {
    directory: PathBuf,
    /// Inputs that are not in place, and the directory while it is not made.
    missing: usize,
    /// Its start, once that has come.
    waiting: Option<Waiting>,
    /// Why it cannot have what it needs, until its start has come.
    fault: Option<Fault>,
}

#[derive(Debug)]
struct Content {
    size: u64,
    state: State,
    users: Vec<(AttemptId, InputFile)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Finding,
    /// It began at this offset.
    Arriving(u64),
}

impl Gathering {
    /// The next thing to be done.
    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Begins to gather what an attempt needs. `own` says that the directory is its own and has to be made.
    pub(super) fn stage(
        &mut self,
        attempt: AttemptId,
        request: &StageRequest,
        directory: PathBuf,
        own: bool,
    ) {
        let mut missing = 0;
        if own {
            missing += 1;
            let path = directory.clone();
            self.effects
                .push_back(Effect::Do(Task::MakeDirectory { attempt, path }));
        }
        for input in &request.inputs {
            let mut input = input.clone();
            // In a directory of its own nothing is there yet.
            input.once &= !own;
            let key = (input.digest, input.path.clone());
            if input.once && self.placed.contains(&key) {
                continue;
            }
            missing += 1;
            let queued = &mut self.queued;
            let content = self.contents.entry(input.digest).or_insert_with(|| {
                queued.push_back(input.digest);
                Content {
                    size: input.size,
                    state: State::Queued,
                    users: Vec::new(),
                }
            });
            content.users.push((attempt, input));
        }
        self.attempts.insert(
            attempt,
            Gathered {
                directory,
                missing,
                waiting: None,
                fault: None,
            },
        );
        self.look_for_more();
    }

    /// An attempt whose files cannot be gathered here.
    pub(super) fn refuse(&mut self, attempt: AttemptId, fault: Fault) {
        let gathered = Gathered {
            directory: PathBuf::new(),
            missing: 1,
            waiting: None,
            fault: Some(fault),
        };
        self.attempts.insert(attempt, gathered);
    }

    /// Whether this attempt's files were announced.
    pub(super) fn knows(&self, attempt: AttemptId) -> bool {
        self.attempts.contains_key(&attempt)
    }

    /// Holds an attempt's start until it has all that it needs.
    pub(super) fn hold(&mut self, waiting: Waiting) {
        let attempt = waiting.attempt;
        if let Some(gathered) = self.attempts.get_mut(&attempt) {
            gathered.waiting = Some(waiting);
            match gathered.fault.take() {
                Some(fault) => self.fail_attempt(attempt, fault),
                None => self.release_if_ready(attempt),
            }
        }
    }

    /// Takes an attempt back that has not got all that it needs.
    pub(super) fn withdraw(&mut self, attempt: AttemptId) -> Option<Waiting> {
        self.attempts.remove(&attempt)?.waiting
    }

    /// Takes back every attempt.
    pub(super) fn withdraw_all(&mut self) -> Vec<Waiting> {
        self.attempts
            .drain()
            .filter_map(|(_, gathered)| gathered.waiting)
            .collect()
    }

    /// What the store has.
    pub(super) fn found(&mut self, digest: Digest, found: Result<Found, String>) {
        match found {
            Ok(Found::Whole) => self.arrived(digest),
            Ok(Found::Until(offset)) => {
                if let Some(content) = self.contents.get_mut(&digest) {
                    content.state = State::Arriving(offset);
                    self.effects
                        .push_back(Effect::Say(FromStaging::Want { digest, offset }));
                }
            }
            Err(words) => self.fail(digest, &|| Fault::Host(format!("staging: {words}"))),
        }
    }

    /// Whether pieces of this content were asked for.
    pub(super) fn expects(&self, digest: Digest) -> bool {
        let content = self.contents.get(&digest);
        content.is_some_and(|content| matches!(content.state, State::Arriving(_)))
    }

    /// What became of a piece.
    pub(super) fn appended(&mut self, digest: Digest, progress: Progress) {
        match progress {
            Progress::More => {}
            Progress::Whole => self.arrived(digest),
            Progress::Failed(words) => {
                self.fail(digest, &|| Fault::Host(format!("staging: {words}")))
            }
            Progress::Mismatch => {
                let Some(content) = self.contents.get_mut(&digest) else {
                    return;
                };
                if content.state == State::Arriving(0) {
                    let words = "an input changed while it was read";
                    return self.fail(digest, &|| Fault::Job(words.to_owned()));
                }
                // What was there before was damaged: all of it once more.
                content.state = State::Finding;
                let size = content.size;
                self.effects
                    .push_back(Effect::Do(Task::Find { digest, size }));
            }
        }
    }

    /// The client cannot send a content.
    pub(super) fn unavailable(&mut self, digest: Digest, cause: &str) {
        self.fail(digest, &|| Fault::Job(cause.to_owned()));
    }

    /// An attempt's own directory was made, or not.
    pub(super) fn made_directory(&mut self, attempt: AttemptId, made: Result<(), String>) {
        match made {
            Ok(()) => self.one_less(attempt),
            Err(words) => self.fail_attempt(attempt, Fault::Host(words)),
        }
    }

    /// An input was put in place, or not.
    pub(super) fn placed(
        &mut self,
        attempt: AttemptId,
        input: InputFile,
        placed: Result<(), Fault>,
    ) {
        match placed {
            Ok(()) => {
                if input.once {
                    self.placed.insert((input.digest, input.path));
                }
                self.one_less(attempt);
            }
            Err(fault) => self.fail_attempt(attempt, fault),
        }
    }

    /// A content is there: puts it in place for everybody who waits for it.
    fn arrived(&mut self, digest: Digest) {
        let Some(content) = self.end(digest) else {
            return;
        };
        for (attempt, input) in content.users {
            if let Some(gathered) = self.attempts.get(&attempt) {
                let directory = gathered.directory.clone();
                self.effects.push_back(Effect::Do(Task::Place {
                    attempt,
                    input,
                    directory,
                }));
            }
        }
        self.effects.push_back(Effect::Do(Task::Release { digest }));
        self.look_for_more();
    }

    fn fail(&mut self, digest: Digest, fault: &dyn Fn() -> Fault) {
        let Some(content) = self.end(digest) else {
            return;
        };
        self.effects.push_back(Effect::Do(Task::Release { digest }));
        for (attempt, _) in content.users {
            self.fail_attempt(attempt, fault());
        }
        self.look_for_more();
    }

    fn end(&mut self, digest: Digest) -> Option<Content> {
        let content = self.contents.remove(&digest)?;
        match content.state {
            State::Queued => self.queued.retain(|queued| *queued != digest),
            State::Finding | State::Arriving(_) => self.active -= 1,
        }
        Some(content)
    }

    fn fail_attempt(&mut self, attempt: AttemptId, fault: Fault) {
        // It may need several contents, all of which fail.
        let Some(gathered) = self.attempts.get_mut(&attempt) else {
            return;
        };
        if gathered.waiting.is_some() {
            self.attempts.remove(&attempt);
            self.effects.push_back(Effect::Failed { attempt, fault });
        } else {
            gathered.fault.get_or_insert(fault);
        }
    }

    fn one_less(&mut self, attempt: AttemptId) {
        if let Some(gathered) = self.attempts.get_mut(&attempt) {
            gathered.missing = gathered.missing.saturating_sub(1);
            self.release_if_ready(attempt);
        }
    }

    fn release_if_ready(&mut self, attempt: AttemptId) {
        let is_ready = |gathered: &Gathered| gathered.missing == 0 && gathered.waiting.is_some();
        if self.attempts.get(&attempt).is_some_and(is_ready)
            && let Some(gathered) = self.attempts.remove(&attempt)
            && let Some(waiting) = gathered.waiting
        {
            self.effects.push_back(Effect::Ready(waiting));
        }
    }

    fn look_for_more(&mut self) {
        while self.active < MAX_ACTIVE {
            let Some(digest) = self.queued.pop_front() else {
                return;
            };
            let Some(content) = self.contents.get_mut(&digest) else {
                continue;
            };
            content.state = State::Finding;
            let size = content.size;
            self.active += 1;
            self.effects
                .push_back(Effect::Do(Task::Find { digest, size }));
        }
    }
}

#[cfg(test)]
mod tests;
