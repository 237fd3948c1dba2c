//! How much the hosts can take: what callers ask before they submit.

use super::host::Host;
use super::{Kernel, Mode, prefetch};
use crate::job::{Amounts, Needs};

impl Kernel {
    /// How many tasks were accepted and have no outcome yet.
    pub fn accepted(&self) -> usize {
        self.tasks.len()
    }

    /// The slots of all hosts that are up, paused ones too.
    pub fn slots(&self) -> usize {
        self.hosts
            .iter()
            .filter_map(Host::up)
            .map(|up| up.total.cores as usize)
            .sum()
    }

    /// How many tasks of one core could start at once: the slots less the tasks that need one, which are all without an
    /// outcome but for those that have lent theirs.
    pub fn free_slots(&self) -> usize {
        self.slots().saturating_sub(self.needing_slots())
    }

    fn needing_slots(&self) -> usize {
        let lent = self.hosts.iter().filter_map(Host::up);
        let lent: usize = lent.map(|up| up.lent.len()).sum();
        self.accepted().saturating_sub(lent)
    }

    /// How many more tasks it takes to keep every host that takes tasks busy, with those that may wait there.
    /// A caller with a lazy source submits so many, and asks again after each turn. When no host is left it takes
    /// one, which ends at once and says why: a caller that only waits for its results never waits for nothing.
    pub fn wanting(&self) -> usize {
        if self.mode != Mode::Running {
            return 0;
        }
        let mut wanted = 0;
        let mut possible = false;
        for host in &self.hosts {
            possible |= host.is_possible(Amounts::default());
            if let Some(up) = host.accepting() {
                let most = self.config.max_prefetch;
                let allowance = prefetch::allowance(&up.pace, most, up.total, Amounts::cores(1));
                wanted += up.total.cores as usize + allowance;
            }
        }
        if !possible {
            wanted = 1;
        }
        wanted.saturating_sub(self.needing_slots())
    }

    /// Whether a task with these needs would start at once. A caller that must not wait asks before it submits.
    pub fn has_room(&self, needs: &Needs) -> bool {
        self.mode == Mode::Running
            && self.allowed(needs).any(|(id, host)| {
                host.accepting().is_some_and(|up| {
                    up.reserved.is_none()
                        && up.has_room(needs.amounts)
                        && self.woken.head(id).is_none()
                })
            })
    }

    /// Why no task with these needs can run any more, now or later; `None` when one can.
    pub fn no_host_left(&self, needs: &Needs) -> Option<String> {
        let possible = self
            .allowed(needs)
            .any(|(_, host)| host.is_possible(needs.amounts));
        (!possible).then(|| self.why_no_host(needs))
    }
}
