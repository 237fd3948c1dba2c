//! Programs of microthreads as data, and their run on the real tables.

use std::collections::BTreeMap;

use crate::ids::Tid;
use crate::kernel::microthread::{Answer, Child, MAIN, Microthreads, Place, Visibility, WaitId};

/// A system call of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Yield,
    /// A child that runs the script of this number.
    Spawn(usize),
    SpawnHidden(usize),
    /// A child whose work is done elsewhere.
    SpawnRemote(Remote),
    JoinAny,
    /// The caller's children by their order of birth, from 0; numbers that are too high are tids of nobody.
    Join(Vec<usize>),
    TryJoinAny,
    TryJoin(Vec<usize>),
    /// The child's result is not wanted.
    Detach(usize),
    /// The microthread fails here.
    Fail,
}

/// How a remote child is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Remote {
    pub(super) how: How,
    /// The one host that may run it.
    pub(super) host: Option<u32>,
}

/// What the caller of a remote spawn waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// Until the task is handed over.
    Block,
    /// For nothing.
    Enqueue,
    /// For nothing; there is no child when no slot is free.
    TryNow,
}

/// A remote child of the plainest kind.
pub(super) const REMOTE: Call = Call::SpawnRemote(Remote {
    how: How::Enqueue,
    host: None,
});

/// What each kind of microthread does before it ends; main runs the first.
pub(super) type Scripts = Vec<Vec<Call>>;

/// Where remote children run, known by their number in order of birth.
pub(super) trait World {
    /// A remote child is asked for. It has the next number unless it is refused.
    fn ask(&mut self, remote: &Remote) -> Asked;
    /// What happens elsewhere before the turn of this number.
    fn pass(&mut self, turn: usize) -> Vec<Happening>;
    /// Whether nothing happens elsewhere any more, from that turn on.
    fn is_over(&self, turn: usize) -> bool;
    /// A child is not wanted any more.
    fn cancel(&mut self, number: usize);
}

/// What becomes of a request for a remote child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// There is none.
    Refused,
    /// It waits for a host.
    Queued,
    /// It was handed to a host.
    Handed,
}

/// What happens to a remote child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Happening {
    Handed(usize),
    Succeeds(usize),
    Fails(usize),
}

/// What is seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    Calls(Tid, Call),
    /// A remote spawn gave no child.
    Refused(Tid),
    /// A join's answer: the child and its value, if there was one.
    Joined(Tid, Option<(Tid, u64)>),
    Ends(Tid),
    EndsElsewhere(Tid),
}

/// The value that a microthread ends with when all goes well.
pub(super) fn value(tid: Tid) -> u64 {
    tid.0 * 1000 + 7
}

/// What one ends with that has failed.
pub(super) const FAILED: u64 = 0;

/// A tid that nobody has.
pub(super) const NOBODY: Tid = Tid(1_000_000);

#[derive(Default)]
struct Running {
    script: usize,
    next: usize,
    children: Vec<Tid>,
    wait: Option<WaitId>,
}

struct Interpreter<'a> {
    scripts: &'a Scripts,
    world: &'a mut dyn World,
    threads: Microthreads<u64>,
    running: BTreeMap<Tid, Running>,
    /// The remote children, and the waits of those who asked for them.
    remote: Vec<(Tid, Option<WaitId>)>,
    seen: Vec<Seen>,
}

/// Runs a program until nothing has a turn any more.
pub(super) fn run(scripts: &Scripts, world: &mut dyn World) -> Vec<Seen> {
    let mut interpreter = Interpreter {
        scripts,
        world,
        threads: Microthreads::new(),
        running: BTreeMap::from([(MAIN, Running::default())]),
        remote: Vec::new(),
        seen: Vec::new(),
    };
    for turn in 0.. {
        interpreter.pass(turn);
        if !interpreter.turn() && interpreter.world.is_over(turn + 1) {
            break;
        }
    }
    interpreter.seen
}

