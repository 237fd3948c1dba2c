//! What a program writes to its standard error: only its end is kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

/// How many bytes are kept (16 KiB): the reason for an end comes last.
const KEPT: usize = 16 * 1024;

/// How long the rest is waited for when the program itself has ended (0.5 s): a child of it may hold the stream open.
const REST: Duration = Duration::from_millis(500);

/// The last words on one stream, collected by a task of their own so that the writer never waits.
#[derive(Debug)]
pub(crate) struct LastWords {
    words: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl LastWords {
    /// Begins to read `stream`, within a tokio runtime.
    pub(crate) fn of<R: AsyncRead + Send + Unpin + 'static>(mut stream: R) -> Self {
        let words = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&words);
        let reader = tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut piece).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..count]);
                let surplus = kept.len().saturating_sub(KEPT);
                kept.drain(..surplus);
            }
        });
        Self { words, reader }
    }

    /// What was said until now.
    pub(crate) fn so_far(&self) -> Vec<u8> {
        let words = self.words.lock();
        words.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was said in the end, once the program has ended.
    pub(crate) async fn all(&mut self) -> Vec<u8> {
        if !self.reader.is_finished() {
            // What has not come by now is not waited for.
            let _ = tokio::time::timeout(REST, &mut self.reader).await;
        }
        self.so_far()
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_flood_is_kept() {
        let mut flood = vec![b'x'; 10 * KEPT];
        flood.extend_from_slice(b"the end");
        let mut words = LastWords::of(std::io::Cursor::new(flood));
        let words = words.all().await;
        assert_eq!(words.len(), KEPT);
        assert!(words.ends_with(b"xthe end"));
    }
}
