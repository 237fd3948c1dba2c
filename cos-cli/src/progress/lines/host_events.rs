//! What is said about hosts.

use std::time::Duration;

use cos_core::event::{PauseCause, RunEvent, Stamped};
use cos_core::ids::HostId;
use cos_core::job::Exit;
use cos_core::vm::host::{FailureKind, HostFailure, HostInfo, HostLoss, HostNote};
use cos_core::wire::message::{AgentNote, DirectoryReport, Swept};

use super::gathered::Noise;
use super::{Once, Reporter, Statement, Trouble, message};
use crate::message::Message;
use crate::progress::format::{Amount, Bytes, Coarse, Fine};
use crate::progress::model::{HostState, RunView, host_of};

/// From this silence on a host is worth a line; shorter ones are a network's everyday.
const SILENCE_TOLD: Duration = Duration::from_secs(10);

impl Reporter {
    pub(super) fn report_host(&mut self, stamped: &Stamped, view: &RunView) -> Vec<Statement> {
        let Some(host) = host_of(&stamped.event) else {
            return Vec::new();
        };
        let name = view
            .host(host)
            .map_or_else(|| format!("host {host}"), |host| host.name.clone());
        match &stamped.event {
            RunEvent::HostUp { info, .. } => self.came_up(host, &name, info, view),
            RunEvent::HostFailed {
                failure, retry_in, ..
            } => self.failed(host, failure, *retry_in, view),
            RunEvent::HostLost {
                loss,
                requeued,
                retry_in,
                ..
            } => {
                self.troubles.insert(host, Trouble::Lost);
                message(lost(&name, loss, *requeued, *retry_in))
            }
            RunEvent::HostSilent {
                silent_for,
                lost_in,
                ..
            } => self.silent(host, &name, *silent_for, *lost_in, view),
            RunEvent::HostLeftOut { exit, .. } => self.left_out(host, &name, *exit, view),
            RunEvent::HostPaused {
                cause: PauseCause::FailsFast { failures },
                ..
            } => {
                self.troubles.insert(host, Trouble::Paused);
                message(Message::warning(format_args!(
                    "{name} is paused: it failed {} in a row while other hosts succeed",
                    Amount(u64::from(*failures), "job"),
                )))
            }
            RunEvent::HostPaused {
                cause:
                    PauseCause::Load {
                        others_per_core,
                        limit,
                    },
                ..
            } if self.is_verbose() => {
                self.troubles.insert(host, Trouble::Paused);
                message(Message::note(format_args!(
                    "{name} is paused: the load of others is {others_per_core:.2} per core, max_load is {limit}"
                )))
            }
            RunEvent::HostResumed { .. } => match self.troubles.remove(&host) {
                Some(Trouble::Paused) => {
                    message(Message::note(format_args!("{name} takes jobs again")))
                }
                _ => Vec::new(),
            },
            RunEvent::HostNote { note, .. } => self.noted(host, &name, note),
            RunEvent::HostClosed { left, .. } if !left.is_empty() => {
                let mut warning =
                    Message::warning(format_args!("{name}: not everything is cleaned up"));
                for what in left {
                    warning = warning.cause(what);
                }
                message(warning)
            }
            _ => Vec::new(),
        }
    }