impl Interpreter<'_> {
    fn pass(&mut self, turn: usize) {
        for happening in self.world.pass(turn) {
            let (number, end) = match happening {
                Happening::Handed(number) => (number, None),
                Happening::Succeeds(number) => (number, Some(value(self.remote[number].0))),
                Happening::Fails(number) => (number, Some(FAILED)),
            };
            let (tid, wait) = self.remote[number];
            if let Some(wait) = wait {
                self.threads.resolve(wait);
            }
            if let Some(end) = end
                && self.threads.info(tid).is_some_and(|info| !info.is_finished)
            {
                self.seen.push(Seen::EndsElsewhere(tid));
                self.threads.finish(tid, end);
            }
            self.threads.check();
        }
    }

    /// One turn, if there is one.
    fn turn(&mut self) -> bool {
        let Some(turn) = self.threads.next_turn() else {
            return false;
        };
        let tid = turn.tid;
        let thread = self.running.get_mut(&tid).expect("it lives");
        assert_eq!(turn.wait, thread.wait, "one wait at a time");
        if let Some(wait) = thread.wait.take() {
            match self.threads.take(wait).expect("its turn has come") {
                Answer::Joined(joined) => self.seen.push(Seen::Joined(tid, joined)),
                Answer::Turn | Answer::Resolved => {}
            }
        }
        self.step(tid);
        self.threads.check();
        true
    }

    fn step(&mut self, tid: Tid) {
        let mut end = value(tid);
        while let Some(thread) = self.running.get_mut(&tid)
            && let Some(call) = self.scripts[thread.script].get(thread.next).cloned()
        {
            thread.next += 1;
            self.seen.push(Seen::Calls(tid, call.clone()));
            let name = |numbers: &[usize]| -> Vec<Tid> {
                let child = |n: &usize| thread.children.get(*n).copied().unwrap_or(NOBODY);
                numbers.iter().map(child).collect()
            };
            let wait = match &call {
                Call::Yield => self.threads.yield_now(tid),
                Call::Spawn(script) => self.spawn(tid, *script, Visibility::Shown),
                Call::SpawnHidden(script) => self.spawn(tid, *script, Visibility::Hidden),
                Call::SpawnRemote(remote) => self.spawn_remote(tid, remote),
                Call::JoinAny => self.threads.join_any(tid),
                Call::Join(numbers) => self.threads.join_named(tid, &name(numbers)),
                Call::TryJoinAny => self.threads.try_join(tid, &[]),
                Call::TryJoin(numbers) => self.threads.try_join(tid, &name(numbers)),
                Call::Detach(number) => {
                    if let Some(child) = thread.children.get(*number) {
                        self.threads.detach(*child);
                    }
                    continue;
                }
                Call::Fail => {
                    end = FAILED;
                    break;
                }
            };
            if let Some(thread) = self.running.get_mut(&tid) {
                thread.wait = Some(wait);
            }
            return;
        }
        self.seen.push(Seen::Ends(tid));
        self.running.remove(&tid);
        for orphan in self.threads.finish(tid, end) {
            match orphan.place {
                Place::Local => {
                    let row = self.running.remove(&orphan.tid);
                    // Its future is dropped, and with it its wait.
                    if let Some(wait) = row.and_then(|row| row.wait) {
                        self.threads.withdraw(wait);
                    }
                }
                Place::Remote(_) => {
                    let number = self.remote.iter().position(|(tid, _)| *tid == orphan.tid);
                    self.world.cancel(number.expect("it was asked for"));
                }
            }
        }
    }

    fn spawn(&mut self, parent: Tid, script: usize, visibility: Visibility) -> WaitId {
        let (Child { tid: child, .. }, wait) = self.threads.spawn(parent, visibility, Place::Local);
        let row = Running {
            script,
            ..Running::default()
        };
        self.running.insert(child, row);
        self.born(parent, child);
        wait
    }

    fn spawn_remote(&mut self, parent: Tid, remote: &Remote) -> WaitId {
        let asked = self.world.ask(remote);
        let (child, wait) = match (asked, remote.how) {
            (Asked::Refused, _) => {
                self.seen.push(Seen::Refused(parent));
                return self.threads.yield_now(parent);
            }
            (Asked::Queued, How::Block) => {
                let (Child { tid: child, .. }, wait) =
                    self.threads.spawn_held(parent, Visibility::Shown, None);
                self.remote.push((child, Some(wait)));
                (child, wait)
            }
            _ => {
                let place = Place::Remote(None);
                let (Child { tid: child, .. }, wait) =
                    self.threads.spawn(parent, Visibility::Shown, place);
                self.remote.push((child, None));
                (child, wait)
            }
        };
        self.born(parent, child);
        wait
    }

    fn born(&mut self, parent: Tid, child: Tid) {
        if let Some(thread) = self.running.get_mut(&parent) {
            thread.children.push(child);
        }
    }
}
