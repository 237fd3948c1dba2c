//! Tasks that no host can run, now or later: how they end, and why.

use super::Kernel;
use super::queue::Demand;
use super::task::{Refusal, Task};
use crate::ids::{HostId, TaskId};
use crate::job::{Needs, TaskError};

/// How many hosts are named when none is left.
const HOSTS_NAMED: usize = 4;

impl Kernel {
    /// No host can run a waiting task, now or later: it ends, and says why.
    pub(super) fn end_without_host(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let class = self.classes.get(task.class);
        let works = class.is_some_and(|class| class.works_anywhere());
        let demand = self.queues.entry(task.demand).demand.clone();
        let left_out = class.and_then(|class| {
            let mut allowed = self.allowed(&demand.needs);
            allowed.find_map(|(host, _)| class.left_out(host))
        });
        let error = match (task.refusal.as_deref(), left_out) {
            (Some(Refusal::CommandMissing { host, end }), _) if works => TaskError::CommandFailed {
                host: self.name(*host),
                end: end.clone(),
                tries: task.tries + 1,
            },
            (Some(Refusal::CommandMissing { end, .. }), _) => {
                TaskError::CommandMissing { exit: end.exit }
            }
            (Some(Refusal::NotStarted { cause }), _) => self.unplaceable(task, id, cause.clone()),
            (None, Some(exit)) if !works => TaskError::CommandMissing { exit },
            (None, _) => self.unplaceable(task, id, self.why_no_host_for(&demand)),
        };
        self.finish(id, Err(error));
    }

    fn unplaceable(&self, task: &Task, id: TaskId, cause: String) -> TaskError {
        let label = task.label(id);
        match task.last {
            Some((_, host)) if task.crashes > 0 => TaskError::HostLost {
                task: label,
                host: self.name(host),
                attempts: task.crashes,
                cause,
            },
            _ => TaskError::NoHostLeft { task: label, cause },
        }
    }

    /// Why no host can run tasks with these needs.
    pub(super) fn why_no_host(&self, needs: &Needs) -> String {
        let reasons = self
            .allowed(needs)
            .map(|(_, host)| host.why_impossible(needs.amounts));
        list(reasons)
    }

    fn why_no_host_for(&self, demand: &Demand) -> String {
        let class = self.classes.get(demand.class);
        let reasons = self.allowed(&demand.needs).map(|(id, host)| {
            match class.and_then(|class| class.left_out(id)) {
                Some(exit) => format!("{}: {exit}, the command is not there", host.spec.name),
                None => host.why_impossible(demand.needs.amounts),
            }
        });
        list(reasons)
    }

    /// A host's name, for messages.
    pub(super) fn name(&self, host: HostId) -> String {
        self.hosts[host.0 as usize].spec.name.clone()
    }
}

fn list(reasons: impl Iterator<Item = String>) -> String {
    let mut reasons = reasons.peekable();
    let mut named: Vec<String> = reasons.by_ref().take(HOSTS_NAMED).collect();
    let more = reasons.count();
    if more > 0 {
        named.push(format!("and {more} more hosts"));
    }
    named.join("; ")
}
