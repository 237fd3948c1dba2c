//! Standard output and the display on one terminal.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use cos_core::job::Stream;

use crate::output::{OutputSink, TextSink};
use crate::progress::Display;

/// Takes the display's picture away while a job's output is written to the terminal that shows it.
pub(super) struct BesideDisplay {
    inner: TextSink,
    display: Rc<RefCell<Display>>,
}

impl BesideDisplay {
    pub(super) fn new(inner: TextSink, display: Rc<RefCell<Display>>) -> Self {
        Self { inner, display }
    }
}

impl OutputSink for BesideDisplay {
    fn write(&mut self, sequence: u64, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut pipe = Pipe {
            inner: &mut self.inner,
            sequence,
            stream,
        };
        self.display.borrow_mut().write_output(&mut pipe, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// One stream of one job as a plain writer.
struct Pipe<'a> {
    inner: &'a mut TextSink,
    sequence: u64,
    stream: Stream,
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(self.sequence, self.stream, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
