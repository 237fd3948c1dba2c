//! Random scenarios: hosts, jobs and what the user does meanwhile, all from a seed.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;

use crate::ids::{ClassId, HostId};
use crate::job::{Exit, Needs};
use crate::kernel::{Prefetch, TaskPolicy, TimeLimit};
use crate::vm::host::{FailureKind, HostSpec};
use crate::vm::sim::{
    HostPlan, JobEnd, JobPlan, LossKind, PlannedLoss, Sanity, Step, Tool, Toolbox, Waits,
};

/// No scenario needs more tasks, nested ones included.
const MOST_TASKS: usize = 200;

/// What is simulated.
pub(super) struct Scenario {
    pub(super) hosts: Vec<HostPlan>,
    /// The host that may come later.
    pub(super) extra: HostPlan,
    pub(super) tasks: Vec<Planned>,
    /// What the user does, and when, in order.
    pub(super) acts: VecDeque<(Duration, Act)>,
}

/// A task and its job.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) job: JobPlan,
    /// Whether another task spawns it.
    pub(super) nested: bool,
    pub(super) needs: Needs,
    pub(super) class: ClassId,
    pub(super) policy: TaskPolicy,
}

/// What the user does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Submit(usize),
    Cancel(usize, Duration),
    Drain(HostId),
    /// The extra host comes.
    AddHost,
    StopStarting,
    DisconnectAll,
}

fn chance(rng: &mut Rng, probability: f64) -> bool {
    rng.f64() < probability
}

fn between(rng: &mut Rng, shortest: f64, longest: f64) -> Duration {
    let exponent = shortest.ln() + (longest / shortest).ln() * rng.f64();
    Duration::from_secs_f64(exponent.exp())
}

impl Scenario {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut hosts: Vec<_> = (0..rng.u32(1..=5)).map(|n| host(rng, n)).collect();
        if chance(rng, 0.5) {
            // One host that can be relied upon: what can run there must do well.
            let mut haven = HostPlan::sound("h0", rng.u32(1..=4));
            haven.spec.tags = vec!["x".into()];
            hosts[0] = haven;
        }
        let style = Style {
            longest: [0.002, 60.0, 60.0][rng.usize(..3)],
            nested: [0.0, 0.2, 0.6][rng.usize(..3)],
            waits: chance(rng, 0.5),
            mean: chance(rng, 0.7),
        };
        let mut tasks: Vec<_> = (0..rng.usize(1..=40))
            .map(|_| task(rng, &style, hosts.len()))
            .collect();
        let acts = acts(rng, &tasks, hosts.len());
        nest(rng, &style, &mut tasks, hosts.len());
        let extra = host(rng, 5);
        Self {
            hosts,
            extra,
            tasks,
            acts,
        }
    }

    /// Whether the first host does all as it should, whatever happens.
    pub(super) fn has_haven(&self) -> bool {
        let haven = &self.hosts[0];
        let mut sound = HostPlan::sound("h0", haven.slots);
        sound.spec.tags = haven.spec.tags.clone();
        *haven == sound
            && !self.kills_agents()
            && !self.acts.iter().any(|(_, act)| {
                matches!(act, Act::Drain(_) | Act::StopStarting | Act::DisconnectAll)
            })
    }

    /// Whether a host may fail tasks that are good.
    pub(super) fn has_bad_host(&self) -> bool {
        self.all_hosts().any(|host| host.sanity == Sanity::FailsAll)
    }

    /// Whether attempts may crash through no fault of their own.
    pub(super) fn has_crashes(&self) -> bool {
        self.all_hosts()
            .any(|host| !host.losses.is_empty() || host.slot_deaths > 0.0)
    }

    /// Whether a job may make it look as if a good host lacked the tool of this task's class.
    pub(super) fn has_pretender(&self, index: usize) -> bool {
        let class = self.tasks[index].class;
        let mut tasks = self.tasks.iter();
        tasks.any(|task| task.class == class && task.job.end == JobEnd::Exit(Exit::NOT_FOUND))
    }

    fn all_hosts(&self) -> impl Iterator<Item = &HostPlan> {
        self.hosts.iter().chain([&self.extra])
    }

    fn kills_agents(&self) -> bool {
        let mut ends = self.tasks.iter().map(|task| task.job.end);
        ends.any(|end| end == JobEnd::KillsAgent)
    }

    /// Whether a task must succeed when the first host can be relied upon.
    pub(super) fn is_good(&self, index: usize) -> bool {
        let Planned {
            job, needs, policy, ..
        } = &self.tasks[index];
        let cancelled = self
            .acts
            .iter()
            .any(|(_, act)| matches!(act, Act::Cancel(task, _) if *task == index));
        job.end == JobEnd::Exit(Exit::Code(0))
            && job.failures < policy.tries
            && policy.limit == TimeLimit::Never
            && !cancelled
            && needs.host.is_none_or(|host| host == HostId(0))
            && needs.amounts.cores <= self.hosts[0].slots
    }
}

