//! The thread that touches files, so that the agent answers while a disk does not.
//!
//! Tasks are done in the order in which they were given. What bounds the queue: inputs arrive under credit, a returned
//! file is read when there is credit for it, and all else is a few tasks for each attempt.

use std::collections::{HashMap, HashSet};
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use cos_storage::store::DEFAULT_CAPACITY;
use cos_storage::{
    Digest, LandingError, LookUp, Object, Partial, Store, StoreError, Suffix,
    remove_empty_directories_beneath, remove_file_beneath, remove_tree,
};
use tokio::sync::mpsc as wakeful;

use super::returning::{Returned, Returning};
use crate::ids::AttemptId;
use crate::wire::staging::InputFile;

/// How long an ending agent waits for the thread (5 s): a file system may never answer.
const END_LIMIT: Duration = Duration::from_secs(5);

/// So many directories are remembered in which files were removed.
const MAX_EMPTIED: usize = 10_000;

/// What the thread is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Look into the store, and begin to bring what is not there.
    Find { digest: Digest, size: u64 },
    /// Add to a content that is being brought.
    Append {
        digest: Digest,
        offset: u64,
        bytes: Bytes,
    },
    /// Forget a content that was found or is being brought; what there is of it stays in the store.
    Release { digest: Digest },
    /// Make an attempt's own directory.
    MakeDirectory { attempt: AttemptId, path: PathBuf },
    /// Put a content that was found into a directory.
    Place {
        attempt: AttemptId,
        input: InputFile,
        directory: PathBuf,
    },
    /// Begin to give back files from a directory.
    Return {
        attempt: AttemptId,
        directory: PathBuf,
        asked: Vec<Suffix>,
    },
    /// The next of what an attempt gives back.
    Next { attempt: AttemptId },
    /// Remove files from a directory. Directories that are empty go when the thread ends: another job may be about to
    /// put something into them.
    RemoveFiles {
        directory: PathBuf,
        files: Vec<Suffix>,
    },
    /// Remove an attempt's own directory.
    RemoveDirectory { path: PathBuf },
}

/// What came of a task. Tasks without an answer are missing.
#[derive(Debug)]
pub(super) enum Done {
    Found {
        digest: Digest,
        found: Result<Found, String>,
    },
    Appended {
        digest: Digest,
        bytes: u64,
        progress: Progress,
    },
    MadeDirectory {
        attempt: AttemptId,
        made: Result<(), String>,
    },
    Placed {
        attempt: AttemptId,
        input: InputFile,
        placed: Result<(), Fault>,
    },
    Next {
        attempt: AttemptId,
        returned: Returned,
    },
}

/// What the store has of a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All.
    Whole,
    /// What comes before this offset.
    Until(u64),
}

/// How far a content that is being brought has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Whole,
    /// What arrived is something else. Nothing of it is kept.
    Mismatch,
    /// The host cannot take it.
    Failed(String),
}

/// Who is to blame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Host(String),
    Job(String),
}

/// The thread's handle. Dropped, it lets the thread end by itself.
pub(super) struct Disk {
    tasks: Option<mpsc::Sender<Task>>,
    done: wakeful::UnboundedReceiver<Done>,
    ended: mpsc::Receiver<()>,
}

