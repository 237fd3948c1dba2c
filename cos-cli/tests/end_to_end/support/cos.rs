//! The command `cos` as a child that can be watched, signalled and never hangs for ever.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use super::fixture::PROGRAM;
use super::{DEADLINE, Fixture, LOOK_AGAIN};

/// A `cos` that is not started yet.
pub(crate) struct Cos<'a> {
    fixture: &'a Fixture,
    command: Command,
    input: Input,
    keep_stdout: bool,
}

/// What `cos` reads on standard input.
enum Input {
    /// Nothing: `/dev/null`.
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the test writes while it runs.
    Pipe,
}

impl<'a> Cos<'a> {
    pub(super) fn new(fixture: &'a Fixture, command: Command) -> Self {
        Self {
            fixture,
            command,
            input: Input::Null,
            keep_stdout: false,
        }
    }

    pub(crate) fn args<W: AsRef<OsStr>>(mut self, words: &[W]) -> Self {
        self.command.args(words);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn directory(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Standard input has these bytes.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input::Bytes(bytes.into());
        self
    }

    /// Standard input is written by [`Running::write`], until [`Running::end_input`].
    pub(crate) fn open_input(mut self) -> Self {
        self.input = Input::Pipe;
        self
    }

    /// Leaves standard output unread, for [`Running::take_stdout`].
    pub(crate) fn unread_stdout(mut self) -> Self {
        self.keep_stdout = true;
        self
    }

    /// Runs it to its end, and checks that nothing is left of it.
    pub(crate) fn end(self) -> Ran {
        self.start().end()
    }

    /// Starts it, at the head of a process group of its own as a shell does, so that a signal to the group reaches
    /// everything that Ctrl-C would reach.
    pub(crate) fn start(mut self) -> Running<'a> {
        let stdin = match &self.input {
            Input::Null => Stdio::null(),
            Input::Bytes(_) | Input::Pipe => Stdio::piped(),
        };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("cos starts");
        let mut stdin = child.stdin.take();
        if let Input::Bytes(bytes) = self.input
            && let Some(mut stdin) = stdin.take()
        {
            // It may end before it has read everything.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take();
        let (stdout, unread) = match self.keep_stdout {
            true => (Capture::default(), stdout),
            false => (Capture::of(stdout.expect("a pipe")), None),
        };
        let stderr = Capture::of(child.stderr.take().expect("a pipe"));
        Running {
            fixture: self.fixture,
            words: words_of(&self.command),
            child,
            stdin,
            unread,
            stdout,
            stderr,
            peak_memory_kib: 0,
        }
    }
}

/// A `cos` that runs. It is killed when it is dropped before its end, as by a test that fails.
pub(crate) struct Running<'a> {
    fixture: &'a Fixture,
    words: String,
    child: Child,
    stdin: Option<ChildStdin>,
    unread: Option<ChildStdout>,
    stdout: Capture,
    stderr: Capture,
    peak_memory_kib: u64,
}

