//! The agent as one future: what it does whenever something happens.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use super::attempts::{Refused, Waiting};
use super::ending::End;
use super::preparation::Prepared;
use super::report;
use super::session::{Session, SessionError};
use super::setup::Setup;
use super::slots::Broken;
use super::work::Work;
use crate::ids::AttemptId;
use crate::job::AttemptResult;
use crate::wire::message::{FromAgent, PrepareError, ToAgent};
use crate::worker::calls::reap_all;
use crate::worker::place::Place;

/// The heartbeat before the client has named a lease (1 s).
const FIRST_HEARTBEAT: Duration = Duration::from_secs(1);

/// How much longer than their grace stopped jobs may take before everything is killed (1 s).
const CLOSING_MARGIN: Duration = Duration::from_secs(1);

/// How long the agent looks away when every slot has enough to do (2 ms): what it then finds it acts on at once, and says in one
/// write. Otherwise each short command would wake it, and after it everything on the way to the client.
const PAUSE: Duration = Duration::from_millis(2);

/// A turn in which slots said more is not followed by a pause, or they might have to wait (64 KiB).
const MUCH: usize = 64 * 1024;

/// A tenth of the lease, between 0.5 s and 5 s: several may be lost before a lease is in danger.
fn heartbeat_interval(lease: Duration) -> Duration {
    (lease / 10).clamp(Duration::from_millis(500), Duration::from_secs(5))
}

