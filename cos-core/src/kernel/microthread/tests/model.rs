//! The plain reference model: PyOPUS's scheduler in its own terms. A list of runnable tasks, dictionaries of finished
//! children, one wait per task, linear searches everywhere.

use std::collections::{BTreeMap, VecDeque};

use super::interpreter::{
    Asked, Call, FAILED, Happening, How, NOBODY, Remote, Scripts, Seen, World, value,
};
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
    /// Children that have finished and were not joined: whether each is shown, and its value.
    finished: BTreeMap<Tid, (bool, u64)>,
    /// What it waits for: `None` for nothing, an empty list for any shown child.
    waiting: Option<Vec<Tid>>,
    /// What its next turn begins with.
    answer: Option<Option<(Tid, u64)>>,
    detached: bool,
    /// The task that asked for it, which waits until it is handed over.
    held: Option<Tid>,
}

/// A run of the model.
pub(super) struct Model<'a> {
    scripts: &'a Scripts,
    world: &'a mut dyn World,
    tasks: BTreeMap<Tid, Task>,
    ready: VecDeque<Tid>,
    remote: Vec<Tid>,
    next: u64,
    seen: Vec<Seen>,
}

/// Runs a program until nothing is runnable any more.
pub(super) fn run(scripts: &Scripts, world: &mut dyn World) -> Vec<Seen> {
    let mut model = Model {
        scripts,
        world,
        tasks: BTreeMap::from([(MAIN, Task::default())]),
        ready: VecDeque::from([MAIN]),
        remote: Vec::new(),
        next: 2,
        seen: Vec::new(),
    };
    for turn in 0.. {
        for happening in model.world.pass(turn) {
            model.happens(happening);
        }
        // Those that ended with their parent have no turn.
        while let Some(tid) = model.ready.front()
            && !model.tasks.contains_key(tid)
        {
            model.ready.pop_front();
        }
        match model.ready.pop_front() {
            Some(tid) => model.turn(tid),
            None if model.world.is_over(turn + 1) => break,
            None => {}
        }
    }
    model.seen
}

impl Model<'_> {
    fn happens(&mut self, happening: Happening) {
        let (number, end) = match happening {
            Happening::Handed(number) => (number, None),
            Happening::Succeeds(number) => (number, Some(value(self.remote[number]))),
            Happening::Fails(number) => (number, Some(FAILED)),
        };
        let tid = self.remote[number];
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        if let Some(caller) = task.held.take() {
            self.ready.push_back(caller);
        }
        if let Some(end) = end {
            self.seen.push(Seen::EndsElsewhere(tid));
            self.end(tid, end);
        }
    }

    fn turn(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else {
            return;
        };
        if let Some(answer) = task.answer.take() {
            self.seen.push(Seen::Joined(tid, answer));
        }
        let Some(call) = self.scripts[task.script].get(task.next).cloned() else {
            self.seen.push(Seen::Ends(tid));
            return self.end(tid, value(tid));
        };
        task.next += 1;
        self.seen.push(Seen::Calls(tid, call.clone()));
        let name = |numbers: &Vec<usize>| -> Vec<Tid> {
            let child = |n: &usize| task.born.get(*n).copied().unwrap_or(NOBODY);
            numbers.iter().map(child).collect()
        };
        match call {
            Call::Yield => self.ready.push_back(tid),
            Call::Spawn(script) => self.spawn(tid, script, true),
            Call::SpawnHidden(script) => self.spawn(tid, script, false),
            Call::SpawnRemote(remote) => self.spawn_remote(tid, &remote),
            Call::JoinAny => self.join(tid, None, true),
            Call::Join(numbers) => {
                let names = name(&numbers);
                self.join(tid, Some(names), true);
            }
            Call::TryJoinAny => self.join(tid, None, false),
            Call::TryJoin(numbers) => {
                let names = name(&numbers);
                self.join(tid, Some(names), false);
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
                self.turn(tid);
            }
            Call::Fail => {
                self.seen.push(Seen::Ends(tid));
                self.end(tid, FAILED);
            }
        }
    }

    fn insert(&mut self, parent: Tid, script: usize, shown: bool) -> Tid {
        let child = Tid(self.next);
        self.next += 1;
        let task = Task {
            parent: parent.0,
            script,
            ..Task::default()
        };
        self.tasks.insert(child, task);
        let parent = self.tasks.get_mut(&parent).unwrap();
        parent.born.push(child);
        parent.live.insert(child, shown);
        child
    }

    fn spawn(&mut self, parent: Tid, script: usize, shown: bool) {
        let child = self.insert(parent, script, shown);
        self.ready.push_back(child);
        self.ready.push_back(parent);
    }

    fn spawn_remote(&mut self, parent: Tid, remote: &Remote) {
        let asked = self.world.ask(remote);
        if asked == Asked::Refused {
            self.seen.push(Seen::Refused(parent));
            return self.ready.push_back(parent);
        }
        let child = self.insert(parent, 0, true);
        self.remote.push(child);
        if asked == Asked::Queued && remote.how == How::Block {
            self.tasks.get_mut(&child).unwrap().held = Some(parent);
        } else {
            self.ready.push_back(parent);
        }
    }

    fn join(&mut self, tid: Tid, names: Option<Vec<Tid>>, block: bool) {
        let task = self.tasks.get_mut(&tid).unwrap();
        let wanted = |child: &Tid, shown: bool| match &names {
            None => shown,
            Some(names) => names.contains(child),
        };
        let mut finished = task.finished.iter();
        let found = finished.find(|(child, (shown, _))| wanted(child, *shown));
        let found = found.map(|(child, (_, value))| (*child, *value));
        let may_come = task.live.iter().any(|(child, shown)| wanted(child, *shown));
        if let Some((child, _)) = found {
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
    fn end(&mut self, tid: Tid, value: u64) {
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
            parent.answer = Some(Some((tid, value)));
            self.ready.push_back(Tid(task.parent));
        } else {
            parent.finished.insert(tid, (shown, value));
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
            if let Some(number) = self.remote.iter().position(|tid| *tid == child) {
                self.world.cancel(number);
            }
            self.cancel_children(child);
        }
    }
}
