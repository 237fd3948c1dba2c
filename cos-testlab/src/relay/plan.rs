//! What a fault proxy is to do, said before it starts.

use std::time::Duration;

/// Which way bytes travel through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// From the client to the host.
    Host,
    /// From the host to the client.
    Client,
}

impl Toward {
    /// Both ways, in the order of [`Toward::index`].
    pub(crate) const BOTH: [Self; 2] = [Self::Host, Self::Client];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Host => 0,
            Self::Client => 1,
        }
    }
}

/// Something that happens to the connections of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is forwarded any more, nothing is closed and nothing lost: a cable that is pulled out
    /// and may be put back with [`FaultProxy::resume`](crate::FaultProxy::resume).
    Stall,
    /// Every byte is swallowed and no end is passed on. Open connections never recover; new ones are
    /// silent until the proxy is told to resume.
    Blackhole,
    /// Both sides get a TCP reset.
    Reset,
    /// Both sides get an end of file.
    Close,
    /// One bit, chosen from the seed, of the byte at that place is turned over.
    Flip,
}

/// A place in the traffic, and what happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub(crate) toward: Toward,
    /// Bytes forwarded that way before the fault, in all connections together.
    pub(crate) offset: u64,
    pub(crate) fault: Fault,
}

/// What a [`FaultProxy`](crate::FaultProxy) does; without further words, it only forwards.
///
/// ```
/// use std::time::Duration;
/// use cos_testlab::{Fault, FaultPlan, Toward};
///
/// let bad_line = FaultPlan::new()
///     .seed(7)
///     .latency(Duration::from_millis(150))
///     .bytes_per_second(125_000)
///     .at(Toward::Client, 100_000, Fault::Reset);
/// # drop(bad_line);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    pub(crate) seed: u64,
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) fragmented: bool,
    pub(crate) close_first: usize,
    pub(crate) triggers: Vec<Trigger>,
}

impl FaultPlan {
    /// A proxy that forwards everything at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of moderate quality with one fatal fault (anything but [`Fault::Stall`] and
    /// [`Fault::Blackhole`], which never end) somewhere in the first megabyte, all from the seed.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut plan = Self::new()
            .seed(seed)
            .latency(Duration::from_micros(random.u64(0..20_000)))
            .jitter(Duration::from_micros(random.u64(0..5_000)));
        if random.bool() {
            plan = plan.fragmented();
        }
        let toward = Toward::BOTH[usize::from(random.bool())];
        let fault = [Fault::Reset, Fault::Close, Fault::Flip][random.usize(0..3)];
        // Most of what can go wrong goes wrong early, so small offsets are as likely as large ones.
        let magnitude = random.u32(1..=20);
        let offset = random.u64(0..1 << magnitude);
        plan.at(toward, offset, fault)
    }

    /// What every random choice of the proxy comes from. The choices are the same for the same
    /// seed; which byte each meets still depends on how the kernel cuts the stream.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Delays every byte by this much, each way: half of the round trip.
    #[must_use]
    pub fn latency(mut self, one_way: Duration) -> Self {
        self.latency = one_way;
        self
    }

    /// Delays by up to this much more, at random; the order of bytes stays.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// Forwards no more than this, each way and in all connections together.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.bytes_per_second = Some(rate.max(1));
        self
    }

    /// Forwards in small pieces of random length, so that no reader gets what one writer wrote.
    #[must_use]
    pub fn fragmented(mut self) -> Self {
        self.fragmented = true;
        self
    }

    /// Closes the first connections as soon as they are accepted, as sshd does beyond MaxStartups.
    #[must_use]
    pub fn close_first(mut self, connections: usize) -> Self {
        self.close_first = connections;
        self
    }

    /// Lets a fault happen, once, when `offset` bytes have been forwarded that way since the proxy
    /// was started, in all its connections together.
    #[must_use]
    pub fn at(mut self, toward: Toward, offset: u64, fault: Fault) -> Self {
        self.triggers.push(Trigger {
            toward,
            offset,
            fault,
        });
        self
    }
}
