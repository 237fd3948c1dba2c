//! The token files of a machine: there while a host looks for them, and else out of its jobs' sight.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cos_core::ids::HostId;
use cos_core::vm::agent::launcher::{Channel, LaunchRequest, Launcher};
use cos_core::vm::host::{HostFailure, Stage};
use cos_storage::PlantedToken;

use crate::launcher::SshLauncher;

/// Planted tokens, and the hosts that may be looking for them.
#[derive(Debug)]
pub(super) struct Proofs {
    tokens: Vec<PlantedToken>,
    /// `None` when the machine is gone, and no token is to appear any more.
    looking: Mutex<Option<BTreeSet<HostId>>>,
}

impl Proofs {
    pub(super) fn new(tokens: Vec<PlantedToken>) -> Self {
        Self {
            tokens,
            looking: Mutex::new(Some(BTreeSet::new())),
        }
    }

    /// A host is about to look. Returns when the tokens are there; it may block as long as their file systems do.
    fn begin(&self, host: HostId) {
        let mut looking = self.looking();
        let Some(hosts) = &mut *looking else {
            return;
        };
        if hosts.is_empty() {
            for token in &self.tokens {
                if let Err(error) = token.put_back() {
                    // The host will say that it has not found it.
                    tracing::debug!(target: "cos::vm", path = %token.path().display(), %error, "no token");
                }
            }
        }
        hosts.insert(host);
    }

    /// A host has looked, or looks no more.
    pub(super) fn end(&self, host: HostId) {
        let mut looking = self.looking();
        if let Some(hosts) = &mut *looking
            && hosts.remove(&host)
            && hosts.is_empty()
        {
            self.take_away();
        }
    }

    /// The machine is gone.
    pub(super) fn close(&self) {
        *self.looking() = None;
        self.take_away();
    }

    fn take_away(&self) {
        for token in &self.tokens {
            if let Err(error) = token.take_away() {
                tracing::debug!(target: "cos::vm", path = %token.path().display(), %error, "a token stays");
            }
        }
    }

    fn looking(&self) -> MutexGuard<'_, Option<BTreeSet<HostId>>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reaches a host by ssh, and sees to it that the tokens are there when the host is told of them.
pub(super) struct ProvingLauncher {
    pub(super) ssh: SshLauncher,
    pub(super) host: HostId,
    pub(super) proofs: Arc<Proofs>,
}

impl Launcher for ProvingLauncher {
    fn launch<'a>(
        &'a mut self,
        request: LaunchRequest,
        report: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>> {
        Box::pin(async move {
            let channel = self.ssh.launch(request, report).await?;
            if !self.proofs.tokens.is_empty() {
                let (proofs, host) = (Arc::clone(&self.proofs), self.host);
                // It cannot be cancelled and does not panic; without a token the host says what it has not found.
                let _ = tokio::task::spawn_blocking(move || proofs.begin(host)).await;
            }
            Ok(channel)
        })
    }
}
