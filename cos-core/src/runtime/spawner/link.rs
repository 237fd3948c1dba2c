//! The worker's end: the backend of a task's OS.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::pieces::{Assembly, cut};
use super::protocol::{FromSpawner, Room, Serial, Submission, ToSpawner};
use crate::event::{RunEvent, Stamped};
use crate::ids::TaskId;
use crate::job::{Needs, TaskError, TaskLabel};
use crate::kernel::{SubmitError, TaskRequest};
use crate::runtime::backend::{Backend, Happening};
use crate::time::Time;
use crate::vm::host::HostSpec;
use crate::vm::local::LOCAL;

/// How a task's OS reaches its spawner.
pub(crate) trait Line {
    /// Says something.
    fn say(&mut self, said: Said);

    /// What was heard.
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<Heard>;
}

/// What a task's OS says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// To its spawner.
    Told(Bytes),
    /// Every microthread waits: the licence is free.
    Lent,
    /// One could go on.
    Wanted,
}

/// What a task's OS hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// From its spawner.
    Told(Bytes),
    /// The licence is back.
    Resumed,
}

/// Whether microthreads may be polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Licence {
    Held,
    /// It was given away, since everything waited.
    Lent,
    /// It was asked for.
    Wanted,
}

/// A link to the spawner.
pub(crate) struct Link {
    line: Box<dyn Line>,
    licence: Licence,
    heard: Assembly,
    happenings: VecDeque<Happening>,
    /// The number of the next child.
    next: u64,
    /// What the client calls the children that were handed to a host and have no outcome.
    ids: HashMap<Serial, TaskId>,
    /// How many children have no outcome.
    under_way: usize,
    room: Room,
    /// How many children were spawned since the room was told.
    since: usize,
}

impl Link {
    pub(crate) fn new(line: Box<dyn Line>) -> Self {
        Self {
            line,
            licence: Licence::Held,
            heard: Assembly::default(),
            happenings: VecDeque::new(),
            next: 0,
            ids: HashMap::new(),
            under_way: 0,
            room: Room {
                slots: 1,
                ..Room::default()
            },
            since: 0,
        }
    }

    /// Gives the line back.
    pub(super) fn into_line(self) -> Box<dyn Line> {
        self.line
    }

    /// Says something; false when it is too long to be said.
    fn tell(&mut self, message: &ToSpawner) -> bool {
        let Ok(pieces) = cut(message) else {
            return false;
        };
        for piece in pieces {
            self.line.say(Said::Told(piece));
        }
        true
    }

    fn end(&mut self, child: Serial, event: impl FnOnce(TaskId) -> RunEvent, now: Time) {
        self.ids.remove(&child);
        self.under_way = self.under_way.saturating_sub(1);
        self.happenings.push_back(Happening::Event(Stamped {
            at: now,
            event: event(TaskId(child.0)),
        }));
    }

    fn hear(&mut self, message: FromSpawner, now: Time) {
        match message {
            FromSpawner::Handed { child, task, host } => {
                self.ids.insert(child, task);
                let task = TaskId(child.0);
                self.happenings.push_back(Happening::Handed { task, host });
            }
            FromSpawner::Ended {
                child,
                outcome,
                host,
                tries,
            } => {
                let event = |task| RunEvent::TaskEnded {
                    attempt: None,
                    task,
                    index: 0,
                    host,
                    tries,
                    outcome: *outcome,
                };
                self.end(child, event, now);
            }
            FromSpawner::Room(room) => {
                self.room = room;
                self.since = 0;
            }
            FromSpawner::Returned { call, result } => {
                self.happenings.push_back(Happening::Returned {
                    call: call.0,
                    result,
                });
            }
        }
    }

    fn fail(&mut self, child: Serial, index: u64, error: TaskError, now: Time) {
        let event = |task| RunEvent::TaskEnded {
            attempt: None,
            task,
            index,
            host: None,
            tries: 0,
            outcome: Err(error),
        };
        self.end(child, event, now);
    }

    fn next_child(&mut self) -> Serial {
        self.next += 1;
        self.under_way += 1;
        self.since += 1;
        Serial(self.next - 1)
    }
}

impl Backend for Link {
    fn submit(&mut self, request: TaskRequest, now: Time) -> Result<TaskId, SubmitError> {
        let child = self.next_child();
        let index = request.index;
        let label = TaskLabel::of(&request.work, TaskId(child.0));
        let submission = Submission {
            child,
            index,
            work: Arc::unwrap_or_clone(request.work),
            needs: request.needs,
            class: request.class,
            policy: request.policy,
        };
        if !self.tell(&ToSpawner::Spawn(Box::new(submission))) {
            let error = TaskError::Encode {
                task: label,
                host: LOCAL.to_owned(),
                error: "it is too long to be sent to the spawner".to_owned(),
            };
            self.fail(child, index, error, now);
        }
        Ok(TaskId(child.0))
    }

    fn submit_failed(&mut self, index: u64, error: TaskError, now: Time) -> TaskId {
        let child = self.next_child();
        self.fail(child, index, error, now);
        TaskId(child.0)
    }

    fn cancel(&mut self, task: TaskId, grace: Duration, _: Time) {
        let child = Serial(task.0);
        self.tell(&ToSpawner::Cancel { child, grace });
    }

    fn has_room(&self, _: &Needs) -> bool {
        self.free_slots() > 0
    }

    fn no_host_left(&self, _: &Needs) -> Option<String> {
        None
    }

    fn slots(&self) -> usize {
        self.room.slots as usize
    }

    fn free_slots(&self) -> usize {
        (self.room.free as usize).saturating_sub(self.since)
    }

    fn wanting(&self) -> usize {
        // A parent that has no child under way may have one: its own slot is free while it waits.
        let least = usize::from(self.under_way == 0);
        let wanting = (self.room.wanting as usize).saturating_sub(self.since);
        wanting.max(least)
    }

    fn poll(&mut self, context: &mut Context<'_>, now: Time) -> bool {
        while let Poll::Ready(heard) = self.line.poll_heard(context) {
            match heard {
                Heard::Resumed => self.licence = Licence::Held,
                Heard::Told(piece) => {
                    self.heard.feed(&piece);
                    while let Ok(Some(message)) = self.heard.next() {
                        self.hear(message, now);
                    }
                }
            }
        }
        false
    }

    fn next(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn hosts(&self) -> &[HostSpec] {
        &[]
    }

    fn shut_down(&mut self, _: Duration, _: Duration, _: Time) {}

    fn is_over(&self) -> bool {
        // What is left of this task is cancelled by its spawner, when it hears of its end.
        true
    }

    fn holds_licence(&self) -> bool {
        self.licence == Licence::Held
    }

    fn lend_licence(&mut self) {
        if self.licence == Licence::Held {
            self.licence = Licence::Lent;
            self.line.say(Said::Lent);
        }
    }

    fn want_licence(&mut self) {
        if self.licence == Licence::Lent {
            self.licence = Licence::Wanted;
            self.line.say(Said::Wanted);
        }
    }

    fn call_spawner(&mut self, call: crate::job::Call, answer: Option<u64>) -> bool {
        let answer = answer.map(Serial);
        self.tell(&ToSpawner::Call { call, answer })
    }

    fn task_id(&self, task: TaskId) -> Option<TaskId> {
        self.ids.get(&Serial(task.0)).copied()
    }

    fn is_link(&self) -> bool {
        true
    }
}
