//! Reaches a host by ssh and starts an agent there: connection, deployment, channel.

use std::future::Future;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cos_core::vm::agent::launcher::{Channel, LaunchRequest, Launcher, Transport};
use cos_core::vm::agent::opening::nonce;
use cos_core::vm::host::{HostFailure, Stage};
use tokio::process::Command;

use crate::deploy::{DeployFailure, Script, ScriptParts, Workers, converse};
use crate::session::{self, Admission, ControlDirectory, Master, Reach, Streams};
use crate::ssh::{AgentKeys, Circumstances, Diagnosis, Ending, SshFailure, diagnose};

/// How long sshd may take to open the channel of a connection that has just come up (30 s).
const CHANNEL_LIMIT: Duration = Duration::from_secs(30);

/// How long `ssh-add -l` may take (3 s); it is asked for a better hint only.
const AGENT_LIMIT: Duration = Duration::from_secs(3);

/// How long a login that has ended may take to say why (2 s).
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Launches agents on one host over ssh.
#[derive(Clone, Debug)]
pub struct SshLauncher {
    reach: Reach,
    target: Option<String>,
    storage: Option<String>,
    workers: Arc<Workers>,
    control: Arc<ControlDirectory>,
    admission: Option<Arc<Admission>>,
}

impl SshLauncher {
    /// A launcher for the host of `reach`.
    ///
    /// The worker is chosen by what the host says it is.
    pub fn new(reach: Reach, workers: Arc<Workers>, control: Arc<ControlDirectory>) -> Self {
        Self {
            reach,
            target: None,
            storage: None,
            workers,
            control,
            admission: None,
        }
    }

    /// Uses the worker for this target, whatever the host says it is.
    #[must_use]
    pub fn target(mut self, target: Option<String>) -> Self {
        self.target = target;
        self
    }

    /// A further directory for the worker, tried behind those in the home directory; `{user}` stands for the login
    /// name.
    #[must_use]
    pub fn storage(mut self, directory: Option<String>) -> Self {
        self.storage = directory;
        self
    }

    /// Begins connections in turn with the other launchers that were given the same.
    #[must_use]
    pub fn admission(mut self, admission: Arc<Admission>) -> Self {
        self.admission = Some(admission);
        self
    }

    async fn connect(&self) -> Result<Master, Diagnosis> {
        let connect = Master::connect(&self.reach, Arc::clone(&self.control));
        match &self.admission {
            Some(admission) => admission.admit(connect).await,
            None => connect.await,
        }
    }

    async fn connect_and_deploy(
        &self,
        request: &LaunchRequest,
        report: &mut (dyn FnMut(Stage) + '_),
    ) -> Result<Channel, HostFailure> {
        report(Stage::Connecting);
        let nonce = nonce();
        let script = Script::new(&ScriptParts {
            nonce: &nonce,
            run: &request.run,
            host: &request.host,
            target: self.target.as_deref(),
            storage: self.storage.as_deref(),
            workers: &self.workers,
        });
        tracing::debug!(target: "cos::vm", reach = ?self.reach, "{}: connecting", request.host);
        let opened = match self.connect().await {
            Ok(master) => {
                tracing::debug!(target: "cos::vm", "{}: logged in, opening a channel", request.host);
                let open = session::Channel::open(master, &script.login_command);
                tokio::time::timeout(CHANNEL_LIMIT, open)
                    .await
                    .unwrap_or_else(|_| Err(diagnose(Ending::TimedOut(CHANNEL_LIMIT), b"")))
            }
            Err(diagnosis) => Err(diagnosis),
        };
        let Streams {
            channel,
            stdin: mut writer,
            stdout: mut reader,
        } = match opened {
            Ok(streams) => streams,
            Err(diagnosis) => {
                tracing::debug!(target: "cos::vm", ?diagnosis, "{}: not connected", request.host);
                return Err(self.not_connected(&diagnosis).await);
            }
        };
        let conversation = converse(
            &nonce,
            &script,
            &self.workers,
            self.target.as_deref(),
            &mut reader,
            &mut writer,
            report,
        );
        let conversed = conversation.await;
        tracing::debug!(target: "cos::vm", ended = ?conversed.as_ref().map(|deployed| deployed.uploaded), "{}: conversation over", request.host);
        match conversed {
            Ok(deployed) => Ok(Channel {
                reader: Box::new(reader),
                writer: Box::new(writer),
                received: deployed.received,
                uploaded: deployed.uploaded,
                notes: deployed.notes,
                transport: Box::new(SshTransport { channel }),
            }),
            Err(failure) => Err(self.not_deployed(failure, channel, request).await),
        }
    }

    async fn not_deployed(
        &self,
        mut failure: DeployFailure,
        mut channel: session::Channel,
        request: &LaunchRequest,
    ) -> HostFailure {
        if let DeployFailure::Ended { stage, words } = &mut failure {
            let last = tokio::time::timeout(LAST_WORDS, channel.last_words()).await;
            let cause = format!("{words}\n{}", last.unwrap_or_default());
            *words = cause.trim().to_owned();
            if !channel.is_connected() {
                let lost = Diagnosis {
                    failure: SshFailure::ConnectionLost,
                    on_the_way: false,
                    cause: diagnose(Ending::Exited(255), words.as_bytes()).cause,
                };
                return lost.host_failure(stage.clone(), &self.circumstances(AgentKeys::NoAgent));
            }
        }
        failure.host_failure(&request.host, &self.workers)
    }

    async fn not_connected(&self, diagnosis: &Diagnosis) -> HostFailure {
        let keys = match diagnosis.failure {
            SshFailure::PermissionDenied { .. } => agent_keys().await,
            _ => AgentKeys::NoAgent,
        };
        diagnosis.host_failure(Stage::Connecting, &self.circumstances(keys))
    }

    fn circumstances(&self, keys: AgentKeys) -> Circumstances<'_> {
        Circumstances {
            host: &self.reach.host,
            ssh_config: self.reach.ssh_config.as_deref(),
            connect_timeout: self.reach.connect_timeout,
            keys,
        }
    }
}

impl Launcher for SshLauncher {
    fn launch<'a>(
        &'a mut self,
        request: LaunchRequest,
        report: &'a mut (dyn FnMut(Stage) + 'a),
    ) -> Pin<Box<dyn Future<Output = Result<Channel, HostFailure>> + 'a>> {
        Box::pin(async move { self.connect_and_deploy(&request, report).await })
    }
}

/// What the user's ssh agent holds.
async fn agent_keys() -> AgentKeys {
    let status = Command::new("ssh-add")
        .arg("-l")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match tokio::time::timeout(AGENT_LIMIT, status).await {
        Ok(Ok(status)) => AgentKeys::from_exit_code(status.code()),
        _ => AgentKeys::NoAgent,
    }
}

/// The ssh connection behind a channel.
struct SshTransport {
    channel: session::Channel,
}

impl Transport for SshTransport {
    fn ended<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
        Box::pin(self.channel.last_words())
    }
}
