//! One connection through a fault proxy: two sockets and a lane each way.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use crate::relay::lane::{Lane, Throttle};
use crate::relay::plan::{Fault, Toward};
use crate::relay::proxy::{Control, Flow};

/// On loopback a live target answers at once.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A small window, so that what a line is slow for waits in its sender and not in the proxy.
const RECEIVE_BUFFER: usize = 128 * 1024;

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Swallows whatever comes, for ever.
    Blackholed,
    /// Both sides have been told the end; what they still send is of no interest.
    Closing,
}

/// One client, connected to the target.
#[derive(Debug)]
pub(super) struct Connection {
    client: TcpStream,
    host: TcpStream,
    /// By [`Toward::index`].
    lanes: [Lane; 2],
    /// Sources that will say nothing more, by the direction of what they said.
    silent: [bool; 2],
    /// The sink's buffer was full.
    blocked: [bool; 2],
    state: State,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Drop,
}

impl Connection {
    pub(super) fn open(client: TcpStream, target: SocketAddr, flow: Flow) -> io::Result<Self> {
        let host = match TcpStream::connect_timeout(&target, CONNECT_DEADLINE) {
            Ok(host) => host,
            Err(error) => {
                reset_on_close(&client);
                return Err(error);
            }
        };
        for stream in [&client, &host] {
            stream.set_nonblocking(true)?;
            // The proxy adds the delays that it was asked for, and no others.
            stream.set_nodelay(true)?;
            set_socket_recv_buffer_size(stream, RECEIVE_BUFFER)?;
        }
        let state = if flow == Flow::Swallowing {
            State::Blackholed
        } else {
            State::Open
        };
        Ok(Self {
            client,
            host,
            lanes: Default::default(),
            silent: [false; 2],
            blocked: [false; 2],
            state,
        })
    }

