//! The threads that touch the client's files, so that sessions answer while a disk does not.
//!
//! One computes digests, the other moves bytes: a large file that is hashed stops no transfer. Both serve all hosts,
//! so that a file that goes to many is hashed once. What bounds their queues are the windows of the sessions.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use bytes::Bytes;
use cos_storage::{FileState, Landing, LandingError, SourceFile, Suffix, make_directories_beneath};
use tokio::sync::mpsc::UnboundedSender;

use crate::ids::AttemptId;

/// So many files that were hashed last stay open: those that many commands need.
const MAX_CACHED: usize = 32;

/// So many words about one attempt's files are enough.
pub(super) const MAX_PROBLEMS: usize = 16;

/// An answer to a session.
#[derive(Debug)]
pub(in crate::vm::agent) enum Reply {
    /// A file was opened and hashed, or not.
    Opened {
        attempt: AttemptId,
        index: usize,
        file: Result<Arc<SourceFile>, String>,
    },
    /// A piece of a file.
    Piece {
        file: Arc<SourceFile>,
        offset: u64,
        length: usize,
        bytes: Result<Vec<u8>, String>,
    },
    /// Bytes of returned files were written, or are of no use.
    Written { bytes: u64 },
    /// All that came back for an attempt is in place, but for these.
    Settled {
        attempt: AttemptId,
        problems: Vec<String>,
    },
}

/// What moves bytes: of one session, in its order.
enum Move {
    Read {
        file: Arc<SourceFile>,
        offset: u64,
        length: usize,
    },
    Directory {
        attempt: AttemptId,
        root: Arc<PathBuf>,
        path: Suffix,
    },
    Begin {
        attempt: AttemptId,
        root: Arc<PathBuf>,
        path: Suffix,
        mode: u32,
    },
    Write {
        attempt: AttemptId,
        bytes: Bytes,
    },
    Finish {
        attempt: AttemptId,
    },
    /// The file that has begun is none.
    Abandon {
        attempt: AttemptId,
    },
    Settle {
        attempt: AttemptId,
    },
    /// The session is over.
    End,
}

struct Open {
    attempt: AttemptId,
    index: usize,
    path: PathBuf,
    reply: UnboundedSender<Reply>,
}

struct Moving {
    session: u64,
    task: Move,
    reply: UnboundedSender<Reply>,
}

/// The handle of all sessions. The threads start when they are first needed and end with the last clone.
#[derive(Clone, Default)]
pub(in crate::vm::agent) struct Depot {
    threads: Arc<OnceLock<Result<Threads, String>>>,
    sessions: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Threads {
    opening: mpsc::Sender<Open>,
    moving: mpsc::Sender<Moving>,
}

impl Threads {
    fn start() -> io::Result<Self> {
        let (opening, opens) = mpsc::channel::<Open>();
        let (moving, moves) = mpsc::channel::<Moving>();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("cos-hash").spawn(move || {
            let mut cache = Cache::default();
            while let Ok(Open {
                attempt,
                index,
                path,
                reply,
            }) = opens.recv()
            {
                let file = cache.open(path);
                // A session that is over needs no answer.
                let _ = reply.send(Reply::Opened {
                    attempt,
                    index,
                    file,
                });
            }
        })?;
        thread("cos-files").spawn(move || {
            let mut mover = Mover::default();
            while let Ok(Moving {
                session,
                task,
                reply,
            }) = moves.recv()
            {
                if let Some(answer) = mover.carry_out(session, task) {
                    let _ = reply.send(answer);
                }
            }
        })?;
        Ok(Self { opening, moving })
    }
}

impl Depot {
    /// The part of one session, whose answers come by `reply`.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub(super) fn session(&self, reply: UnboundedSender<Reply>) -> Result<DepotSession, String> {
        let start = || Threads::start().map_err(|error| format!("no thread for files: {error}"));
        let threads = self.threads.get_or_init(start).clone()?;
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(DepotSession {
            threads,
            number,
            reply,
        })
    }
}

/// A session's access. Dropped, files that have not arrived whole are removed.
pub(super) struct DepotSession {
    threads: Threads,
    number: u64,
    reply: UnboundedSender<Reply>,
}

impl DepotSession {
    pub(super) fn open(&self, attempt: AttemptId, index: usize, path: PathBuf) {
        let reply = self.reply.clone();
        // The threads live as long as their handle.
        let _ = self.threads.opening.send(Open {
            attempt,
            index,
            path,
            reply,
        });
    }

    pub(super) fn read(&self, file: Arc<SourceFile>, offset: u64, length: usize) {
        self.give(Move::Read {
            file,
            offset,
            length,
        });
    }

    pub(super) fn directory(&self, attempt: AttemptId, root: Arc<PathBuf>, path: Suffix) {
        self.give(Move::Directory {
            attempt,
            root,
            path,
        });
    }

