//! A session's files, with an agent that is played and real files.

use bytes::Bytes;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::ids::{Epoch, TaskId};
use crate::job::CommandJob;
use cos_storage::Suffix;

fn attempt(task: u64) -> AttemptId {
    AttemptId {
        task: TaskId(task),
        epoch: Epoch::FIRST,
    }
}

struct Play {
    directory: tempfile::TempDir,
    staging: SessionStaging,
    replies: mpsc::UnboundedReceiver<Reply>,
}

impl Play {
    fn new() -> Self {
        let (staging, replies) = SessionStaging::new(Depot::default());
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            staging,
            replies,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn held(&self, task: u64, inputs: &[&str], returns: &[&str]) -> Held {
        let input = |name: &&str| StagedInput {
            source: self.path(name),
            path: Suffix::of(name).unwrap(),
            scope: InputScope::Command,
        };
        let staging = Staging {
            inputs: inputs.iter().map(input).collect(),
            returns: returns
                .iter()
                .map(|name| Suffix::of(name).unwrap())
                .collect(),
            ..Staging::new(self.directory.path())
        };
        let job = CommandJob {
            staging: Some(Arc::new(staging)),
            ..CommandJob::shell(task, "true")
        };
        Held {
            attempt: attempt(task),
            try_number: 1,
            amounts: Amounts::cores(1),
            work: Arc::new(job.into()),
        }
    }

    /// The next effect; waits for the depot's threads where there is none.
    fn effect(&mut self) -> Effect {
        loop {
            self.staging.send_more(0);
            if let Some(effect) = self.staging.next_effect() {
                return effect;
            }
            let reply = self.replies.blocking_recv().unwrap();
            self.staging.note(reply);
        }
    }

    fn started(&mut self) -> StageRequest {
        match self.effect() {
            Effect::Start(_, request) => *request,
            _ => panic!("not started"),
        }
    }
}

#[test]
fn a_file_goes_in_pieces_from_where_it_is_wanted() {
    let mut play = Play::new();
    let content: Vec<u8> = (0..3 * CHUNK).map(|at| (at % 251) as u8).collect();
    fs::write(play.path("big"), &content).unwrap();
    let held = play.held(1, &["big"], &[]);
    assert!(play.staging.begin(held, false).is_none());
    let request = play.started();
    let digest = Digest::of(&content);
    assert_eq!(request.inputs[0].digest, digest);
    play.staging.wanted(digest, 1000);
    let mut arrived = content[..1000].to_vec();
    loop {
        match play.effect() {
            Effect::Say(ToStaging::Piece { digest: of, offset }, bytes) => {
                assert_eq!((of, offset), (digest, arrived.len() as u64));
                assert!(bytes.len() <= CHUNK);
                play.staging.credit(bytes.len() as u64);
                arrived.extend(bytes);
            }
            Effect::Sent { bytes, .. } => {
                assert_eq!(bytes, content.len() as u64);
                break;
            }
            _ => panic!("unexpected"),
        }
    }
    assert!(arrived == content);
}

#[test]
fn no_more_than_a_window_is_on_the_way() {
    let mut play = Play::new();
    let size = INPUT_WINDOW as usize + 3 * CHUNK;
    fs::write(play.path("big"), vec![7; size]).unwrap();
    let held = play.held(1, &["big"], &[]);
    play.staging.begin(held, false);
    let digest = play.started().inputs[0].digest;
    play.staging.wanted(digest, 0);
    let mut sent = 0;
    while sent < INPUT_WINDOW {
        match play.effect() {
            Effect::Say(ToStaging::Piece { .. }, bytes) => sent += bytes.len() as u64,
            _ => panic!("unexpected"),
        }
    }
    play.staging.send_more(0);
    assert_eq!(play.staging.reading, 0);
    play.staging.credit(CHUNK as u64);
    play.staging.send_more(UNWRITTEN_LIMIT);
    assert_eq!(play.staging.reading, 0);
    play.staging.send_more(0);
    assert_eq!(play.staging.reading, 1);
}

#[test]
fn small_files_do_not_wait_behind_large_ones() {
    let mut play = Play::new();
    fs::write(play.path("big"), vec![7; 8 * CHUNK]).unwrap();
    fs::write(play.path("small"), "1").unwrap();
    let held = play.held(1, &["big", "small"], &[]);
    play.staging.begin(held, false);
    let request = play.started();
    for input in &request.inputs {
        play.staging.wanted(input.digest, 0);
        // Asked for twice, it goes once.
        play.staging.wanted(input.digest, 0);
    }
    let mut before = 0;
    loop {
        match play.effect() {
            Effect::Say(ToStaging::Piece { digest, .. }, _)
                if digest == request.inputs[1].digest =>
            {
                break;
            }
            Effect::Say(ToStaging::Piece { .. }, _) => before += 1,
            _ => panic!("unexpected"),
        }
    }
    assert!(before <= 1, "{before}");
}

#[test]
fn a_file_that_changes_on_its_way_fails_the_attempt() {
    let mut play = Play::new();
    fs::write(play.path("file"), "12345").unwrap();
    let held = play.held(1, &["file"], &[]);
    play.staging.begin(held, false);
    let digest = play.started().inputs[0].digest;
    fs::write(play.path("file"), "123").unwrap();
    play.staging.wanted(digest, 0);
    match play.effect() {
        Effect::Say(ToStaging::Unavailable { digest: of, cause }, _) => {
            assert_eq!(of, digest);
            assert!(cause.contains("changed while it was read"), "{cause}");
        }
        _ => panic!("unexpected"),
    }
    // A file that is not there fails it before anything is said.
    let held = play.held(2, &["none"], &[]);
    play.staging.begin(held, false);
    match play.effect() {
        Effect::Failed { attempt: of, cause } => {
            assert_eq!(of, attempt(2));
            assert!(cause.ends_with("none: there is no such file"), "{cause}");
        }
        _ => panic!("unexpected"),
    }
}

#[test]
fn files_land_where_they_were_asked_for_and_nowhere_else() {
    let mut play = Play::new();
    let held = play.held(1, &[], &["out", "a.csv"]);
    play.staging.begin(held, false);
    assert_eq!(play.started().returns.len(), 2);
    let of = |name: &str| Suffix::of(name).unwrap();
    let id = attempt(1);
    for name in ["other", "outer/x", "a.csv.old", ""] {
        play.staging.file(id, of(name), 0o644).unwrap_err();
        play.staging.directory(id, of(name)).unwrap_err();
    }
    play.staging.directory(id, of("out/empty")).unwrap();
    play.staging.file(id, of("out/x"), 0o4755).unwrap();
    play.staging
        .file_piece(id, &Bytes::from_static(b"12"))
        .unwrap();
    play.staging
        .file_piece(id, &Bytes::from_static(b"3"))
        .unwrap();
    play.staging.file_end(id);
    play.staging.file(id, of("a.csv"), 0o600).unwrap();
    play.staging
        .file_piece(id, &Bytes::from_static(b"torn"))
        .unwrap();
    play.staging.failed(id, "a.csv became shorter".to_owned());
    let stopped = AttemptResult::Stopped(None);
    assert_eq!(play.staging.ended(id, stopped.clone()), None);
    let mut written = 0;
    let problems = loop {
        match play.effect() {
            Effect::Say(ToStaging::FileCredit { bytes }, _) => written += bytes,
            Effect::Ended {
                result, problems, ..
            } => {
                assert_eq!(result, stopped);
                break problems;
            }
            _ => panic!("unexpected"),
        }
    };
    assert_eq!(written, 7);
    assert_eq!(problems, ["a.csv became shorter"]);
    assert_eq!(fs::read(play.path("out/x")).unwrap(), b"123");
    assert!(play.path("out/empty").is_dir());
    assert!(!play.path("a.csv").exists());
    assert_eq!(fs::read_dir(play.directory.path()).unwrap().count(), 1);
}

#[test]
fn more_than_was_granted_breaks_the_protocol() {
    let mut play = Play::new();
    let piece = Bytes::from(vec![0; CHUNK]);
    let mut sent = 0;
    // Nothing is written for an attempt that nobody knows, and so nothing is granted before this is asked for.
    while play.staging.attempts.is_empty() && sent < FILE_WINDOW {
        play.staging.file_window = FILE_WINDOW - sent;
        play.staging.file_piece(attempt(1), &piece).unwrap();
        sent += CHUNK as u64;
    }
    play.staging.file_window = 0;
    play.staging.file_piece(attempt(1), &piece).unwrap_err();
}

#[test]
fn nothing_travels_to_a_directory_that_is_shared() {
    let mut play = Play::new();
    let held = play.held(1, &["a"], &["b"]);
    assert!(play.staging.begin(held, true).is_some());
    // One that has another name there does.
    let mut held = play.held(2, &["a"], &["b"]);
    fs::write(play.path("a"), "1").unwrap();
    let job = held.work.command().unwrap();
    let staging = job.staging.as_deref().unwrap();
    let mut moved = staging.clone();
    moved.inputs[0].path = Suffix::of("elsewhere").unwrap();
    let job = CommandJob {
        staging: Some(Arc::new(moved)),
        ..job.clone()
    };
    held.work = Arc::new(job.into());
    assert!(play.staging.begin(held, true).is_none());
    let request = play.started();
    assert_eq!((request.inputs.len(), request.returns.len()), (1, 0));
}

#[test]
fn an_attempt_is_taken_back_before_it_has_gone() {
    let mut play = Play::new();
    fs::write(play.path("a"), "1").unwrap();
    let held = play.held(1, &["a"], &[]);
    play.staging.begin(held, false);
    assert!(play.staging.withdraw(attempt(1)));
    assert!(!play.staging.withdraw(attempt(1)));
    let reply = play.replies.blocking_recv().unwrap();
    play.staging.note(reply);
    assert!(play.staging.next_effect().is_none());
    // Sources are kept as long as an attempt may ask for them.
    let held = play.held(2, &["a"], &[]);
    play.staging.begin(held, false);
    let digest = play.started().inputs[0].digest;
    assert!(!play.staging.withdraw(attempt(2)));
    play.staging.release_inputs(attempt(2));
    play.staging.wanted(digest, 0);
    assert!(matches!(
        play.effect(),
        Effect::Say(ToStaging::Unavailable { .. }, _)
    ));
}
