//! What typed tasks print on hosts, as lines that say whose they are: `ws03 search(7) | text`.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use crate::escape::escape_lines;
use crate::event::{RunEvent, Stamped};
use crate::ids::{AttemptId, HostId};
use crate::job::{Stream, TaskLabel, Work};

/// The longest line that is held together (64 KiB). A longer one is shown in pieces, each on a line of its own.
const LONGEST: usize = 64 * 1024;

/// An observer that writes the lines of typed tasks to two streams, each with its host and its task:
///
/// ```text
/// ws03 search(7) | cost 0.25 after 12 steps
/// ```
///
/// The number is the task's [`TaskId`](crate::ids::TaskId), as in its errors. Lines are whole, and escaped where a terminal
/// would obey them. [`macro@main`](crate::main) forwards so to standard output and standard error; in another program:
///
/// ```no_run
/// # use cos_core as cos;
/// let os = cos::Os::new().observe(cos::task_lines(std::io::stdout(), std::io::stderr()));
/// ```
///
/// What a task prints in this process, in a microthread or on a slot that is a thread, goes to the program's own streams
/// by itself. The output of commands is not forwarded: it is captured, or an observer takes it as bytes. A stream that
/// cannot be written to any more is left alone.
pub fn task_lines(
    stdout: impl Write + 'static,
    stderr: impl Write + 'static,
) -> impl FnMut(&Stamped) + 'static {
    let mut lines = TaskLines {
        hosts: HashMap::new(),
        running: HashMap::new(),
        stdout: Outlet(Some(stdout)),
        stderr: Outlet(Some(stderr)),
    };
    move |stamped| lines.event(&stamped.event)
}

struct TaskLines<O, E> {
    hosts: HashMap<HostId, Arc<str>>,
    running: HashMap<AttemptId, Lines>,
    stdout: Outlet<O>,
    stderr: Outlet<E>,
}

/// The lines of an attempt.
struct Lines {
    prefix: String,
    /// What was written of the line that has no end yet.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// `None` after an error.
struct Outlet<W>(Option<W>);

impl<O: Write, E: Write> TaskLines<O, E> {
    fn event(&mut self, event: &RunEvent) {
        match event {
            RunEvent::HostUp { host, info } => {
                self.hosts.insert(*host, info.name.as_str().into());
            }
            RunEvent::TaskStarted {
                attempt,
                host,
                work,
                ..
            } => self.start(*attempt, *host, work),
            RunEvent::TaskOutput {
                attempt,
                stream,
                bytes,
                ..
            } => self.write(*attempt, *stream, bytes),
            RunEvent::TaskAgain { attempt, .. } => self.end(*attempt),
            RunEvent::TaskEnded {
                attempt: Some(attempt),
                ..
            } => self.end(*attempt),
            _ => {}
        }
    }

    fn start(&mut self, attempt: AttemptId, host: HostId, work: &Work) {
        if let Work::Call(_) = work {
            let host = self.hosts.get(&host).map_or("?", |name| &**name);
            let lines = Lines {
                prefix: format!("{host} {} | ", TaskLabel::of(work, attempt.task)),
                stdout: Vec::new(),
                stderr: Vec::new(),
            };
            self.running.insert(attempt, lines);
        }
    }

    fn write(&mut self, attempt: AttemptId, stream: Stream, bytes: &[u8]) {
        let Some(lines) = self.running.get_mut(&attempt) else {
            return;
        };
        match stream {
            Stream::Stdout => {
                let text = whole_lines(&lines.prefix, &mut lines.stdout, bytes);
                self.stdout.write(&text);
            }
            Stream::Stderr => {
                let text = whole_lines(&lines.prefix, &mut lines.stderr, bytes);
                self.stderr.write(&text);
            }
        }
    }

    fn end(&mut self, attempt: AttemptId) {
        if let Some(Lines {
            prefix,
            stdout,
            stderr,
        }) = self.running.remove(&attempt)
        {
            self.stdout.write(&last_line(&prefix, &stdout));
            self.stderr.write(&last_line(&prefix, &stderr));
        }
    }
}

impl<W: Write> Outlet<W> {
    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(writer) = &mut self.0 {
            let written = writer.write_all(text.as_bytes());
            if written.and_then(|()| writer.flush()).is_err() {
                self.0 = None;
            }
        }
    }
}