    fn came_up(
        &mut self,
        host: HostId,
        name: &str,
        info: &HostInfo,
        view: &RunView,
    ) -> Vec<Statement> {
        let mut statements = Vec::new();
        let report = &info.report;
        let slots = Amount(u64::from(report.slots), "slot");
        let returns = self.troubles.remove(&host).is_some();
        if self.is_verbose() {
            let sent = match info.uploaded {
                0 => String::new(),
                bytes => format!(", {} of worker sent", Bytes(bytes)),
            };
            statements.push(Message::note(format_args!(
                "{name} is up: {slots}, {}, worker {}, ready after {}{sent}",
                report.system,
                info.release,
                Fine(info.start_time),
            )));
        } else if returns {
            statements.push(Message::note(format_args!("{name} is up again, {slots}")));
        }
        if !report.neighbours.is_empty() && self.first_time(Once::Neighbours(host)) {
            let runs: Vec<String> = report
                .neighbours
                .iter()
                .map(|other| {
                    let slots = Amount(u64::from(other.slots), "slot");
                    format!("run {} with {slots}", other.run)
                })
                .collect();
            let runs = runs.join(", ");
            statements.push(Message::note(format_args!(
                "{name} works for you already: {runs}"
            )));
        }
        let (own, others): (Vec<&Swept>, Vec<&Swept>) = report
            .swept
            .iter()
            .partition(|swept| swept.run.as_deref() == Some(view.run()));
        for (swept, origin) in [
            (own, "this run had left there when the host was lost"),
            (others, "an earlier run had left there"),
        ] {
            if !swept.is_empty() {
                let things = Amount(swept.len() as u64, "thing");
                statements.push(Message::note(format_args!(
                    "{name}: removed {things} that {origin}"
                )));
            }
        }
        if let DirectoryReport::Scratch {
            reason: Some(reason),
            ..
        } = &report.directory
            && self.first_time(Once::Elsewhere(host))
        {
            self.elsewhere.add(host, reason.clone());
        }
        statements.into_iter().map(Statement::Message).collect()
    }

    /// Told once for each reason: a host that is tried again fails again.
    fn failed(
        &mut self,
        host: HostId,
        failure: &HostFailure,
        retry_in: Option<Duration>,
        view: &RunView,
    ) -> Vec<Statement> {
        let trouble = Trouble::Failed(failure.headline.clone());
        if self.troubles.get(&host) == Some(&trouble) {
            return Vec::new();
        }
        // What was lost and is being sought again has been told of.
        let known = self.troubles.insert(host, trouble) == Some(Trouble::Lost);
        if known && failure.kind != FailureKind::Permanent && !self.is_verbose() {
            return Vec::new();
        }
        let headline = format!("{}{}", failure.headline, going_on(host, view));
        let mut told = match failure.kind {
            FailureKind::Permanent => Message::error(headline),
            FailureKind::Retry | FailureKind::Crowded => Message::warning(headline),
        }
        .cause(&failure.cause);
        if let Some(pause) = retry_in {
            // A pause of less than a second is none to a reader, but not nothing.
            let pause = Coarse(pause.max(Duration::from_secs(1)));
            told = told.cause(format_args!("it is tried again in {pause}"));
        }
        if let Some(cure) = &failure.cure {
            told = told.hint(cure);
        }
        message(told)
    }

    fn silent(
        &mut self,
        host: HostId,
        name: &str,
        silent_for: Option<Duration>,
        lost_in: Duration,
        view: &RunView,
    ) -> Vec<Statement> {
        match silent_for {
            None => match self.troubles.remove(&host) {
                Some(Trouble::Silent) => {
                    message(Message::note(format_args!("{name} answers again")))
                }
                _ => Vec::new(),
            },
            Some(silence) if silence >= SILENCE_TOLD => {
                if self.troubles.insert(host, Trouble::Silent) == Some(Trouble::Silent) {
                    return Vec::new();
                }
                let running = view.host(host).map_or(0, |host| host.running);
                message(Message::warning(format_args!(
                    "{name}: no answer for {}; {} in doubt, lease ends in {}",
                    Coarse(silence),
                    Amount(u64::from(running), "job"),
                    Coarse(lost_in),
                )))
            }
            Some(_) => Vec::new(),
        }
    }

    fn left_out(&mut self, host: HostId, name: &str, exit: Exit, view: &RunView) -> Vec<Statement> {
        if !self.first_time(Once::LeftOut(host)) {
            return Vec::new();
        }
        let words = view
            .host(host)
            .and_then(|host| host.missing.as_ref())
            .map(|missing| missing.words.as_str())
            .filter(|words| !words.is_empty());
        let said = match (words, exit) {
            (Some(words), _) => without_shell(words).to_owned(),
            (None, Exit::NOT_EXECUTABLE) => format!("{exit}: the command cannot be executed"),
            (None, _) => format!("{exit}: the command was not found"),
        };
        message(Message::warning(format_args!(
            "{name}: {said}; its jobs move to other hosts, no more go there"
        )))
    }

