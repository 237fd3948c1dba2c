//! Nothing that a machine says can make the kernel panic, lose a task or give it two outcomes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;

use super::bench::{end, failure, info, millis, seconds, spec};
use crate::event::RunEvent;
use crate::ids::{AttemptId, ClassId, Epoch, HostId, SlotId, TaskId};
use crate::job::{AttemptResult, CommandJob, Exit, Needs, Stream};
use crate::kernel::{Action, Kernel, KernelConfig, Prefetch, TaskPolicy, TaskRequest, TimeLimit};
use crate::time::Time;
use crate::vm::VmEvent;
use crate::vm::host::{FailureKind, HostLoss, Stage};

fn attempt(rng: &mut Rng) -> AttemptId {
    AttemptId {
        task: TaskId(rng.u64(..20)),
        epoch: Epoch(rng.u32(..4)),
    }
}

fn result(rng: &mut Rng) -> AttemptResult {
    let exit = [
        Exit::Code(0),
        Exit::Code(1),
        Exit::NOT_FOUND,
        Exit::Code(-7),
        Exit::Signal(9),
        Exit::Signal(i32::MIN),
    ][rng.usize(..6)];
    let end = end(exit, millis(rng.u64(..u64::MAX)));
    match rng.u32(..8) {
        0 => AttemptResult::NotStarted { cause: "no".into() },
        1 => AttemptResult::SlotDied { exit },
        2 => AttemptResult::Stopped(None),
        3 => AttemptResult::Stopped(Some(end)),
        _ => AttemptResult::Command(end),
    }
}

fn loss(rng: &mut Rng) -> HostLoss {
    match rng.u32(..12) {
        0 => HostLoss::Left { signal: i32::MAX },
        1 => HostLoss::Protocol { cause: "x".into() },
        2..5 => HostLoss::Silent {
            silent_for: seconds(60),
        },
        _ => HostLoss::Disconnected { cause: "x".into() },
    }
}

fn event(rng: &mut Rng) -> VmEvent {
    let host = HostId(rng.u32(..5));
    match rng.u32(..46) {
        0 => VmEvent::Stage {
            host,
            stage: Stage::Preparing,
        },
        1..6 => VmEvent::Up {
            host,
            info: info(
                [0, 1, 2, 3, u32::MAX][rng.usize(..5)],
                millis(rng.u64(..100)),
            ),
        },
        6 => VmEvent::Failed {
            host,
            failure: failure(
                [
                    FailureKind::Retry,
                    FailureKind::Crowded,
                    FailureKind::Permanent,
                ][rng.usize(..3)],
            ),
        },
        7 => VmEvent::Lost {
            host,
            loss: loss(rng),
        },
        8 => VmEvent::Closed {
            host,
            left: Vec::new(),
        },
        9 => VmEvent::Load {
            host,
            others_per_core: [f64::NAN, f64::INFINITY, -1.0, 0.5, 3.0][rng.usize(..5)],
        },
        10 => VmEvent::RoundTrip {
            host,
            duration: millis(rng.u64(..u64::MAX)),
        },
        11 => VmEvent::Silent {
            host,
            silent_for: rng.bool().then(|| millis(rng.u64(..u64::MAX))),
        },
        12..20 => VmEvent::Started {
            host,
            attempt: attempt(rng),
            slot: SlotId(rng.u32(..)),
        },
        20 => VmEvent::Returned {
            host,
            attempt: attempt(rng),
        },
        23..28 => VmEvent::Lent {
            host,
            attempt: attempt(rng),
        },
        28..32 => VmEvent::Wanted {
            host,
            attempt: attempt(rng),
        },
        32..34 => VmEvent::Told {
            host,
            attempt: attempt(rng),
            bytes: Bytes::from_static(&[0; 100]),
        },
        21..23 => VmEvent::Output {
            host,
            attempt: attempt(rng),
            stream: Stream::Stderr,
            bytes: Bytes::from_static(&[0; 100_000]),
        },
        _ => VmEvent::Ended {
            host,
            attempt: attempt(rng),
            result: result(rng),
        },
    }
}

struct Nonsense {
    kernel: Kernel,
    now: Time,
    outcomes: BTreeMap<TaskId, u32>,
}

impl Nonsense {
    fn submit(&mut self, rng: &mut Rng) {
        let mut needs = Needs::cores(rng.u32(..4));
        if rng.u32(..6) == 0 {
            needs = needs.on(HostId(rng.u32(..5)));
        }
        let request = TaskRequest {
            index: 0,
            work: Arc::new(CommandJob::shell(1, "true").into()),
            parent: rng.bool().then(|| attempt(rng)),
            needs,
            class: ClassId(rng.u32(..2)),
            policy: TaskPolicy {
                tries: rng.u32(..4),
                limit: [
                    TimeLimit::Never,
                    TimeLimit::After(seconds(3)),
                    TimeLimit::OfMedian(u32::MAX),
                ][rng.usize(..3)],
                prefetch: [Prefetch::Never, Prefetch::Allowed][rng.usize(..2)],
                ..TaskPolicy::default()
            },
        };
        if let Ok(task) = self.kernel.submit(request, self.now) {
            self.outcomes.insert(task, 0);
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.kernel.poll_action() {
            if let Action::Emit(RunEvent::TaskEnded { task, .. }) = action {
                *self.outcomes.entry(task).or_default() += 1;
            }
        }
    }

    fn run(seed: u64) {
        let rng = &mut Rng::with_seed(seed);
        let mut specs: Vec<_> = (0..4).map(|n| spec(&n.to_string(), &[])).collect();
        specs[1].max_load = Some(1.0);
        let now = Time::from_boot(seconds(1000));
        let mut nonsense = Self {
            kernel: Kernel::new(KernelConfig::default(), &specs),
            now,
            outcomes: BTreeMap::new(),
        };
        nonsense.kernel.start(now);
        for _ in 0..300 {
            nonsense.now = nonsense.now + millis(rng.u64(..1000));
            let now = nonsense.now;
            let kernel = &mut nonsense.kernel;
            match rng.u32(..100) {
                0..8 => nonsense.submit(rng),
                8..12 => kernel.cancel(TaskId(rng.u64(..20)), seconds(1), now),
                12 if rng.u32(..4) == 0 => kernel.drain(HostId(rng.u32(..6)), now),
                13 if rng.u32(..8) == 0 => kernel.stop_starting(now),
                14 if rng.u32(..8) == 0 => kernel.disconnect_all(seconds(1), now),
                15..30 => kernel.handle_timeout(now),
                _ => kernel.handle(event(rng), now),
            }
            nonsense.drain();
        }
        nonsense.kernel.disconnect_all(seconds(0), nonsense.now);
        for host in (0..4).map(HostId) {
            let left = Vec::new();
            nonsense
                .kernel
                .handle(VmEvent::Closed { host, left }, nonsense.now);
        }
        nonsense.drain();
        assert!(nonsense.kernel.is_closed());
        assert_eq!(nonsense.kernel.accepted(), 0);
        assert!(nonsense.outcomes.values().all(|times| *times == 1));
    }
}

#[test]
fn nonsense_is_survived() {
    for seed in 0..1_000 {
        if catch_unwind(AssertUnwindSafe(|| Nonsense::run(seed))).is_err() {
            panic!("seed {seed} fails");
        }
    }
}
