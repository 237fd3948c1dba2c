//! One channel to an agent, from hello to bye.
//!
//! Reading and writing go on together in one loop, since a peer that waits for its output to be read would wait for
//! ever for a client that first wants to write. Every frame of a read is acted on before anything is written, and
//! everything that is to be said then goes out as one write.

mod bulk;
mod hearing;
mod obeying;
mod staging;

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;

use bulk::Bulk;

use crate::clock;
use crate::ids::{AttemptId, HostId};
use crate::time::Time;
use crate::vm::agent::launcher::{Channel, Transport};
use crate::vm::agent::loss;
use crate::vm::agent::outbox::Outbox;
use crate::vm::agent::staging::{Depot, Reply, SessionStaging};
use crate::vm::host::{HostFailure, HostLoss, Stage};
use crate::vm::{VmCommand, VmEvent};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::frame::{CHUNK, FrameReader};
use crate::wire::link::Link;
use crate::wire::message::{ClientHello, Preparation, Sequence, ToAgent};

/// Acknowledge at the latest after so many messages, so that an agent keeps few of them.
const ACKNOWLEDGE_AFTER: u64 = 256;

/// How long after its own grace an agent may take to say goodbye (5 s).
const BYE_LIMIT: Duration = Duration::from_secs(5);

/// How long a transport that has lost its stream may take to say why (2 s): a killed sshd shows within 40 ms.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How a session ended.
pub(in crate::vm::agent) enum SessionEnd {
    /// The host never got ready.
    Failed(HostFailure),
    /// It was up and is gone.
    Lost(HostLoss),
    /// It was asked to end and did.
    Closed { left: Vec<String> },
    /// Nobody wants the machine any more.
    MachineGone,
}

enum Phase {
    /// Waiting for the agent's hello.
    Greeting,
    /// Waiting for its report.
    Preparing { release: String },
    /// Attempts may run.
    Up { cores: u32, shares_directory: bool },
    /// Its administrator sent it away.
    Leaving { signal: i32 },
    /// It was asked to end, by the deadline.
    Closing { deadline: Instant },
}

pub(in crate::vm::agent) struct Session<'a> {
    host: HostId,
    name: &'a str,
    preparation: &'a Preparation,
    events: &'a Outbox,
    phase: Phase,
    link: Link,
    reader: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
    writer: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
    transport: Box<dyn Transport>,
    frames: FrameReader,
    out: Vec<u8>,
    written: usize,
    began: Time,
    uploaded: u64,
    heard: Time,
    told_silent: bool,
    round_trip: Option<Duration>,
    /// How many more bytes of output each attempt may send. The kernel grants them in steps.
    windows: HashMap<AttemptId, u64>,
    staging: SessionStaging,
    /// What the threads that touch files have done for it.
    files: mpsc::UnboundedReceiver<Reply>,
    bulk: Bulk,
}

impl<'a> Session<'a> {
    pub(in crate::vm::agent) fn new(
        host: HostId,
        name: &'a str,
        preparation: &'a Preparation,
        channel: Channel,
        began: Time,
        events: &'a Outbox,
        depot: Depot,
    ) -> Self {
        let Channel {
            reader,
            writer,
            received,
            uploaded,
            notes: _,
            transport,
        } = channel;
        let mut frames = FrameReader::new();
        frames.feed(&received);
        let now = clock::now();
        let (staging, files) = SessionStaging::new(depot);
        Self {
            host,
            name,
            preparation,
            events,
            phase: Phase::Greeting,
            link: Link::new(),
            reader,
            writer,
            transport,
            frames,
            out: Vec::new(),
            written: 0,
            began,
            uploaded,
            heard: now,
            told_silent: false,
            round_trip: None,
            windows: HashMap::new(),
            staging,
            files,
            bulk: Bulk::default(),
        }
    }

    /// Speaks with the agent until one side ends it.
    pub(in crate::vm::agent) async fn run(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<VmCommand>,
    ) -> SessionEnd {
        match self.converse(commands).await {
            Ok(end) => end,
            Err(Break::Stream) => self.stream_ended().await,
            Err(Break::Loss(loss)) => self.lost(loss),
        }
    }

