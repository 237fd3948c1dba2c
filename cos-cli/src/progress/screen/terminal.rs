//! A terminal as indicatif sees it: a buffer that is written at once.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

use crate::progress::settings::{SizeSource, TerminalSize};

/// A terminal that collects what is drawn until [`commit`](Self::commit) writes all of it.
///
/// It differs from indicatif's own in three ways. A terminal that has gone away is no error: nobody watches, and the
/// run goes on. A whole picture is one write, so that it does not flicker. And lines end with a line feed, where
/// indicatif fills them up with blanks to the right edge, which is what makes a narrowed window show every line twice.
#[derive(Clone)]
pub(super) struct Terminal {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    writer: Box<dyn Write + Send>,
    source: SizeSource,
    size: TerminalSize,
    buffer: String,
    line: Line,
    link: Link,
}

/// Where the next text goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Where the cursor is.
    Here,
    /// Into the next line: the last one is full.
    Next,
}

/// Whether somebody watches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Open,
    Gone,
}

impl Terminal {
    pub(super) fn new(writer: Box<dyn Write + Send>, source: SizeSource) -> Self {
        let inner = Inner {
            writer,
            size: source().unwrap_or(TerminalSize::USUAL),
            source,
            buffer: String::new(),
            line: Line::Here,
            link: Link::Open,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Asks for the terminal's size; indicatif is told this one until the next call. `None` while the terminal belongs
    /// to somebody else.
    pub(super) fn measure(&self) -> Option<TerminalSize> {
        let mut inner = self.lock();
        let size = (inner.source)();
        inner.size = size.unwrap_or(inner.size);
        size
    }

    /// Its size when it was measured last.
    pub(super) fn size(&self) -> TerminalSize {
        self.lock().size
    }

    /// Adds text as it is. The cursor stands at the start of a line, before and after.
    pub(super) fn push(&self, text: &str) {
        let mut inner = self.lock();
        inner.line = Line::Here;
        inner.buffer.push_str(&text.replace('\n', "\r\n"));
    }

    /// Erases the row of the cursor and those above it, `rows` in all, and everything below.
    pub(super) fn erase_upwards(&self, rows: usize) {
        let _ = self.move_cursor_up(rows.saturating_sub(1));
        let mut inner = self.lock();
        inner.line = Line::Here;
        inner.buffer.push_str("\r\u{1b}[J");
    }

    /// Writes everything that was drawn.
    pub(super) fn commit(&self) {
        let inner = &mut *self.lock();
        if inner.link == Link::Open && !inner.buffer.is_empty() {
            let written = inner.writer.write_all(inner.buffer.as_bytes());
            match written.and_then(|()| inner.writer.flush()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => inner.link = Link::Gone,
            }
        }
        inner.buffer.clear();
    }

    /// Forgets everything that was drawn since the last commit.
    pub(super) fn discard(&self) {
        let mut inner = self.lock();
        inner.buffer.clear();
        inner.line = Line::Here;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_cursor(&self, n: usize, direction: char) {
        if n > 0 {
            let sequence = format!("\u{1b}[{n}{direction}");
            self.lock().buffer.push_str(&sequence);
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        self.lock().size.columns
    }

    fn height(&self) -> u16 {
        self.lock().size.rows
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)?;
        self.lock().line = Line::Next;
        Ok(())
    }

    /// Text is written; the blanks that fill a line up (none where it is full) end it. No line is blank itself.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut inner = self.lock();
        if text.bytes().all(|byte| byte == b' ') {
            inner.line = Line::Next;
            return Ok(());
        }
        if inner.line == Line::Next {
            inner.buffer.push_str("\r\n");
        }
        inner.line = Line::Here;
        inner.buffer.push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.line = Line::Here;
        inner.buffer.push_str("\r\u{1b}[2K");
        Ok(())
    }

    /// Nothing is seen before [`commit`](Self::commit).
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("size", &self.lock().size)
            .finish_non_exhaustive()
    }
}