impl Disk {
    /// Starts the thread, with the store in this local storage.
    pub(super) fn start(local_storage: PathBuf) -> std::io::Result<Self> {
        let (tasks, receiver) = mpsc::channel();
        let (sender, done) = wakeful::unbounded_channel();
        let (ending, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("cos-disk".to_owned())
            .spawn(move || {
                let mut worker = Worker::new(local_storage);
                while let Ok(task) = receiver.recv() {
                    let Some(answer) = worker.carry_out(task) else {
                        continue;
                    };
                    if sender.send(answer).is_err() {
                        break;
                    }
                }
                worker.remove_emptied();
                drop(worker);
                // Nobody may be waiting.
                let _ = ending.send(());
            })?;
        Ok(Self {
            tasks: Some(tasks),
            done,
            ended,
        })
    }

    /// Gives the thread something to do.
    pub(super) fn give(&self, task: Task) {
        if let Some(tasks) = &self.tasks {
            // The thread ends only after this handle.
            let _ = tasks.send(task);
        }
    }

    /// What came of a task.
    pub(super) fn poll_done(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Done>> {
        self.done.poll_recv(context)
    }

    /// Waits until the thread touches nothing any more, for a while.
    pub(super) fn end(mut self) {
        self.tasks = None;
        self.done.close();
        let _ = self.ended.recv_timeout(END_LIMIT);
    }
}

/// What the thread holds.
struct Worker {
    local_storage: PathBuf,
    /// Opened when it is first needed.
    store: Option<Store>,
    arriving: HashMap<Digest, Partial>,
    found: HashMap<Digest, Object>,
    returning: HashMap<AttemptId, Returning>,
    /// What lies in the run's directory for all attempts.
    placed: HashSet<(Digest, Suffix)>,
    /// Directories in which files were removed.
    emptied: HashSet<(PathBuf, Suffix)>,
}

impl Worker {
    fn new(local_storage: PathBuf) -> Self {
        Self {
            local_storage,
            store: None,
            arriving: HashMap::new(),
            found: HashMap::new(),
            returning: HashMap::new(),
            placed: HashSet::new(),
            emptied: HashSet::new(),
        }
    }

    fn carry_out(&mut self, task: Task) -> Option<Done> {
        Some(match task {
            Task::Find { digest, size } => {
                let found = self.find(digest, size).map_err(|error| error.to_string());
                Done::Found { digest, found }
            }
            Task::Append {
                digest,
                offset,
                bytes,
            } => Done::Appended {
                digest,
                bytes: bytes.len() as u64,
                progress: self.append(digest, offset, &bytes),
            },
            Task::Release { digest } => {
                self.found.remove(&digest);
                self.arriving.remove(&digest);
                return None;
            }
            Task::MakeDirectory { attempt, path } => {
                let made = DirBuilder::new().mode(0o700).create(&path);
                let made = made.map_err(|error| format!("{}: {error}", path.display()));
                Done::MadeDirectory { attempt, made }
            }
            Task::Place {
                attempt,
                input,
                directory,
            } => {
                let placed = self.place(&input, &directory);
                Done::Placed {
                    attempt,
                    input,
                    placed,
                }
            }
            Task::Return {
                attempt,
                directory,
                asked,
            } => {
                self.returning
                    .insert(attempt, Returning::new(&directory, asked));
                return None;
            }
            Task::Next { attempt } => {
                let returned = match self.returning.get_mut(&attempt) {
                    Some(returning) => returning.next(),
                    None => Returned::End,
                };
                if let Returned::End = returned {
                    self.returning.remove(&attempt);
                }
                Done::Next { attempt, returned }
            }
            Task::RemoveFiles { directory, files } => {
                self.remove_files(directory, &files);
                return None;
            }
            Task::RemoveDirectory { path } => {
                // What cannot be removed now goes with the run's scratch.
                if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
                    && let Ok(parent) = File::open(parent)
                {
                    let _ = remove_tree(&parent, name);
                }
                return None;
            }
        })
    }

    fn store(&mut self) -> Result<&mut Store, StoreError> {
        Ok(match &mut self.store {
            Some(store) => store,
            none => none.insert(Store::open(&self.local_storage, DEFAULT_CAPACITY)?),
        })
    }

    fn find(&mut self, digest: Digest, size: u64) -> Result<Found, StoreError> {
        let object = match self.store()?.look_up(&digest, size)? {
            LookUp::Present(object) => object,
            LookUp::Absent | LookUp::Corrupt => {
                let partial = self.store()?.begin(&digest, size)?;
                if !partial.is_whole() {
                    let offset = partial.offset();
                    self.arriving.insert(digest, partial);
                    return Ok(Found::Until(offset));
                }
                // Nothing is missing: an empty file, or one whose last writer died before it could commit.
                match self.store()?.commit(partial) {
                    Ok(object) => object,
                    Err(StoreError::Mismatch { .. }) => {
                        let partial = self.store()?.begin(&digest, size)?;
                        let offset = partial.offset();
                        self.arriving.insert(digest, partial);
                        return Ok(Found::Until(offset));
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        self.found.insert(digest, object);
        Ok(Found::Whole)
    }

    fn append(&mut self, digest: Digest, offset: u64, bytes: &[u8]) -> Progress {
        let failed = |error: StoreError| match error {
            StoreError::Mismatch { .. } | StoreError::OutOfOrder { .. } => Progress::Mismatch,
            error => Progress::Failed(error.to_string()),
        };
        // Of a content that has failed before, pieces were still on the way.
        let Some(partial) = self.arriving.get_mut(&digest) else {
            return Progress::More;
        };
        if let Err(error) = partial.append(offset, bytes) {
            self.arriving.remove(&digest);
            return failed(error);
        }
        if !partial.is_whole() {
            return Progress::More;
        }
        let Some(partial) = self.arriving.remove(&digest) else {
            return Progress::More;
        };
        match self.store().and_then(|store| store.commit(partial)) {
            Ok(object) => {
                self.found.insert(digest, object);
                Progress::Whole
            }
            Err(error) => failed(error),
        }
    }

    fn place(&mut self, input: &InputFile, directory: &Path) -> Result<(), Fault> {
        let key = (input.digest, input.path.clone());
        if input.once && self.placed.contains(&key) {
            return Ok(());
        }
        let host = |words: String| Fault::Host(format!("staging: {words}"));
        let object = self
            .found
            .get(&input.digest)
            .ok_or_else(|| host("a content was released too early".to_owned()))?;
        let root = File::open(directory)
            .map_err(|error| host(format!("{}: {error}", directory.display())))?;
        match object.place(&root, &input.path, input.mode) {
            Ok(()) => {}
            // A link or a directory of another job is in the way.
            Err(error @ (LandingError::Escapes { .. } | LandingError::IsADirectory { .. })) => {
                return Err(Fault::Job(error.to_string()));
            }
            Err(error) => return Err(host(error.to_string())),
        }
        if input.once {
            self.placed.insert(key);
        }
        Ok(())
    }

    fn remove_files(&mut self, directory: PathBuf, files: &[Suffix]) {
        let Ok(root) = File::open(&directory) else {
            return;
        };
        for file in files {
            // What was a directory of returned files stays, as the run's own.
            let _ = remove_file_beneath(&root, file);
            let parent = file.as_path().parent().map(Suffix::of);
            if let Some(Ok(parent)) = parent
                && self.emptied.len() < MAX_EMPTIED
                && !parent.is_empty()
            {
                self.emptied.insert((directory.clone(), parent));
            }
        }
    }

    fn remove_emptied(&self) {
        for (directory, emptied) in &self.emptied {
            if let Ok(root) = File::open(directory) {
                remove_empty_directories_beneath(root, emptied);
            }
        }
    }
}
