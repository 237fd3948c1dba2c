//! The program that `cos run` runs on the OS: takes results, watches signals and `--halt`, moves the display.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cos_core::job::{CommandEnd, Job, TaskError};
use cos_core::kernel::TaskPolicy;
use cos_core::{Done, clock, dispatch_stream};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::jobs::JobFactory;
use super::plan::{self, Plan};
use super::readiness::Readiness;
use super::signals::{Demand, Urgency};
use super::tally::{Stop, Tally};
use crate::arguments::{Halt, HaltUrgency, RunArguments};
use crate::failure::Failure;
use crate::message::Message;
use crate::progress::{Display, Phase};
use crate::sources::InputReader;

/// How often the display moves: ten times a second.
const FRAME: Duration = Duration::from_millis(100);

/// How a run ended, as far as its jobs go.
pub(super) struct Verdict {
    /// Why it stopped early.
    pub(super) stop: Option<Stop>,
    /// What is to be said about that.
    pub(super) message: Option<Message>,
}

pub(super) struct Conduct {
    input: InputReader,
    factory: JobFactory,
    policy: TaskPolicy,
    halt: Halt,
    delay: Duration,
    all_hosts: Option<AllHosts>,
    display: Rc<RefCell<Display>>,
    demands: watch::Receiver<Demand>,
    trouble: watch::Receiver<Option<Stop>>,
    tally: Rc<RefCell<Tally>>,
}

/// What the first job waits for with `--require-all-hosts`.
pub(super) struct AllHosts {
    /// Whether every host is up.
    pub(super) readiness: watch::Receiver<Readiness>,
    /// The hosts' names, by their ids.
    pub(super) names: Vec<String>,
}

impl AllHosts {
    /// Waits for every host.
    async fn wait(mut self) -> Result<(), Message> {
        let known = self
            .readiness
            .wait_for(|readiness| *readiness != Readiness::Awaited)
            .await
            .map(|readiness| *readiness);
        let Ok(Readiness::Missing(host)) = known else {
            // Nobody watches any more: the run is over.
            return Ok(());
        };
        let name = self.names.get(host.0 as usize).map_or("?", String::as_str);
        Err(Message::error(format_args!(
            "no job was started: {name} is not usable, and --require-all-hosts was given"
        ))
        .hint(format_args!(
            "`cos doctor` tells more; without --require-all-hosts the run goes on with the others"
        )))
    }
}

/// Why there are no further jobs, though nothing has asked for an end.
type SourceFailure = Rc<RefCell<Option<(Stop, Message)>>>;

type Jobs = Pin<Box<dyn Stream<Item = Job<CommandEnd, u64>>>>;

impl Conduct {
    pub(super) fn new(
        arguments: &RunArguments,
        plan: Plan,
        display: Rc<RefCell<Display>>,
        demands: watch::Receiver<Demand>,
        trouble: watch::Receiver<Option<Stop>>,
    ) -> Self {
        Self {
            input: plan.input,
            factory: plan.factory,
            policy: plan.policy,
            halt: arguments.limits.halt,
            delay: arguments.limits.delay,
            all_hosts: None,
            display,
            demands,
            trouble,
            tally: Rc::default(),
        }
    }

    /// Lets the first job wait for every host.
    #[must_use]
    pub(super) fn after(mut self, hosts: AllHosts) -> Self {
        self.all_hosts = Some(hosts);
        self
    }

    /// The counts, which grow while the run goes on.
    pub(super) fn tally(&self) -> Rc<RefCell<Tally>> {
        Rc::clone(&self.tally)
    }

    /// How many jobs there are in all, once that is known.
    pub(super) fn total(&self) -> Arc<OnceLock<u64>> {
        self.input.total_handle()
    }

    /// Runs all jobs, or until something stops the run. What still runs then is cancelled.
    pub(super) async fn run(self) -> Verdict {
        let Self {
            input,
            factory,
            policy,
            halt,
            delay,
            all_hosts,
            display,
            demands,
            trouble,
            tally,
        } = self;
        let total = input.total_handle();
        let source_failure = SourceFailure::default();
        let jobs = jobs(input, factory, delay, all_hosts, Rc::clone(&source_failure));
        let results = dispatch_stream(jobs).policy(policy).stream();
        let mut results = pin!(results);
        let mut state = State {
            halt,
            display,
            tally,
            total,
            stop: None,
            message: None,
        };
        let (mut demands, mut trouble) = (demands, trouble);
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                biased;
                Ok(()) = demands.changed() => {
                    let demand = *demands.borrow_and_update();
                    state.demanded(demand, results.under_way())
                }
                Ok(()) = trouble.changed() => {
                    let stop = *trouble.borrow_and_update();
                    stop.map_or(Next::Go, |stop| state.stop_now(stop))
                }
                done = results.next() => match done {
                    Some(done) => state.take(done),
                    None => break,
                },
                _ = frames.tick() => {
                    state.tick();
                    Next::Go
                }
            };
            match next {
                Next::Go => {}
                Next::StopSoon => results.stop_source(),
                Next::StopNow => break,
            }
        }
        if let Some((stop, message)) = source_failure.take() {
            state.stop.get_or_insert(stop);
            state.message.get_or_insert(message);
        }
        Verdict {
            stop: state.stop,
            message: state.message,
        }
    }
}

