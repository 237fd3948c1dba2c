//! How many connections are begun at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// How many hosts may be at the beginning of their connection (16): each costs this machine the better part of a
/// second of key exchange.
const AT_ONCE: usize = 16;

/// How long a connection counts as beginning (1 s). A host that does not answer makes no work, and nobody wait.
const BEGINNING: Duration = Duration::from_secs(1);

/// Connections begin within this time at random (100 ms), or a common jump host would see them all at one moment and
/// refuse some.
const SPREAD: Duration = Duration::from_millis(100);

/// Lets connections begin a few at a time, however many hosts there are.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    spread: Duration,
}

impl Admission {
    /// For so many hosts; a few need no order.
    pub fn new(hosts: usize) -> Self {
        let spread = if hosts > 4 { SPREAD } else { Duration::ZERO };
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            spread,
        }
    }

    /// Waits for a place and then runs `connect`, which gives the place back after a while.
    pub(crate) async fn admit<F: Future>(&self, connect: F) -> F::Output {
        tokio::time::sleep(self.spread.mul_f64(fastrand::f64())).await;
        // Nobody closes the semaphore; a place that cannot be had is not needed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        tokio::pin!(connect);
        tokio::select! {
            output = &mut connect => return output,
            () = tokio::time::sleep(BEGINNING) => drop(place),
        }
        connect.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hosts_that_never_answer_hold_up_nobody() {
        let admission = Arc::new(Admission::new(100));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..5 * AT_ONCE {
            let admission = Arc::clone(&admission);
            waiting.spawn(async move { admission.admit(std::future::pending::<()>()).await });
        }
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        admission.admit(std::future::ready(())).await;
        let waited = begun.elapsed();
        assert!(waited <= 5 * BEGINNING + SPREAD, "{waited:?}");
        assert_eq!(waiting.len(), 5 * AT_ONCE);
    }
}
