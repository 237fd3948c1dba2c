//! Speaks with the bootstrap until the worker answers.

use std::future::Future;
use std::time::Duration;

use cos_core::vm::agent::opening::{Opening, OpeningError};
use cos_core::vm::host::{HostNote, Stage};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::failure::DeployFailure;
use super::said::Said;
use super::script::Script;
use super::worker::{Worker, Workers};

/// How long a host may take for its next line (30 s): start-up files on a slow network file system are among it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long a host may take to accept the next piece of a worker (30 s).
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// How long a host may take to answer when the whole worker is written (120 s): megabytes of it may still be on a
/// slow line, in buffers of ssh.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(120);

/// How much of a worker is written at once (64 KiB, what a pipe takes).
const PIECE: usize = 64 * 1024;

/// The most lines that a bootstrap has reason to say: a few for each of its six directories, and some.
const MOST_LINES: usize = 64;

/// A worker that has answered.
#[derive(Debug)]
pub(crate) struct Deployed {
    /// What came behind its answer.
    pub(crate) received: Vec<u8>,
    /// Bytes of worker that were sent.
    pub(crate) uploaded: u64,
    /// What was noticed on the way.
    pub(crate) notes: Vec<HostNote>,
}

/// The conversation so far.
struct Progress<'a> {
    workers: &'a Workers,
    target: Option<&'a str>,
    stage: Stage,
    machine: String,
    system: String,
    uploaded: u64,
    skipped: Vec<(String, String)>,
    notes: Vec<HostNote>,
}

/// Sends the script and answers its lines until the worker says that frames follow.
///
/// Nothing is written behind the script but a worker that was asked for: some hosts read ahead.
pub(crate) async fn converse<R, W>(
    nonce: &str,
    script: &Script,
    workers: &Workers,
    target: Option<&str>,
    reader: &mut R,
    writer: &mut W,
    report: &mut (dyn FnMut(Stage) + '_),
) -> Result<Deployed, DeployFailure>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut progress = Progress {
        workers,
        target,
        stage: Stage::Probing,
        machine: String::new(),
        system: String::new(),
        uploaded: 0,
        skipped: Vec::new(),
        notes: Vec::new(),
    };
    report(Stage::Probing);
    progress.write(writer, script.text.as_bytes()).await?;
    let mut opening = Opening::new(nonce);
    let mut patience = ANSWER_LIMIT;
    for _ in 0..MOST_LINES {
        let line = progress
            .in_time(patience, opening.next_line(reader))
            .await?
            .map_err(|error| progress.broken(error, &opening))?;
        patience = ANSWER_LIMIT;
        let said = Said::parse(&line).ok_or_else(|| DeployFailure::Garbled {
            cause: format!("it said: {line}"),
        })?;
        match said {
            Said::Frames => {
                let mut notes = progress.notes;
                notes.extend(opening.noise());
                return Ok(Deployed {
                    received: opening.into_rest(),
                    uploaded: progress.uploaded,
                    notes,
                });
            }
            Said::Upload { .. } => {
                progress.upload(writer, report).await?;
                patience = ARRIVAL_LIMIT;
            }
            Said::Run { .. } => {
                progress.stage = Stage::Starting;
                report(Stage::Starting);
            }
            other => progress.note(other)?,
        }
    }
    Err(DeployFailure::Garbled {
        cause: format!("it said more than {MOST_LINES} lines"),
    })
}

impl Progress<'_> {
    /// Takes notice of a line that needs no answer.
    fn note(&mut self, said: Said) -> Result<(), DeployFailure> {
        match said {
            Said::System { system, machine } => {
                self.system = system;
                self.machine = machine;
            }
            Said::Skip { directory, cause } => {
                self.notes.push(HostNote::DirectorySkipped {
                    path: directory.clone(),
                    cause: cause.clone(),
                });
                self.skipped.push((directory, cause));
            }
            Said::Corrupt { file } => self.notes.push(HostNote::Redeployed { path: file }),
            Said::NoWorker => {
                return Err(match self.target {
                    Some(target) if self.workers.for_target(target).is_none() => {
                        DeployFailure::NoWorkerForTarget {
                            target: target.to_owned(),
                        }
                    }
                    _ => DeployFailure::NoWorker {
                        system: self.system.clone(),
                        machine: self.machine.clone(),
                    },
                });
            }
            Said::NoVerifier => return Err(DeployFailure::NoVerifier),
            Said::NoDirectory => {
                return Err(DeployFailure::NoDirectory {
                    tried: std::mem::take(&mut self.skipped),
                });
            }
            Said::Refused { status, cause } => {
                let worker = self.chosen();
                return Err(DeployFailure::Refused {
                    machine: self.machine.clone(),
                    target: worker.map_or("another machine", Worker::target).to_owned(),
                    status,
                    cause,
                });
            }
            Said::Upload { .. } | Said::Run { .. } | Said::Frames => {}
        }
        Ok(())
    }

    /// The worker that the script has chosen: it follows from what it was given and the host's machine.
    fn chosen(&self) -> Option<&Worker> {
        match self.target {
            Some(target) => self.workers.for_target(target),
            None => self.workers.for_machine(&self.machine),
        }
    }

    async fn upload<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        report: &mut (dyn FnMut(Stage) + '_),
    ) -> Result<(), DeployFailure> {
        let Some(worker) = self.chosen().cloned() else {
            return Err(DeployFailure::Garbled {
                cause: "it asked for a worker that there is not".to_owned(),
            });
        };
        let bytes = worker.bytes().len() as u64;
        self.stage = Stage::Uploading { bytes };
        report(self.stage.clone());
        self.write(writer, worker.bytes()).await?;
        self.uploaded += bytes;
        Ok(())
    }

    async fn write<W: AsyncWrite + Unpin>(
        &self,
        writer: &mut W,
        bytes: &[u8],
    ) -> Result<(), DeployFailure> {
        for piece in bytes.chunks(PIECE) {
            let written = self.in_time(STALL_LIMIT, writer.write_all(piece)).await?;
            if written.is_err() {
                // The reader will find the end of the stream, and what was said before it.
                return Ok(());
            }
        }
        Ok(())
    }

    async fn in_time<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, DeployFailure> {
        timeout(limit, future)
            .await
            .map_err(|_| DeployFailure::Silent {
                stage: self.stage.clone(),
                seconds: limit.as_secs(),
            })
    }

    fn broken(&self, error: OpeningError, opening: &Opening) -> DeployFailure {
        match error {
            // An account without a shell says so on standard output.
            OpeningError::Ended => DeployFailure::Ended {
                stage: self.stage.clone(),
                words: match opening.noise() {
                    Some(HostNote::IgnoredLines { first, .. }) => first,
                    _ => String::new(),
                },
            },
            OpeningError::Preamble(error) => DeployFailure::Garbled {
                cause: error.to_string(),
            },
        }
    }
}
