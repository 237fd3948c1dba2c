//! The token files of a machine: there while a host looks for them, and else out of its jobs' sight.
//!
//! They lie in directories of which some are on network file systems, and a file system whose server is gone lets nobody
//! return. So one thread of their own touches them, and whoever waits for it does so for a while at most.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::vm::agent::launcher::{Channel, LaunchRequest, Launcher};
use cos_core::vm::host::{HostFailure, Stage};
use cos_storage::PlantedToken;
use tokio::sync::oneshot;
use tokio::time::Sleep;

use crate::launcher::SshLauncher;

/// How long anything waits for a token to be removed (2 s): so long may a healthy network file system take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Planted tokens, and the hosts that may be looking for them.
#[derive(Debug)]
pub(super) struct Proofs {
    /// `None` where there is no token, or the machine is gone and none is to appear any more.
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    looking: BTreeSet<HostId>,
    orders: Sender<Order>,
}

/// What the thread of the tokens is to do. It says when it has, or lets the sender go.
enum Order {
    PutBack(oneshot::Sender<()>),
    TakeAway(oneshot::Sender<()>),
    /// Take away, and end.
    End(Sender<()>),
}

impl Proofs {
    /// # Errors
    ///
    /// When the operating system gives no thread.
    pub(super) fn new(tokens: Vec<PlantedToken>) -> io::Result<Self> {
        if tokens.is_empty() {
            return Ok(Self {
                state: Mutex::new(None),
            });
        }
        let (orders, inbox) = channel();
        std::thread::Builder::new()
            .name("cos-tokens".to_owned())
            .spawn(move || carry_out(&tokens, &inbox))?;
        let state = State {
            looking: BTreeSet::new(),
            orders,
        };
        Ok(Self {
            state: Mutex::new(Some(state)),
        })
    }

    /// A host is about to look. Returns when the tokens are there, which takes as long as their file systems do.
    async fn begin(&self, host: HostId) {
        let (done, is_done) = oneshot::channel();
        match &mut *self.state() {
            Some(state) => {
                state.looking.insert(host);
                // Without the thread nothing can be proven, which the host will say.
                let _ = state.orders.send(Order::PutBack(done));
            }
            None => return,
        }
        let _ = is_done.await;
    }

    /// A host has looked, or looks no more. If it was the last one, the removal of the tokens.
    pub(super) fn end(&self, host: HostId) -> Option<Removal> {
        let mut state = self.state();
        let state = state.as_mut()?;
        if !state.looking.remove(&host) || !state.looking.is_empty() {
            return None;
        }
        let (done, is_done) = oneshot::channel();
        let _ = state.orders.send(Order::TakeAway(done));
        Some(Removal {
            is_done,
            patience: Box::pin(tokio::time::sleep(PATIENCE)),
        })
    }

    /// The machine is gone. Returns when the tokens are, too, or after a while.
    pub(super) fn close(&self) {
        let Some(state) = self.state().take() else {
            return;
        };
        let (done, is_done) = channel();
        let _ = state.orders.send(Order::End(done));
        // One that stays is removed by the next run that starts there.
        let _ = is_done.recv_timeout(PATIENCE);
    }

    fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread of the tokens.
fn carry_out(tokens: &[PlantedToken], orders: &Receiver<Order>) {
    // Ends with the last sender, too: the machine was dropped.
    while let Ok(order) = orders.recv() {
        // Whoever gave the order may have lost patience.
        match order {
            Order::PutBack(done) => {
                each(tokens, "no token", PlantedToken::put_back);
                let _ = done.send(());
            }
            Order::TakeAway(done) => {
                each(tokens, "a token stays", PlantedToken::take_away);
                let _ = done.send(());
            }
            Order::End(done) => {
                each(tokens, "a token stays", PlantedToken::take_away);
                let _ = done.send(());
                return;
            }
        }
    }
}

fn each(tokens: &[PlantedToken], trouble: &str, act: fn(&PlantedToken) -> io::Result<()>) {
    for token in tokens {
        if let Err(error) = act(token) {
            // Where one is missing, the host will say that it has not found it.
            tracing::debug!(target: "cos::vm", path = %token.path().display(), %error, "{trouble}");
        }
    }
}

/// Ready when the tokens are removed, or after a while.
pub(super) struct Removal {
    is_done: oneshot::Receiver<()>,
    patience: Pin<Box<Sleep>>,
}

impl Future for Removal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.is_done).poll(context) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => self.patience.as_mut().poll(context),
        }
    }
}

/// Reaches a host by ssh, and sees to it that the tokens are there when the host is told of them.
pub(super) struct ProvingLauncher {
    pub(super) ssh: SshLauncher,
    pub(super) host: HostId,
    pub(super) proofs: std::sync::Arc<Proofs>,
}

impl Launcher for ProvingLauncher {
    fn launch<'a>(
        &'a mut self,
        request: LaunchRequest,
        report: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>> {
        Box::pin(async move {
            let channel = self.ssh.launch(request, report).await?;
            self.proofs.begin(self.host).await;
            Ok(channel)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_file_system_that_does_not_answer_is_waited_for_no_longer_than_that() {
        // A thread that hangs takes no order.
        let (orders, inbox) = channel();
        let looking = BTreeSet::from([HostId(0), HostId(1)]);
        let proofs = Proofs {
            state: Mutex::new(Some(State { looking, orders })),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            assert!(proofs.end(HostId(0)).is_none());
            let mut removal = proofs.end(HostId(1)).unwrap();
            let poll = poll_fn(|context| Poll::Ready(Pin::new(&mut removal).poll(context)));
            assert!(poll.await.is_pending());
            // The clock of this runtime jumps to the next deadline when nothing else is to be done.
            let since = tokio::time::Instant::now();
            removal.await;
            assert_eq!(since.elapsed().as_secs(), PATIENCE.as_secs());
        });
        assert!(matches!(inbox.try_recv(), Ok(Order::TakeAway(_))));
    }

    #[test]
    fn tokens_are_there_while_any_host_looks() {
        let directory = tempfile::tempdir().unwrap();
        let is_there = || std::fs::read_dir(directory.path()).unwrap().count() == 1;
        let token = PlantedToken::plant(directory.path(), directory.path()).unwrap();
        let proofs = Proofs::new(vec![token]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            for _ in 0..2 {
                proofs.begin(HostId(0)).await;
                proofs.begin(HostId(1)).await;
                assert!(proofs.end(HostId(0)).is_none());
                assert!(proofs.end(HostId(7)).is_none());
                assert!(is_there());
                proofs.end(HostId(1)).unwrap().await;
                assert!(!is_there());
            }
            proofs.begin(HostId(0)).await;
        });
        proofs.close();
        assert!(!is_there());
        runtime.block_on(proofs.begin(HostId(1)));
        assert!(!is_there());
    }
}
