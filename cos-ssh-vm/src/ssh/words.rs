//! ssh's words: which failure they mean.
//!
//! ssh ends with 255 whatever went wrong, and a library on top of it maps most failures to one error. Only its
//! standard error tells them apart. The texts are those of OpenSSH 7 to 10; strange ones become
//! [`SshFailure::Other`] with their last line.
//!
//! A host can put text of its own among them (a banner before the login). It can thereby make its own failure look
//! like another one, and no more.

use std::time::Duration;

use super::diagnosis::Diagnosis;
use super::failure::{LoginObstacle, SshFailure};

/// How much of standard error is looked at, in bytes from its end: the reason comes last.
const MAX_BYTES: usize = 16 * 1024;

/// How many lines and how many characters of each are kept as the cause.
const MAX_CAUSE_LINES: usize = 8;
const MAX_LINE_CHARACTERS: usize = 300;

/// How the ssh client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It could not be started: there is no such program.
    NotFound,
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// COS ended it because the connection had not come up in this time.
    TimedOut(Duration),
}

/// Says why ssh failed, from how it ended and what it wrote to standard error.
///
/// Pure and total: any bytes have an answer.
pub fn diagnose(ending: Ending, standard_error: &[u8]) -> Diagnosis {
    let start = standard_error.len().saturating_sub(MAX_BYTES);
    let text = String::from_utf8_lossy(&standard_error[start..]);
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !is_noise(line))
        .collect();
    if ending == Ending::NotFound {
        return Diagnosis {
            failure: SshFailure::NoSshClient,
            on_the_way: false,
            cause: cause(&lines),
        };
    }
    for rule in RULES {
        if let Some(finding) = rule(&lines) {
            return finding.diagnosis(&lines);
        }
    }
    let (failure, words) = match ending {
        Ending::TimedOut(_) => (SshFailure::Timeout, String::new()),
        Ending::Exited(code) => (
            SshFailure::Other,
            format!("ssh ended with exit status {code} and said nothing"),
        ),
        Ending::Killed(signal) => (
            SshFailure::Other,
            format!("ssh was ended by signal {signal}"),
        ),
        Ending::NotFound => (SshFailure::NoSshClient, String::new()),
    };
    let last = lines.last().map(|line| cause(&[line]));
    Diagnosis {
        failure,
        on_the_way: false,
        cause: last.unwrap_or(words),
    }
}

/// What a rule has found.
struct Finding<'a> {
    failure: SshFailure,
    /// The lines that say so.
    lines: Vec<&'a str>,
    /// Whether this is known to be about the host itself, though there is a proxy.
    at_the_host: bool,
}

impl<'a> Finding<'a> {
    fn new(failure: SshFailure, lines: impl Into<Vec<&'a str>>) -> Option<Self> {
        Some(Self {
            failure,
            lines: lines.into(),
            at_the_host: false,
        })
    }

    fn diagnosis(self, lines: &[&str]) -> Diagnosis {
        Diagnosis {
            on_the_way: !self.at_the_host && lines.iter().any(|line| tells_of_proxy(line)),
            cause: cause(&self.lines),
            failure: self.failure,
        }
    }
}

/// A rule looks through all lines for one kind of failure.
type Rule = for<'a> fn(&[&'a str]) -> Option<Finding<'a>>;

/// The rules, the most telling first: a proxy's failure, for example, ends with the words of a closed connection.
const RULES: [Rule; 14] = [
    changed_key,
    revoked_key,
    unknown_key,
    permission_denied,
    forwarding_refused,
    unresolvable,
    not_connected,
    bad_configuration,
    no_common_algorithm,
    not_ssh,
    timeout,
    session_refused,
    connection_lost,
    closed,
];

/// Lines that say nothing about a failure.
fn is_noise(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("debug")
        || line.starts_with("Warning: Permanently added")
        || line.starts_with("Pseudo-terminal will not be allocated")
        || line.bytes().all(|byte| byte == b'@')
        || line.starts_with("** WARNING: connection is not using a post-quantum")
        || line.starts_with("** This session may be vulnerable to")
        || line.starts_with("** The server may need to be upgraded")
}

/// The lines as a cause: ssh is named once.
fn cause(lines: &[&str]) -> String {
    let mut cause = String::new();
    for line in lines.iter().take(MAX_CAUSE_LINES) {
        if cause.is_empty() {
            if !line.starts_with("ssh: ") {
                cause.push_str("ssh: ");
            }
        } else {
            cause.push('\n');
        }
        cause.extend(line.chars().take(MAX_LINE_CHARACTERS));
    }
    cause
}

