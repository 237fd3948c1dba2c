//! The handle of a running fault proxy.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::LabError;
use crate::lab::lock;
use crate::relay::event_loop::EventLoop;
use crate::relay::plan::{Fault, FaultPlan, Toward, Trigger};

/// The longest piece of a fragmented stream, in bytes: shorter than any message's header.
const LONGEST_FRAGMENT: usize = 40;

/// A running proxy on a port of 127.0.0.1; dropping it resets its connections.
///
/// Its methods may be called from any thread. A change holds for every byte that is forwarded after
/// the method has returned.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle and the proxy's thread have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) control: Mutex<Control>,
    /// Notified after every turn.
    pub(super) turned: Condvar,
    /// Interrupts the thread's waiting.
    pub(super) wake: OwnedFd,
}

/// Whether bytes get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Forwarding,
    Stalled,
    Swallowing,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Accept,
    /// This many more are closed first.
    Close(usize),
    Refuse,
}

/// The proxy's state. The thread holds its lock except while it waits.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) plan: FaultPlan,
    pub(super) random: fastrand::Rng,
    pub(super) flow: Flow,
    pub(super) admission: Admission,
    /// To be done to all open connections.
    pub(super) orders: Vec<Fault>,
    pub(super) accepted: usize,
    pub(super) open: usize,
    /// Bytes forwarded, by [`Toward::index`].
    pub(super) forwarded: [u64; 2],
    /// The thread is to end.
    pub(super) stop: bool,
    /// The thread has ended.
    pub(super) stopped: bool,
}

