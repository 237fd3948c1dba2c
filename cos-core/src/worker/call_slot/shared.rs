//! What the two threads share: the state behind its lock, and the ways in which one wakes the other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::delivery::{Drained, Finished};
use super::output::Outputs;
use super::state::{Begun, State, UNWRITTEN_LIMIT};
use crate::worker::slot::protocol::FromSlot;

/// How long a little output waits for more, and for the end of its call, so that all cost one write (1 ms).
const HOLD: Duration = Duration::from_millis(1);

/// As soon as possible; zero would mean never.
const AT_ONCE: Duration = Duration::from_nanos(1);

/// More output than that is written at once (16 KiB).
const HOLD_BYTES: usize = 16 * 1024;

pub(super) struct Shared {
    state: Mutex<State>,
    /// Tells the main thread that there is a call, or room for what it has to say.
    changed: Condvar,
    /// Tells the I/O thread to look.
    alarm: OwnedFd,
    /// For waiting; read and written under the lock.
    socket: UnixStream,
    pub(super) outputs: Outputs,
}

impl Shared {
    pub(super) fn new(socket: UnixStream, outputs: [OwnedFd; 2]) -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self {
            alarm: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            changed: Condvar::new(),
            outputs: Outputs::new(outputs)?,
            state: Mutex::new(State::new(socket.try_clone()?)?),
            socket,
        })
    }

    /// The state. No code of a task runs while it is held; a bug of ours that panics ends this process.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if the other thread does not hold it at this moment.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, State>> {
        self.state.try_lock().ok()
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn alarm(&self) -> BorrowedFd<'_> {
        self.alarm.as_fd()
    }

    /// Wakes the main thread, if it waits.
    pub(super) fn notify(&self) {
        self.changed.notify_one();
    }

    /// Tells how a call has ended and waits for the next. For the main thread.
    ///
    /// Both happen in one step where a next call is there: see the module's page.
    pub(super) fn exchange(&self, finished: Option<Finished>, buffer: &mut [u8]) -> Begun {
        let mut state = self.lock();
        if let Some(finished) = finished {
            state = self.deliver(state, finished, buffer);
        }
        let mut idle = false;
        loop {
            if let Some(begun) = state.begin() {
                if idle {
                    // What threads of former calls have printed since is nobody's.
                    self.outputs.discard(buffer);
                }
                if state.wants_outputs_polled() {
                    self.wake(&mut state, AT_ONCE);
                }
                // The call may end this process: those before it have their results then.
                drop(self.flush(state));
                return begun;
            }
            idle = true;
            state = self.flush(state);
            if !state.has_next() {
                state = self.wait(state);
            }
        }
    }

    /// Writes everything, as fast as the agent takes it.
    fn flush<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.flush();
        while state.channel.unwritten() > 0 {
            self.wake(&mut state, AT_ONCE);
            state = self.wait(state);
            state.flush();
        }
        state
    }

    /// Says something for the call that runs. For the main thread, which waits while the agent takes nothing.
    pub(super) fn say(&self, message: &FromSlot, payload: &[u8]) {
        let mut state = self.lock();
        while state.channel.unwritten() > UNWRITTEN_LIMIT {
            self.wake(&mut state, AT_ONCE);
            state = self.wait(state);
        }
        // A broken socket is the I/O thread's to see.
        let _ = state.push(message, payload);
        state.flush();
        if state.channel.unwritten() > 0 {
            self.wake(&mut state, AT_ONCE);
        }
    }

    /// Sends what the call has printed and returned, as far and as fast as the client takes it, and then its end.
    fn deliver<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        mut finished: Finished,
        buffer: &mut [u8],
    ) -> MutexGuard<'a, State> {
        while let Drained::Waits = state.drain(&self.outputs, &mut finished, buffer) {
            self.wake(&mut state, AT_ONCE);
            state = self.wait(state);
        }
        state.end(finished);
        state
    }

    /// Lets a little output wait for more of it, and for the end of the call. For the I/O thread; false when it is much.
    pub(super) fn hold(&self, state: &mut State) -> bool {
        let holds = (1..HOLD_BYTES).contains(&state.channel.unwritten());
        if holds {
            self.wake(state, HOLD);
        }
        holds
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the I/O thread after a while, unless it will wake by then.
    fn wake(&self, state: &mut State, after: Duration) {
        if !state.arm(after) {
            return;
        }
        let timer = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: 0,
                tv_nsec: after.subsec_nanos().into(),
            },
        };
        // It fails for bad arguments alone.
        let _ = timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &timer);
    }
}