fn host(rng: &mut Rng, n: u32) -> HostPlan {
    let failures = (0..rng.u32(0..5)).map(|_| match rng.u32(..100) {
        0..45 => FailureKind::Retry,
        45..92 => FailureKind::Crowded,
        _ => FailureKind::Permanent,
    });
    let failures: VecDeque<_> = failures.collect();
    let losses = (0..rng.u32(1..4)).map(|_| PlannedLoss {
        after: between(rng, 0.001, 200.0),
        kind: [
            LossKind::Disconnected,
            LossKind::AgentDied,
            LossKind::Silent,
            LossKind::Silent,
            LossKind::Left,
            LossKind::Protocol,
        ][rng.usize(..6)],
    });
    let losses: VecDeque<_> = losses.collect();
    // In the end people leave the host alone.
    let mut loads: Vec<_> = (0..rng.u32(..4))
        .map(|_| (between(rng, 0.001, 60.0), rng.f64() * 2.0))
        .chain([(Duration::from_secs(61), 0.0)])
        .collect();
    loads.sort_by_key(|(after, _)| *after);
    HostPlan {
        spec: HostSpec {
            name: format!("h{n}"),
            tags: if chance(rng, 0.5) {
                vec!["x".into()]
            } else {
                Vec::new()
            },
            max_load: Some(1.0),
        },
        loads,
        slots: rng.u32(1..=4),
        latency: between(rng, 0.000_1, 0.3),
        start_time: between(rng, 0.05, 5.0),
        failures: if chance(rng, 0.3) {
            failures
        } else {
            VecDeque::new()
        },
        losses: if chance(rng, 0.5) {
            losses
        } else {
            VecDeque::new()
        },
        tool: if chance(rng, 0.2) {
            Toolbox::Lacking
        } else {
            Toolbox::Complete
        },
        sanity: match rng.u32(..100) {
            0..10 => Sanity::FailsAll,
            10..17 => Sanity::StartsNone,
            _ => Sanity::Sound,
        },
        slot_deaths: if chance(rng, 0.2) { 0.1 } else { 0.0 },
        duplicates: if chance(rng, 0.5) { 0.3 } else { 0.0 },
        late: if chance(rng, 0.5) { 0.5 } else { 0.0 },
    }
}

struct Style {
    longest: f64,
    /// How likely a task is to spawn others.
    nested: f64,
    waits: bool,
    mean: bool,
}