impl Running<'_> {
    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Writes to its standard input.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("an open standard input");
        stdin
            .write_all(bytes.as_ref())
            .expect("cos reads its standard input");
    }

    /// Takes its standard input, to be written elsewhere.
    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().expect("an open standard input")
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Takes the standard output that was left unread.
    pub(crate) fn take_stdout(&mut self) -> ChildStdout {
        self.unread.take().expect("a standard output that was left")
    }

    /// Sends a signal to its whole process group, as a terminal does.
    pub(crate) fn signal(&self, signal: Signal) {
        let group = Pid::from_raw(self.pid()).expect("a process id");
        kill_process_group(group, signal).expect("cos is there");
    }

    /// Its standard output until now.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Its standard error until now.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Waits until its standard output contains this text.
    pub(crate) fn wait_for_stdout(&mut self, text: &str) {
        let what = format!("{text:?} on standard output");
        self.wait_for(&what, |it| contains(&it.stdout(), text.as_bytes()));
    }

    /// Waits until its standard output has so many lines.
    pub(crate) fn wait_for_lines(&mut self, lines: usize) {
        let what = format!("{lines} lines on standard output");
        self.wait_for(&what, |it| {
            it.stdout().iter().filter(|&&byte| byte == b'\n').count() >= lines
        });
    }

    /// Waits until its standard error contains this text.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) {
        let what = format!("{text:?} on standard error");
        self.wait_for(&what, |it| it.stderr().contains(text));
    }

    /// Waits until something holds. It ending before, or not happening in time, fails the test.
    pub(crate) fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        loop {
            let ended = self.look();
            if holds(self) {
                return;
            }
            if let Some(status) = ended {
                // What it had written may not have been read yet.
                self.stdout.finish();
                self.stderr.finish();
                assert!(holds(self), "{status} before {what}: {}", self.story());
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{what} has not come: {}",
                self.story()
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Waits for its end, and checks that nothing is left of it anywhere.
    pub(crate) fn end(self) -> Ran {
        let fixture = self.fixture;
        let ran = self.end_unchecked();
        fixture.assert_nothing_left(&ran);
        ran
    }

    /// Waits for its end.
    pub(crate) fn end_unchecked(mut self) -> Ran {
        self.stdin = None;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.look() {
                break status;
            }
            assert!(
                start.elapsed() < 2 * DEADLINE,
                "it does not end: {}",
                self.story()
            );
            thread::sleep(LOOK_AGAIN);
        };
        self.stdout.finish();
        self.stderr.finish();
        Ran {
            words: self.words.clone(),
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
            peak_memory_kib: self.peak_memory_kib,
        }
    }

    /// Kills it with SIGKILL, as the kernel does when memory runs out.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("cos is there");
        self.child.wait().expect("cos is a child");
    }

    /// Its status if it has ended; takes note of its memory otherwise.
    fn look(&mut self) -> Option<ExitStatus> {
        if let Some(peak) = peak_memory_kib(self.pid()) {
            self.peak_memory_kib = peak;
        }
        self.child.try_wait().expect("cos is a child")
    }

    fn story(&self) -> String {
        story(&self.words, &self.stdout(), &self.stderr())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // One that has ended and was waited for is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `cos` that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    words: String,
    status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    /// The most main memory that it had (`VmHWM`), looked at every few milliseconds.
    pub(crate) peak_memory_kib: u64,
}

impl Ran {
    /// Its exit code; a death by signal fails the test.
    pub(crate) fn code(&self) -> i32 {
        let signal = self.status.signal();
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {signal:?}: {}", self.story()))
    }

    /// Fails the test unless it exited with this code.
    #[track_caller]
    pub(crate) fn exited(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit code: {}", self.story());
        self
    }

    /// Fails the test unless standard error contains this text.
    #[track_caller]
    pub(crate) fn said(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?}: {}", self.story());
        self
    }

    /// Fails the test if standard error contains this text.
    #[track_caller]
    pub(crate) fn never_said(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text), "{text:?}: {}", self.story());
        self
    }

    /// Fails the test unless standard output is this.
    #[track_caller]
    pub(crate) fn printed(self, expected: impl AsRef<[u8]>) -> Self {
        let expected = expected.as_ref();
        assert!(
            self.stdout == expected,
            "expected {:?}: {}",
            String::from_utf8_lossy(expected),
            self.story()
        );
        self
    }

    /// Its standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Everything about it, for the message of a test that fails.
    pub(crate) fn story(&self) -> String {
        story(&self.words, &self.stdout, &self.stderr)
    }
}

fn story(words: &str, stdout: &[u8], stderr: &str) -> String {
    format!(
        "{words}\n--- stdout\n{}\n--- stderr\n{}\n---",
        shortened(&String::from_utf8_lossy(stdout)),
        shortened(stderr)
    )
}

/// The command line, as somebody would read it.
fn words_of(command: &Command) -> String {
    let words = command
        .get_args()
        .skip_while(|word| *word != PROGRAM)
        .skip(1);
    let words = words.map(|word| format!(" {word:?}"));
    format!("cos{}", words.collect::<String>())
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 8192;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The most main memory that a process has had, while it lives.
fn peak_memory_kib(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What a stream has brought until now, read by a thread so that nobody waits for anybody.
#[derive(Default)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = stream.read(&mut piece) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..count]);
            }
        });
        Self {
            bytes,
            reader: Some(reader),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.clone()
    }

    /// Waits for the end of the stream. Something that holds it open after `cos` has ended is a left-over, which is
    /// looked for by its own name.
    fn finish(&mut self) {
        let start = Instant::now();
        if let Some(reader) = self.reader.take() {
            while !reader.is_finished() && start.elapsed() < DEADLINE {
                thread::sleep(LOOK_AGAIN);
            }
        }
    }
}
