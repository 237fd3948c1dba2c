//! The life of one host on the I/O thread: idle, launching, in session, idle again.

use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::AgentHost;
use super::launcher::{Channel, LaunchRequest, Launcher};
use super::outbox::Outbox;
use super::session::{Session, SessionEnd};
use super::staging::Depot;
use crate::clock;
use crate::ids::HostId;
use crate::time::Time;
use crate::vm::host::{HostFailure, HostSpec, Stage};
use crate::vm::{VmCommand, VmEvent};
use crate::wire::message::Preparation;

pub(super) struct HostTask {
    host: HostId,
    spec: HostSpec,
    launcher: Box<dyn Launcher>,
    preparation: Preparation,
    commands: mpsc::UnboundedReceiver<VmCommand>,
    events: Outbox,
    depot: Depot,
    /// Nothing was done since the last [`VmEvent::Closed`]: closing again is no news.
    closed: bool,
}

impl HostTask {
    pub(super) fn new(
        host: HostId,
        parts: AgentHost,
        commands: mpsc::UnboundedReceiver<VmCommand>,
        events: Outbox,
        depot: Depot,
    ) -> Self {
        let AgentHost {
            spec,
            launcher,
            preparation,
        } = parts;
        Self {
            host,
            spec,
            launcher,
            preparation,
            commands,
            events,
            depot,
            closed: false,
        }
    }

    /// Serves commands until their channel is closed.
    pub(super) async fn run(mut self) -> HostId {
        while let Some(command) = self.commands.recv().await {
            let flow = match command {
                VmCommand::Connect { .. } => self.connect().await,
                VmCommand::Disconnect { .. } => {
                    self.emit_closed(Vec::new());
                    ControlFlow::Continue(())
                }
                // The host is not up; its loss was reported and the kernel has placed the work anew.
                _ => ControlFlow::Continue(()),
            };
            if flow.is_break() {
                break;
            }
        }
        self.host
    }

    /// One connection from beginning to end. Breaks when the machine is gone.
    async fn connect(&mut self) -> ControlFlow<()> {
        let since = clock::now();
        self.closed = false;
        match self.launch().await {
            Launched::Channel(channel) => self.session(channel, since).await,
            Launched::Failed(failure) => {
                let failure = failure.into();
                self.emit(VmEvent::Failed {
                    host: self.host,
                    failure,
                });
                ControlFlow::Continue(())
            }
            Launched::Withdrawn => {
                self.emit_closed(Vec::new());
                ControlFlow::Continue(())
            }
            Launched::MachineGone => ControlFlow::Break(()),
        }
    }

    async fn launch(&mut self) -> Launched {
        let (host, events) = (self.host, &self.events);
        let mut report = |stage: Stage| {
            events.send(VmEvent::Stage { host, stage });
        };
        let request = LaunchRequest {
            run: self.preparation.run.clone(),
            host: self.spec.name.clone(),
        };
        let launch = self.launcher.launch(request, &mut report);
        let commands = &mut self.commands;
        tokio::select! {
            result = launch => match result {
                Ok(channel) => Launched::Channel(channel),
                Err(failure) => Launched::Failed(failure),
            },
            withdrawn = withdrawn(commands) => withdrawn,
        }
    }

    async fn session(&mut self, channel: Channel, since: Time) -> ControlFlow<()> {
        let host = self.host;
        for note in channel.notes.iter().cloned() {
            self.emit(VmEvent::Note { host, note });
        }
        let mut session = Session::new(
            host,
            &self.spec.name,
            &self.preparation,
            channel,
            since,
            &self.events,
            self.depot.clone(),
        );
        let end = session.run(&mut self.commands).await;
        drop(session);
        match end {
            SessionEnd::Failed(failure) => {
                self.emit(VmEvent::Failed {
                    host,
                    failure: failure.into(),
                });
            }
            SessionEnd::Lost(loss) => self.emit(VmEvent::Lost { host, loss }),
            SessionEnd::Closed { left } => self.emit_closed(left),
            SessionEnd::MachineGone => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn emit(&self, event: VmEvent) {
        self.events.send(event);
    }

    fn emit_closed(&self, left: Vec<String>) {
        self.emit(VmEvent::Closed {
            host: self.host,
            left,
        });
    }
}

enum Launched {
    Channel(Channel),
    Failed(HostFailure),
    Withdrawn,
    MachineGone,
}

/// Waits until the host is no longer wanted. Other commands cannot be meant for a host that is not up.
async fn withdrawn(commands: &mut mpsc::UnboundedReceiver<VmCommand>) -> Launched {
    loop {
        match commands.recv().await {
            Some(VmCommand::Disconnect { .. }) => return Launched::Withdrawn,
            Some(_) => {}
            None => return Launched::MachineGone,
        }
    }
}
