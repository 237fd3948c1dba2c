//! Checks of the tables against each other, after each step of a test.

use std::collections::BTreeSet;

use super::host::HostState;
use super::queue::Rank;
use super::task::{Grant, Intent, Progress, TaskState};
use super::timers::Timer;
use super::{Kernel, Mode};
use crate::ids::{HostId, TaskId};
use crate::job::Amounts;

impl Kernel {
    /// Panics where two tables contradict each other. Between any two calls they never do.
    pub fn check(&self) {
        self.check_tasks();
        self.check_hosts();
        self.check_queues();
        self.check_licences();
        self.check_families();
        self.check_timers();
    }

    fn check_tasks(&self) {
        for (id, task) in self.tasks.iter() {
            assert!(task.tries < task.policy.tries.max(1), "{id} has a try left");
            assert!(task.crashes < self.config.crash_limit, "{id} lives");
            match &task.state {
                TaskState::Queued { .. } => {
                    let rank = self.rank(id, task.depth);
                    assert!(
                        self.queues.entry(task.demand).contains(rank),
                        "{id} is queued"
                    );
                }
                TaskState::Placed(placed) => {
                    let there = match &self.hosts[placed.host.0 as usize].state {
                        HostState::Up(up) => {
                            let waits = up.queued.contains(&id);
                            assert_eq!(placed.grant == Grant::Waiting, waits, "{id} waits");
                            up.attempts.contains(&id)
                        }
                        HostState::Closing { attempts, .. } => attempts.contains(&id),
                        _ => false,
                    };
                    assert!(there, "{id} is on {}", placed.host);
                    if placed.progress != Progress::Sent {
                        assert_ne!(placed.intent, Intent::Recall, "{id} runs");
                        // A host that is being disconnected has nothing to be counted any more.
                        if self.hosts[placed.host.0 as usize].up().is_some() {
                            assert_ne!(placed.grant, Grant::Waiting, "{id} runs");
                        }
                    } else {
                        let sent = matches!(placed.grant, Grant::Granted | Grant::Waiting);
                        assert!(sent, "{id} does not run");
                    }
                }
                TaskState::InDoubt { .. } => {
                    assert!(
                        self.timers.is_set(Timer::Doubt(id)) || self.config_is_planted(),
                        "{id} is in doubt"
                    );
                }
                TaskState::Deciding => panic!("{id} is not decided"),
            }
        }
    }

    fn check_hosts(&self) {
        let mut waiting = 0;
        let mut recalls = 0;
        let mut connecting = 0;
        for (id, host) in (0..).map(HostId).zip(&self.hosts) {
            match &host.state {
                HostState::Up(up) => {
                    let mut used = Amounts::default();
                    for task in &up.attempts {
                        let task = self.tasks.get(*task).expect("an attempt has a task");
                        let placed = task.placed().expect("an attempt is placed");
                        assert_eq!(placed.host, id);
                        if placed.grant == Grant::Granted {
                            used = used.plus(task.amounts);
                        }
                        recalls += usize::from(placed.intent == Intent::Recall);
                    }
                    assert_eq!(used, up.used, "used on {id}");
                    assert!(used.fits(up.total), "{id} has {}, used {used}", up.total);
                    waiting += up.queued.len();
                    assert!(up.queued.iter().all(|task| up.attempts.contains(task)));
                    if let Some(key) = up.reserved {
                        let entry = self.queues.entry(key);
                        assert_eq!(entry.reserved, Some(id), "{id} is reserved");
                        assert!(entry.len() > 0, "{id} is reserved for nobody");
                    }
                }
                HostState::Connecting => {
                    connecting += 1;
                    assert!(self.timers.is_set(Timer::Stage(id)), "{id} connects");
                }
                HostState::Waiting => assert!(
                    self.timers.is_set(Timer::Connect(id)) || self.connecting.waits(id),
                    "{id} is tried again"
                ),
                HostState::Idle | HostState::Closing { .. } | HostState::Gone(_) => {}
            }
            if host.health.is_paused() && !matches!(host.state, HostState::Gone(_)) {
                assert!(self.timers.is_set(Timer::Probe(id)), "{id} is probed");
            }
        }
        assert_eq!(waiting, self.waiting_on_hosts);
        assert_eq!(recalls, self.recalls);
        assert_eq!(connecting, self.connecting.open());
        assert!(connecting <= self.config.connect.at_once);
    }