fn task(rng: &mut Rng, style: &Style, hosts: usize) -> Planned {
    let end = match if style.mean { rng.u32(..100) } else { 0 } {
        0..80 => JobEnd::Exit(Exit::Code(0)),
        80..88 => JobEnd::Exit(Exit::Code(1)),
        88..90 => JobEnd::Exit(Exit::Signal(11)),
        90..93 => JobEnd::Exit(Exit::NOT_FOUND),
        93..97 => JobEnd::Never,
        97..99 => JobEnd::KillsSlot,
        _ => JobEnd::KillsAgent,
    };
    let needs_tool = chance(rng, 0.2);
    let job = JobPlan {
        duration: between(rng, 0.000_2, style.longest),
        end,
        failures: if chance(rng, 0.15) { rng.u32(1..4) } else { 0 },
        output: if chance(rng, 0.1) {
            rng.u64(..2 << 20)
        } else {
            0
        },
        tool: if needs_tool {
            Tool::Needed
        } else {
            Tool::NotNeeded
        },
        waits: if style.waits {
            Waits::Allowed
        } else {
            Waits::Never
        },
        then: Vec::new(),
    };
    let mut needs = Needs::cores(if chance(rng, 0.15) { rng.u32(2..=4) } else { 1 });
    if chance(rng, 0.1) {
        needs = needs.tag("x");
    }
    if chance(rng, 0.1) {
        needs = needs.on(HostId(rng.u32(..u32::try_from(hosts).unwrap())));
    }
    let limit = match rng.u32(..10) {
        _ if end == JobEnd::Never => TimeLimit::After(between(rng, 0.1, 100.0)),
        0 => TimeLimit::After(between(rng, 0.01, 100.0)),
        1 => TimeLimit::OfMedian(rng.u32(100..400)),
        _ => TimeLimit::Never,
    };
    Planned {
        job,
        nested: false,
        needs,
        class: ClassId(u32::from(needs_tool)),
        policy: TaskPolicy {
            tries: rng.u32(0..=4),
            limit,
            prefetch: if style.waits {
                Prefetch::Allowed
            } else {
                Prefetch::Never
            },
            ..TaskPolicy::default()
        },
    }
}

/// Has some tasks spawn others, which may spawn others.
fn nest(rng: &mut Rng, style: &Style, tasks: &mut Vec<Planned>, hosts: usize) {
    let mut level = 0..tasks.len();
    for _ in 0..rng.u32(1..=4) {
        let next = tasks.len();
        for parent in level {
            let mut then = Vec::new();
            while chance(rng, style.nested) && tasks.len() < MOST_TASKS {
                let first = tasks.len();
                for _ in 0..rng.u32(1..=3) {
                    let mut child = task(rng, style, hosts);
                    child.nested = true;
                    tasks.push(child);
                }
                let children = (first..tasks.len()).map(|index| index as u64 + 1);
                then.push(Step::Spawn(children.collect()));
                if chance(rng, 0.3) {
                    then.push(Step::Nap(between(rng, 0.000_2, style.longest)));
                }
                if chance(rng, 0.5) {
                    then.push(Step::Compute(between(rng, 0.000_2, style.longest)));
                }
            }
            tasks[parent].job.then = then;
        }
        level = next..tasks.len();
    }
}

fn acts(rng: &mut Rng, tasks: &[Planned], hosts: usize) -> VecDeque<(Duration, Act)> {
    let spread = [0.0, 1.0, 60.0][rng.usize(..3)];
    let mut acts = Vec::new();
    for index in 0..tasks.len() {
        let at = Duration::from_secs_f64(spread * rng.f64());
        acts.push((at, Act::Submit(index)));
        if chance(rng, 0.05) {
            let later = at + between(rng, 0.001, 60.0);
            let grace = Duration::from_secs(rng.u64(0..5));
            acts.push((later, Act::Cancel(index, grace)));
            if chance(rng, 0.3) {
                acts.push((later + grace / 2, Act::Cancel(index, Duration::ZERO)));
            }
        }
    }
    if chance(rng, 0.1) {
        let host = HostId(rng.u32(..u32::try_from(hosts).unwrap()));
        acts.push((between(rng, 0.1, 60.0), Act::Drain(host)));
    }
    if chance(rng, 0.1) {
        acts.push((between(rng, 0.1, 60.0), Act::AddHost));
    }
    if chance(rng, 0.05) {
        acts.push((between(rng, 0.1, 60.0), Act::StopStarting));
    }
    if chance(rng, 0.05) {
        acts.push((between(rng, 0.1, 60.0), Act::DisconnectAll));
    }
    acts.sort_by_key(|(at, _)| *at);
    acts.into()
}
