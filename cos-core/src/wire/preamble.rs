//! Where the protocol begins: a line with a nonce, behind whatever a login shell's start-up files print.
//!
//! Every line that the bootstrap or the worker writes before the first frame begins with the nonce and a space.
//! Other lines are noise: they are counted, the first few are kept for the report, and they may be
//! [`NOISE_LIMIT`] bytes in all.

use thiserror::Error;

/// How many bytes of noise a login may print before the preamble is given up (64 KiB).
pub const NOISE_LIMIT: usize = 64 * 1024;

/// The longest line of the preamble itself (4 KiB).
pub const LINE_LIMIT: usize = 4 * 1024;

/// The word that ends the preamble: frames follow the line `NONCE frames`.
pub const FRAMES: &str = "frames";

/// Why no protocol was found.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PreambleError {
    /// More noise than [`NOISE_LIMIT`].
    #[error("the login printed more than {NOISE_LIMIT} bytes before the worker answered")]
    TooMuchNoise,
    /// A nonce line longer than [`LINE_LIMIT`].
    #[error("the bootstrap sent a line of more than {LINE_LIMIT} bytes")]
    LineTooLong,
}

/// Separates nonce lines from noise. Pure: bytes in, lines out.
#[derive(Debug)]
pub struct Preamble {
    marker: Vec<u8>,
    pending: Vec<u8>,
    noise_bytes: usize,
    noise_lines: u32,
    first_noise: Vec<u8>,
}

impl Preamble {
    /// Looks for lines that begin with `nonce` and a space.
    pub fn new(nonce: &str) -> Self {
        Self {
            marker: format!("{nonce} ").into_bytes(),
            pending: Vec::new(),
            noise_bytes: 0,
            noise_lines: 0,
            first_noise: Vec::new(),
        }
    }

    /// Appends bytes that were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The text behind the nonce of the next nonce line, or `None` until more bytes have come.
    ///
    /// A nonce is also found behind noise that did not end its line (`echo -n` in a start-up file).
    ///
    /// # Errors
    /// [`PreambleError`] when the limits are exceeded.
    pub fn next_line(&mut self) -> Result<Option<String>, PreambleError> {
        loop {
            let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
                return self.unfinished_line();
            };
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let line = &line[..end];
            match find(line, &self.marker) {
                Some(at) => {
                    self.count_noise(&line[..at])?;
                    let text = &line[at + self.marker.len()..];
                    if text.len() > LINE_LIMIT {
                        return Err(PreambleError::LineTooLong);
                    }
                    return Ok(Some(String::from_utf8_lossy(text).into_owned()));
                }
                None => self.count_noise(line)?,
            }
        }
    }

    fn unfinished_line(&self) -> Result<Option<String>, PreambleError> {
        match self.noise_bytes + self.pending.len() > NOISE_LIMIT + LINE_LIMIT {
            true => Err(PreambleError::TooMuchNoise),
            false => Ok(None),
        }
    }

    fn count_noise(&mut self, line: &[u8]) -> Result<(), PreambleError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        self.noise_bytes += line.len();
        self.noise_lines += 1;
        if self.first_noise.is_empty() {
            self.first_noise = line[..line.len().min(200)].to_vec();
        }
        match self.noise_bytes > NOISE_LIMIT {
            true => Err(PreambleError::TooMuchNoise),
            false => Ok(()),
        }
    }

    /// How many lines of noise were passed over.
    pub fn noise_lines(&self) -> u32 {
        self.noise_lines
    }

    /// The first of them, cut to 200 bytes, not yet escaped.
    pub fn first_noise(&self) -> String {
        String::from_utf8_lossy(&self.first_noise).into_owned()
    }

    /// What came behind the last line that was returned: after [`FRAMES`] the beginning of the first frame.
    pub fn into_rest(self) -> Vec<u8> {
        self.pending
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_counted_and_the_nonce_found() {
        let mut preamble = Preamble::new("n0nce");
        preamble.feed(b"Welcome to ws03\nQuota: 3%\n\nprompt> n0nce have x86_64\nn0nce fra");
        assert_eq!(
            preamble.next_line().unwrap().as_deref(),
            Some("have x86_64")
        );
        assert_eq!(preamble.next_line().unwrap(), None);
        preamble.feed(b"mes\n\x01\x02");
        assert_eq!(preamble.next_line().unwrap().as_deref(), Some(FRAMES));
        assert_eq!(preamble.noise_lines(), 3);
        assert_eq!(preamble.first_noise(), "Welcome to ws03");
        assert_eq!(preamble.into_rest(), [1, 2]);
    }

    #[test]
    fn endless_noise_is_refused() {
        let mut preamble = Preamble::new("n0nce");
        let mut result = Ok(None);
        for _ in 0..1000 {
            preamble.feed(&[b'x'; 100]);
            preamble.feed(b"\n");
            result = preamble.next_line();
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(PreambleError::TooMuchNoise));
        let mut preamble = Preamble::new("n0nce");
        preamble.feed(&vec![b'x'; NOISE_LIMIT + LINE_LIMIT + 1]);
        assert_eq!(preamble.next_line(), Err(PreambleError::TooMuchNoise));
    }
}
