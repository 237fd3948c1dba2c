//! What is true of several hosts, gathered while they come up and told together: twenty hosts would say it twenty times.

use std::time::Duration;

use cos_core::ids::HostId;
use cos_core::time::Time;

use super::starting::is_on_its_way;
use super::{Reporter, Statement};
use crate::message::Message;
use crate::progress::format::Amount;
use crate::progress::model::RunView;

/// So long after the first host the others are waited for, so that one line can tell of all.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many hosts are named in a sentence.
const MAX_NAMED: usize = 3;

/// Hosts of which the same is to be told, each with its own words.
#[derive(Debug, Clone)]
pub(super) struct Gathered<T> {
    hosts: Vec<(HostId, T)>,
    /// When the first of them was seen.
    since: Option<Time>,
    /// Whether some have been told of before.
    told: bool,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            since: None,
            told: false,
        }
    }
}

impl<T> Gathered<T> {
    pub(super) fn add(&mut self, host: HostId, words: T) {
        self.hosts.push((host, words));
    }

    /// The hosts to tell of now, and whether others were told of before. None while more may come.
    fn take(&mut self, now: Time, all_known: bool) -> Option<(Vec<(HostId, T)>, bool)> {
        if self.hosts.is_empty() {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        if !all_known && now.since(since) < PATIENCE {
            return None;
        }
        self.since = None;
        let told = std::mem::replace(&mut self.told, true);
        let mut hosts = std::mem::take(&mut self.hosts);
        hosts.sort_by_key(|(host, _)| *host);
        Some((hosts, told))
    }
}

/// What a host's login prints.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    pub(super) lines: u32,
    pub(super) first: String,
}

impl Reporter {
    /// What was gathered, once it can be told of all hosts or enough time has passed; at once if this `is_last`.
    pub(super) fn tell_gathered(
        &mut self,
        view: &RunView,
        now: Time,
        is_last: bool,
    ) -> Vec<Statement> {
        let all_known = is_last || !view.hosts().iter().any(is_on_its_way);
        let noisy = self.noisy.take(now, all_known);
        let noisy = noisy.map(|(hosts, _)| ignored(view, &hosts));
        let elsewhere = self.elsewhere.take(now, all_known);
        let elsewhere = elsewhere.map(|(hosts, told)| not_shared(view, &hosts, told));
        noisy
            .into_iter()
            .chain(elsewhere)
            .map(Statement::Message)
            .collect()
    }
}

/// `ws01, ws02 and 3 more hosts`
fn named<T>(view: &RunView, hosts: &[(HostId, T)]) -> String {
    let shown = match hosts.len() {
        0..=MAX_NAMED => hosts.len(),
        _ => MAX_NAMED - 1,
    };
    let names: Vec<&str> = hosts[..shown]
        .iter()
        .map(|(host, _)| name(view, *host))
        .collect();
    let more = hosts.len() - shown;
    match (names.as_slice(), more) {
        ([first @ .., last], 0) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more hosts", names.join(", ")),
    }
}

fn name(view: &RunView, host: HostId) -> &str {
    view.host(host).map_or("?", |host| host.name.as_str())
}

/// That logins print text.
fn ignored(view: &RunView, hosts: &[(HostId, Noise)]) -> Message {
    let named = named(view, hosts);
    match hosts {
        [(_, noise)] => {
            let lines = Amount(u64::from(noise.lines), "line");
            Message::note(format_args!(
                "{named}: ignored {lines} that its login prints"
            ))
            .cause(&noise.first)
        }
        _ => {
            let message = Message::note(format_args!("ignored what the logins of {named} print"));
            match hosts.first() {
                Some((host, noise)) => {
                    message.cause(format_args!("{}: {}", name(view, *host), noise.first))
                }
                None => message,
            }
        }
    }
}

/// That jobs on some hosts do not run in the client's directory: named, with the reason and, the first time, the cure.
fn not_shared(view: &RunView, hosts: &[(HostId, String)], told: bool) -> Message {
    let named = named(view, hosts);
    let either = if told { " either" } else { "" };
    let mut message = Message::warning(format_args!(
        "the working directory is not shared with {named}{either}; jobs run in an empty scratch directory there"
    ));
    if let Some((host, reason)) = hosts.first() {
        message = message.cause(format_args!("{}: {reason}", name(view, *host)));
    }
    match told {
        true => message,
        false => message
            .hint("name what is shared in `mirrored_storage` of hosts.toml")
            .hint("a directory of the hosts' own: begin the command with `cd DIR &&`"),
    }
}
