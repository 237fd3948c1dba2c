//! From a preparation to a host that takes attempts.
//!
//! ```text
//! Unprepared --Prepare--> Locating --directories--> SettingUp --exports--> Working
//!      ^                     |                          |
//!      `------ refused ------'--------------------------'
//! ```

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::attempts::{Attempts, SlotKind};
use super::directories::Directories;
use super::ending::End;
use super::overdue::Overdue;
use super::preparation::{Prepared, cores};
use super::report;
use super::setup::Setup;
use super::slots::Slots;
use super::staging::Staging;
use super::turn::{Agent, Phase, protocol};
use super::work::Work;
use crate::ids::SlotId;
use crate::job::Exit;
use crate::wire::message::{FromAgent, Preparation, PrepareError};
use crate::worker::calls::reap_all;
use crate::worker::containment::{self, Scope};
use crate::worker::slot::memory::MemoryWatch;

/// How long what a setup script has started may resist (5 s).
const KILL_LIMIT: Duration = Duration::from_secs(5);

impl Agent {
    pub(super) fn prepare(&mut self, preparation: Preparation) -> Result<(), End> {
        let Phase::Unprepared = self.phase else {
            return Err(protocol("a second preparation"));
        };
        self.session.set_lease(preparation.lease);
        self.beat_for(preparation.lease);
        let place = self.place.clone();
        let locate = move || {
            let slots = preparation.slots.of(cores());
            let directories = Directories::prepare(&preparation, slots, &place)?;
            Prepared::new(preparation, directories).map(Box::new)
        };
        self.phase = Phase::Locating(tokio::task::spawn_blocking(locate));
        Ok(())
    }

    pub(super) fn poll_directories(&mut self, context: &mut Context<'_>) {
        let Phase::Locating(thread) = &mut self.phase else {
            return;
        };
        let Poll::Ready(located) = Pin::new(thread).poll(context) else {
            return;
        };
        self.phase = Phase::Unprepared;
        match located {
            Ok(Ok(prepared)) => self.set_up(prepared),
            Ok(Err(error)) => self.refuse(error),
            Err(error) => self.refuse(PrepareError::Other {
                cause: error.to_string(),
            }),
        }
    }

    /// Runs the setup script, if there is one.
    fn set_up(&mut self, prepared: Box<Prepared>) {
        let Some(script) = &prepared.preparation().setup else {
            return self.become_ready(prepared, HashSet::new());
        };
        match Setup::start(script, &prepared, &self.place) {
            Ok(setup) => self.phase = Phase::SettingUp(prepared, Box::new(setup)),
            Err(error) => self.refuse(PrepareError::Shell {
                cause: format!("{}: {error}", prepared.shell().display()),
            }),
        }
    }

    /// Says why the host cannot be used. The client then ends the channel.
    fn refuse(&mut self, error: PrepareError) {
        self.session
            .say(FromAgent::Prepared(Box::new(Err(error))), &[]);
    }

    /// Starts the first slot, so that a host that cannot start one says so now, and takes attempts from now on.
    fn become_ready(&mut self, prepared: Box<Prepared>, kept: HashSet<i32>) {
        let mut slots = Slots::new();
        if let Err(error) = slots.process(SlotId(1), SlotKind::Command, &prepared) {
            return self.refuse(PrepareError::Other {
                cause: format!("no slot process: {error}"),
            });
        }
        let report = report::host_report(&prepared);
        self.session
            .say(FromAgent::Prepared(Box::new(Ok(report))), &[]);
        self.phase = Phase::Working(Box::new(Work {
            attempts: Attempts::new(prepared.amounts()),
            staging: Staging::new(prepared.directories.local_storage.clone()),
            prepared: *prepared,
            slots,
            overdue: Overdue::default(),
            look: None,
            memory: MemoryWatch::of_this_group(),
            kept,
        }));
    }

    pub(super) fn poll_setup(&mut self, context: &mut Context<'_>) {
        if let Phase::SettingUp(_, setup) = &mut self.phase
            && let Poll::Ready(error) = setup.poll(context)
        {
            self.phase = Phase::Unprepared;
            containment::kill(Scope::All, &mut || reap_all(&mut |_| {}), KILL_LIMIT);
            self.refuse(error);
        }
    }

    /// The setup script has ended.
    pub(super) fn setup_ended(&mut self, exit: Exit, context: &mut Context<'_>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Unprepared);
        let Phase::SettingUp(mut prepared, setup) = phase else {
            self.phase = phase;
            return;
        };
        match setup.finish(exit, &prepared, context) {
            Ok(environment) => {
                prepared.set_environment(environment);
                let kept = containment::below_this_process();
                self.become_ready(prepared, kept);
            }
            Err(error) => self.refuse(error),
        }
    }
}