    pub(super) fn begin(&self, attempt: AttemptId, root: Arc<PathBuf>, path: Suffix, mode: u32) {
        self.give(Move::Begin {
            attempt,
            root,
            path,
            mode,
        });
    }

    pub(super) fn write(&self, attempt: AttemptId, bytes: Bytes) {
        self.give(Move::Write { attempt, bytes });
    }

    pub(super) fn finish(&self, attempt: AttemptId) {
        self.give(Move::Finish { attempt });
    }

    pub(super) fn abandon(&self, attempt: AttemptId) {
        self.give(Move::Abandon { attempt });
    }

    pub(super) fn settle(&self, attempt: AttemptId) {
        self.give(Move::Settle { attempt });
    }

    fn give(&self, task: Move) {
        let (session, reply) = (self.number, self.reply.clone());
        let _ = self.threads.moving.send(Moving {
            session,
            task,
            reply,
        });
    }
}

impl Drop for DepotSession {
    fn drop(&mut self) {
        self.give(Move::End);
    }
}

/// Files that were hashed, the last one at the end.
#[derive(Default)]
struct Cache {
    files: VecDeque<(PathBuf, Arc<SourceFile>)>,
}

impl Cache {
    fn open(&mut self, path: PathBuf) -> Result<Arc<SourceFile>, String> {
        if let Some(at) = self.files.iter().position(|(known, _)| *known == path)
            && let Some((_, file)) = self.files.remove(at)
        {
            // The name may belong to another file by now, and the file may have changed.
            if FileState::of_path(&path).is_ok_and(|state| state == file.state()) {
                self.files.push_back((path, Arc::clone(&file)));
                return Ok(file);
            }
        }
        let file = SourceFile::open(&path).map_err(|error| error.to_string())?;
        let file = Arc::new(file);
        if self.files.len() >= MAX_CACHED {
            self.files.pop_front();
        }
        self.files.push_back((path, Arc::clone(&file)));
        Ok(file)
    }
}

/// Files that are coming back, of each session and attempt.
#[derive(Default)]
struct Mover {
    arriving: HashMap<(u64, AttemptId), Arriving>,
}

#[derive(Default)]
struct Arriving {
    landing: Option<Landing>,
    problems: Vec<String>,
}

impl Arriving {
    fn note(&mut self, done: Result<(), LandingError>) {
        if let Err(error) = done {
            self.landing = None;
            self.complain(error.to_string());
        }
    }

    fn complain(&mut self, words: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(words);
        }
    }
}

impl Mover {
    fn of(&mut self, session: u64, attempt: AttemptId) -> &mut Arriving {
        self.arriving.entry((session, attempt)).or_default()
    }

    fn carry_out(&mut self, session: u64, task: Move) -> Option<Reply> {
        match task {
            Move::Read {
                file,
                offset,
                length,
            } => {
                let mut bytes = vec![0; length];
                let read = file.read_at(offset, &mut bytes);
                let bytes = read.map(|_| bytes).map_err(|error| error.to_string());
                return Some(Reply::Piece {
                    file,
                    offset,
                    length,
                    bytes,
                });
            }
            Move::Directory {
                attempt,
                root,
                path,
            } => {
                let arriving = self.of(session, attempt);
                match open_root(&root) {
                    Ok(root) => arriving.note(make_directories_beneath(&root, &path)),
                    Err(words) => arriving.complain(words),
                }
            }
            Move::Begin {
                attempt,
                root,
                path,
                mode,
            } => {
                let arriving = self.of(session, attempt);
                match open_root(&root).map(|root| Landing::begin(&root, &path, mode)) {
                    Ok(Ok(landing)) => arriving.landing = Some(landing),
                    Ok(Err(error)) => arriving.note(Err(error)),
                    Err(words) => arriving.complain(words),
                }
            }
            Move::Write { attempt, bytes } => {
                let arriving = self.of(session, attempt);
                if let Some(landing) = &mut arriving.landing {
                    let written = landing.write(&bytes);
                    arriving.note(written);
                }
                return Some(Reply::Written {
                    bytes: bytes.len() as u64,
                });
            }
            Move::Finish { attempt } => {
                let arriving = self.of(session, attempt);
                if let Some(landing) = arriving.landing.take() {
                    arriving.note(landing.finish());
                }
            }
            Move::Abandon { attempt } => self.of(session, attempt).landing = None,
            Move::Settle { attempt } => {
                let arriving = self
                    .arriving
                    .remove(&(session, attempt))
                    .unwrap_or_default();
                return Some(Reply::Settled {
                    attempt,
                    problems: arriving.problems,
                });
            }
            Move::End => self.arriving.retain(|(of, _), _| *of != session),
        }
        None
    }
}

fn open_root(root: &PathBuf) -> Result<File, String> {
    File::open(root).map_err(|error| format!("{}: {error}", root.display()))
}
