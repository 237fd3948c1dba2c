//! `--require-all-hosts`: whether every host is up, so that the first job may start.

use cos_core::event::RunEvent;
use cos_core::ids::HostId;
use tokio::sync::watch;

/// How often a host that might work later is tried before it is given up: as often as the kernel waits for one.
const PATIENCE: u32 = 3;

/// What is known of all hosts together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readiness {
    /// Some are still on their way.
    Awaited,
    /// All were up at some time.
    All,
    /// This one cannot be made ready.
    Missing(HostId),
}

/// Watches the hosts come up.
pub(super) struct ReadinessWatch {
    /// How often each host has failed; `None` once it was up.
    failures: Vec<Option<u32>>,
    sender: watch::Sender<Readiness>,
}

impl ReadinessWatch {
    /// A watch over this many hosts, and where it tells what it sees.
    pub(super) fn new(hosts: usize) -> (Self, watch::Receiver<Readiness>) {
        let (sender, receiver) = watch::channel(Readiness::Awaited);
        let failures = vec![Some(0); hosts];
        (Self { failures, sender }, receiver)
    }

    /// Something has happened.
    pub(super) fn note(&mut self, event: &RunEvent) {
        if *self.sender.borrow() != Readiness::Awaited {
            return;
        }
        let (host, failures) = match event {
            RunEvent::HostUp { host, .. } => (*host, None),
            RunEvent::HostFailed { host, retry_in, .. }
            | RunEvent::HostLost { host, retry_in, .. } => {
                let before = self.failures.get(host.0 as usize).copied().flatten();
                let limit = if retry_in.is_some() { PATIENCE } else { 1 };
                let failures = before.unwrap_or(0) + 1;
                if failures >= limit {
                    self.sender.send_replace(Readiness::Missing(*host));
                }
                (*host, Some(failures))
            }
            _ => return,
        };
        if let Some(known) = self.failures.get_mut(host.0 as usize) {
            *known = failures;
        }
        if self.failures.iter().all(Option::is_none) {
            self.sender.send_replace(Readiness::All);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cos_core::vm::host::HostLoss;

    use super::*;

    fn lost(host: u32, retry_in: Option<Duration>) -> RunEvent {
        RunEvent::HostLost {
            host: HostId(host),
            loss: HostLoss::AgentDied {
                cause: String::new(),
            },
            requeued: 0,
            retry_in,
        }
    }

    #[test]
    fn a_host_is_given_up_at_once_or_after_three_tries() {
        let (mut watch, seen) = ReadinessWatch::new(2);
        let soon = Some(Duration::from_secs(1));
        watch.note(&lost(1, soon));
        watch.note(&lost(1, soon));
        assert_eq!(*seen.borrow(), Readiness::Awaited);
        watch.note(&lost(1, soon));
        assert_eq!(*seen.borrow(), Readiness::Missing(HostId(1)));
        watch.note(&lost(0, None));
        assert_eq!(*seen.borrow(), Readiness::Missing(HostId(1)));

        let (mut watch, seen) = ReadinessWatch::new(2);
        watch.note(&lost(0, None));
        assert_eq!(*seen.borrow(), Readiness::Missing(HostId(0)));
    }
}
