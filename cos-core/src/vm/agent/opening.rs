//! Reads a channel's preamble: what the bootstrap or the worker says before the first frame.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::vm::host::HostNote;
use crate::wire::preamble::{Preamble, PreambleError};

/// Reads nonce lines from a stream, and at last gives back what follows them.
#[derive(Debug)]
pub struct Opening {
    preamble: Preamble,
}

/// Why no further line of a preamble can be read.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The stream ended or failed; the transport knows why.
    #[error("the stream ended before the worker answered")]
    Ended,
    /// Too much was printed.
    #[error(transparent)]
    Preamble(#[from] PreambleError),
}

impl Opening {
    /// Waits for lines that begin with `nonce` and a space.
    pub fn new(nonce: &str) -> Self {
        Self {
            preamble: Preamble::new(nonce),
        }
    }

    /// The text behind the nonce of the next nonce line. Cancel safe.
    ///
    /// # Errors
    /// [`OpeningError`].
    pub async fn next_line<R: AsyncRead + Unpin + ?Sized>(
        &mut self,
        reader: &mut R,
    ) -> Result<String, OpeningError> {
        let mut piece = [0; 4096];
        loop {
            if let Some(line) = self.preamble.next_line()? {
                return Ok(line);
            }
            match reader.read(&mut piece).await {
                Ok(0) | Err(_) => return Err(OpeningError::Ended),
                Ok(count) => self.preamble.feed(&piece[..count]),
            }
        }
    }

    /// The note about printed lines, where there were any.
    pub fn noise(&self) -> Option<HostNote> {
        let lines = self.preamble.noise_lines();
        let first = self.preamble.first_noise();
        (lines > 0).then_some(HostNote::IgnoredLines { lines, first })
    }

    /// The bytes that were read behind the last line.
    pub fn into_rest(self) -> Vec<u8> {
        self.preamble.into_rest()
    }
}

/// A fresh nonce: 128 random bits as 32 hexadecimal digits. It separates, it does not authenticate.
pub fn nonce() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}
