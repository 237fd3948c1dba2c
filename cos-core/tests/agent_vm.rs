//! The client's side of a channel against agents that break every rule: scripted peers on in-memory streams, speaking
//! through the real codec.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use cos_core::ids::{AttemptId, Epoch, HostId, SlotId, TaskId};
use cos_core::job::{Amounts, CommandJob, Stream};
use cos_core::vm::agent::launcher::{Channel, LaunchRequest, Launcher, Transport};
use cos_core::vm::agent::{AgentHost, AgentVm};
use cos_core::vm::host::{FailureKind, HostFailure, HostLoss, HostSpec, Stage};
use cos_core::vm::local::local_preparation;
use cos_core::vm::{VirtualMachine, VmCommand, VmEvent};
use cos_core::wire::PROTOCOL_VERSION;
use cos_core::wire::frame::{FrameReader, write_frame};
use cos_core::wire::message::{
    AgentHello, Containment, DirectoryReport, Envelope, FromAgent, HostReport, OUTPUT_WINDOW,
    Sequence, SlotCount, ToAgent,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const HOST: HostId = HostId(0);
const LIMIT: Duration = Duration::from_secs(20);

/// What a scripted agent does once it is connected.
type Script = fn(Peer) -> Pin<Box<dyn Future<Output = ()>>>;

struct Scripted(Script);

impl Launcher for Scripted {
    fn launch<'a>(
        &'a mut self,
        _: LaunchRequest,
        _: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>> {
        let (here, there) = tokio::io::duplex(1 << 20);
        let peer = Peer {
            stream: there,
            frames: FrameReader::new(),
            sequence: 0,
        };
        tokio::task::spawn_local((self.0)(peer));
        let (reader, writer) = tokio::io::split(here);
        Box::pin(std::future::ready(Ok(Channel {
            reader: Box::new(reader),
            writer: Box::new(writer),
            received: Vec::new(),
            uploaded: 0,
            notes: Vec::new(),
            transport: Box::new(Wordless),
        })))
    }
}

struct Wordless;

impl Transport for Wordless {
    fn ended<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
        Box::pin(std::future::ready(String::new()))
    }
}

/// The agent's end of the stream.
struct Peer {
    stream: DuplexStream,
    frames: FrameReader,
    sequence: u64,
}

impl Peer {
    /// Writes bytes; the client may have hung up, which is what most scripts are about.
    async fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    async fn say(&mut self, message: FromAgent) {
        self.say_with(message, &[]).await;
    }