/// What the run does next.
enum Next {
    Go,
    StopSoon,
    StopNow,
}

struct State {
    halt: Halt,
    display: Rc<RefCell<Display>>,
    tally: Rc<RefCell<Tally>>,
    total: Arc<OnceLock<u64>>,
    stop: Option<Stop>,
    message: Option<Message>,
}

impl State {
    fn take(&mut self, done: Done<CommandEnd, u64>) -> Next {
        self.tally.borrow_mut().count(&done.result);
        match &done.result {
            Err(
                error @ (TaskError::NoHostLeft { cause, .. } | TaskError::HostLost { cause, .. }),
            ) => {
                if self.stop.is_none() {
                    self.message = Some(no_host(error, cause));
                }
                self.stop_soon(Stop::NoHost)
            }
            Err(TaskError::CommandMissing { exit }) => {
                if self.stop.is_none() {
                    let message =
                        Message::error(format!("no host has this command: {exit} on every one"));
                    self.message = Some(message.hint(
                        "is it in the PATH of a non-interactive login? `setup` in hosts.toml can put it there",
                    ));
                }
                self.stop_now(Stop::NoHost)
            }
            _ => {
                let halts = self
                    .tally
                    .borrow()
                    .halts(self.halt, self.total.get().copied());
                match halts {
                    None => Next::Go,
                    Some(HaltUrgency::Soon) => self.stop_soon(Stop::Halt),
                    Some(HaltUrgency::Now) => self.stop_now(Stop::Halt),
                }
            }
        }
    }

    fn demanded(&mut self, demand: Demand, under_way: usize) -> Next {
        let signal = demand.first.unwrap_or(2);
        match demand.urgency {
            Urgency::Go => Next::Go,
            Urgency::Finish => {
                let finishing = match under_way {
                    0 => None,
                    1 => Some("finishing 1 job; again to stop it".to_owned()),
                    number => Some(format!("finishing {number} jobs; again to stop them")),
                };
                if let Some(text) = finishing {
                    self.display.borrow_mut().message(Message::note(text));
                }
                self.stop_soon(Stop::Signal(signal))
            }
            Urgency::End | Urgency::Leave => {
                self.stop = Some(Stop::Signal(signal));
                self.stop_now(Stop::Signal(signal))
            }
        }
    }

    fn stop_soon(&mut self, stop: Stop) -> Next {
        self.stop.get_or_insert(stop);
        self.display.borrow_mut().set_phase(Phase::Finishing);
        Next::StopSoon
    }

    fn stop_now(&mut self, stop: Stop) -> Next {
        self.stop.get_or_insert(stop);
        self.display.borrow_mut().set_phase(Phase::Stopping);
        Next::StopNow
    }

    fn tick(&self) {
        let mut display = self.display.borrow_mut();
        if let Some(total) = self.total.get() {
            display.set_total(*total);
        }
        display.tick(clock::now());
    }
}

fn no_host(error: &TaskError, cause: &str) -> Message {
    match cause.is_empty() {
        true => Message::error(error),
        false => Message::error("no host is left that could run the jobs").cause(cause),
    }
}

/// The jobs of the input, made as they are asked for. Ends early when the input cannot be read; `failure` then says why.
fn jobs(
    input: InputReader,
    factory: JobFactory,
    delay: Duration,
    all_hosts: Option<AllHosts>,
    failure: SourceFailure,
) -> Jobs {
    struct Source {
        input: InputReader,
        factory: JobFactory,
        sequence: u64,
        delay: Duration,
        not_before: Instant,
        all_hosts: Option<AllHosts>,
        failure: SourceFailure,
    }
    let source = Source {
        input,
        factory,
        sequence: 0,
        delay,
        not_before: Instant::now(),
        all_hosts,
        failure,
    };
    let jobs = stream::unfold(source, |mut source| async move {
        if let Some(all_hosts) = source.all_hosts.take()
            && let Err(message) = all_hosts.wait().await
        {
            *source.failure.borrow_mut() = Some((Stop::NoHost, message));
            return None;
        }
        let row = source.input.next().await?;
        let said = |failure: Failure| match failure {
            Failure::Said { message, .. } => Some(message),
            Failure::Rendered { text, .. } => Some(Message::error(text)),
            Failure::Closed => None,
        };
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let message = said(plan::of_source(error));
                *source.failure.borrow_mut() = message.map(|message| (Stop::Input, message));
                return None;
            }
        };
        source.sequence += 1;
        let sequence = source.sequence;
        let job = source.factory.job(sequence, row);
        if !source.delay.is_zero() {
            tokio::time::sleep_until(source.not_before).await;
            source.not_before = Instant::now() + source.delay;
        }
        Some((job, source))
    });
    Box::pin(jobs)
}
