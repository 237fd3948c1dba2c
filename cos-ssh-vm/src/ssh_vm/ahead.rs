//! Hosts that were connected before an OS asked for it: what happens to them waits until it does.
//!
//! ```text
//!  begin()       connects every host; its events are held back
//!  pass()        the OS asks for a host to be connected: it is already, and its events come now
//! ```
//!
//! So an OS sees each host as if it had connected it itself, and only sooner.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use cos_core::ids::HostId;
use cos_core::vm::{VmCommand, VmEvent};

/// What is held back of every host.
#[derive(Debug)]
pub(super) struct Ahead {
    /// By the hosts' ids; `None` for one that the OS has asked for, and before [`begin`](Self::begin).
    held: Vec<Option<VecDeque<VmEvent>>>,
    /// What may be told now.
    released: VecDeque<VmEvent>,
    /// Who waits for events.
    waker: Option<Waker>,
}

impl Ahead {
    /// Nothing is held back of so many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            held: vec![None; hosts],
            released: VecDeque::new(),
            waker: None,
        }
    }

    /// Holds everything back from now on. The commands that connect every host.
    pub(super) fn begin(&mut self) -> Vec<VmCommand> {
        self.held.fill_with(|| Some(VecDeque::new()));
        let hosts = (0..).map(HostId).take(self.held.len());
        hosts.map(|host| VmCommand::Connect { host }).collect()
    }

    /// Keeps an event of a host that is held back; any other is given back.
    pub(super) fn hold_back(&mut self, event: VmEvent) -> Option<VmEvent> {
        match self.held.get_mut(event.host().0 as usize) {
            Some(Some(held)) => {
                held.push_back(event);
                None
            }
            _ => Some(event),
        }
    }

    /// A command of the OS, unless it is done already. The first one for a host ends its holding back.
    pub(super) fn pass(&mut self, command: VmCommand) -> Option<VmCommand> {
        let held = self.held.get_mut(command.host().0 as usize);
        let Some(held) = held.and_then(Option::take) else {
            return Some(command);
        };
        self.released.extend(held);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        (!matches!(command, VmCommand::Connect { .. })).then_some(command)
    }

    /// The next event that was held back and may be told. Without one, `context` is woken when there is.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Option<VmEvent> {
        let event = self.released.pop_front();
        if event.is_none() && self.held.iter().any(Option::is_some) {
            self.waker = Some(context.waker().clone());
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use super::*;

    fn silent(host: u32) -> VmEvent {
        VmEvent::Silent {
            host: HostId(host),
            silent_for: None,
        }
    }

    fn connect(host: u32) -> VmCommand {
        VmCommand::Connect { host: HostId(host) }
    }

    #[test]
    fn a_host_is_told_of_when_it_is_asked_for_and_not_connected_twice() {
        let context = Context::from_waker(Waker::noop());
        let mut ahead = Ahead::new(2);
        assert_eq!(ahead.begin(), [connect(0), connect(1)]);
        for host in [1, 0, 1] {
            assert_eq!(ahead.hold_back(silent(host)), None);
        }
        assert_eq!(ahead.next(&context), None);
        assert_eq!(ahead.pass(connect(1)), None);
        assert_eq!(ahead.next(&context), Some(silent(1)));
        assert_eq!(ahead.next(&context), Some(silent(1)));
        assert_eq!(ahead.next(&context), None);
        // From here on it is a host like any other.
        assert_eq!(ahead.hold_back(silent(1)), Some(silent(1)));
        assert_eq!(ahead.pass(connect(1)), Some(connect(1)));
        // The other one is ended before it was ever asked for.
        let disconnect = VmCommand::Disconnect {
            host: HostId(0),
            grace: Duration::ZERO,
        };
        assert_eq!(ahead.pass(disconnect.clone()), Some(disconnect));
        assert_eq!(ahead.next(&context), Some(silent(0)));
    }

    #[test]
    fn nothing_is_held_back_where_nothing_was_begun() {
        let mut ahead = Ahead::new(1);
        assert_eq!(ahead.pass(connect(0)), Some(connect(0)));
        assert_eq!(ahead.hold_back(silent(0)), Some(silent(0)));
    }
}
