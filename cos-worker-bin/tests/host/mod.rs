//! A client of one agent, for tests: starts the real worker as a bridge over pipes and speaks the protocol with it.
//!
//! Every process below the bridge carries a mark in its environment. When a [`Host`] is dropped, nothing with that
//! mark may be left on this machine.

#![expect(dead_code, reason = "each test file uses a part of it")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod marked;
mod stream;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cos_core::ids::{AttemptId, Epoch, TaskId};
use cos_core::job::{Amounts, AttemptResult, CommandEnd, CommandJob, Stream};
use cos_core::wire::PROTOCOL_VERSION;
use cos_core::wire::link::{Link, Received};
use cos_core::wire::message::{
    ClientHello, FromAgent, HostReport, Preparation, PrepareError, RunDirectory, Sequence,
    SlotCount, ToAgent,
};
use cos_core::worker::bridge_arguments;
use marked::{MARK, marked};
use stream::{Incoming, NONCE, read_frames, read_text};

/// How long anything may take before a test fails (30 s): far longer than it does take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Numbers the hosts of this test process.
static HOSTS: AtomicU32 = AtomicU32::new(0);

/// One agent and the test's end of its channel.
pub(crate) struct Host {
    bridge: Child,
    stdin: Option<ChildStdin>,
    incoming: Receiver<Incoming>,
    stderr: Receiver<String>,
    reading: Arc<Mutex<()>>,
    link: Link,
    mark: String,
    directory: tempfile::TempDir,
    sequence: u64,
    /// Credit is granted for output as it comes.
    pub(crate) grants_credit: bool,
    /// Output that came, by attempt and stream.
    pub(crate) output: HashMap<(u64, Stream), Vec<u8>>,
    /// Everything else that came and was not waited for.
    pub(crate) passed: Vec<FromAgent>,
}

enum Step {
    Message(FromAgent),
    Other,
    End,
}

/// A preparation in which jobs start in `directory`.
pub(crate) fn preparation(directory: &Path) -> Preparation {
    use std::os::unix::ffi::OsStrExt;
    Preparation {
        run: "test".to_owned(),
        host: "ws03".to_owned(),
        nice: 0,
        shell: "/bin/sh".to_owned(),
        setup: None,
        setup_timeout: PATIENCE,
        environment: Vec::new(),
        directory: RunDirectory::Here {
            path: serde_bytes::ByteBuf::from(directory.as_os_str().as_bytes()),
        },
        local_storage: directory.join("local").display().to_string(),
        slots: SlotCount::Number(2),
        lease: PATIENCE,
        mirrors: Vec::new(),
        own_storage: None,
        clear_store: false,
    }
}

