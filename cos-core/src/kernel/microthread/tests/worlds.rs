//! Where remote children of test programs run: by a list, on a simulated lab, or as was recorded there.

use std::sync::Arc;
use std::time::Duration;

use super::interpreter::{Asked, Happening, How, Remote, World};
use crate::event::RunEvent;
use crate::ids::{ClassId, HostId, TaskId};
use crate::job::{CommandJob, Needs};
use crate::kernel::{Action, Kernel, KernelConfig, TaskPolicy, TaskRequest};
use crate::time::Time;
use crate::vm::VmCommand;
use crate::vm::sim::{HostPlan, JobPlan, SimVm};

/// Every child is handed over at once and succeeds before the turn that the list says.
pub(super) struct Listed {
    /// (turn, number)
    ends: Vec<(usize, usize)>,
    children: usize,
}

impl Listed {
    pub(super) fn new(ends: Vec<(usize, usize)>) -> Self {
        Self { ends, children: 0 }
    }
}

impl World for Listed {
    fn ask(&mut self, _: &Remote) -> Asked {
        self.children += 1;
        Asked::Handed
    }

    fn pass(&mut self, turn: usize) -> Vec<Happening> {
        let due = self.ends.iter().filter(|(at, _)| *at == turn);
        let born = due.filter(|(_, number)| *number < self.children);
        born.map(|(_, number)| Happening::Succeeds(*number))
            .collect()
    }

    fn is_over(&self, turn: usize) -> bool {
        self.ends.iter().all(|(at, _)| *at < turn)
    }

    fn cancel(&mut self, _: usize) {}
}

/// A kernel and a simulated machine: one step of virtual time before each turn.
pub(super) struct Lab {
    kernel: Kernel,
    vm: SimVm,
    now: Time,
    /// The next job is the plan of this number.
    jobs: u64,
    tasks: Vec<TaskId>,
    /// What has happened and was not told.
    happened: Vec<Happening>,
    pub(super) record: Record,
}

/// What a lab has said.
#[derive(Clone, Default, Debug)]
pub(super) struct Record {
    asked: Vec<Asked>,
    passed: Vec<Vec<Happening>>,
}

impl Lab {
    /// A lab in which the job with number n, from 0, does what plan n says; the last plan stands for all later ones.
    pub(super) fn new(seed: u64, hosts: Vec<HostPlan>, jobs: Vec<JobPlan>) -> Self {
        let vm = SimVm::new(seed, hosts, jobs);
        let config = KernelConfig {
            seed,
            ..KernelConfig::default()
        };
        let now = Time::from_boot(Duration::from_secs(1000));
        let mut lab = Self {
            kernel: Kernel::new(config, &vm.specs()),
            vm,
            now,
            jobs: 0,
            tasks: Vec::new(),
            happened: Vec::new(),
            record: Record::default(),
        };
        lab.kernel.start(now);
        lab.carry_out();
        lab
    }

    fn carry_out(&mut self) {
        self.kernel.check();
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Vm(command) => {
                    if let VmCommand::Start { attempt, .. } = &command
                        && let Some(number) = self.number(attempt.task)
                    {
                        self.happened.push(Happening::Handed(number));
                    }
                    self.vm.submit(command, self.now);
                }
                Action::Emit(RunEvent::TaskEnded { task, outcome, .. }) => {
                    if let Some(number) = self.number(task) {
                        self.happened.push(match outcome {
                            Ok(_) => Happening::Succeeds(number),
                            Err(_) => Happening::Fails(number),
                        });
                    }
                }
                Action::Emit(_) | Action::Deliver { .. } => {}
            }
        }
    }

    fn number(&self, task: TaskId) -> Option<usize> {
        self.tasks.iter().position(|known| *known == task)
    }
}

impl World for Lab {
    fn ask(&mut self, remote: &Remote) -> Asked {
        let needs = Needs {
            host: remote.host.map(HostId),
            ..Needs::default()
        };
        let refused = remote.how == How::TryNow && !self.kernel.has_room(&needs);
        let request = TaskRequest {
            index: self.jobs,
            work: Arc::new(CommandJob::shell(self.jobs + 1, "simulated").into()),
            parent: None,
            needs,
            class: ClassId(0),
            policy: TaskPolicy::default(),
        };
        let accepted = match refused {
            true => None,
            false => self.kernel.submit(request, self.now).ok(),
        };
        let asked = match accepted {
            None => Asked::Refused,
            Some(task) => {
                self.jobs += 1;
                self.tasks.push(task);
                let number = self.tasks.len() - 1;
                self.carry_out();
                let told = self.happened.len();
                self.happened
                    .retain(|happening| *happening != Happening::Handed(number));
                match self.happened.len() < told {
                    true => Asked::Handed,
                    false => Asked::Queued,
                }
            }
        };
        assert!(
            remote.how != How::TryNow || asked != Asked::Queued,
            "a task for which there was room waits"
        );
        self.record.asked.push(asked);
        asked
    }

    fn pass(&mut self, _: usize) -> Vec<Happening> {
        let next = [self.vm.next_time(), self.kernel.poll_timeout()];
        if let Some(next) = next.into_iter().flatten().min() {
            self.now = self.now.max(next);
            while let Some(event) = self.vm.poll_event(self.now) {
                self.kernel.handle(event, self.now);
                self.carry_out();
            }
            self.kernel.handle_timeout(self.now);
            self.carry_out();
        }
        let happened = std::mem::take(&mut self.happened);
        self.record.passed.push(happened.clone());
        happened
    }

    fn is_over(&self, _: usize) -> bool {
        self.kernel.accepted() == 0 && self.happened.is_empty()
    }

    fn cancel(&mut self, number: usize) {
        self.kernel
            .cancel(self.tasks[number], Duration::ZERO, self.now);
        self.carry_out();
    }
}

/// What a lab has said, once more.
pub(super) struct Recorded {
    record: Record,
    asked: usize,
}

impl Recorded {
    pub(super) fn new(record: Record) -> Self {
        Self { record, asked: 0 }
    }
}

impl World for Recorded {
    fn ask(&mut self, _: &Remote) -> Asked {
        self.asked += 1;
        self.record.asked[self.asked - 1]
    }

    fn pass(&mut self, turn: usize) -> Vec<Happening> {
        self.record.passed.get(turn).cloned().unwrap_or_default()
    }

    fn is_over(&self, turn: usize) -> bool {
        turn >= self.record.passed.len()
    }

    fn cancel(&mut self, _: usize) {}
}
