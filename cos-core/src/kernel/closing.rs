//! The end of a connection that this side ends: draining, disconnecting, and what is left of a host then.

use std::collections::BTreeSet;
use std::time::Duration;

use super::host::{self, AfterClose, Gone, HostState, Intake};
use super::planted::Bug;
use super::task::{Grant, Intent, StopCause, TaskState};
use super::timers::Timer;
use super::{Kernel, Mode};
use crate::event::RunEvent;
use crate::ids::{HostId, TaskId};
use crate::time::Time;
use crate::vm::VmCommand;
use crate::vm::host::HostLoss;

impl Kernel {
    /// A host that was asked to disconnect has done so.
    pub(super) fn host_closed(&mut self, host: HostId, left: Vec<String>, now: Time) {
        if self.is_closing(host) {
            self.closed(host, now);
            self.emit(RunEvent::HostClosed { host, left });
        }
    }

    /// A host has no connection any more and was to have none. What still ran there is gone.
    pub(super) fn closed(&mut self, host: HostId, now: Time) {
        let loss = HostLoss::Disconnected {
            cause: "disconnected by this side".into(),
        };
        self.lose_attempts(host, &loss, now);
        let row = &mut self.hosts[host.0 as usize];
        let HostState::Closing { next, .. } = row.state else {
            return;
        };
        match next {
            AfterClose::Again if self.mode != Mode::Closing => {
                row.state = HostState::Waiting;
                if !self.timers.is_set(Timer::Connect(host)) {
                    let pause =
                        host::pause(&self.config.connect, row.failures.max(1), &mut self.rng);
                    self.timers.set(Timer::Connect(host), now + pause);
                }
            }
            AfterClose::Again | AfterClose::Gone => self.gone(host, Gone::Closed),
        }
    }

    /// A host takes no part any more.
    pub(super) fn gone(&mut self, host: HostId, why: Gone) {
        self.timers.cancel(Timer::Connect(host));
        self.timers.cancel(Timer::Stage(host));
        self.timers.cancel(Timer::Probe(host));
        self.hosts[host.0 as usize].state = HostState::Gone(why);
    }

    /// Lets a host end what it has.
    pub(super) fn drain_host(&mut self, host: HostId) {
        let ignored = self.planted(Bug::FillsDrained);
        let Some(row) = self.hosts.get_mut(host.0 as usize) else {
            return;
        };
        match &mut row.state {
            HostState::Up(up) => {
                if !ignored {
                    up.intake = Intake::Draining;
                }
                self.clear_reservation(host);
                self.recall_all(host);
                self.drained(host);
            }
            HostState::Idle | HostState::Connecting | HostState::Waiting => {
                self.disconnect_for_good(host, Duration::ZERO);
            }
            HostState::Closing { next, .. } => *next = AfterClose::Gone,
            HostState::Gone(_) => {}
        }
    }

    /// Disconnects a host that drains, when nothing is left there.
    pub(super) fn drained(&mut self, host: HostId) {
        let empty = self.hosts[host.0 as usize]
            .up()
            .is_some_and(|up| up.intake == Intake::Draining && up.attempts.is_empty());
        if empty {
            self.disconnect(host, Duration::ZERO, AfterClose::Gone);
        }
    }

    /// Disconnects a host, whatever it does; its attempts are cancelled.
    pub(super) fn disconnect_for_good(&mut self, host: HostId, grace: Duration) {
        match &mut self.hosts[host.0 as usize].state {
            HostState::Idle | HostState::Waiting => self.gone(host, Gone::Closed),
            HostState::Connecting | HostState::Up(_) => {
                self.disconnect(host, grace, AfterClose::Gone);
            }
            HostState::Closing { next, .. } => {
                *next = AfterClose::Gone;
                self.timers.cancel(Timer::Connect(host));
                self.vm(VmCommand::Disconnect { host, grace });
            }
            HostState::Gone(_) => {}
        }
        if self.mode == Mode::Closing
            && let HostState::Closing { attempts, .. } = &self.hosts[host.0 as usize].state
        {
            for id in attempts.clone() {
                if let Some(task) = self.tasks.get_mut(id)
                    && let TaskState::Placed(placed) = &mut task.state
                {
                    placed.intent = Intent::Stop(StopCause::Cancelled);
                }
            }
        }
    }

    /// Ends a connection, or the attempt to make one.
    pub(super) fn disconnect(&mut self, host: HostId, grace: Duration, next: AfterClose) {
        self.clear_reservation(host);
        let row = &mut self.hosts[host.0 as usize];
        let mut attempts = BTreeSet::new();
        match &mut row.state {
            HostState::Connecting => self.connecting_over(host),
            HostState::Up(up) => {
                attempts = std::mem::take(&mut up.attempts);
                self.waiting_on_hosts -= up.queued.len();
                self.recalls -= up.recalled;
                self.woken.forget(host);
                for id in &attempts {
                    self.no_longer_queued(*id);
                }
            }
            _ => return,
        }
        self.hosts[host.0 as usize].state = HostState::Closing { attempts, next };
        self.vm(VmCommand::Disconnect { host, grace });
    }

    /// An attempt's host is being disconnected: nothing is counted for it there any more.
    fn no_longer_queued(&mut self, id: TaskId) {
        let Some(placed) = self.tasks.get_mut(id).and_then(|task| task.placed_mut()) else {
            return;
        };
        if placed.intent == Intent::Recall {
            placed.intent = Intent::Run;
        }
        if let Grant::Wanted { .. } = placed.grant {
            placed.grant = Grant::Lent;
        }
    }
}
