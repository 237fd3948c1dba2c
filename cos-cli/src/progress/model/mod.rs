//! The state of a run as its display needs it, folded from events. Reads no clock: time is handed in.

mod counts;
mod eta;
mod host;
mod running;

use std::time::Duration;

use cos_core::event::{AgainCause, RunEvent, Stamped};
use cos_core::ids::{AttemptId, HostId};
use cos_core::job::{Outcome, Stream};
use cos_core::time::Time;

use self::eta::Estimator;
use self::running::RunningJobs;
use super::facts::{JobLabels, RunFacts};
use super::text;
use crate::escape::escape_line;

pub use self::counts::Counts;
pub use self::host::{HostState, HostView, MissingCommand};
pub use self::running::{Oldest, RunningJob};

/// How much of a command is kept, in columns. More fits on no line.
const MAX_COMMAND: usize = 240;
/// How much of a sentence of a host's is kept, in columns.
const MAX_SENTENCE: usize = 240;

/// The state of a run as its display needs it.
///
/// Its memory is bounded by the hosts and by the jobs that run at a time.
#[derive(Debug, Clone)]
pub struct RunView {
    run: String,
    directory: String,
    started: Time,
    phase: Phase,
    total: Option<u64>,
    /// Whether jobs wait for every host.
    all_hosts_required: bool,
    cores: u32,
    counts: Counts,
    hosts: Vec<HostView>,
    running: RunningJobs,
    estimator: Estimator,
}

/// What a run is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Jobs are started and end.
    #[default]
    Running,
    /// No new jobs are started, those that run may end.
    Finishing,
    /// Jobs that run are stopped.
    Stopping,
}

impl RunView {
    /// A run that begins at `now`.
    pub fn new(facts: RunFacts, now: Time) -> Self {
        let hosts = facts
            .hosts
            .into_iter()
            .map(|host| HostView::new(escape_line(host.name.as_bytes()), host.slots))
            .collect();
        Self {
            run: escape_line(facts.run.as_bytes()),
            directory: escape_line(facts.directory.as_bytes()),
            started: now,
            phase: Phase::Running,
            total: facts.total,
            all_hosts_required: false,
            cores: facts.cores.max(1),
            counts: Counts::default(),
            hosts,
            running: RunningJobs::default(),
            estimator: Estimator::new(now),
        }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The run's directory on this computer.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// How long the run has lasted.
    pub fn elapsed(&self, now: Time) -> Duration {
        now.since(self.started)
    }

    /// What the run is about.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The run is about something else now.
    pub fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// How many jobs there are in all, once that is known.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The input has been read to its end: there are so many jobs in all.
    pub fn set_total(&mut self, total: u64) {
        self.total = Some(total);
    }

    /// No job starts before every host is up.
    pub fn require_all_hosts(&mut self) {
        self.all_hosts_required = true;
    }

    /// Whether no job starts, since hosts are missing that all have to be there.
    pub fn is_held_back(&self) -> bool {
        self.all_hosts_required
            && self.counts.settled() == 0
            && self.running() == 0
            && !self.hosts.iter().all(HostView::is_up)
    }

    /// How many jobs came to which end.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// All jobs that run, oldest first.
    pub fn running_jobs(&self) -> Vec<&RunningJob> {
        let mut jobs: Vec<_> = self.running.iter().collect();
        jobs.sort_by_key(|job| (job.since, job.index));
        jobs
    }

    /// A job that runs.
    pub fn running_job(&self, attempt: AttemptId) -> Option<&RunningJob> {
        self.running.get(attempt)
    }

    /// The oldest job of each host.
    pub fn oldest_by_host(&self) -> Vec<Option<Oldest<'_>>> {
        self.running.oldest_by_host(self.hosts.len())
    }

    /// The hosts, in the order of their ids.
    pub fn hosts(&self) -> &[HostView] {
        &self.hosts
    }

    /// A host.
    pub fn host(&self, host: HostId) -> Option<&HostView> {
        self.hosts.get(host.0 as usize)
    }

