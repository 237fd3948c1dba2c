//! Trees of tasks that spawn tasks, on few slots: they end, and few of them are alive at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bench::millis;
use crate::event::RunEvent;
use crate::ids::{AttemptId, ClassId, TaskId};
use crate::job::{CommandJob, Needs};
use crate::kernel::planted::Bug;
use crate::kernel::{Action, Kernel, KernelConfig, SubmitError, TaskPolicy, TaskRequest};
use crate::time::Time;
use crate::vm::sim::{
    ChildEnded, HostPlan, JobPlan, LossKind, PlannedLoss, SimVm, SpawnRequest, Step,
};

/// The levels below the root of most trees.
const DEPTH: u32 = 12;

/// How a task waits for its children.
#[derive(Clone, Copy)]
enum Style {
    /// It spawns all, then waits for all.
    Together,
    /// It spawns one, waits for it, spawns the next.
    OneByOne,
}

/// How many tasks a tree has.
fn tasks(depth: u32) -> usize {
    (2 << depth) - 1
}

/// A binary tree: the job with sequence number n spawns 2n and 2n + 1.
fn tree(depth: u32, style: Style) -> Vec<JobPlan> {
    let last = tasks(depth) as u64;
    let job = |number: u64| {
        let mut plan = JobPlan::good(millis(10));
        let children = [2 * number, 2 * number + 1];
        if children[1] <= last {
            plan.then = match style {
                Style::Together => vec![Step::Spawn(children.into())],
                Style::OneByOne => children.map(|child| Step::Spawn(vec![child])).into(),
            };
            plan.then.push(Step::Compute(millis(10)));
        }
        plan
    };
    (1..=last).map(job).collect()
}

struct Grove {
    kernel: Kernel,
    vm: SimVm,
    now: Time,
    parents: BTreeMap<TaskId, (AttemptId, u64)>,
    good: usize,
    bad: usize,
}

impl Grove {
    fn new(hosts: Vec<HostPlan>, jobs: Vec<JobPlan>, planted: Option<Bug>) -> Self {
        let vm = SimVm::new(1, hosts, jobs);
        let config = KernelConfig {
            planted,
            ..KernelConfig::default()
        };
        Self {
            kernel: Kernel::new(config, &vm.specs()),
            vm,
            now: Time::from_boot(Duration::from_secs(1000)),
            parents: BTreeMap::new(),
            good: 0,
            bad: 0,
        }
    }

    fn submit(&mut self, sequence: u64, parent: Option<AttemptId>) {
        let request = TaskRequest {
            index: sequence,
            work: Arc::new(CommandJob::shell(sequence, "simulated").into()),
            parent,
            needs: Needs::default(),
            class: ClassId(0),
            policy: TaskPolicy::default(),
        };
        let task = match self.kernel.submit(request, self.now) {
            Ok(task) => task,
            Err(SubmitError::ParentGone) => return,
            Err(error) => panic!("{error}"),
        };
        if let Some(parent) = parent {
            self.parents.insert(task, (parent, sequence));
        }
    }

    /// Runs the tree to its end and gives the most tasks that were alive at one moment.
    fn run(&mut self) -> usize {
        self.kernel.start(self.now);
        self.submit(1, None);
        for step in 0_u64.. {
            self.carry_out();
            if step % 1024 == 0 {
                self.kernel.check();
            }
            if self.kernel.accepted() == 0 {
                break;
            }
            let next = [self.vm.next_time(), self.kernel.poll_timeout()];
            let next = next.into_iter().flatten().min();
            self.now = self.now.max(next.expect("nothing waits for ever"));
            while let Some(event) = self.vm.poll_event(self.now) {
                self.kernel.handle(event, self.now);
                self.carry_out();
            }
            self.kernel.handle_timeout(self.now);
        }
        self.vm.most_alive()
    }

    fn carry_out(&mut self) {
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Vm(command) => self.vm.submit(command, self.now),
                Action::Deliver { attempt, bytes } => {
                    self.submit(SpawnRequest::from_bytes(&bytes).0, Some(attempt));
                }
                Action::Emit(RunEvent::TaskEnded { task, outcome, .. }) => {
                    match outcome {
                        Ok(_) => self.good += 1,
                        Err(_) => self.bad += 1,
                    }
                    if let Some((parent, sequence)) = self.parents.remove(&task) {
                        self.kernel.tell(parent, ChildEnded(sequence).to_bytes());
                    }
                }
                Action::Emit(_) => {}
            }
        }
    }
}

fn host(slots: u32, latency: Duration) -> HostPlan {
    HostPlan {
        latency,
        ..HostPlan::sound("h", slots)
    }
}

/// The most tasks that are alive at one moment while a tree runs on one host.
fn alive(depth: u32, slots: u32, latency: Duration, style: Style, planted: Option<Bug>) -> usize {
    let host = vec![host(slots, latency)];
    let mut grove = Grove::new(host, tree(depth, style), planted);
    let most = grove.run();
    assert_eq!((grove.good, grove.bad), (tasks(depth), 0));
    most
}

#[test]
fn on_one_slot_a_tree_has_one_task_alive_on_each_level() {
    for (latency, style) in [
        (0, Style::Together),
        (40, Style::Together),
        (1, Style::OneByOne),
    ] {
        let most = alive(DEPTH, 1, millis(latency), style, None);
        assert_eq!(most, DEPTH as usize + 1, "{latency} ms away");
    }
}

#[test]
fn several_slots_have_a_branch_each() {
    let most = alive(DEPTH, 4, millis(1), Style::Together, None);
    assert!(most <= 4 * (DEPTH as usize + 1), "{most} are alive");
}

#[test]
fn in_the_order_of_their_age_the_width_of_the_tree_would_be_alive() {
    let bug = Some(Bug::FirstComeFirstServed);
    let most = alive(9, 1, Duration::ZERO, Style::Together, bug);
    assert!(most > 250, "{most} are alive");
}

#[test]
fn a_tree_survives_the_loss_of_its_hosts() {
    for (after, kind) in [
        (millis(700), LossKind::AgentDied),
        (millis(900), LossKind::Disconnected),
        (Duration::from_secs(2), LossKind::Silent),
    ] {
        let mut hosts: Vec<_> = (0..3).map(|_| host(2, millis(1))).collect();
        for host in &mut hosts[..2] {
            host.losses = [PlannedLoss { after, kind }].into();
        }
        let mut grove = Grove::new(hosts, tree(9, Style::Together), None);
        grove.run();
        // What a lost parent had spawned is cancelled and spawned anew.
        assert!(grove.good >= tasks(9), "{} are good", grove.good);
    }
}