    async fn say_with(&mut self, message: FromAgent, payload: &[u8]) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.say_as(sequence, message, payload).await;
    }

    async fn say_as(&mut self, sequence: u64, message: FromAgent, payload: &[u8]) {
        let mut out = Vec::new();
        let sequence = Some(Sequence(sequence));
        let envelope = Envelope {
            sequence,
            acknowledged: Sequence(0),
            message,
        };
        write_frame(&envelope, payload, &mut out).expect("a message that fits");
        self.raw(&out).await;
    }

    async fn hear(&mut self) -> Option<ToAgent> {
        loop {
            if let Some(frame) = self
                .frames
                .next_frame::<Envelope<ToAgent>>()
                .expect("a client that keeps the rules")
            {
                return Some(frame.header.message);
            }
            match self.stream.read_buf(self.frames.buffer()).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn greet(&mut self) {
        self.say(FromAgent::Hello(hello(PROTOCOL_VERSION))).await;
    }

    async fn come_up(&mut self) {
        self.greet().await;
        self.say(FromAgent::Prepared(Box::new(Ok(report())))).await;
    }

    /// Waits until the client has handed out an attempt.
    async fn attempt(&mut self) -> Option<AttemptId> {
        loop {
            if let ToAgent::Start { attempt, .. } = self.hear().await? {
                return Some(attempt);
            }
        }
    }

    /// Listens until the client hangs up.
    async fn listen(mut self) {
        while self.hear().await.is_some() {}
    }
}

fn hello(protocol: u32) -> AgentHello {
    let release = "9.9.9".to_owned();
    AgentHello {
        protocol,
        release,
        pid: 7,
        received: Sequence(0),
    }
}

fn report() -> HostReport {
    HostReport {
        node: "ws01".to_owned(),
        system: "x86_64 Linux".to_owned(),
        kernel: "6.1".to_owned(),
        cores: 2,
        slots: 2,
        memory_kib: 1 << 20,
        load_hundredths: 0,
        clock: 0,
        containment: Containment::Subreaper,
        directory: DirectoryReport::Scratch {
            path: b"/tmp".to_vec().into(),
            reason: None,
        },
        kills_user_processes: false,
        neighbours: Vec::new(),
        swept: Vec::new(),
        mirrors: Vec::new(),
        cleared: None,
    }
}

struct Client {
    machine: AgentVm,
}

impl Client {
    fn connect(script: Script) -> Self {
        Self::with_lease(script, Duration::from_secs(60))
    }

    fn with_lease(script: Script, lease: Duration) -> Self {
        let spec = HostSpec {
            name: "ws01".to_owned(),
            tags: Vec::new(),
            max_load: None,
        };
        let mut preparation =
            local_preparation("test", SlotCount::Number(2)).expect("a current directory");
        preparation.lease = lease;
        let launcher = Box::new(Scripted(script));
        let mut machine = AgentVm::new(vec![AgentHost {
            spec,
            launcher,
            preparation,
        }])
        .expect("a thread");
        machine.submit(VmCommand::Connect { host: HOST });
        Self { machine }
    }

    fn start(&mut self, task: u64) -> AttemptId {
        let attempt = AttemptId {
            task: TaskId(task),
            epoch: Epoch::FIRST,
        };
        self.machine.submit(VmCommand::Start {
            host: HOST,
            attempt,
            try_number: 1,
            amounts: Amounts::cores(1),
            work: std::sync::Arc::new(CommandJob::shell(1, "true").into()),
        });
        attempt
    }

    async fn next(&mut self) -> VmEvent {
        let event = poll_fn(|context| self.machine.poll_event(context));
        tokio::time::timeout(LIMIT, event)
            .await
            .expect("an event in time")
            .expect("a machine")
    }

    /// The first event that `wanted` finds something in.
    async fn wait_for<T>(&mut self, mut wanted: impl FnMut(VmEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await) {
                return found;
            }
        }
    }

    async fn up(&mut self) {
        self.wait_for(|event| matches!(event, VmEvent::Up { .. }).then_some(()))
            .await;
    }

    async fn failure(&mut self) -> std::sync::Arc<HostFailure> {
        self.wait_for(|event| match event {
            VmEvent::Failed { failure, .. } => Some(failure),
            _ => None,
        })
        .await
    }

    async fn loss(&mut self) -> HostLoss {
        self.wait_for(|event| match event {
            VmEvent::Lost { loss, .. } => Some(loss),
            _ => None,
        })
        .await
    }

    async fn protocol_error(&mut self) -> String {
        match self.loss().await {
            HostLoss::Protocol { cause } => cause,
            other => panic!("not a protocol error: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_length_of_all_ones_drops_the_host() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            peer.raw(&[0xff; 64]).await;
            peer.listen().await;
        })
    });
    client.up().await;
    let cause = client.protocol_error().await;
    assert!(cause.contains("4294967295"), "{cause}");
}

#[tokio::test]
async fn garbage_in_the_place_of_a_message_drops_the_host() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            peer.raw(&[5, 0, 0, 0, 5, 0, 0, 0, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe])
                .await;
            peer.listen().await;
        })
    });
    client.up().await;
    assert!(client.protocol_error().await.starts_with("protocol error"));
}

#[tokio::test]
async fn a_frame_that_is_cut_is_the_end_of_the_stream() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            peer.raw(&[200, 0, 0, 0, 10, 0, 0, 0, 1]).await;
        })
    });
    client.up().await;
    assert!(matches!(client.loss().await, HostLoss::Disconnected { .. }));
}

#[tokio::test]
async fn a_missing_message_drops_the_host_and_a_repeated_one_counts_once() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            let Some(attempt) = peer.attempt().await else {
                return;
            };
            let started = FromAgent::Started {
                attempt,
                slot: SlotId(1),
            };
            peer.say_as(3, started.clone(), &[]).await;
            peer.say_as(3, started.clone(), &[]).await;
            peer.say_as(5, started, &[]).await;
            peer.listen().await;
        })
    });
    client.up().await;
    client.start(1);
    let mut started = 0;
    let cause = client
        .wait_for(|event| match event {
            VmEvent::Started { .. } => {
                started += 1;
                None
            }
            VmEvent::Lost {
                loss: HostLoss::Protocol { cause },
                ..
            } => Some(cause),
            _ => None,
        })
        .await;
    assert_eq!(started, 1);
    assert!(cause.contains("message 5"), "{cause}");
}

