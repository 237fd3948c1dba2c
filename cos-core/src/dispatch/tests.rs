//! Dispatch over a machine that runs every command at once: what becomes of jobs that cannot be run.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Done, dispatch};
use crate::event::RunEvent;
use crate::job::{
    AttemptResult, CommandEnd, CommandJob, Exit, Job, Needs, StreamTotals, TaskError,
};
use crate::runtime::Os;
use crate::vm::host::HostSpec;
use crate::vm::sim::HostPlan;
use crate::vm::sim::plan::host_info;
use crate::vm::{VirtualMachine, VmCommand, VmEvent};

/// One host of two slots on which every command succeeds before anybody can look.
struct Prompt {
    hosts: Vec<HostSpec>,
    events: VecDeque<VmEvent>,
    waker: Option<Waker>,
    ending: bool,
}

impl Prompt {
    fn new() -> Self {
        Self {
            hosts: vec![HostPlan::sound("ws01", 2).spec],
            events: VecDeque::new(),
            waker: None,
            ending: false,
        }
    }
}

impl VirtualMachine for Prompt {
    fn hosts(&self) -> &[HostSpec] {
        &self.hosts
    }

    fn submit(&mut self, command: VmCommand) {
        self.events.extend(match command {
            VmCommand::Connect { host } => Some(VmEvent::Up {
                host,
                info: Arc::new(host_info(&HostPlan::sound("ws01", 2))),
            }),
            VmCommand::Start { host, attempt, .. } => Some(VmEvent::Ended {
                host,
                attempt,
                result: AttemptResult::Command(CommandEnd {
                    elapsed: Duration::from_secs(1),
                    ..CommandEnd::not_executed(Exit::Code(0), StreamTotals::default())
                }),
            }),
            VmCommand::Disconnect { host, .. } => Some(VmEvent::Closed {
                host,
                left: Vec::new(),
            }),
            _ => None,
        });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<VmEvent>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if self.ending => Poll::Ready(None),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn shutdown(&mut self, _: Duration, _: Duration) {
        self.ending = true;
    }
}

/// Jobs 0 to 5, of which no job can be made of 1 and 4, and 2 needs what no host has.
fn jobs() -> impl Iterator<Item = Job<CommandEnd, u64>> {
    (0..6).map(|index| {
        let job = match index {
            1 | 4 => Job::invalid("no path"),
            _ => Job::command(CommandJob::shell(index + 1, "true")),
        };
        let needs = match index {
            2 => Needs::default().tag("gpu"),
            _ => Needs::default(),
        };
        job.needs(needs).extra(100 + index)
    })
}

fn said<T>(result: &Result<T, TaskError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    }
}

const EXPECTED: [&str; 6] = [
    "ok",
    "no job can be made of it: no path",
    "not run: no enabled host has tag `gpu`",
    "ok",
    "no job can be made of it: no path",
    "ok",
];

#[test]
fn a_job_that_cannot_be_run_has_its_place_its_outcome_and_its_event() {
    let events = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&events);
    let os = Os::new().vm(Prompt::new()).observe(move |stamped| {
        if let RunEvent::TaskEnded { index, outcome, .. } = &stamped.event {
            seen.borrow_mut().push((*index, said(outcome)));
        }
    });
    let results = os.block_on(async { dispatch(jobs()).collect_all().await });
    let results = results.unwrap().unwrap();
    assert_eq!(results.iter().map(said).collect::<Vec<_>>(), EXPECTED);
    let mut events = events.take();
    events.sort_unstable();
    let expected = (0..).zip(EXPECTED.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(events, expected);
}

#[test]
fn a_window_of_one_is_not_stopped_by_jobs_that_cannot_be_run() {
    let mut order = Vec::new();
    let consumer = |done: Done<CommandEnd, u64>| {
        order.push((done.index, done.extra));
        super::Flow::Go
    };
    let os = Os::new().vm(Prompt::new());
    let ended = os.block_on(async { dispatch(jobs()).window(1).for_each(consumer).await });
    ended.unwrap().unwrap();
    assert_eq!(
        order,
        (0..6).map(|index| (index, 100 + index)).collect::<Vec<_>>()
    );
}