    /// How many slots of a host are in use.
    pub fn slots_used(&self, host: &HostView) -> u32 {
        let used = host.running.saturating_mul(self.cores);
        host.slots.map_or(used, |slots| used.min(slots))
    }

    /// How long the rest takes; `None` when that cannot be said.
    pub fn time_left(&self, now: Time) -> Option<Duration> {
        let settled = self.counts.settled();
        let remaining = self.total?.checked_sub(settled)?;
        if remaining == 0 || !self.hosts.iter().any(HostView::is_up) {
            return None;
        }
        let left = self.estimator.remaining_time(now, settled, remaining)?;
        // Nothing is left but jobs that take longer than others did: nobody knows how long.
        (left >= Duration::from_secs(1)).then_some(left)
    }

    /// Folds an event in.
    pub fn note(&mut self, stamped: &Stamped, labels: &dyn JobLabels) {
        let at = stamped.at;
        match &stamped.event {
            RunEvent::TaskStarted {
                attempt,
                index,
                host,
                ..
            } => {
                let command = shown_command(labels, *index);
                self.start(*attempt, RunningJob::new(*index, *host, at, command));
            }
            RunEvent::TaskOutput {
                attempt,
                stream: Stream::Stderr,
                bytes,
                ..
            } => {
                if let Some(job) = self.running.get_mut(*attempt) {
                    job.note_words(bytes);
                }
            }
            RunEvent::TaskOutput { .. } => {}
            RunEvent::TaskSlow { attempt, .. } => {
                if let Some(job) = self.running.get_mut(*attempt) {
                    job.slow = true;
                }
            }
            RunEvent::TaskAgain {
                attempt,
                host,
                cause,
                ..
            } => self.note_again(*attempt, *host, cause),
            RunEvent::TaskEnded {
                attempt,
                host,
                tries,
                outcome,
                ..
            } => {
                self.note_outcome(*attempt, *host, *tries, outcome);
                self.estimator.note(at, self.counts.settled());
            }
            RunEvent::LateDropped { total } => self.counts.late = *total,
            event => self.note_host(event, at),
        }
    }

    fn note_host(&mut self, event: &RunEvent, at: Time) {
        let Some(view) = host_of(event).and_then(|host| self.hosts.get_mut(host.0 as usize)) else {
            return;
        };
        match event {
            RunEvent::HostStage { stage, .. } => view.note_stage(stage.clone(), at),
            RunEvent::HostUp { info, .. } => {
                view.slots = Some(info.report.slots);
                view.state = HostState::Up;
            }
            RunEvent::HostFailed {
                failure, retry_in, ..
            } => {
                view.state = HostState::Failed {
                    cause: sentence(failure.headline.as_bytes()),
                    retry_at: retry_in.map(|pause| at + pause),
                };
            }
            RunEvent::HostLost { loss, retry_in, .. } => {
                view.losses = view.losses.saturating_add(1);
                view.state = HostState::Lost {
                    cause: sentence(loss.to_string().as_bytes()),
                    retry_at: retry_in.map(|pause| at + pause),
                };
            }
            RunEvent::HostSilent {
                silent_for,
                lost_in,
                ..
            } => view.note_silence(*silent_for, *lost_in, at),
            RunEvent::HostLeftOut { exit, moved, .. } => {
                let words = view.missing.take().map(|missing| missing.words);
                view.missing = Some(MissingCommand {
                    exit: *exit,
                    words: words.unwrap_or_default(),
                    moved: *moved,
                });
            }
            RunEvent::HostPaused { cause, .. } => {
                view.state = HostState::Paused { cause: *cause };
            }
            RunEvent::HostResumed { .. } => view.state = HostState::Up,
            // What became of a host that was lost is still worth knowing at the end.
            RunEvent::HostClosed { .. } if view.is_down() => {}
            RunEvent::HostClosed { .. } => view.state = HostState::Closed,
            _ => {}
        }
    }