    /// Reads and writes whatever can be read and written now.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        control: &mut Control,
        throttles: &mut [Throttle; 2],
        buffer: &mut [u8],
    ) -> Verdict {
        for toward in Toward::BOTH {
            if self.fill(toward, now, control, buffer).is_err() {
                return self.suffer(Fault::Reset);
            }
            match self.drain(toward, now, control, &mut throttles[toward.index()]) {
                Ok(Verdict::Keep) => {}
                Ok(Verdict::Drop) => return Verdict::Drop,
                Err(_) => return self.suffer(Fault::Reset),
            }
        }
        let over = match self.state {
            State::Open => self.lanes.iter().all(Lane::is_over),
            State::Blackholed => false,
            State::Closing => self.silent == [true; 2],
        };
        if over { Verdict::Drop } else { Verdict::Keep }
    }

    /// Does a fault to this connection at once.
    pub(super) fn suffer(&mut self, fault: Fault) -> Verdict {
        match fault {
            // A stall is the proxy's; a flip needs a byte.
            Fault::Stall | Fault::Flip => {}
            Fault::Blackhole => {
                self.state = State::Blackholed;
                self.lanes.iter_mut().for_each(Lane::swallow);
            }
            Fault::Close => {
                self.state = State::Closing;
                self.lanes.iter_mut().for_each(Lane::swallow);
                for stream in [&self.client, &self.host] {
                    // It fails for a side that has closed already.
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            Fault::Reset => {
                self.reset();
                return Verdict::Drop;
            }
        }
        Verdict::Keep
    }

    /// Resets both sides when the connection is dropped.
    pub(super) fn reset(&mut self) {
        reset_on_close(&self.client);
        reset_on_close(&self.host);
    }

    /// What this connection waits for. A socket without interest is left out, since poll would
    /// report a hang-up on it for ever.
    pub(super) fn interests(&self, flow: Flow) -> impl Iterator<Item = PollFd<'_>> {
        Toward::BOTH.into_iter().flat_map(move |toward| {
            let index = toward.index();
            let (source, sink) = self.ends(toward);
            let reads =
                !self.silent[index] && (self.state != State::Open || self.lanes[index].has_room());
            let writes =
                self.state == State::Open && flow == Flow::Forwarding && self.blocked[index];
            let reads = reads.then(|| PollFd::new(source, PollFlags::IN));
            let writes = writes.then(|| PollFd::new(sink, PollFlags::OUT));
            reads.into_iter().chain(writes)
        })
    }

    /// When this connection has something to do without any socket's help.
    pub(super) fn next_due(&self, control: &Control, throttles: &[Throttle; 2]) -> Option<Instant> {
        if self.state != State::Open || control.flow != Flow::Forwarding {
            return None;
        }
        let due = |index: usize| {
            let due = self.lanes[index]
                .next_due()
                .filter(|_| !self.blocked[index])?;
            let free = throttles[index].next_free(control.plan.bytes_per_second);
            Some(free.map_or(due, |free| free.max(due)))
        };
        due(0).into_iter().chain(due(1)).min()
    }

    fn ends(&self, toward: Toward) -> (&TcpStream, &TcpStream) {
        match toward {
            Toward::Host => (&self.client, &self.host),
            Toward::Client => (&self.host, &self.client),
        }
    }

    /// Reads once from the source.
    fn fill(
        &mut self,
        toward: Toward,
        now: Instant,
        control: &mut Control,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let index = toward.index();
        let keeps = self.state == State::Open;
        if self.silent[index] || (keeps && !self.lanes[index].has_room()) {
            return Ok(());
        }
        let mut source = self.ends(toward).0;
        let count = match source.read(buffer) {
            Ok(count) => count,
            Err(error) if is_transient(&error) => return Ok(()),
            Err(error) if keeps && control.flow == Flow::Forwarding => return Err(error),
            // The news of a reset does not pass either; when it may, it is an end like any other.
            Err(_) => 0,
        };
        self.silent[index] = count == 0;
        if keeps {
            let delay = control.delay();
            match count {
                0 => self.lanes[index].push_end(now, delay),
                _ => self.lanes[index].push(&buffer[..count], now, delay),
            }
        }
        Ok(())
    }

    /// Writes what is due to the sink, and lets the faults happen whose place is reached.
    fn drain(
        &mut self,
        toward: Toward,
        now: Instant,
        control: &mut Control,
        throttle: &mut Throttle,
    ) -> io::Result<Verdict> {
        let index = toward.index();
        self.blocked[index] = false;
        while self.state == State::Open && control.flow == Flow::Forwarding {
            let due = self.lanes[index].due(now).len();
            if let Some(fault) = control.take_trigger(toward, due > 0) {
                if fault == Fault::Flip {
                    self.lanes[index].flip_next(control.random.u8(..));
                } else {
                    control.order(fault);
                    if self.suffer(fault) == Verdict::Drop {
                        return Ok(Verdict::Drop);
                    }
                }
                continue;
            }
            if due == 0 {
                if self.lanes[index].take_end(now) {
                    // It fails for a side that has closed already.
                    let _ = self.ends(toward).1.shutdown(Shutdown::Write);
                }
                break;
            }
            let rate = control.plan.bytes_per_second;
            let fragment = control.fragment();
            let most = [
                due,
                throttle.allowance(now, rate),
                control.until_trigger(toward),
                fragment.unwrap_or(usize::MAX),
            ];
            let most = most.into_iter().min().unwrap_or(due);
            if most == 0 {
                break;
            }
            let written = match toward {
                Toward::Host => (&self.host).write(&self.lanes[index].due(now)[..most]),
                Toward::Client => (&self.client).write(&self.lanes[index].due(now)[..most]),
            };
            match written {
                Ok(count) => {
                    self.lanes[index].consume(count);
                    control.forwarded[index] += count as u64;
                    throttle.book(count, now, rate);
                }
                Err(error) if is_transient(&error) => {
                    self.blocked[index] = true;
                    break;
                }
                Err(error) => return Err(error),
            }
            if fragment.is_some() {
                // The rest in another turn, so that the reader may wake up in between.
                break;
            }
        }
        Ok(Verdict::Keep)
    }
}

/// Makes the socket end with a reset when it is closed.
pub(super) fn reset_on_close(stream: &TcpStream) {
    // It fails for a socket that has been reset already.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
