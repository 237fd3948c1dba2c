//! The thread that all sessions of a machine live on.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::AgentHost;
use super::host_task::HostTask;
use super::outbox::{Outbox, Queued};
use super::staging::Depot;
use crate::ids::HostId;
use crate::vm::{VmCommand, VmEvent};

/// The handle of the thread, held by the machine.
pub(super) struct IoThread {
    commands: Vec<mpsc::UnboundedSender<VmCommand>>,
    stop: Option<oneshot::Sender<Duration>>,
    thread: Option<JoinHandle<()>>,
}

impl IoThread {
    pub(super) fn start(
        hosts: Vec<AgentHost>,
        events: mpsc::UnboundedSender<Queued>,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (mut commands, mut tasks, mut outboxes) = (Vec::new(), Vec::new(), Vec::new());
        let depot = Depot::default();
        for (position, host) in hosts.into_iter().enumerate() {
            let id = HostId(u32::try_from(position).map_err(io::Error::other)?);
            let (sender, receiver) = mpsc::unbounded_channel();
            commands.push(sender);
            let outbox = Outbox::new(events.clone());
            outboxes.push(outbox.clone());
            tasks.push(HostTask::new(id, host, receiver, outbox, depot.clone()));
        }
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("cos-io".to_owned())
            .spawn(move || {
                let local = LocalSet::new();
                local.block_on(&runtime, run_hosts(tasks, outboxes, stopped));
            })?;
        Ok(Self {
            commands,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub(super) fn submit(&mut self, command: VmCommand) {
        let position = command.host().0 as usize;
        if let Some(sender) = self.commands.get(position) {
            // A closed channel means that the machine was shut down; the command has no meaning any more.
            let _ = sender.send(command);
        }
    }

    pub(super) fn shutdown(&mut self, grace: Duration, limit: Duration) {
        for (position, sender) in self.commands.drain(..).enumerate() {
            let host = HostId(position as u32);
            let _ = sender.send(VmCommand::Disconnect { host, grace });
        }
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(limit);
        }
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        self.commands.clear();
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It ends as soon as it sees the closed channels: nothing on it blocks.
            let _ = thread.join();
        }
    }
}

/// Drives every host until all have ended, the limit of a shutdown has passed, or the machine was dropped.
async fn run_hosts(
    tasks: Vec<HostTask>,
    outboxes: Vec<Outbox>,
    mut stop: oneshot::Receiver<Duration>,
) {
    let mut open: Vec<bool> = vec![true; tasks.len()];
    let mut running = JoinSet::new();
    for task in tasks {
        running.spawn_local(task.run());
    }
    let mut deadline: Option<Instant> = None;
    loop {
        let wait = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = running.join_next() => match ended {
                None => return,
                Some(Ok(host)) => open[host.0 as usize] = false,
                Some(Err(error)) => tracing::error!(target: "cos::vm", %error, "a host's task ended badly"),
            },
            limit = &mut stop, if deadline.is_none() => match limit {
                Ok(limit) => deadline = Some(Instant::now() + limit),
                // Dropped without a shutdown: closing the channels ends everything.
                Err(_) => return,
            },
            () = wait => break,
        }
    }
    for (position, outbox) in outboxes
        .iter()
        .enumerate()
        .filter(|(position, _)| open[*position])
    {
        let host = HostId(position as u32);
        let left = vec![
            "it did not answer; its agent ends what runs there when its lease is over".to_owned(),
        ];
        outbox.send(VmEvent::Closed { host, left });
    }
}
