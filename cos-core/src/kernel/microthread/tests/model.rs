//! Random programs on the real tables and on a plain reference model: both must show the same.
//!
//! The model is PyOPUS's scheduler in its own terms: a list of runnable tasks, dictionaries of finished children, one wait per
//! task, linear searches everywhere. `COS_SIM_SEEDS` and `COS_SIM_SEED` work here too.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use super::interpreter::{Call, Elsewhere, NOBODY, Scripts, Seen, run};
use crate::ids::Tid;
use crate::kernel::microthread::MAIN;

#[derive(Default, Debug)]
struct Task {
    parent: u64,
    script: usize,
    next: usize,
    born: Vec<Tid>,
    /// Children that run, and whether each is shown.
    live: BTreeMap<Tid, bool>,
    /// Children that have finished and were not joined, and whether each is shown.
    finished: BTreeMap<Tid, bool>,
    /// What it waits for: `None` for nothing, an empty list for any shown child.
    waiting: Option<Vec<Tid>>,
    /// What its next turn begins with.
    answer: Option<Option<Tid>>,
    detached: bool,
}

#[derive(Default)]
struct Model {
    tasks: BTreeMap<Tid, Task>,
    ready: VecDeque<Tid>,
    remote: Vec<Tid>,
    next: u64,
    seen: Vec<Seen>,
}

impl Model {
    fn run(scripts: &Scripts, elsewhere: &Elsewhere) -> Vec<Seen> {
        let mut model = Self {
            next: 2,
            ..Self::default()
        };
        model.tasks.insert(MAIN, Task::default());
        model.ready.push_back(MAIN);
        for turns in 0.. {
            for (_, number) in elsewhere.iter().filter(|(at, _)| *at == turns) {
                if let Some(tid) = model.remote.get(*number).copied()
                    && model.tasks.contains_key(&tid)
                {
                    model.seen.push(Seen::EndsElsewhere(tid));
                    model.end(tid);
                }
            }
            match model.ready.pop_front() {
                Some(tid) => model.turn(scripts, tid),
                None if elsewhere.iter().any(|(at, _)| *at > turns) => {}
                None => return model.seen,
            }
        }
        unreachable!("the turns are counted for ever")
    }

    fn turn(&mut self, scripts: &Scripts, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        if let Some(answer) = task.answer.take() {
            self.seen.push(Seen::Joined(tid, answer));
        }
        if let Some(call) = scripts[task.script].get(task.next).cloned() {
            task.next += 1;
            self.seen.push(Seen::Calls(tid, call.clone()));
            let name = |numbers: &Vec<usize>| -> Vec<Tid> {
                let child = |n: &usize| task.born.get(*n).copied().unwrap_or(NOBODY);
                numbers.iter().map(child).collect()
            };
            match call {
                Call::Yield => {}
                Call::Spawn(script) => self.spawn(tid, script, true, false),
                Call::SpawnHidden(script) => self.spawn(tid, script, false, false),
                Call::SpawnRemote => self.spawn(tid, 0, true, true),
                Call::JoinAny => return self.join(tid, None, true),
                Call::Join(numbers) => {
                    let names = name(&numbers);
                    return self.join(tid, Some(names), true);
                }
                Call::TryJoinAny => return self.join(tid, None, false),
                Call::TryJoin(numbers) if numbers.is_empty() => {
                    return self.join(tid, None, false);
                }
                Call::TryJoin(numbers) => {
                    let names = name(&numbers);
                    return self.join(tid, Some(names), false);
                }
                Call::Detach(number) => {
                    if let Some(child) = task.born.get(number).copied() {
                        task.live.remove(&child);
                        task.finished.remove(&child);
                        if let Some(child) = self.tasks.get_mut(&child) {
                            child.detached = true;
                        }
                    }
                    // No turn is given up: the script goes on.
                    return self.turn(scripts, tid);
                }
            }
            self.ready.push_back(tid);
            return;
        }
        self.seen.push(Seen::Ends(tid));
        self.end(tid);
    }

    fn spawn(&mut self, parent: Tid, script: usize, shown: bool, remote: bool) {
        let child = Tid(self.next);
        self.next += 1;
        let task = Task {
            parent: parent.0,
            script,
            ..Task::default()
        };
        self.tasks.insert(child, task);
        if remote {
            self.remote.push(child);
        } else {
            self.ready.push_back(child);
        }
        let parent = self.tasks.get_mut(&parent).unwrap();
        parent.born.push(child);
        parent.live.insert(child, shown);
    }