#[tokio::test]
async fn another_version_is_named_beside_ours() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.say(FromAgent::Hello(hello(PROTOCOL_VERSION + 7)))
                .await;
            peer.listen().await;
        })
    });
    let failure = client.failure().await;
    assert_eq!(failure.kind, FailureKind::Permanent);
    assert!(failure.cause.contains("9.9.9"), "{}", failure.cause);
    assert!(
        failure.cause.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        failure.cause
    );
}

#[tokio::test]
async fn more_output_than_was_granted_drops_the_host() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            let Some(attempt) = peer.attempt().await else {
                return;
            };
            let chunk = vec![b'x'; 64 * 1024];
            for _ in 0..=OUTPUT_WINDOW / (64 * 1024) {
                let output = FromAgent::Output {
                    attempt,
                    stream: Stream::Stdout,
                };
                peer.say_with(output, &chunk).await;
            }
            peer.listen().await;
        })
    });
    client.up().await;
    client.start(1);
    let cause = client.protocol_error().await;
    assert!(cause.contains("more output"), "{cause}");
}

#[tokio::test]
async fn output_of_nobody_is_dropped() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            let attempt = AttemptId {
                task: TaskId(99),
                epoch: Epoch::FIRST,
            };
            let output = FromAgent::Output {
                attempt,
                stream: Stream::Stdout,
            };
            peer.say_with(output, b"nobody asked").await;
            peer.say(FromAgent::Leaving { signal: 15 }).await;
            peer.say(FromAgent::Bye { left: Vec::new() }).await;
        })
    });
    client.up().await;
    let loss = client
        .wait_for(|event| match event {
            VmEvent::Output { .. } => panic!("output of an attempt that was never started"),
            VmEvent::Lost { loss, .. } => Some(loss),
            _ => None,
        })
        .await;
    assert_eq!(loss, HostLoss::Left { signal: 15 });
}

#[tokio::test]
async fn silence_for_a_lease_loses_the_host() {
    let script: Script = |mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            peer.listen().await;
        })
    };
    let mut client = Client::with_lease(script, Duration::from_secs(1));
    client.up().await;
    assert!(matches!(client.loss().await, HostLoss::Silent { .. }));
}

/// A host that never stops talking is no longer read from once its events pile up, and takes no memory without end.
#[tokio::test]
async fn a_flood_of_notes_waits_for_whoever_takes_them() {
    use cos_core::wire::message::AgentNote;
    const NOTES: u64 = 40_000;
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            for number in 0..NOTES {
                peer.say(FromAgent::Note(AgentNote::Text(number.to_string())))
                    .await;
            }
            peer.say(FromAgent::Leaving { signal: 15 }).await;
            peer.say(FromAgent::Bye { left: Vec::new() }).await;
            peer.listen().await;
        })
    });
    client.up().await;
    let mut notes = 0;
    let loss = client
        .wait_for(|event| match event {
            VmEvent::Note { .. } => {
                notes += 1;
                None
            }
            VmEvent::Lost { loss, .. } => Some(loss),
            _ => None,
        })
        .await;
    assert_eq!(notes, NOTES);
    assert_eq!(loss, HostLoss::Left { signal: 15 });
}

#[tokio::test]
async fn a_disconnected_host_says_goodbye_once() {
    let mut client = Client::connect(|mut peer| {
        Box::pin(async move {
            peer.come_up().await;
            loop {
                match peer.hear().await {
                    Some(ToAgent::Shutdown { .. }) => break,
                    Some(_) => {}
                    None => return,
                }
            }
            peer.say(FromAgent::Bye {
                left: vec!["/tmp/x".to_owned()],
            })
            .await;
            peer.listen().await;
        })
    });
    client.up().await;
    client.machine.submit(VmCommand::Disconnect {
        host: HOST,
        grace: Duration::ZERO,
    });
    client.machine.shutdown(Duration::ZERO, LIMIT);
    let mut closed = Vec::new();
    while let Some(event) = poll_fn(|context| client.machine.poll_event(context)).await {
        if let VmEvent::Closed { left, .. } = event {
            closed.push(left);
        }
    }
    assert_eq!(closed, [vec!["/tmp/x".to_owned()]]);
}
