//! Keys that are pressed while a run goes on.
//!
//! The terminal gives single keys, without echo, only while it is told to. That is undone when the display ends, also
//! by a panic, and not touched while the terminal belongs to somebody else: whoever changes a terminal from the
//! background is stopped by the kernel. A shell takes the terminal back in the state that it likes when this process
//! is stopped; when it goes on, the terminal is told anew.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::read;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// How many keys are looked at a time; more are a text that was pasted.
const AT_A_TIME: usize = 64;

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::progress) enum Key {
    /// `t`: tell of every running job.
    Tell,
}

/// The keys of a terminal.
pub(in crate::progress) struct Keys {
    terminal: OwnedFd,
    state: State,
}

enum State {
    /// The terminal is as others left it.
    Released,
    /// It gives single keys; it was like this before.
    Held(Box<Termios>),
    /// It cannot be told to.
    Unable,
}

impl Keys {
    /// The keys of the terminal that `terminal` is open on. Nothing is changed yet.
    pub(in crate::progress) fn new(terminal: OwnedFd) -> Self {
        Self {
            terminal,
            state: State::Released,
        }
    }

    /// Whether keys are read.
    pub(in crate::progress) fn are_held(&self) -> bool {
        matches!(self.state, State::Held(_))
    }

    /// Tells the terminal to give single keys, if it does not yet. Only to be called while it is ours.
    pub(in crate::progress) fn hold(&mut self) {
        if !matches!(self.state, State::Released) {
            return;
        }
        let Ok(before) = tcgetattr(&self.terminal) else {
            self.state = State::Unable;
            return;
        };
        let mut single = before.clone();
        single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        self.state = match tcsetattr(&self.terminal, OptionalActions::Now, &single) {
            Ok(()) => State::Held(Box::new(before)),
            Err(_) => State::Unable,
        };
    }

    /// Makes the terminal what it was. Only to be called while it is ours.
    pub(in crate::progress) fn release(&mut self) {
        if let State::Held(before) = std::mem::replace(&mut self.state, State::Released) {
            // A terminal that went away needs nothing.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &before);
        }
    }

    /// Others have changed the terminal as they like: what it was before is no business of ours any more.
    pub(in crate::progress) fn forget(&mut self) {
        if self.are_held() {
            self.state = State::Released;
        }
    }

    /// The last key with a meaning that was pressed since the last call. Does not wait.
    pub(in crate::progress) fn pressed(&mut self) -> Option<Key> {
        if !self.are_held() || !self.is_readable() {
            return None;
        }
        let mut bytes = [0; AT_A_TIME];
        match read(self.terminal.as_fd(), &mut bytes) {
            Ok(0) | Err(_) => {
                // The terminal has gone away.
                self.state = State::Unable;
                None
            }
            Ok(number) => bytes[..number].contains(&b't').then_some(Key::Tell),
        }
    }

    fn is_readable(&self) -> bool {
        let mut watched = [PollFd::new(&self.terminal, PollFlags::IN)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::write;
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    /// Both sides of a pseudo-terminal: its user's, and ours.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let user = openpt(flags).expect("a pseudo-terminal");
        grantpt(&user).expect("a pseudo-terminal");
        unlockpt(&user).expect("a pseudo-terminal");
        let ours = ioctl_tiocgptpeer(&user, flags).expect("a pseudo-terminal");
        (user, ours)
    }

    fn has_echo(terminal: &OwnedFd) -> bool {
        let modes = tcgetattr(terminal).expect("a terminal").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    #[test]
    fn a_key_is_read_without_echo_and_the_terminal_restored() {
        let (user, ours) = terminal();
        let mut keys = Keys::new(ours.try_clone().expect("a descriptor"));
        assert_eq!(keys.pressed(), None);
        assert!(has_echo(&ours));
        keys.hold();
        assert!(!has_echo(&ours));
        assert_eq!(keys.pressed(), None);
        write(&user, b"xt").expect("to write");
        assert_eq!(keys.pressed(), Some(Key::Tell));
        write(&user, b"x\n").expect("to write");
        assert_eq!(keys.pressed(), None);
        keys.release();
        assert!(has_echo(&ours));
    }

    #[test]
    fn after_others_had_it_the_terminal_is_told_anew() {
        let (_user, ours) = terminal();
        let before = tcgetattr(&ours).expect("a terminal");
        let mut keys = Keys::new(ours.try_clone().expect("a descriptor"));
        keys.hold();
        tcsetattr(&ours, OptionalActions::Now, &before).expect("to be changed");
        keys.forget();
        assert!(!keys.are_held());
        keys.hold();
        assert!(!has_echo(&ours));
        keys.release();
        assert!(has_echo(&ours));
    }

    #[test]
    fn what_is_no_terminal_gives_no_keys() {
        let null = std::fs::File::open("/dev/null").expect("to open");
        let mut keys = Keys::new(null.into());
        keys.hold();
        assert!(!keys.are_held());
        assert_eq!(keys.pressed(), None);
        keys.release();
    }
}