    fn start(&mut self, attempt: AttemptId, job: RunningJob) {
        let host = job.host;
        if let Some(replaced) = self.running.insert(attempt, job) {
            self.count_down(replaced.host);
        }
        if let Some(view) = self.hosts.get_mut(host.0 as usize) {
            view.running = view.running.saturating_add(1);
        }
    }

    /// An attempt is over.
    fn end(&mut self, attempt: AttemptId) -> Option<RunningJob> {
        let job = self.running.remove(attempt)?;
        self.count_down(job.host);
        Some(job)
    }

    fn count_down(&mut self, host: HostId) {
        if let Some(view) = self.hosts.get_mut(host.0 as usize) {
            view.running = view.running.saturating_sub(1);
        }
    }

    fn note_again(&mut self, attempt: AttemptId, host: HostId, cause: &AgainCause) {
        let job = self.end(attempt);
        match cause {
            AgainCause::Retry { .. }
            | AgainCause::CallFailed { .. }
            | AgainCause::TimedOut { .. } => self.counts.retries += 1,
            AgainCause::CommandMissing { exit } => {
                let words = job.map(|job| sentence(job.last_words()));
                if let Some(view) = self.hosts.get_mut(host.0 as usize) {
                    let moved = view.missing.as_ref().map_or(0, |missing| missing.moved);
                    view.missing = Some(MissingCommand {
                        exit: *exit,
                        words: words.unwrap_or_default(),
                        moved,
                    });
                }
            }
            AgainCause::Crash { .. } | AgainCause::NotStarted { .. } => {}
        }
    }

    fn note_outcome(
        &mut self,
        attempt: Option<AttemptId>,
        host: Option<HostId>,
        tries: u32,
        outcome: &Outcome,
    ) {
        let job = attempt.and_then(|attempt| self.end(attempt));
        let wrong = self.counts.went_wrong();
        match outcome {
            Ok(_) => self
                .counts
                .note_success(tries, job.is_some_and(|job| job.slow)),
            Err(error) => self.counts.note_error(error, job.is_some()),
        }
        let Some(view) = host.and_then(|host| self.hosts.get_mut(host.0 as usize)) else {
            return;
        };
        view.ok += u64::from(outcome.is_ok());
        view.failed += self.counts.went_wrong() - wrong;
    }
}

/// The host that an event is about, if it is about a host and no task.
pub(super) fn host_of(event: &RunEvent) -> Option<HostId> {
    match event {
        RunEvent::HostStage { host, .. }
        | RunEvent::HostUp { host, .. }
        | RunEvent::HostFailed { host, .. }
        | RunEvent::HostLost { host, .. }
        | RunEvent::HostSilent { host, .. }
        | RunEvent::HostLeftOut { host, .. }
        | RunEvent::HostPaused { host, .. }
        | RunEvent::HostResumed { host }
        | RunEvent::HostNote { host, .. }
        | RunEvent::HostClosed { host, .. } => Some(*host),
        RunEvent::TaskStarted { .. }
        | RunEvent::TaskOutput { .. }
        | RunEvent::TaskSlow { .. }
        | RunEvent::TaskAgain { .. }
        | RunEvent::TaskEnded { .. }
        | RunEvent::LateDropped { .. } => None,
    }
}

/// A job's command, escaped and cut.
pub(super) fn shown_command(labels: &dyn JobLabels, index: u64) -> String {
    match labels.command(index) {
        Some(command) => line(&command, MAX_COMMAND),
        None => String::new(),
    }
}

/// One sentence of a host's, escaped and cut.
pub(super) fn sentence(text: &[u8]) -> String {
    line(text.trim_ascii(), MAX_SENTENCE)
}

fn line(text: &[u8], columns: usize) -> String {
    // A character takes at most four bytes; whatever is beyond is not even looked at.
    let bytes = &text[..text.len().min(4 * (columns + 1))];
    text::truncate(&escape_line(bytes), columns).into_owned()
}
