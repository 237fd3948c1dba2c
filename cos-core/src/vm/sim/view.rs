//! What the client knows of a host: it changes when an event reaches it, not when something happens there.

use std::collections::BTreeMap;

use super::agent::Agent;
use super::plan::{HostPlan, Tool, Toolbox};
use super::{Connection, Happening, LATEST, SimVm, job_plan};
use crate::ids::{AttemptId, HostId};
use crate::job::{AttemptResult, Exit};
use crate::time::Time;
use crate::vm::VmEvent;
use crate::vm::host::{FailureKind, HostLoss};

#[derive(Debug)]
pub(super) struct SimHost {
    pub(super) plan: HostPlan,
    pub(super) connection: Connection,
    pub(super) view: View,
    pub(super) agents: BTreeMap<Connection, Agent>,
    /// The attempt by which the client learned that the tool is missing here.
    pub(super) known_to_lack: Option<AttemptId>,
    /// The load by which the client learned that others need the host.
    pub(super) known_load: Option<f64>,
}

/// What the client knows of a host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum View {
    Down,
    Connecting,
    Up,
    /// It asked the host to disconnect.
    Leaving,
    /// It was told that the host is not to be connected again.
    Banned,
}

impl SimHost {
    pub(super) fn new(plan: HostPlan) -> Self {
        Self {
            plan,
            connection: 0,
            view: View::Down,
            agents: BTreeMap::new(),
            known_to_lack: None,
            known_load: None,
        }
    }

    /// The client learns of a load. A busy host is free again well below its limit only.
    fn note_load(&mut self, load: f64) {
        let Some(limit) = self.plan.spec.max_load else {
            return;
        };
        if load > limit || (self.known_load.is_some() && load > limit * 0.8) {
            self.known_load = Some(load);
        } else {
            self.known_load = None;
        }
    }
}

impl SimVm {
    /// An event reaches the client, whose view of the host changes with it.
    pub(super) fn deliver(
        &mut self,
        host: HostId,
        connection: Connection,
        event: VmEvent,
        now: Time,
    ) -> Option<VmEvent> {
        let sent = &self.sent;
        let jobs = &self.jobs;
        let row = &mut self.hosts[host.0 as usize];
        if row.connection != connection || matches!(row.view, View::Down | View::Banned) {
            return None;
        }
        match &event {
            VmEvent::Up { .. } if row.view == View::Connecting => {
                row.view = View::Up;
                row.known_load = None;
            }
            VmEvent::Load {
                others_per_core, ..
            } => row.note_load(*others_per_core),
            VmEvent::Up { .. } => return None,
            VmEvent::Failed { failure, .. } => {
                row.view = match failure.kind {
                    FailureKind::Permanent => View::Banned,
                    FailureKind::Retry | FailureKind::Crowded => View::Down,
                };
            }
            VmEvent::Lost { loss, .. } => {
                row.view = match loss {
                    HostLoss::Left { .. } | HostLoss::Protocol { .. } => View::Banned,
                    _ => View::Down,
                };
            }
            VmEvent::Closed { .. } => row.view = View::Down,
            VmEvent::Ended {
                attempt, result, ..
            } => {
                if let AttemptResult::Command(end) = result
                    && end.exit == Exit::NOT_FOUND
                    && row.plan.tool == Toolbox::Lacking
                    && sent
                        .get(attempt)
                        .is_some_and(|job| job_plan(jobs, *job).tool == Tool::Needed)
                {
                    row.known_to_lack = Some(*attempt);
                }
                if self.rng.f64() < row.plan.duplicates {
                    let at = now + LATEST.mul_f64(self.rng.f64());
                    self.schedule(at, Happening::Late(event.clone()));
                }
            }
            _ => {}
        }
        Some(event)
    }
}
