//! One stream of one job, on its way out.

use std::io::{self, Write};

use cos_core::job::Stream;

use super::spill::{Filed, SpillFile, Spool};
use super::tag::LineTag;
use super::{OutputError, OutputSink};

/// Where the bytes of one stream of one job go: to the sink, with tags, or into a spool until then.
#[derive(Debug)]
pub(super) struct Outlet {
    stream: Stream,
    tag: Option<LineTag>,
    /// What is not yet out: the start of a line, or what waits for its job's turn.
    waiting: Spool,
}

impl Outlet {
    pub(super) fn new(stream: Stream, tag: Option<&[u8]>, spill: &SpillFile) -> Self {
        Self {
            stream,
            tag: tag.map(LineTag::new),
            waiting: spill.spool(),
        }
    }

    /// Takes bytes of a stream that is shown line by line. When it is `live`, complete lines come out at once.
    pub(super) fn take<S: OutputSink>(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        live: bool,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let lines = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |last| last + 1);
        let (complete, rest) = bytes.split_at(lines);
        if !live {
            return self.waiting.push(bytes).map_err(OutputError::Spill);
        }
        if !complete.is_empty() {
            self.release(sequence, sink)?;
            self.send(sequence, complete, sink)?;
            sink.flush().map_err(OutputError::of_stdout)?;
        }
        self.waiting.push(rest).map_err(OutputError::Spill)
    }

    /// Brings out all that waits.
    pub(super) fn release<S: OutputSink>(
        &mut self,
        sequence: u64,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let empty = self.waiting.fresh();
        let waiting = std::mem::replace(&mut self.waiting, empty);
        self.pour(sequence, &waiting, sink)
    }

    /// Brings out what a spool holds.
    pub(super) fn pour<S: OutputSink>(
        &mut self,
        sequence: u64,
        spool: &Spool,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let mut pour = Pour {
            outlet: self,
            sequence,
            sink,
            failure: None,
        };
        let copied = spool.copy_to(u64::MAX, &mut pour);
        pour.result(copied)
    }

    /// Brings out what was filed by [`file`](Self::file) and gives its room back.
    pub(super) fn pour_filed<S: OutputSink>(
        stream: Stream,
        sequence: u64,
        filed: Filed,
        spill: &SpillFile,
        sink: &mut S,
    ) -> Result<(), OutputError> {
        // Its tags are in it already.
        let mut outlet = Self::new(stream, None, spill);
        let mut pour = Pour {
            outlet: &mut outlet,
            sequence,
            sink,
            failure: None,
        };
        let copied = spill.copy(&filed, &mut pour);
        let result = pour.result(copied);
        spill.forget(filed);
        result
    }

    /// Lets the spool wait instead of what waits so far.
    pub(super) fn wait_with(&mut self, spool: &mut Spool) {
        std::mem::swap(&mut self.waiting, spool);
    }

    /// Gives back memory that was reserved for more bytes.
    pub(super) fn shrink(&mut self) {
        self.waiting.shrink();
    }

    /// Puts what waits into the spill file, with its tags.
    pub(super) fn file(&mut self) -> io::Result<Filed> {
        let empty = self.waiting.fresh();
        let waiting = std::mem::replace(&mut self.waiting, empty);
        let Some(tag) = &mut self.tag else {
            return waiting.file();
        };
        let mut tagged = TagInto {
            tag,
            spool: waiting.fresh(),
        };
        waiting.copy_to(u64::MAX, &mut tagged)?;
        tagged.spool.file()
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    fn send<S: OutputSink>(
        &mut self,
        sequence: u64,
        bytes: &[u8],
        sink: &mut S,
    ) -> Result<(), OutputError> {
        let stream = self.stream;
        let mut write = |bytes: &[u8]| sink.write(sequence, stream, bytes);
        let written = match &mut self.tag {
            Some(tag) => tag.pass(bytes, write),
            None => write(bytes),
        };
        match (stream, written) {
            // A closed standard error keeps no output from standard output.
            (Stream::Stderr, _) => Ok(()),
            (Stream::Stdout, written) => written.map_err(OutputError::of_stdout),
        }
    }
}

/// Sends what is copied from a spool; keeps the sink's own error apart from the spool's.
struct Pour<'a, S> {
    outlet: &'a mut Outlet,
    sequence: u64,
    sink: &'a mut S,
    failure: Option<OutputError>,
}

impl<S> Pour<'_, S> {
    fn result(self, copied: io::Result<()>) -> Result<(), OutputError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => copied.map_err(OutputError::Spill),
        }
    }
}

impl<S: OutputSink> Write for Pour<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.outlet.send(self.sequence, bytes, self.sink) {
            Ok(()) => Ok(bytes.len()),
            Err(failure) => {
                self.failure = Some(failure);
                Err(io::ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts tags into what is copied from one spool to another.
struct TagInto<'a> {
    tag: &'a mut LineTag,
    spool: Spool,
}

impl Write for TagInto<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tag.pass(bytes, |bytes| self.spool.push(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