/// Every line that `bytes` complete. What follows is kept.
fn whole_lines(prefix: &str, kept: &mut Vec<u8>, bytes: &[u8]) -> String {
    let mut text = String::new();
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        kept.extend_from_slice(piece);
        if piece.ends_with(b"\n") || kept.len() >= LONGEST {
            line(prefix, kept, &mut text);
            kept.clear();
        }
    }
    text
}

fn last_line(prefix: &str, kept: &[u8]) -> String {
    let mut text = String::new();
    if !kept.is_empty() {
        line(prefix, kept, &mut text);
    }
    text
}

fn line(prefix: &str, bytes: &[u8], text: &mut String) {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    text.push_str(prefix);
    text.push_str(&escape_lines(bytes));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::ids::{Epoch, SlotId, TaskId};
    use crate::job::{Call, CommandJob, TaskError};
    use crate::time::Time;
    use crate::vm::sim::HostPlan;
    use crate::vm::sim::plan::host_info;

    #[derive(Clone, Default)]
    struct Shown(Rc<RefCell<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Shown {
        fn take(&self) -> String {
            String::from_utf8(self.0.take()).expect("escaped")
        }
    }

    fn attempt(task: u64) -> AttemptId {
        AttemptId {
            task: TaskId(task),
            epoch: Epoch::FIRST,
        }
    }

    fn started(task: u64, work: impl Into<Work>) -> RunEvent {
        RunEvent::TaskStarted {
            attempt: attempt(task),
            index: 0,
            host: HostId(0),
            slot: SlotId(1),
            try_number: 1,
            work: Arc::new(work.into()),
        }
    }

    fn wrote(task: u64, stream: Stream, bytes: &'static [u8]) -> RunEvent {
        RunEvent::TaskOutput {
            attempt: attempt(task),
            index: 0,
            stream,
            bytes: bytes.into(),
        }
    }

    fn ended(task: u64) -> RunEvent {
        RunEvent::TaskEnded {
            attempt: Some(attempt(task)),
            task: TaskId(task),
            index: 0,
            host: Some(HostId(0)),
            tries: 1,
            outcome: Err(TaskError::Cancelled {
                task: TaskLabel::default(),
                end: None,
            }),
        }
    }

    fn search() -> Call {
        Call {
            task: "tool::search".into(),
            fingerprint: 0,
            arguments: Vec::new().into(),
        }
    }

    /// Both streams after these events.
    fn shown(events: impl IntoIterator<Item = RunEvent>) -> (String, String) {
        let (stdout, stderr) = (Shown::default(), Shown::default());
        let mut observer = task_lines(stdout.clone(), stderr.clone());
        let up = RunEvent::HostUp {
            host: HostId(0),
            info: Arc::new(host_info(&HostPlan::sound("ws03", 2))),
        };
        for event in std::iter::once(up).chain(events) {
            let at = Time::default();
            observer(&Stamped { at, event });
        }
        (stdout.take(), stderr.take())
    }

    #[test]
    fn lines_say_whose_they_are_and_stay_whole() {
        let (stdout, stderr) = shown([
            started(7, search()),
            started(8, search()),
            wrote(7, Stream::Stdout, b"cost "),
            wrote(8, Stream::Stdout, b"other\n"),
            wrote(7, Stream::Stderr, b"warm\n"),
            wrote(7, Stream::Stdout, b"0.25\r\nlast"),
            ended(7),
        ]);
        assert_eq!(
            stdout,
            "ws03 search(8) | other\nws03 search(7) | cost 0.25\nws03 search(7) | last\n"
        );
        assert_eq!(stderr, "ws03 search(7) | warm\n");
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let (stdout, _) = shown([
            started(7, search()),
            wrote(7, Stream::Stdout, b"\x1b[2J\ta\xff\n"),
        ]);
        assert_eq!(stdout, "ws03 search(7) | \\x1b[2J\ta\\xff\n");
    }

    #[test]
    fn a_line_without_end_is_shown_in_pieces() {
        static LONG: [u8; LONGEST + 1] = [b'x'; LONGEST + 1];
        let (stdout, _) = shown([
            started(7, search()),
            wrote(7, Stream::Stdout, &LONG),
            wrote(7, Stream::Stdout, b"y"),
            ended(7),
        ]);
        assert_eq!(stdout.lines().count(), 2);
    }

    #[test]
    fn commands_are_left_to_others() {
        let (stdout, stderr) = shown([
            started(7, CommandJob::shell(1, "true")),
            wrote(7, Stream::Stdout, b"text\n"),
            ended(7),
        ]);
        assert_eq!((stdout, stderr), (String::new(), String::new()));
    }
}