    async fn converse(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<VmCommand>,
    ) -> Result<SessionEnd, Break> {
        self.greet()?;
        if let Some(end) = self.act_on_frames()? {
            return Ok(end);
        }
        let interval = heartbeat_interval(self.preparation.lease);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut wanted = true;
        loop {
            self.stage()?;
            self.frames.buffer().reserve(CHUNK);
            let unwritten = &self.out[self.written..];
            tokio::select! {
                read = self.reader.read_buf(self.frames.buffer()), if !self.events.is_full() => {
                    match read {
                        Ok(0) | Err(_) => return Err(Break::Stream),
                        Ok(_) => {}
                    }
                    self.hear();
                    if let Some(end) = self.act_on_frames()? {
                        return Ok(end);
                    }
                }
                written = self.writer.write(unwritten), if !unwritten.is_empty() => {
                    match written {
                        // A write that fails is no news: the read end has the agent's last words.
                        Ok(0) | Err(_) => self.discard_output(),
                        Ok(count) => self.wrote(count),
                    }
                }
                command = commands.recv(), if wanted => {
                    let Some(command) = command else {
                        if matches!(self.phase, Phase::Closing { .. }) {
                            // A machine that is shut down has nothing more to say, and waits for the goodbye.
                            wanted = false;
                            continue;
                        }
                        return Ok(SessionEnd::MachineGone);
                    };
                    self.obey(command)?;
                    while let Ok(command) = commands.try_recv() {
                        self.obey(command)?;
                    }
                }
                Some(done) = self.files.recv() => {
                    self.staging.note(done);
                    while let Ok(done) = self.files.try_recv() {
                        self.staging.note(done);
                    }
                }
                () = self.events.drained(), if self.events.is_full() => {}
                _ = ticks.tick() => {
                    if let Some(end) = self.tick(interval)? {
                        return Ok(end);
                    }
                }
            }
        }
    }

    fn greet(&mut self) -> Result<(), Break> {
        let hello = ClientHello {
            protocol: PROTOCOL_VERSION,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            generation: 1,
            received: Sequence(0),
        };
        self.say_unnumbered(ToAgent::Hello(hello))?;
        let stamp = stamp();
        self.say_unnumbered(ToAgent::Heartbeat { stamp })?;
        self.say(ToAgent::Prepare(Box::new(self.preparation.clone())))
    }

    fn say(&mut self, message: ToAgent) -> Result<(), Break> {
        self.link
            .push(message, &[], &mut self.out)
            .map_err(protocol)
    }

    fn say_unnumbered(&mut self, message: ToAgent) -> Result<(), Break> {
        self.link
            .push_unnumbered(message, &mut self.out)
            .map_err(protocol)
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.out.len() {
            self.discard_output();
        }
    }

    fn discard_output(&mut self) {
        self.out.clear();
        self.written = 0;
    }

    fn hear(&mut self) {
        self.heard = clock::now();
        if self.told_silent {
            self.told_silent = false;
            self.emit(VmEvent::Silent {
                host: self.host,
                silent_for: None,
            });
        }
    }

    fn emit(&self, event: VmEvent) {
        self.events.send(event);
    }

    async fn stream_ended(&mut self) -> SessionEnd {
        let words = tokio::time::timeout(LAST_WORDS, self.transport.ended()).await;
        let loss = loss::of_stream_end(&words.unwrap_or_default());
        match self.phase {
            Phase::Leaving { signal } => self.lost(HostLoss::Left { signal }),
            Phase::Closing { .. } => SessionEnd::Closed {
                left: vec![format!("not confirmed: {loss}")],
            },
            _ => self.lost(loss),
        }
    }

    fn lost(&self, loss: HostLoss) -> SessionEnd {
        match self.phase {
            Phase::Greeting => self.failed(Stage::Starting, &loss),
            Phase::Preparing { .. } => self.failed(Stage::Preparing, &loss),
            Phase::Up { .. } | Phase::Leaving { .. } => SessionEnd::Lost(loss),
            Phase::Closing { .. } => SessionEnd::Closed {
                left: vec![format!("not confirmed: {loss}")],
            },
        }
    }

    fn failed(&self, stage: Stage, loss: &HostLoss) -> SessionEnd {
        SessionEnd::Failed(loss::before_up(self.name, stage, loss))
    }
}

/// Why the conversation stopped.
enum Break {
    /// The stream ended or failed: the transport knows why.
    Stream,
    /// The host is to be dropped.
    Loss(HostLoss),
}

fn protocol(error: impl ToString) -> Break {
    Break::Loss(HostLoss::Protocol {
        cause: error.to_string(),
    })
}

/// The present moment in nanoseconds since boot, as a heartbeat's stamp.
fn stamp() -> u64 {
    u64::try_from(clock::now().since_boot().as_nanos()).unwrap_or(u64::MAX)
}

/// A tenth of the lease, between 0.2 s and 5 s: several may be lost before a lease is in danger.
fn heartbeat_interval(lease: Duration) -> Duration {
    (lease / 10).clamp(Duration::from_millis(200), Duration::from_secs(5))
}