    fn noted(&mut self, host: HostId, name: &str, note: &HostNote) -> Vec<Statement> {
        let told = match note {
            HostNote::IgnoredLines { lines, first } => {
                if !self.first_time(Once::IgnoredLines(host)) {
                    return Vec::new();
                }
                let noise = Noise {
                    lines: *lines,
                    first: first.clone(),
                };
                self.noisy.add(host, noise);
                return Vec::new();
            }
            HostNote::Redeployed { path } => Message::warning(format_args!(
                "{name}: the digest of the cached worker differs; redeployed"
            ))
            .cause(path),
            HostNote::DirectorySkipped { path, cause } => Message::note(format_args!(
                "{name}: {path} cannot hold the worker, another directory does"
            ))
            .cause(cause),
            HostNote::Agent(AgentNote::Text(text)) => Message::note(format_args!("{name}: {text}")),
            HostNote::Agent(AgentNote::SlotRestarted { slot, cause }) if self.is_verbose() => {
                Message::note(format_args!(
                    "{name}: slot {slot} was started anew: {cause}"
                ))
            }
            HostNote::Sent { path, bytes } if self.is_verbose() => {
                Message::note(format_args!("{name}: sent {path} ({bytes} bytes)"))
            }
            HostNote::Sent { .. } => return Vec::new(),
            // The line about its job tells of a slot that died, the end of a job of what it left behind.
            HostNote::Agent(AgentNote::SlotRestarted { .. } | AgentNote::LeftOver { .. }) => {
                return Vec::new();
            }
        };
        message(told)
    }
}

/// What a shell says of a command, without its own name and line: `/bin/sh: 1: ngspice: not found`.
fn without_shell(words: &str) -> &str {
    let mut parts = words.splitn(3, ": ");
    let (Some(shell), Some(line), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return words;
    };
    let number = line.strip_prefix("line ").unwrap_or(line);
    let is_line = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if shell.ends_with("sh") && is_line {
        rest
    } else {
        words
    }
}

/// With how many hosts a run goes on that can do without this one.
fn going_on(host: HostId, view: &RunView) -> String {
    let others = view.hosts().iter().enumerate();
    let left = others
        .filter(|(position, _)| *position != host.0 as usize)
        .filter(|(_, host)| !host.is_down() && host.state != HostState::Closed)
        .count();
    match left {
        _ if view.is_held_back() => String::new(),
        0 => String::new(),
        left => format!("; continuing on {left} of {} hosts", view.hosts().len()),
    }
}

fn lost(name: &str, loss: &HostLoss, requeued: u32, retry_in: Option<Duration>) -> Message {
    let jobs = Amount(u64::from(requeued), "job");
    let then = match retry_in {
        Some(pause) if pause < Duration::from_secs(1) => "retry at once".to_owned(),
        Some(pause) => format!("retry in {}", Coarse(pause)),
        None => "host left out".to_owned(),
    };
    let text = loss.to_string();
    let mut lines = text.trim().lines();
    let told = Message::warning(format_args!(
        "{name}: {}; {jobs} requeued, {then}",
        lines.next().unwrap_or_default().trim_end(),
    ));
    lines.fold(told, |told, line| told.cause(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_does_not_name_itself() {
        let told = "ngspice: command not found";
        for words in [
            "bash: line 1: ngspice: command not found",
            "/bin/sh: 12: ngspice: command not found",
            told,
        ] {
            assert_eq!(without_shell(words), told);
        }
        assert_eq!(without_shell("cash: 1"), "cash: 1");
        assert_eq!(without_shell("x: 1: y"), "x: 1: y");
    }
}