fn ticks(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// An agent and everything it holds.
pub(super) struct Agent {
    pub(super) place: Place,
    pub(super) session: Session,
    pub(super) phase: Phase,
    departures: Vec<(i32, Signal)>,
    children: Signal,
    ticks: Interval,
}

/// How far the agent is.
pub(super) enum Phase {
    /// The client has not said how jobs are to see the host.
    Unprepared,
    /// Directories are looked for and made.
    Locating(JoinHandle<Result<Box<Prepared>, PrepareError>>),
    /// The setup script runs.
    SettingUp(Box<Prepared>, Box<Setup>),
    /// Attempts are taken.
    Working(Box<Work>),
    /// Nothing starts any more; what runs has been asked to end, and is killed at the given moment.
    Closing(Box<Work>, Pin<Box<Sleep>>),
}

impl Agent {
    /// An agent that has said hello.
    pub(super) fn new(place: Place, session: Session) -> std::io::Result<Self> {
        // The guardian's death is told as a request to leave: without it nothing contains the agent.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
        ];
        let departures = kinds
            .into_iter()
            .map(|kind| Ok((kind.as_raw_value(), signal(kind)?)))
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            place,
            session,
            phase: Phase::Unprepared,
            departures,
            children: signal(SignalKind::child())?,
            ticks: ticks(FIRST_HEARTBEAT),
        })
    }

    /// Does everything that can be done now. Ready when the agent is to end.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        match self.turn(context) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        if let Some(silent_for) = self.session.silent_beyond_lease() {
            return Err(End::Silent(silent_for));
        }
        // Before anything else: a host that goes down ends its jobs in the same moment as this agent.
        for (number, departure) in &mut self.departures {
            if departure.poll_recv(context).is_ready() {
                return Err(End::Signal(*number));
            }
        }
        while let Poll::Ready(read) = self.session.poll_read(context) {
            read?;
            while let Some((message, payload)) = self.session.next_message()? {
                self.obey(message, payload)?;
            }
        }
        self.poll_directories(context);
        self.poll_setup(context);
        let heard = self.listen_to_slots(context);
        while self.children.poll_recv(context).is_ready() {
            self.reap(context);
        }
        while self.ticks.poll_tick(context).is_ready() {
            self.heartbeat(None);
        }
        self.poll_staging(context);
        if let Phase::Working(work) = &mut self.phase {
            work.start_what_fits(&mut self.session);
        }
        self.poll_closing(context)?;
        if let Phase::Working(work) | Phase::Closing(work, _) = &mut self.phase {
            work.kill_overdue(context);
            work.look_at_slots(context);
            for stuck in work.slots.poll_write(context) {
                work.kill_slot(stuck);
            }
        }
        let was_congested = self.session.is_congested();
        if let Poll::Ready(Err(error)) = self.session.poll_write(context) {
            return Err(error.into());
        }
        if was_congested && !self.session.is_congested() {
            // Slots were not listened to, and nothing else may wake this agent for them.
            context.waker().wake_by_ref();
        }
        if let Phase::Working(work) = &self.phase
            && heard < MUCH
            && work.attempts.is_saturated()
        {
            // Not a timer of the runtime, which whatever happens would wake.
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn obey(&mut self, message: ToAgent, payload: Bytes) -> Result<(), End> {
        match message {
            ToAgent::Hello(_) | ToAgent::Acknowledge => {}
            ToAgent::Heartbeat { stamp } => self.heartbeat(Some(stamp)),
            ToAgent::Prepare(preparation) => self.prepare(*preparation)?,
            ToAgent::Start {
                attempt,
                try_number,
                amounts,
                work,
                more_arguments,
            } => self.queue(Waiting {
                attempt,
                try_number,
                amounts,
                work,
                more_arguments,
            })?,
            ToAgent::Arguments { attempt } => {
                if let Phase::Working(work) | Phase::Closing(work, _) = &mut self.phase {
                    work.pass_arguments(attempt, &payload);
                }
            }
            ToAgent::Stop { attempt, grace } => self.stop(attempt, grace),
            ToAgent::Recall { attempt } => {
                if let Phase::Working(work) = &mut self.phase
                    && work.recall(attempt)
                {
                    self.session.say(FromAgent::Returned { attempt }, &[]);
                }
            }
            ToAgent::Resume { attempt } => {
                if let Phase::Working(work) = &mut self.phase {
                    work.resume(attempt);
                }
            }
            ToAgent::Tell { attempt } => {
                if let Phase::Working(work) = &mut self.phase {
                    work.pass_words(attempt, &payload);
                }
            }
            ToAgent::Credit { attempt, bytes } => {
                if let Phase::Working(work) | Phase::Closing(work, _) = &mut self.phase {
                    work.grant(attempt, bytes);
                }
            }
            ToAgent::Staging(message) => self.obey_staging(message, payload)?,
            ToAgent::Shutdown { grace } => return self.shut_down(grace),
        }
        Ok(())
    }

    /// From now on sends heartbeats as this lease asks for.
    pub(super) fn beat_for(&mut self, lease: Duration) {
        self.ticks = ticks(heartbeat_interval(lease));
    }

    fn heartbeat(&mut self, stamp: Option<u64>) {
        let running = match &self.phase {
            Phase::Working(work) | Phase::Closing(work, _) => work.attempts.running_count(),
            Phase::Unprepared | Phase::Locating(_) | Phase::SettingUp(..) => 0,
        };
        self.session.say_unnumbered(FromAgent::Heartbeat {
            stamp,
            load_hundredths: report::load_hundredths(),
            running,
        });
    }

    fn queue(&mut self, waiting: Waiting) -> Result<(), End> {
        let (attempt, amounts) = (waiting.attempt, waiting.amounts);
        let host = match &mut self.phase {
            Phase::Working(host) => host,
            Phase::Closing(..) => return Ok(()),
            Phase::Unprepared | Phase::Locating(_) | Phase::SettingUp(..) => {
                return Err(protocol("an attempt before the host was ready"));
            }
        };
        if host.staging.gathers_for(attempt) {
            host.staging.hold(waiting);
            return Ok(());
        }
        match host.attempts.push(waiting) {
            Ok(()) => Ok(()),
            Err(Refused::TooMany) => Err(protocol("too many attempts wait")),
            Err(Refused::Known) => Err(protocol("an attempt came twice")),
            Err(Refused::TooLarge(total)) => {
                let cause = format!("it takes {amounts}, and {total} are given here");
                let result = AttemptResult::NotStarted { cause };
                self.session.say(FromAgent::Ended { attempt, result }, &[]);
                Ok(())
            }
        }
    }

    fn stop(&mut self, attempt: AttemptId, grace: Duration) {
        let (Phase::Working(work) | Phase::Closing(work, _)) = &mut self.phase else {
            return;
        };
        if work.stop(attempt, grace) {
            let result = AttemptResult::Stopped(None);
            self.session.say(FromAgent::Ended { attempt, result }, &[]);
        }
    }

    fn shut_down(&mut self, grace: Duration) -> Result<(), End> {
        let Phase::Working(mut work) = std::mem::replace(&mut self.phase, Phase::Unprepared) else {
            return Err(End::Shutdown);
        };
        for Waiting { attempt, .. } in work.withdraw_all() {
            let result = AttemptResult::Stopped(None);
            self.session.say(FromAgent::Ended { attempt, result }, &[]);
        }
        for attempt in work.attempts.in_slots() {
            work.stop(attempt, grace);
        }
        let limit = tokio::time::sleep(grace.saturating_add(CLOSING_MARGIN));
        self.phase = Phase::Closing(work, Box::pin(limit));
        Ok(())
    }

    fn poll_closing(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        let Phase::Closing(work, limit) = &mut self.phase else {
            return Ok(());
        };
        let is_idle = work.attempts.is_idle() && work.staging.is_idle();
        match is_idle || limit.as_mut().poll(context).is_ready() {
            true => Err(End::Shutdown),
            false => Ok(()),
        }
    }

    /// Passes on what slots say, unless the client is too far behind: then slots wait, and their commands with them.
    /// Gives how many bytes they wrote.
    fn listen_to_slots(&mut self, context: &mut Context<'_>) -> usize {
        let (Phase::Working(work) | Phase::Closing(work, _)) = &mut self.phase else {
            return 0;
        };
        if self.session.is_congested() {
            return 0;
        }
        let mut heard = 0;
        let mut said = Vec::new();
        work.slots.poll_read(context, &mut said);
        for (pid, frame) in said {
            match frame {
                Ok(frame) => {
                    heard += frame.payload.len();
                    work.pass_on(pid, frame.header, &frame.payload, &mut self.session);
                }
                Err(Broken) => work.kill_slot(pid),
            }
        }
        heard
    }

    fn reap(&mut self, context: &mut Context<'_>) {
        if let Phase::Locating(_) = self.phase {
            // Looking up a user's name may take a process, for which that thread waits itself.
            return;
        }
        let mut ended = Vec::new();
        reap_all(&mut |child| ended.push(child));
        while let Some(child) = ended.pop() {
            match &mut self.phase {
                Phase::SettingUp(_, setup) if setup.pid() == child.pid => {
                    self.setup_ended(child.exit, context);
                }
                Phase::Working(work) | Phase::Closing(work, _) => {
                    work.bury(child, &mut self.session, &mut ended);
                }
                Phase::Unprepared | Phase::Locating(_) | Phase::SettingUp(..) => {}
            }
        }
    }
}

pub(super) fn protocol(words: &str) -> End {
    SessionError::Protocol(words.to_owned()).into()
}