    fn join(&mut self, tid: Tid, names: Option<Vec<Tid>>, block: bool) {
        let task = self.tasks.get_mut(&tid).unwrap();
        let wanted = |child: &Tid, shown: bool| match &names {
            None => shown,
            Some(names) => names.contains(child),
        };
        let found = task
            .finished
            .iter()
            .find(|(child, shown)| wanted(child, **shown));
        let found = found.map(|(child, _)| *child);
        let may_come = task.live.iter().any(|(child, shown)| wanted(child, *shown));
        if let Some(child) = found {
            task.finished.remove(&child);
        }
        if found.is_none() && may_come && block {
            task.waiting = Some(names.unwrap_or_default());
            return;
        }
        task.answer = Some(found);
        self.ready.push_back(tid);
    }

    /// A task has ended; so do its children.
    fn end(&mut self, tid: Tid) {
        let task = self.tasks.remove(&tid).unwrap();
        self.cancel_children(tid);
        if task.detached {
            return;
        }
        let Some(parent) = self.tasks.get_mut(&Tid(task.parent)) else {
            return;
        };
        let shown = parent.live.remove(&tid).unwrap();
        let is_awaited = parent.waiting.as_ref().is_some_and(|names| {
            if names.is_empty() {
                shown
            } else {
                names.contains(&tid)
            }
        });
        if is_awaited {
            parent.waiting = None;
            parent.answer = Some(Some(tid));
            self.ready.push_back(Tid(task.parent));
        } else {
            parent.finished.insert(tid, shown);
        }
    }

    fn cancel_children(&mut self, tid: Tid) {
        let children: Vec<Tid> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.parent == tid.0)
            .map(|(child, _)| *child)
            .collect();
        for child in children {
            self.tasks.remove(&child);
            self.cancel_children(child);
        }
    }
}

fn numbers(rng: &mut Rng) -> Vec<usize> {
    (0..rng.usize(1..4)).map(|_| rng.usize(..5)).collect()
}

fn program(seed: u64) -> (Scripts, Elsewhere) {
    let rng = &mut Rng::with_seed(seed);
    let count = rng.usize(1..6);
    let scripts = (0..count)
        .map(|own| {
            let mut spawns = 0;
            (0..rng.usize(..10))
                .map(|_| match rng.u32(..12) {
                    // Only later scripts are spawned, so that every program ends.
                    0..4 if own + 1 < count && spawns < 3 => {
                        spawns += 1;
                        let script = rng.usize(own + 1..count);
                        match rng.u32(..4) {
                            0 => Call::SpawnHidden(script),
                            _ => Call::Spawn(script),
                        }
                    }
                    0..4 => Call::SpawnRemote,
                    4 => Call::JoinAny,
                    5 => Call::Join(numbers(rng)),
                    6 => Call::TryJoinAny,
                    7 => Call::TryJoin(numbers(rng)),
                    8 => Call::Detach(rng.usize(..5)),
                    _ => Call::Yield,
                })
                .collect()
        })
        .collect();
    let elsewhere = (0..rng.usize(..12))
        .map(|_| (rng.usize(..80), rng.usize(..8)))
        .collect();
    (scripts, elsewhere)
}

fn compare(seed: u64) -> usize {
    let (scripts, elsewhere) = program(seed);
    let expected = Model::run(&scripts, &elsewhere);
    let found = run(&scripts, &elsewhere);
    assert_eq!(found, expected, "{scripts:?} {elsewhere:?}");
    found.len()
}

#[test]
fn random_programs_show_what_the_model_shows() {
    let number = |name| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().expect("a number"))
    };
    let seeds = match number("COS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COS_SIM_SEEDS").unwrap_or(1_000),
    };
    let mut seen = 0;
    for seed in seeds {
        match catch_unwind(AssertUnwindSafe(|| compare(seed))) {
            Ok(steps) => seen += steps,
            Err(_) => panic!("seed {seed} fails: COS_SIM_SEED={seed} repeats it"),
        }
    }
    assert!(seen > 0, "something ran");
}
