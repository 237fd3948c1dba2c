//! The thread of a fault proxy: waits for sockets, due times and orders, and turns.

use std::io::ErrorKind;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::LabError;
use crate::lab::lock;
use crate::relay::connection::{Connection, Verdict, reset_on_close};
use crate::relay::lane::Throttle;
use crate::relay::proxy::{Admission, Control, Shared};

/// What is read from one socket in one turn.
const BUFFER: usize = 64 * 1024;

/// After an error of the listener (no descriptors left), before it is asked again.
const LISTENER_PAUSE: Duration = Duration::from_millis(50);

/// Everything that only the thread touches.
#[derive(Debug)]
pub(super) struct EventLoop {
    shared: Arc<Shared>,
    listener: TcpListener,
    target: SocketAddr,
    connections: Vec<Connection>,
    /// Connections that were closed as soon as they were accepted.
    dismissed: Vec<TcpStream>,
    throttles: [Throttle; 2],
    buffer: Vec<u8>,
    /// The listener is not asked before this.
    listener_pause: Option<Instant>,
}

impl EventLoop {
    pub(super) fn new(
        shared: Arc<Shared>,
        listener: TcpListener,
        target: SocketAddr,
    ) -> Result<Self, LabError> {
        listener
            .set_nonblocking(true)
            .map_err(LabError::socket("prepare a listener"))?;
        Ok(Self {
            shared,
            listener,
            target,
            connections: Vec::new(),
            dismissed: Vec::new(),
            throttles: Default::default(),
            buffer: vec![0; BUFFER],
            listener_pause: None,
        })
    }

    /// Turns until it is told to stop.
    pub(super) fn run(mut self) {
        // Whoever waits for this thread is told of its end, however it ends.
        let _guard = StoppedGuard(Arc::clone(&self.shared));
        loop {
            let shared = Arc::clone(&self.shared);
            let mut control = lock(&shared.control);
            if control.stop {
                self.connections.iter_mut().for_each(Connection::reset);
                return;
            }
            let now = Instant::now();
            self.carry_out_orders(&mut control);
            self.accept(now, &mut control);
            self.turn(now, &mut control);
            control.open = self.connections.len();
            let (polled, timeout) = self.interests(&control);
            drop(control);
            shared.turned.notify_all();
            wait(polled, timeout);
            self.drain_wake_ups();
        }
    }

    fn carry_out_orders(&mut self, control: &mut Control) {
        for fault in std::mem::take(&mut control.orders) {
            self.connections
                .retain_mut(|connection| connection.suffer(fault) == Verdict::Keep);
        }
    }

    fn accept(&mut self, now: Instant, control: &mut Control) {
        if self.listener_pause.is_some_and(|pause| pause > now) {
            return;
        }
        self.listener_pause = None;
        loop {
            match self.listener.accept() {
                Ok((client, _)) => {
                    control.accepted += 1;
                    self.admit(client, control);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client has gone again.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.listener_pause = Some(now + LISTENER_PAUSE);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, client: TcpStream, control: &mut Control) {
        match control.admit() {
            Admission::Close(_) => {
                // Kept, because closing a socket with unread data would reset it.
                if client.shutdown(Shutdown::Write).is_ok() {
                    self.dismissed.push(client);
                }
            }
            Admission::Refuse => reset_on_close(&client),
            Admission::Accept => {
                // A target that is not there resets the client, which is all it can be told.
                if let Ok(connection) = Connection::open(client, self.target, control.flow) {
                    self.connections.push(connection);
                }
            }
        }
    }

    fn turn(&mut self, now: Instant, control: &mut Control) {
        let (throttles, buffer) = (&mut self.throttles, &mut self.buffer);
        self.connections.retain_mut(|connection| {
            connection.turn(now, control, throttles, buffer) == Verdict::Keep
        });
    }

    /// What is waited for, and until when at most.
    fn interests(&self, control: &Control) -> (Vec<PollFd<'_>>, Option<Instant>) {
        let mut polled = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        if self.listener_pause.is_none() {
            polled.push(PollFd::new(&self.listener, PollFlags::IN));
        }
        for connection in &self.connections {
            polled.extend(connection.interests(control.flow));
        }
        let due = self
            .connections
            .iter()
            .filter_map(|c| c.next_due(control, &self.throttles));
        // An order that a trigger gave in this turn is due in the next.
        let orders = (!control.orders.is_empty()).then(Instant::now);
        (polled, due.chain(self.listener_pause).chain(orders).min())
    }

    fn drain_wake_ups(&self) {
        let mut count = [0; 8];
        // It has nothing to say when something else ended the waiting.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
    }
}

fn wait(mut polled: Vec<PollFd<'_>>, until: Option<Instant>) {
    let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // An interrupted wait is a short one; no other error is possible with descriptors that are open.
    let _ = poll(&mut polled, timeout.as_ref());
}

struct StoppedGuard(Arc<Shared>);

impl Drop for StoppedGuard {
    fn drop(&mut self) {
        lock(&self.0.control).stopped = true;
        self.0.turned.notify_all();
    }
}