/// ssh has no address to name when it talks to a proxy.
fn tells_of_proxy(line: &str) -> bool {
    line.contains("UNKNOWN port 65535") || line == "stdio forwarding failed"
}

fn find<'a>(lines: &[&'a str], matches: impl Fn(&str) -> bool) -> Option<&'a str> {
    lines.iter().copied().find(|line| matches(line))
}

fn changed_key<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    find(lines, |line| {
        line.contains("REMOTE HOST IDENTIFICATION HAS CHANGED")
            || line.contains(" has changed and you have requested")
    })?;
    let tells = |line: &&str| {
        ["The fingerprint for", "SHA256:", "MD5:", "Offending "]
            .iter()
            .any(|start| line.starts_with(start))
            || line.contains(" has changed and you have requested")
    };
    let telling: Vec<_> = lines.iter().copied().filter(tells).collect();
    let known = lines
        .iter()
        .copied()
        .filter(|line| line.starts_with("Offending "))
        .find_map(|line| {
            let (before, number) = line.rsplit_once(':')?;
            let (_, file) = before.split_once(" key in ")?;
            Some((file.into(), number.parse().ok()?))
        });
    Finding::new(SshFailure::HostKeyChanged { known }, telling)
}

fn revoked_key<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line.contains("REVOKED HOST KEY DETECTED")
            || (line.starts_with("Host key ") && line.contains(" revoked by file"))
    })?;
    Finding::new(SshFailure::HostKeyRevoked, [line])
}

fn unknown_key<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let verdict = find(lines, |line| line == "Host key verification failed.");
    let reason = find(lines, |line| {
        (line.starts_with("No ") && line.contains(" host key is known for "))
            || line.starts_with("The authenticity of host ")
            || line.starts_with("Certificate invalid: ")
    });
    Finding::new(SshFailure::HostKeyUnknown, [reason.or(verdict)?])
}

fn permission_denied<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let too_many = find(lines, |line| {
        line.ends_with("Too many authentication failures")
    });
    let verdict = find(lines, |line| denied_methods(line).is_some()).or(too_many)?;
    let open_key = lines.iter().copied().find_map(|line| {
        let (path, _) = line
            .strip_prefix("Permissions 0")?
            .split_once(" for '")?
            .1
            .rsplit_once("' are too open")?;
        Some((line, path))
    });
    let unsigned = find(lines, |line| {
        line.starts_with("sign_and_send_pubkey: ") && line.contains("agent")
    });
    let (obstacle, why) = match (open_key, unsigned, too_many) {
        (Some((line, path)), ..) => (
            Some(LoginObstacle::KeyReadableByOthers(path.into())),
            Some(line),
        ),
        (None, Some(line), _) => (Some(LoginObstacle::AgentRefused), Some(line)),
        (None, None, Some(_)) => (Some(LoginObstacle::TooManyKeys), None),
        (None, None, None) => (None, None),
    };
    let methods = denied_methods(verdict).unwrap_or_default();
    let lines: Vec<_> = why.into_iter().chain([verdict]).collect();
    Finding::new(SshFailure::PermissionDenied { methods, obstacle }, lines)
}

/// The methods in `ana@ws02: Permission denied (publickey,password).`
fn denied_methods(line: &str) -> Option<Vec<String>> {
    let list = line
        .strip_suffix(").")?
        .rsplit_once("Permission denied (")?;
    (list.0.is_empty() || list.0.ends_with(": "))
        .then(|| list.1.split(',').map(str::to_owned).collect())
}

/// The jump host could not open a connection to the host.
fn forwarding_refused<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line.starts_with("channel ") && line.contains(": open failed: connect failed: ")
    })?;
    let failure = system_failure(line).unwrap_or(SshFailure::NoRoute);
    Finding::new(failure, [line]).map(|finding| Finding {
        at_the_host: true,
        ..finding
    })
}

fn unresolvable<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line.starts_with("ssh: Could not resolve hostname ")
    })?;
    Finding::new(SshFailure::Unresolvable, [line])
}

fn not_connected<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    // With several addresses there is a line for each; the last one decides.
    let line = lines.iter().copied().rfind(|line| {
        line.starts_with("ssh: connect to host ") || line.starts_with("ssh: connect to address ")
    })?;
    Finding::new(system_failure(line).unwrap_or(SshFailure::NoRoute), [line])
}

/// The system's word at the end of a line.
fn system_failure(line: &str) -> Option<SshFailure> {
    let (_, word) = line.rsplit_once(": ")?;
    Some(match word {
        "Connection refused" => SshFailure::Refused,
        "Connection timed out" | "Operation timed out" => SshFailure::Timeout,
        "Connection reset by peer" => SshFailure::ClosedByRemote,
        "Name or service not known"
        | "Temporary failure in name resolution"
        | "No address associated with hostname"
        | "nodename nor servname provided, or not known" => SshFailure::Unresolvable,
        _ => return None,
    })
}