impl Host {
    /// Starts a bridge and reads its preamble.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), |_| {})
    }

    /// The same, with a directory for the host's files and a change to the bridge's command.
    pub(crate) fn start_in(
        directory: tempfile::TempDir,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cos-worker"));
        command
            .args(bridge_arguments(NONCE, "test", "ws03"))
            .env(MARK, &mark)
            .env("XDG_RUNTIME_DIR", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut bridge = command.spawn().unwrap();
        let reading = Arc::new(Mutex::new(()));
        let incoming = read_frames(bridge.stdout.take().unwrap(), Arc::clone(&reading));
        let stderr = read_text(bridge.stderr.take().unwrap());
        Self {
            stdin: bridge.stdin.take(),
            bridge,
            incoming,
            stderr,
            reading,
            link: Link::new(),
            mark,
            directory,
            sequence: 0,
            grants_credit: true,
            output: HashMap::new(),
            passed: Vec::new(),
        }
    }

    /// Starts a host that is ready for jobs.
    pub(crate) fn ready() -> Self {
        Self::ready_with(|_| {})
    }

    /// The same with a change to its preparation.
    pub(crate) fn ready_with(change: impl FnOnce(&mut Preparation)) -> Self {
        let mut host = Self::start();
        let mut preparation = preparation(host.path());
        change(&mut preparation);
        host.prepare(preparation).unwrap();
        host
    }

    /// The directory of the host's files.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where the host's agents have their private directories.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.path().join("cos/agents")
    }

    /// Says hello and prepares the host.
    pub(crate) fn prepare(&mut self, preparation: Preparation) -> Result<HostReport, PrepareError> {
        self.hello(PROTOCOL_VERSION);
        self.say(ToAgent::Prepare(Box::new(preparation)));
        *self.wait("the report", |message| match message {
            FromAgent::Prepared(result) => Some(result.clone()),
            _ => None,
        })
    }

    /// Says hello in a version.
    pub(crate) fn hello(&mut self, protocol: u32) {
        let mut out = Vec::new();
        let hello = ToAgent::Hello(ClientHello {
            protocol,
            release: "test".to_owned(),
            generation: 1,
            received: Sequence(0),
        });
        self.link.push_unnumbered(hello, &mut out).unwrap();
        self.write(&out);
    }

    /// Sends a message.
    pub(crate) fn say(&mut self, message: ToAgent) {
        let mut out = Vec::new();
        self.link.push(message, &[], &mut out).unwrap();
        self.write(&out);
    }

    /// Sends any bytes. A channel that is gone is no failure here: what came of it is read.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(bytes).and_then(|()| stdin.flush());
        }
    }

    /// Ends the client's side of the channel.
    pub(crate) fn close(&mut self) {
        self.stdin = None;
    }

    /// While this is locked, nothing but a read that has begun already is read from the channel.
    pub(crate) fn reading(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.reading)
    }

    /// The next job number.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Starts a job on one core.
    pub(crate) fn start_job(&mut self, job: CommandJob) -> AttemptId {
        self.start_job_with(job, Amounts::cores(1))
    }

    /// Starts a job.
    pub(crate) fn start_job_with(&mut self, job: CommandJob, amounts: Amounts) -> AttemptId {
        let attempt = AttemptId {
            task: TaskId(job.sequence),
            epoch: Epoch::FIRST,
        };
        self.say(ToAgent::Start {
            attempt,
            try_number: 1,
            amounts,
            work: Box::new(job.into()),
            more_arguments: 0,
        });
        attempt
    }

    /// Starts a shell line.
    pub(crate) fn shell(&mut self, line: impl Into<Vec<u8>>) -> AttemptId {
        let job = CommandJob::shell(self.next_sequence(), line);
        self.start_job(job)
    }

    /// Waits for an attempt's result.
    pub(crate) fn result(&mut self, wanted: AttemptId) -> AttemptResult {
        self.wait("a result", |message| match message {
            FromAgent::Ended { attempt, result } if *attempt == wanted => Some(result.clone()),
            _ => None,
        })
    }

    /// Waits for the end of a command.
    pub(crate) fn end(&mut self, wanted: AttemptId) -> CommandEnd {
        match self.result(wanted) {
            AttemptResult::Command(end) => end,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a shell line and gives its standard output.
    pub(crate) fn run(&mut self, line: impl Into<Vec<u8>>) -> (CommandEnd, Vec<u8>) {
        let attempt = self.shell(line);
        let end = self.end(attempt);
        let output = self.output_of(attempt, Stream::Stdout);
        (end, output)
    }

    /// What an attempt has written.
    pub(crate) fn output_of(&mut self, attempt: AttemptId, stream: Stream) -> Vec<u8> {
        let key = (attempt.task.0, stream);
        self.output.remove(&key).unwrap_or_default()
    }

    /// Waits until output of an attempt holds `text`.
    pub(crate) fn wait_for_output(&mut self, attempt: AttemptId, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let key = (attempt.task.0, Stream::Stdout);
        loop {
            let so_far = self.output.get(&key);
            if so_far.is_some_and(|it| String::from_utf8_lossy(it).contains(text)) {
                return;
            }
            match self.step(deadline) {
                Step::Message(message) => self.passed.push(message),
                Step::Other => {}
                Step::End => panic!("the channel ended"),
            }
        }
    }

    /// Waits until so much standard output of an attempt has come.
    pub(crate) fn wait_for_bytes(&mut self, attempt: AttemptId, bytes: u64) {
        let deadline = Instant::now() + PATIENCE;
        let key = (attempt.task.0, Stream::Stdout);
        while self.output.get(&key).map_or(0, |it| it.len() as u64) < bytes {
            match self.step(deadline) {
                Step::Message(message) => self.passed.push(message),
                Step::Other => {}
                Step::End => panic!("the channel ended"),
            }
        }
    }

    /// Waits for a message, looking first at those that were passed over.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&FromAgent) -> Option<T>,
    ) -> T {
        for at in 0..self.passed.len() {
            if let Some(found) = pick(&self.passed[at]) {
                self.passed.remove(at);
                return found;
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while let Some(message) = self.receive(deadline) {
            if let Some(found) = pick(&message) {
                return found;
            }
            self.passed.push(message);
        }
        panic!(
            "the channel ended before {what}; passed: {:?}; words: {}",
            self.passed,
            self.words()
        );
    }

    /// Waits for the end of the channel.
    pub(crate) fn wait_for_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(message) = self.receive(deadline) {
            self.passed.push(message);
        }
    }

    /// The next message, output aside; `None` at the end of the channel.
    fn receive(&mut self, deadline: Instant) -> Option<FromAgent> {
        loop {
            match self.step(deadline) {
                Step::Message(message) => return Some(message),
                Step::Other => {}
                Step::End => return None,
            }
        }
    }

    /// Takes one frame.
    fn step(&mut self, deadline: Instant) -> Step {
        let left = deadline.saturating_duration_since(Instant::now());
        let (envelope, payload) = match self.incoming.recv_timeout(left) {
            Ok(Incoming::Message(envelope, payload)) => (*envelope, payload),
            Ok(Incoming::End) | Err(RecvTimeoutError::Disconnected) => return Step::End,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing came for {PATIENCE:?}; passed: {:?}", self.passed)
            }
        };
        let received = self
            .link
            .receive(envelope.sequence, envelope.acknowledged)
            .unwrap();
        if received == Received::Duplicate {
            return Step::Other;
        }
        match envelope.message {
            FromAgent::Output { attempt, stream } => {
                let so_far = self.output.entry((attempt.task.0, stream)).or_default();
                so_far.extend_from_slice(&payload);
                if self.grants_credit {
                    let bytes = payload.len() as u64;
                    self.say(ToAgent::Credit { attempt, bytes });
                }
                Step::Other
            }
            FromAgent::Heartbeat { .. } => {
                let mut out = Vec::new();
                self.link
                    .push_unnumbered(ToAgent::Acknowledge, &mut out)
                    .unwrap();
                self.write(&out);
                Step::Other
            }
            message => Step::Message(message),
        }
    }

    /// What the bridge has written on standard error so far.
    pub(crate) fn words(&self) -> String {
        self.stderr.try_iter().collect()
    }

    /// Waits for the end of the bridge and gives its status and its last words.
    pub(crate) fn bridge_end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.bridge.try_wait().unwrap() {
                return (status, self.stderr.iter().collect());
            }
            assert!(Instant::now() < deadline, "the bridge does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The bridge's process number.
    pub(crate) fn bridge_pid(&self) -> i32 {
        self.bridge.id().cast_signed()
    }

    /// All processes of this host, by the names that they gave themselves.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        marked(&self.mark)
    }

    /// The process with a name, which must be there.
    pub(crate) fn process(&self, name: &str) -> i32 {
        let all = self.processes();
        let found = all.iter().find(|(_, it)| it == name);
        found.unwrap_or_else(|| panic!("no {name} among {all:?}")).0
    }

    /// Waits until no process of this host is left, at most so long.
    pub(crate) fn assert_gone_within(&self, limit: Duration) {
        let began = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < limit, "left after {limit:?}: {left:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the agent as a client that has finished does.
    pub(crate) fn shut_down(&mut self) -> Vec<String> {
        self.say(ToAgent::Shutdown {
            grace: Duration::ZERO,
        });
        let left = self.wait("goodbye", |message| match message {
            FromAgent::Bye { left } => Some(left.clone()),
            _ => None,
        });
        self.wait_for_end();
        left
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stdin = None;
        if !std::thread::panicking() {
            self.assert_gone_within(PATIENCE);
            let runtime = self.runtime();
            let left = std::fs::read_dir(runtime).map(|entries| entries.count());
            assert_eq!(left.unwrap_or(0), 0, "private directories are left");
        }
        for (pid, _) in marked(&self.mark) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.bridge.wait();
    }
}
