//! A kernel on the bench: the test plays the virtual machine, event by event.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::event::RunEvent;
use crate::ids::{AttemptId, ClassId, HostId, SlotId, TaskId};
use crate::job::{AttemptResult, CommandJob, Exit, Needs, Outcome, Work};
use crate::kernel::{Action, Kernel, KernelConfig, SubmitError, TaskPolicy, TaskRequest};
use crate::time::Time;
use crate::vm::host::{FailureKind, HostFailure, HostInfo, HostLoss, HostSpec, Stage};
use crate::vm::sim::HostPlan;
pub(super) use crate::vm::sim::plan::end;
use crate::vm::sim::plan::host_info;
use crate::vm::{VmCommand, VmEvent};

pub(super) struct Bench {
    pub(super) kernel: Kernel,
    pub(super) now: Time,
    /// Commands that were not looked at yet.
    pub(super) commands: Vec<VmCommand>,
    /// Events that were not looked at yet.
    pub(super) events: Vec<RunEvent>,
    /// Messages of tasks that were not looked at yet.
    pub(super) delivered: Vec<(AttemptId, Bytes)>,
    /// The class of the tasks that are submitted next.
    pub(super) class: u32,
    pub(super) work: Arc<Work>,
    next_index: u64,
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn spec(name: &str, tags: &[&str]) -> HostSpec {
    HostSpec {
        name: name.into(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        max_load: None,
    }
}

pub(super) fn info(slots: u32, round_trip: Duration) -> Arc<HostInfo> {
    Arc::new(host_info(&HostPlan {
        latency: round_trip / 2,
        ..HostPlan::sound("node", slots)
    }))
}

pub(super) fn failure(kind: FailureKind) -> Arc<HostFailure> {
    Arc::new(HostFailure {
        stage: Stage::Connecting,
        headline: "it failed".into(),
        cause: "ssh: no".into(),
        cure: None,
        kind,
    })
}

impl Bench {
    /// Hosts `a`, `b` ... that are not up yet.
    pub(super) fn cold(config: KernelConfig, specs: &[HostSpec]) -> Self {
        let mut bench = Self {
            kernel: Kernel::new(config, specs),
            now: Time::from_boot(seconds(1000)),
            commands: Vec::new(),
            events: Vec::new(),
            delivered: Vec::new(),
            class: 0,
            work: Arc::new(CommandJob::shell(1, "true").into()),
            next_index: 0,
        };
        bench.kernel.start(bench.now);
        bench.drain();
        bench.pass(bench.kernel.config.connect.jitter);
        bench
    }

    /// Hosts `a`, `b` ... with so many slots each, all up, with a round trip of 1 ms.
    pub(super) fn new(slots: &[u32]) -> Self {
        Self::with(KernelConfig::default(), slots)
    }

    pub(super) fn with(config: KernelConfig, slots: &[u32]) -> Self {
        let specs: Vec<_> = ('a'..)
            .map(|name| spec(&name.to_string(), &[]))
            .take(slots.len())
            .collect();
        let mut bench = Self::cold(config, &specs);
        for (host, slots) in (0..).zip(slots) {
            bench.up(host, *slots);
        }
        bench.commands.clear();
        bench.events.clear();
        bench
    }

    fn drain(&mut self) {
        self.drain_unchecked();
        self.kernel.check();
    }

    fn drain_unchecked(&mut self) {
        while let Some(action) = self.kernel.poll_action() {
            match action {
                Action::Vm(command) => self.commands.push(command),
                Action::Emit(event) => self.events.push(event),
                Action::Deliver { attempt, bytes } => self.delivered.push((attempt, bytes)),
            }
        }
    }

    pub(super) fn handle(&mut self, event: VmEvent) {
        self.kernel.handle(event, self.now);
        self.drain();
    }

    /// Lets time pass, with every deadline in between at its own time.
    pub(super) fn pass(&mut self, duration: Duration) {
        self.drain();
        let end = self.now + duration;
        while let Some(at) = self.kernel.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.kernel.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(super) fn up(&mut self, host: u32, slots: u32) {
        self.handle(VmEvent::Up {
            host: HostId(host),
            info: info(slots, millis(1)),
        });
    }

    pub(super) fn fail(&mut self, host: u32, kind: FailureKind) {
        self.handle(VmEvent::Failed {
            host: HostId(host),
            failure: failure(kind),
        });
    }

    pub(super) fn lose(&mut self, host: u32, loss: HostLoss) {
        self.handle(VmEvent::Lost {
            host: HostId(host),
            loss,
        });
    }

    pub(super) fn disconnected() -> HostLoss {
        HostLoss::Disconnected {
            cause: "broken pipe".into(),
        }
    }

    pub(super) fn try_submit(
        &mut self,
        needs: Needs,
        policy: TaskPolicy,
    ) -> Result<TaskId, SubmitError> {
        let result = self.try_submit_unchecked(None, needs, policy);
        self.drain();
        result
    }

    /// Submits what an attempt spawns.
    pub(super) fn submit_below(
        &mut self,
        parent: AttemptId,
        needs: Needs,
        policy: TaskPolicy,
    ) -> Result<TaskId, SubmitError> {
        let result = self.try_submit_unchecked(Some(parent), needs, policy);
        self.drain();
        result
    }

    fn try_submit_unchecked(
        &mut self,
        parent: Option<AttemptId>,
        needs: Needs,
        policy: TaskPolicy,
    ) -> Result<TaskId, SubmitError> {
        let request = TaskRequest {
            index: self.next_index,
            work: Arc::clone(&self.work),
            parent,
            needs,
            class: ClassId(self.class),
            policy,
        };
        self.next_index += 1;
        self.kernel.submit(request, self.now)
    }

    /// Submits without the check of all tables, which costs what there is in them.
    pub(super) fn submit_unchecked(&mut self) {
        self.try_submit_unchecked(None, Needs::default(), TaskPolicy::default())
            .expect("it can run");
        self.drain_unchecked();
    }

    /// The same for a whole attempt.
    pub(super) fn run_unchecked(
        &mut self,
        (host, attempt): (u32, AttemptId),
        exit: Exit,
        elapsed: Duration,
    ) {
        let host = HostId(host);
        let slot = SlotId(1);
        let started = VmEvent::Started {
            host,
            attempt,
            slot,
        };
        self.kernel.handle(started, self.now);
        self.now = self.now + elapsed;
        let result = AttemptResult::Command(end(exit, elapsed));
        let ended = VmEvent::Ended {
            host,
            attempt,
            result,
        };
        self.kernel.handle(ended, self.now);
        self.drain_unchecked();
    }

    pub(super) fn submit_with(&mut self, needs: Needs, policy: TaskPolicy) -> TaskId {
        self.try_submit(needs, policy).expect("it can run")
    }

    pub(super) fn submit(&mut self) -> TaskId {
        self.submit_with(Needs::default(), TaskPolicy::default())
    }

    /// The attempts that were started since the last call: host, task and epoch.
    pub(super) fn starts(&mut self) -> Vec<(u32, AttemptId)> {
        let mut starts = Vec::new();
        self.commands.retain(|command| match command {
            VmCommand::Start { host, attempt, .. } => {
                starts.push((host.0, *attempt));
                false
            }
            _ => true,
        });
        starts
    }

    /// The one attempt that was started since the last call.
    pub(super) fn start(&mut self) -> (u32, AttemptId) {
        let starts = self.starts();
        assert_eq!(starts.len(), 1, "{starts:?}");
        starts[0]
    }

    /// The hosts that were to be connected since the last call.
    pub(super) fn connects(&mut self) -> Vec<u32> {
        let mut connects = Vec::new();
        self.commands.retain(|command| match command {
            VmCommand::Connect { host } => {
                connects.push(host.0);
                false
            }
            _ => true,
        });
        connects
    }

    pub(super) fn started(&mut self, (host, attempt): (u32, AttemptId)) {
        self.handle(VmEvent::Started {
            host: HostId(host),
            attempt,
            slot: SlotId(1),
        });
    }

    pub(super) fn ended(&mut self, (host, attempt): (u32, AttemptId), result: AttemptResult) {
        self.handle(VmEvent::Ended {
            host: HostId(host),
            attempt,
            result,
        });
    }

    /// The attempt starts now, and ends so after a while.
    pub(super) fn run(&mut self, at: (u32, AttemptId), exit: Exit, elapsed: Duration) {
        self.started(at);
        self.pass(elapsed);
        self.ended(at, AttemptResult::Command(end(exit, elapsed)));
    }

    /// The outcomes since the last call.
    pub(super) fn outcomes(&mut self) -> Vec<(TaskId, Outcome)> {
        let mut outcomes = Vec::new();
        self.events.retain(|event| match event {
            RunEvent::TaskEnded { task, outcome, .. } => {
                outcomes.push((*task, outcome.clone()));
                false
            }
            _ => true,
        });
        outcomes
    }

    /// The one outcome since the last call.
    pub(super) fn outcome(&mut self, task: TaskId) -> Outcome {
        let outcomes = self.outcomes();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        assert_eq!(outcomes[0].0, task);
        outcomes[0].1.clone()
    }
}
