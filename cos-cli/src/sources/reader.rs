//! Reads job inputs on a thread of its own, where waiting for standard input holds up nothing else.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;

use super::{JobInputs, Row, SourceError};

/// Rows read ahead. Lists shorter than this are known to their end at once, so that the display has a total.
const READ_AHEAD: usize = 2048;

/// How long an empty input may take to be known as such before hosts are reached.
const SOON: Duration = Duration::from_millis(200);

/// A stream of job inputs, read ahead by a bounded number of rows.
///
/// Dropping it ends its thread at the next row; a thread that waits for standard input stays until the process ends.
#[derive(Debug)]
pub struct InputReader {
    rows: mpsc::Receiver<Result<Row, SourceError>>,
    /// A row that was looked at and not yet taken.
    peeked: Option<Result<Row, SourceError>>,
    total: Arc<OnceLock<u64>>,
}

impl InputReader {
    /// Starts to read.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn spawn(inputs: JobInputs) -> io::Result<Self> {
        let (sender, rows) = mpsc::channel(READ_AHEAD);
        let total = Arc::new(OnceLock::new());
        if let Some(known) = inputs.total_hint() {
            let _ = total.set(known);
        }
        let counted = Arc::clone(&total);
        std::thread::Builder::new()
            .name("cos-input".to_owned())
            .spawn(move || {
                let mut count = 0;
                for row in inputs {
                    count += u64::from(row.is_ok());
                    if sender.blocking_send(row).is_err() {
                        return;
                    }
                }
                let _ = counted.set(count);
            })?;
        Ok(Self {
            rows,
            peeked: None,
            total,
        })
    }

    /// The next row; `None` at the end. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Row, SourceError>> {
        match self.peeked.take() {
            Some(row) => Some(row),
            None => self.rows.recv().await,
        }
    }

    /// Whether the input ends before its first row and says so soon. An input that takes longer to begin is taken to
    /// have rows.
    pub async fn is_empty_soon(&mut self) -> bool {
        match tokio::time::timeout(SOON, self.next()).await {
            Ok(None) => true,
            Ok(row) => {
                self.peeked = row;
                false
            }
            Err(_) => false,
        }
    }

    /// The error that stands before the first row, if [`is_empty_soon`](Self::is_empty_soon) has met one.
    pub fn take_early_failure(&mut self) -> Option<SourceError> {
        match self.peeked.take() {
            Some(Err(error)) => Some(error),
            row => {
                self.peeked = row;
                None
            }
        }
    }

    /// How many rows there are in all, once that is known: at once for arguments, else when the input was read to its end,
    /// which may be long before its last job starts.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total.get().copied()
    }

    /// The same, to be asked while somebody else reads.
    #[must_use]
    pub fn total_handle(&self) -> Arc<OnceLock<u64>> {
        Arc::clone(&self.total)
    }
}

impl Stream for InputReader {
    type Item = Result<Row, SourceError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.peeked.take() {
            Some(row) => Poll::Ready(Some(row)),
            None => self.rows.poll_recv(context),
        }
    }
}