    fn check_licences(&self) {
        let mut woken: BTreeSet<(HostId, Rank)> = self.woken.iter().collect();
        for (id, host) in (0..).map(HostId).zip(&self.hosts) {
            let Some(up) = host.up() else { continue };
            let mut lent = up.lent.clone();
            for task_id in &up.attempts {
                let task = self.tasks.get(*task_id).expect("an attempt has a task");
                let placed = task.placed().expect("an attempt is placed");
                let rank = self.rank(*task_id, task.depth);
                match placed.grant {
                    Grant::Lent => assert!(lent.remove(&rank), "{task_id} has lent its licence"),
                    Grant::Wanted { .. } => {
                        let waits = woken.remove(&(id, rank)) || self.config_is_planted();
                        assert!(waits, "{task_id} wants its licence");
                        assert_eq!(placed.intent, Intent::Run, "{task_id} is to go on");
                        let timer = Timer::Limit(*task_id);
                        assert!(
                            !self.timers.is_set(timer),
                            "the clock of {task_id} stands still"
                        );
                    }
                    Grant::Granted => {}
                    // The host starts it by itself, so it must come before whatever waits for a licence there.
                    Grant::Waiting => assert!(
                        placed.intent != Intent::Run || self.may_wait_behind(up, id, rank.depth()),
                        "{task_id} waits on {id} before deeper ones"
                    ),
                }
            }
            assert!(lent.is_empty(), "{lent:?} lend on {id}");
            if let Some(head) = self.woken.head(id) {
                let amounts = self.tasks.get(head.task()).expect("it runs").amounts;
                assert!(!up.has_room(amounts), "{head:?} could go on on {id}");
            }
        }
        assert!(
            woken.is_empty(),
            "{woken:?} want licences of hosts that are not up"
        );
    }

    fn check_families(&self) {
        let mut children = 0;
        for (id, task) in self.tasks.iter() {
            let Some(parent) = task.parent else {
                // What nobody waits for any more is on its way out.
                let stops = task
                    .placed()
                    .is_some_and(|placed| matches!(placed.intent, Intent::Stop(_)));
                let orphan = task.depth > 0 && !self.config_is_planted();
                assert!(!orphan || stops, "{id} is an orphan and runs");
                continue;
            };
            children += 1;
            assert!(
                self.families.of(parent).contains(&id),
                "{id} is a child of {parent}"
            );
            let parent = self.tasks.get(parent).expect("a parent is alive");
            assert_eq!(task.depth, parent.depth + 1, "{id} is below its parent");
            let placed = parent.placed().expect("a parent runs");
            assert_ne!(placed.progress, Progress::Sent, "a parent runs");
            let closing = self.mode == Mode::Closing;
            let stops = matches!(placed.intent, Intent::Stop(_));
            assert!(
                closing || !stops,
                "{id} is wanted by a parent that is to stop"
            );
        }
        assert_eq!(children, self.families.len());
    }

    fn check_queues(&self) {
        let mut holders = 0;
        let mut filled = 0;
        let mut queued = 0;
        for (key, entry) in self.queues.iter() {
            assert!(self.queues.holders(key) > 0, "{:?} is held", entry.demand);
            holders += self.queues.holders(key);
            filled += usize::from(entry.len() > 0);
            queued += entry.len();
            if let Some(host) = entry.reserved {
                let up = self.hosts[host.0 as usize].up();
                assert_eq!(
                    up.and_then(|up| up.reserved),
                    Some(key),
                    "{host} is reserved"
                );
            }
        }
        assert_eq!(holders, self.tasks.len());
        assert_eq!(filled, self.queues.heads());
        let waiting = self
            .tasks
            .iter()
            .filter(|(_, task)| matches!(task.state, TaskState::Queued { .. }))
            .count();
        assert_eq!(queued, waiting);
    }

    fn check_timers(&self) {
        let known: BTreeSet<TaskId> = self.tasks.iter().map(|(id, _)| id).collect();
        for timer in self.timers.iter() {
            match timer {
                Timer::Connect(host) | Timer::Stage(host) | Timer::Probe(host) => {
                    assert!((host.0 as usize) < self.hosts.len());
                }
                Timer::Reserve(task)
                | Timer::Limit(task)
                | Timer::Slow(task)
                | Timer::Stop(task)
                | Timer::Doubt(task) => {
                    assert!(known.contains(&task), "{timer:?} outlives its task");
                }
            }
        }
    }

    #[cfg(test)]
    fn config_is_planted(&self) -> bool {
        self.config.planted.is_some()
    }

    #[cfg(not(test))]
    fn config_is_planted(&self) -> bool {
        false
    }
}
