//! Programs of microthreads as data, and their run on the real tables.

use std::collections::BTreeMap;

use crate::ids::{TaskId, Tid};
use crate::kernel::microthread::{Answer, MAIN, Microthreads, Place, Visibility, WaitId};

/// A system call of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Yield,
    /// A child that runs the script of this number.
    Spawn(usize),
    SpawnHidden(usize),
    /// A child that finishes when somebody else says so.
    SpawnRemote,
    JoinAny,
    /// The caller's children by their order of birth, from 0; numbers that are too high are tids of nobody.
    Join(Vec<usize>),
    TryJoinAny,
    TryJoin(Vec<usize>),
    /// The child's result is not wanted.
    Detach(usize),
}

/// What each kind of microthread does before it ends; main runs the first.
pub(super) type Scripts = Vec<Vec<Call>>;

/// Which remote child finishes after which turn: (turn, number among the remote children so far).
pub(super) type Elsewhere = Vec<(usize, usize)>;

/// What is seen from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    Calls(Tid, Call),
    /// A join's answer: the child, if there was one.
    Joined(Tid, Option<Tid>),
    Ends(Tid),
    EndsElsewhere(Tid),
}

/// The value that a microthread ends with.
pub(super) fn value(tid: Tid) -> u64 {
    tid.0 * 1000 + 7
}

/// A tid that nobody has.
pub(super) const NOBODY: Tid = Tid(1_000_000);

#[derive(Default)]
struct Running {
    script: usize,
    next: usize,
    children: Vec<Tid>,
    wait: Option<WaitId>,
}

/// Runs a program until nothing has a turn any more.
pub(super) fn run(scripts: &Scripts, elsewhere: &Elsewhere) -> Vec<Seen> {
    let mut threads = Microthreads::new();
    let mut running = BTreeMap::from([(MAIN, Running::default())]);
    let mut remote: Vec<Tid> = Vec::new();
    let mut seen = Vec::new();
    for turns in 0.. {
        for (_, number) in elsewhere.iter().filter(|(at, _)| *at == turns) {
            if let Some(tid) = remote.get(*number).copied()
                && threads.info(tid).is_some_and(|info| !info.is_finished)
            {
                seen.push(Seen::EndsElsewhere(tid));
                threads.finish(tid, value(tid));
                threads.check();
            }
        }
        let Some(turn) = threads.next_turn() else {
            if elsewhere.iter().any(|(at, _)| *at > turns) {
                continue;
            }
            return seen;
        };
        let tid = turn.tid;
        let Some(thread) = running.get_mut(&tid) else {
            continue;
        };
        assert_eq!(turn.wait, thread.wait, "one wait at a time");
        if let Some(wait) = thread.wait.take() {
            match threads.take(wait).expect("its turn has come") {
                Answer::Joined(joined) => {
                    if let Some((child, got)) = joined {
                        assert_eq!(got, value(child));
                    }
                    seen.push(Seen::Joined(tid, joined.map(|(child, _)| child)));
                }
                Answer::Turn => {}
                Answer::Resolved => panic!("nothing was opened"),
            }
        }
        step(
            &mut threads,
            &mut running,
            &mut remote,
            &mut seen,
            scripts,
            tid,
        );
        threads.check();
    }
    unreachable!("the turns are counted for ever")
}

fn step(
    threads: &mut Microthreads<u64>,
    running: &mut BTreeMap<Tid, Running>,
    remote: &mut Vec<Tid>,
    seen: &mut Vec<Seen>,
    scripts: &Scripts,
    tid: Tid,
) {
    let Some(thread) = running.get_mut(&tid) else {
        return;
    };
    while let Some(call) = scripts[thread.script].get(thread.next).cloned() {
        thread.next += 1;
        seen.push(Seen::Calls(tid, call.clone()));
        let name = |numbers: &[usize]| -> Vec<Tid> {
            let child = |n: &usize| thread.children.get(*n).copied().unwrap_or(NOBODY);
            numbers.iter().map(child).collect()
        };
        let mut born = None;
        let wait = match &call {
            Call::Yield => threads.yield_now(tid),
            Call::Spawn(script) | Call::SpawnHidden(script) => {
                let visibility = match call {
                    Call::Spawn(_) => Visibility::Shown,
                    _ => Visibility::Hidden,
                };
                let (child, wait) = threads.spawn(tid, visibility, Place::Local);
                thread.children.push(child);
                born = Some((child, *script));
                wait
            }
            Call::SpawnRemote => {
                let place = Place::Remote(None);
                let (child, wait) = threads.spawn(tid, Visibility::Shown, place);
                threads.set_task(child, TaskId(child.0));
                thread.children.push(child);
                remote.push(child);
                wait
            }
            Call::JoinAny => threads.join_any(tid),
            Call::Join(numbers) => threads.join_named(tid, &name(numbers)),
            Call::TryJoinAny => threads.try_join(tid, &[]),
            Call::TryJoin(numbers) => threads.try_join(tid, &name(numbers)),
            Call::Detach(number) => {
                if let Some(child) = thread.children.get(*number) {
                    threads.detach(*child);
                }
                continue;
            }
        };
        thread.wait = Some(wait);
        if let Some((child, script)) = born {
            let child_row = Running {
                script,
                ..Running::default()
            };
            running.insert(child, child_row);
        }
        return;
    }
    seen.push(Seen::Ends(tid));
    running.remove(&tid);
    for orphan in threads.finish(tid, value(tid)) {
        running.remove(&orphan.tid);
    }
}