impl FaultProxy {
    /// Starts a proxy in front of `target`.
    ///
    /// # Errors
    ///
    /// [`LabError::Socket`] when no loopback port can be had.
    pub fn start(target: SocketAddr, plan: FaultPlan) -> Result<Self, LabError> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(LabError::socket("bind a port"))?;
        let port = listener
            .local_addr()
            .map_err(LabError::socket("ask for a port"))?
            .port();
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(LabError::socket::<rustix::io::Errno>("make an eventfd"))?;
        let admission = match plan.close_first {
            0 => Admission::Accept,
            connections => Admission::Close(connections),
        };
        let shared = Arc::new(Shared {
            control: Mutex::new(Control {
                random: fastrand::Rng::with_seed(plan.seed),
                plan,
                flow: Flow::Forwarding,
                admission,
                orders: Vec::new(),
                accepted: 0,
                open: 0,
                forwarded: [0; 2],
                stop: false,
                stopped: false,
            }),
            turned: Condvar::new(),
            wake,
        });
        let event_loop = EventLoop::new(Arc::clone(&shared), listener, target)?;
        let thread = thread::Builder::new()
            .name("fault proxy".to_owned())
            .spawn(move || event_loop.run())
            .map_err(LabError::socket("start a thread"))?;
        Ok(Self {
            port,
            shared,
            thread: Some(thread),
        })
    }

    /// The port of 127.0.0.1 that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has accepted, those that it closed at once among them.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.shared.control).accepted
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.control).open
    }

    /// How many bytes it has forwarded one way since it was started, in all connections together.
    #[must_use]
    pub fn forwarded(&self, toward: Toward) -> u64 {
        lock(&self.shared.control).forwarded[toward.index()]
    }

    /// Stops forwarding, without closing or losing anything: a cable pulled out. New connections are
    /// made, and nothing is heard on them.
    pub fn stall(&self) {
        self.change(|control| control.order(Fault::Stall));
    }

    /// Swallows every byte of open connections for ever, and of new ones until
    /// [`FaultProxy::resume`].
    pub fn blackhole(&self) {
        self.change(|control| control.order(Fault::Blackhole));
    }

    /// Forwards again: what [`FaultProxy::stall`] held back goes first. Connections are accepted
    /// again.
    pub fn resume(&self) {
        self.change(|control| {
            control.flow = Flow::Forwarding;
            control.admission = Admission::Accept;
        });
    }

    /// Resets all open connections.
    pub fn reset(&self) {
        self.change(|control| control.order(Fault::Reset));
    }

    /// Ends all open connections in an orderly way.
    pub fn close(&self) {
        self.change(|control| control.order(Fault::Close));
    }

    /// Resets every new connection until [`FaultProxy::resume`]; open ones go on.
    pub fn refuse(&self) {
        self.change(|control| control.admission = Admission::Refuse);
    }

    /// Delays what comes from now on by this much, each way.
    pub fn set_latency(&self, one_way: Duration) {
        self.change(|control| control.plan.latency = one_way);
    }

    /// Forwards no more than this each way; `None`: as fast as it can.
    pub fn set_bytes_per_second(&self, rate: Option<u64>) {
        self.change(|control| control.plan.bytes_per_second = rate.map(|rate| rate.max(1)));
    }

    /// Lets a fault happen, once, when `bytes` more have been forwarded that way.
    pub fn after(&self, toward: Toward, bytes: u64, fault: Fault) {
        self.change(|control| {
            let offset = control.forwarded[toward.index()].saturating_add(bytes);
            control.plan.triggers.push(Trigger {
                toward,
                offset,
                fault,
            });
        });
    }

    /// Waits until so many bytes have been forwarded one way; returns whether they were.
    #[must_use]
    pub fn wait_for_forwarded(&self, toward: Toward, bytes: u64, deadline: Duration) -> bool {
        self.wait(deadline, |control| {
            control.forwarded[toward.index()] >= bytes
        })
    }

    /// Waits until there are so many open connections; returns whether there were.
    #[must_use]
    pub fn wait_for_open_connections(&self, open: usize, deadline: Duration) -> bool {
        self.wait(deadline, |control| control.open == open)
    }

    fn wait(&self, deadline: Duration, holds: impl Fn(&Control) -> bool) -> bool {
        // A deadline beyond what the clock can say is none.
        let end = Instant::now().checked_add(deadline);
        let mut control = lock(&self.shared.control);
        loop {
            if holds(&control) {
                return true;
            }
            let left = end.map_or(Duration::MAX, |end| {
                end.saturating_duration_since(Instant::now())
            });
            if left.is_zero() || control.stopped {
                return false;
            }
            let waited = self
                .shared
                .turned
                .wait_timeout(control, left.min(Duration::from_secs(60)));
            control = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Changes the state, and waits until the thread has carried out every order.
    fn change(&self, change: impl FnOnce(&mut Control)) {
        change(&mut lock(&self.shared.control));
        self.shared.wake_up();
        let _ = self.wait(Duration::MAX, |control| control.orders.is_empty());
    }
}

impl Control {
    /// How late what was read now is to be.
    pub(super) fn delay(&mut self) -> Duration {
        let jitter = u64::try_from(self.plan.jitter.as_nanos()).unwrap_or(u64::MAX);
        self.plan.latency + Duration::from_nanos(self.random.u64(0..=jitter))
    }

    /// The length of the next piece of a fragmented stream.
    pub(super) fn fragment(&mut self) -> Option<usize> {
        self.plan
            .fragmented
            .then(|| self.random.usize(1..=LONGEST_FRAGMENT))
    }

    /// Removes a trigger whose place is reached; one that needs a byte only if there is one.
    pub(super) fn take_trigger(&mut self, toward: Toward, has_byte: bool) -> Option<Fault> {
        let place = self.forwarded[toward.index()];
        let reached = self.plan.triggers.iter().position(|trigger| {
            trigger.toward == toward
                && trigger.offset <= place
                && (trigger.fault != Fault::Flip || has_byte)
        })?;
        Some(self.plan.triggers.remove(reached).fault)
    }

    /// How many bytes may be forwarded before the next trigger.
    pub(super) fn until_trigger(&self, toward: Toward) -> usize {
        let place = self.forwarded[toward.index()];
        let triggers = self
            .plan
            .triggers
            .iter()
            .filter(|trigger| trigger.toward == toward);
        let nearest = triggers
            .map(|trigger| trigger.offset.saturating_sub(place))
            .min();
        nearest
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(usize::MAX)
    }

    /// Lets a fault happen to the whole proxy.
    pub(super) fn order(&mut self, fault: Fault) {
        match fault {
            Fault::Stall => self.flow = Flow::Stalled,
            Fault::Blackhole => {
                self.flow = Flow::Swallowing;
                self.orders.push(fault);
            }
            Fault::Reset | Fault::Close => self.orders.push(fault),
            // It has happened to the only byte that it was meant for.
            Fault::Flip => {}
        }
    }

    /// What becomes of a connection that comes now.
    pub(super) fn admit(&mut self) -> Admission {
        let now = self.admission;
        if let Admission::Close(left) = now {
            self.admission = if left > 1 {
                Admission::Close(left - 1)
            } else {
                Admission::Accept
            };
        }
        now
    }
}

impl Shared {
    fn wake_up(&self) {
        // It can only fail when the counter is full, and then the thread is about to wake up.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        lock(&self.shared.control).stop = true;
        self.shared.wake_up();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed where it happened.
            let _ = thread.join();
        }
    }
}
