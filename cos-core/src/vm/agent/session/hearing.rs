//! What a session does with what the agent says.

use std::sync::Arc;
use std::time::Duration;

use super::{ACKNOWLEDGE_AFTER, Break, Phase, Session, SessionEnd, protocol};
use crate::clock;
use crate::ids::AttemptId;
use crate::job::Stream;
use crate::time::Time;
use crate::vm::VmEvent;
use crate::vm::agent::loss;
use crate::vm::host::{HostInfo, HostLoss, HostNote, Stage};
use crate::wire::PROTOCOL_VERSION;
use crate::wire::frame::Frame;
use crate::wire::link::Received;
use crate::wire::message::{
    AgentHello, DirectoryReport, Envelope, FromAgent, HostReport, PrepareError, ToAgent,
};

impl Session<'_> {
    /// Acts on every whole frame that was read.
    pub(super) fn act_on_frames(&mut self) -> Result<Option<SessionEnd>, Break> {
        while let Some(frame) = self
            .frames
            .next_frame::<Envelope<FromAgent>>()
            .map_err(protocol)?
        {
            let Frame {
                header:
                    Envelope {
                        sequence,
                        acknowledged,
                        message,
                    },
                payload,
            } = frame;
            let received = self
                .link
                .receive(sequence, acknowledged)
                .map_err(protocol)?;
            if received == Received::Duplicate {
                continue;
            }
            if let Some(end) = self.act_on(message, payload)? {
                return Ok(Some(end));
            }
        }
        if self.link.untold() >= ACKNOWLEDGE_AFTER {
            self.say_unnumbered(ToAgent::Acknowledge)?;
        }
        Ok(None)
    }

    fn act_on(
        &mut self,
        message: FromAgent,
        payload: bytes::Bytes,
    ) -> Result<Option<SessionEnd>, Break> {
        let host = self.host;
        match message {
            FromAgent::Hello(hello) => return self.greeted(hello),
            FromAgent::Heartbeat {
                stamp,
                load_hundredths,
                running,
            } => {
                self.heartbeat(stamp, load_hundredths, running);
            }
            FromAgent::Acknowledge => {}
            FromAgent::Prepared(result) => return self.prepared(*result),
            FromAgent::Started { attempt, slot } => {
                self.staging.release_inputs(attempt);
                self.emit(VmEvent::Started {
                    host,
                    attempt,
                    slot,
                });
            }
            FromAgent::Lent { attempt } => self.emit(VmEvent::Lent { host, attempt }),
            FromAgent::Wanted { attempt } => self.emit(VmEvent::Wanted { host, attempt }),
            FromAgent::Told { attempt } => self.emit(VmEvent::Told {
                host,
                attempt,
                bytes: payload,
            }),
            FromAgent::Output { attempt, stream } => self.output(attempt, stream, payload)?,
            FromAgent::Value { attempt } => self.value(attempt, &payload)?,
            FromAgent::ArgumentsWanted { attempt, bytes } => self.send_arguments(attempt, bytes)?,
            FromAgent::Ended { attempt, result } => {
                let result = self.finish(attempt, result)?;
                if let Some(result) = self.staging.ended(attempt, result) {
                    self.emit(VmEvent::Ended {
                        host,
                        attempt,
                        result,
                    });
                }
            }
            FromAgent::Staging(message) => self.hear_staging(message, &payload)?,
            FromAgent::Returned { attempt } => {
                self.forget(attempt);
                self.staging.returned(attempt);
                self.emit(VmEvent::Returned { host, attempt });
            }
            FromAgent::Note(note) => {
                self.emit(VmEvent::Note {
                    host,
                    note: HostNote::Agent(note),
                });
            }
            FromAgent::Leaving { signal } => self.phase = Phase::Leaving { signal },
            FromAgent::Bye { left } => return Ok(Some(self.goodbye(left))),
        }
        Ok(None)
    }

    fn output(
        &mut self,
        attempt: AttemptId,
        stream: Stream,
        bytes: bytes::Bytes,
    ) -> Result<(), Break> {
        if !self.take_from_window(attempt, bytes.len())? {
            return Ok(());
        }
        let host = self.host;
        self.emit(VmEvent::Output {
            host,
            attempt,
            stream,
            bytes,
        });
        Ok(())
    }

    /// Takes what came of an attempt from what was granted to it. False for one that was not started here, or has ended:
    /// nothing of it is wanted.
    pub(super) fn take_from_window(
        &mut self,
        attempt: AttemptId,
        bytes: usize,
    ) -> Result<bool, Break> {
        let Some(window) = self.windows.get_mut(&attempt) else {
            return Ok(false);
        };
        *window = window.checked_sub(bytes as u64).ok_or_else(|| {
            protocol(format!(
                "protocol error: more output of {attempt} than was granted"
            ))
        })?;
        Ok(true)
    }

    fn greeted(&mut self, hello: AgentHello) -> Result<Option<SessionEnd>, Break> {
        if !matches!(self.phase, Phase::Greeting) {
            return Err(protocol("protocol error: a second hello"));
        }
        if hello.protocol != PROTOCOL_VERSION {
            return Ok(Some(SessionEnd::Failed(loss::of_version(
                self.name, &hello,
            ))));
        }
        self.phase = Phase::Preparing {
            release: hello.release,
        };
        self.emit(VmEvent::Stage {
            host: self.host,
            stage: Stage::Preparing,
        });
        Ok(None)
    }

    fn prepared(
        &mut self,
        result: Result<HostReport, PrepareError>,
    ) -> Result<Option<SessionEnd>, Break> {
        let release = match &mut self.phase {
            Phase::Preparing { release } => std::mem::take(release),
            Phase::Closing { .. } | Phase::Leaving { .. } => return Ok(None),
            Phase::Greeting | Phase::Up { .. } => {
                return Err(protocol("protocol error: a report that was not asked for"));
            }
        };
        let report = match result {
            Ok(report) => report,
            Err(error) => {
                return Ok(Some(SessionEnd::Failed(loss::of_preparation(
                    self.name, error,
                ))));
            }
        };
        self.phase = Phase::Up {
            cores: report.cores.max(1),
            shares_directory: matches!(report.directory, DirectoryReport::Shared { .. }),
        };
        let info = HostInfo {
            name: self.preparation.host.clone(),
            report,
            release,
            uploaded: self.uploaded,
            start_time: clock::now().since(self.began),
            round_trip: self.round_trip.unwrap_or_default(),
        };
        self.emit(VmEvent::Up {
            host: self.host,
            info: Arc::new(info),
        });
        Ok(None)
    }

    fn heartbeat(&mut self, stamp: Option<u64>, load_hundredths: u32, running: u32) {
        let host = self.host;
        if let Some(stamp) = stamp {
            let duration = clock::now().since(Time::from_boot(Duration::from_nanos(stamp)));
            self.round_trip = Some(duration);
            self.emit(VmEvent::RoundTrip { host, duration });
        }
        if let Phase::Up { cores, .. } = self.phase {
            let others = f64::from(load_hundredths) / 100.0 - f64::from(running);
            let others_per_core = others.max(0.0) / f64::from(cores);
            self.emit(VmEvent::Load {
                host,
                others_per_core,
            });
        }
    }

    fn goodbye(&mut self, left: Vec<String>) -> SessionEnd {
        match self.phase {
            Phase::Leaving { signal } => self.lost(HostLoss::Left { signal }),
            Phase::Closing { .. } => SessionEnd::Closed { left },
            _ => self.lost(HostLoss::AgentDied {
                cause: "it ended of its own accord".to_owned(),
            }),
        }
    }
}