fn bad_configuration<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    const PHRASES: [&str; 7] = [
        "Bad configuration option",
        "bad configuration option",
        "Can't open user config file",
        "Bad owner or permissions on ",
        "percent_expand: unknown key",
        "hostname contains invalid characters",
        "remote username contains invalid characters",
    ];
    let matches = |line: &&str| {
        PHRASES.iter().any(|phrase| line.contains(phrase))
            || (names_line_of_file(line) && !is_of_a_shell(line))
    };
    let telling: Vec<_> = lines.iter().copied().filter(matches).collect();
    if telling.is_empty() {
        return None;
    }
    // How many mistakes there are is no news when they are shown.
    let mistakes: Vec<_> = telling
        .iter()
        .copied()
        .filter(|line| !line.contains(": terminating, "))
        .collect();
    Finding::new(
        SshFailure::BadConfiguration,
        if mistakes.is_empty() {
            telling
        } else {
            mistakes
        },
    )
}

/// `/home/ana/.ssh/config line 3: ...`, and with a colon before `line` for an unknown word.
fn names_line_of_file(line: &str) -> bool {
    let Some((file, rest)) = line.split_once(" line ") else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0
        && rest[digits..].starts_with(": ")
        && !file.is_empty()
        && !file.trim_end_matches(':').contains(' ')
}

/// A ProxyCommand is run by a shell, which numbers lines too.
fn is_of_a_shell(line: &str) -> bool {
    let program = line.split(": ").next().unwrap_or(line);
    let name = program.rsplit('/').next().unwrap_or(program);
    matches!(
        name,
        "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" | "fish" | "csh" | "tcsh"
    )
}

fn no_common_algorithm<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| line.starts_with("Unable to negotiate "))?;
    Finding::new(SshFailure::NoCommonAlgorithm, [line])
}

fn not_ssh<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    const PHRASES: [&str; 5] = [
        "Protocol major versions differ",
        "could not read protocol version",
        "Bad remote protocol version identification",
        "No SSH version received",
        "banner line contains invalid characters",
    ];
    let line = find(lines, |line| {
        PHRASES.iter().any(|phrase| line.contains(phrase))
            || (line.starts_with("banner exchange: ") && line.ends_with(": invalid format"))
    })?;
    Finding::new(SshFailure::NotSsh, [line])
}

fn timeout<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line == "Connection timed out during banner exchange"
            || line.starts_with("ssh_dispatch_run_fatal: ")
                && system_failure(line) == Some(SshFailure::Timeout)
            || line.starts_with("Connection to ") && line.ends_with(" timed out")
    })?;
    Finding::new(SshFailure::Timeout, [line])
}

fn session_refused<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line.ends_with("Session open refused by peer")
            || line.starts_with("channel ") && line.contains(": open failed: ")
            || line.starts_with("exec request failed on channel")
    })?;
    // A jump host that opens no channel forwards nothing.
    let forwarding = lines.iter().any(|line| tells_of_proxy(line));
    let failure = if forwarding {
        SshFailure::ProxyFailed
    } else {
        SshFailure::SessionRefused
    };
    Finding::new(failure, [line])
}

fn connection_lost<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let line = find(lines, |line| {
        line.starts_with("Timeout, server ")
            || line.starts_with("client_loop: send disconnect")
            || line.starts_with("Read from remote host ")
            || line.starts_with("Connection to ") && line.ends_with(" closed by remote host.")
    })?;
    Finding::new(SshFailure::ConnectionLost, [line])
}

/// A connection that was closed before the login; through a proxy these are ssh's words for a proxy that ended.
fn closed<'a>(lines: &[&'a str]) -> Option<Finding<'a>> {
    let is_verdict = |line: &str| {
        line.starts_with("kex_exchange_identification: ")
            || line.starts_with("ssh_exchange_identification: ")
            || line.starts_with("Connection closed by ")
            || line.starts_with("Connection reset by ")
            || line.starts_with("ssh_dispatch_run_fatal: ")
            || line.contains("Exceeded MaxStartups")
            || line.contains("Not allowed at this time")
    };
    let verdict = find(lines, is_verdict)?;
    if lines.iter().any(|line| tells_of_proxy(line)) {
        let own: Vec<_> = lines
            .iter()
            .copied()
            .filter(|line| !is_verdict(line))
            .collect();
        return Finding::new(
            SshFailure::ProxyFailed,
            if own.is_empty() { vec![verdict] } else { own },
        );
    }
    Finding::new(SshFailure::ClosedByRemote, [verdict])
}
