//! What the user is told about a host that ssh did not reach.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use cos_core::vm::host::{FailureKind, HostFailure, Stage};

use super::failure::{AgentKeys, LoginObstacle, SshFailure};
use crate::inventory::HostName;

/// Why ssh did not reach a host, with its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What went wrong.
    pub failure: SshFailure,
    /// Whether it went wrong on the way, at a jump host or in a ProxyCommand, and not at the host.
    pub on_the_way: bool,
    /// ssh's own words, those lines that matter. May be empty. Comes in part from the host: to be escaped
    /// before it is shown.
    pub cause: String,
}

/// What was known when ssh was started.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The host.
    pub host: &'a HostName,
    /// The ssh_config that was used instead of the user's own.
    pub ssh_config: Option<&'a Path>,
    /// How long the connection might take.
    pub connect_timeout: Duration,
    /// What `ssh-add -l` says. It need only be asked after [`SshFailure::PermissionDenied`].
    pub keys: AgentKeys,
}

impl Diagnosis {
    /// What to do about the host.
    pub fn kind(&self) -> FailureKind {
        self.failure.kind()
    }

    /// The failure of a host for the kernel and the display.
    pub fn host_failure(&self, stage: Stage, circumstances: &Circumstances<'_>) -> HostFailure {
        HostFailure {
            stage,
            headline: self.headline(circumstances),
            cause: self.cause.clone(),
            cure: self.cure(circumstances),
            kind: self.kind(),
        }
    }

    /// One sentence that names the host.
    pub fn headline(&self, circumstances: &Circumstances<'_>) -> String {
        let host = circumstances.host;
        if self.on_the_way {
            return match self.failure {
                SshFailure::PermissionDenied { .. } => {
                    format!("the jump host of {host} refused the login")
                }
                SshFailure::HostKeyUnknown => {
                    format!("the host key of the jump host of {host} is unknown")
                }
                SshFailure::HostKeyChanged { .. } => {
                    format!("the host key of the jump host of {host} has changed")
                }
                _ => format!("{host} is unreachable: its ProxyJump or ProxyCommand failed"),
            };
        }
        match &self.failure {
            SshFailure::Unresolvable => format!("could not resolve {host}"),
            SshFailure::Refused | SshFailure::NoRoute | SshFailure::ProxyFailed => {
                format!("{host} is unreachable")
            }
            SshFailure::Timeout => {
                format!(
                    "{host} gave no answer in {} s",
                    circumstances.connect_timeout.as_secs()
                )
            }
            SshFailure::ClosedByRemote => format!("{host} closed the connection before the login"),
            SshFailure::ConnectionLost => format!("the connection to {host} is lost"),
            SshFailure::SessionRefused => format!("{host} refused a channel on its connection"),
            SshFailure::PermissionDenied { .. } => format!("{host} refused the login"),
            SshFailure::HostKeyUnknown => format!("the host key of {host} is unknown"),
            SshFailure::HostKeyChanged { .. } => format!("the host key of {host} has changed"),
            SshFailure::HostKeyRevoked => format!("the host key of {host} is revoked"),
            SshFailure::NoCommonAlgorithm => {
                format!("{host} and this ssh have no algorithm in common")
            }
            SshFailure::NotSsh => format!("what answers at {host} is not an ssh server"),
            SshFailure::BadConfiguration => {
                format!("ssh refuses its configuration, needed for {host}")
            }
            SshFailure::NoSshClient => format!("no ssh on this computer, needed for {host}"),
            SshFailure::Other => format!("ssh to {host} failed"),
        }
    }

    /// What the user can do, if anything but wait. Safe to show as it is.
    pub fn cure(&self, circumstances: &Circumstances<'_>) -> Option<String> {
        // Paths and methods in it were read from ssh's words, which a host may have put there.
        self.advice(circumstances).map(|advice| {
            advice
                .chars()
                .filter(|character| !character.is_control())
                .collect()
        })
    }

    fn advice(&self, circumstances: &Circumstances<'_>) -> Option<String> {
        let host = circumstances.host;
        let ssh = SshCommand(circumstances);
        Some(match &self.failure {
            SshFailure::Unresolvable => format!("check the name: `{}` must find it", ssh.login()),
            SshFailure::Refused if !self.on_the_way => {
                "is sshd running there? Set `enabled = false` to silence".to_owned()
            }
            SshFailure::Refused | SshFailure::NoRoute | SshFailure::Timeout => {
                "set `enabled = false` to silence".to_owned()
            }
            SshFailure::ClosedByRemote => {
                "sshd limits how many log in at once: MaxStartups in its sshd_config".to_owned()
            }
            SshFailure::ConnectionLost => return None,
            SshFailure::SessionRefused => {
                "MaxSessions in its sshd_config must be at least 1".to_owned()
            }
            SshFailure::PermissionDenied { methods, obstacle } => {
                login_cure(methods, obstacle.as_ref(), self.on_the_way, circumstances)
            }
            SshFailure::HostKeyUnknown => {
                format!(
                    "run `{}` once and compare the fingerprint, or host_keys = \"accept-new\"",
                    ssh.login()
                )
            }
            SshFailure::HostKeyChanged { known } => changed_key_cure(host, known.as_ref()),
            SshFailure::HostKeyRevoked => {
                "ask its administrator; COS never uses a revoked key".to_owned()
            }
            SshFailure::NoCommonAlgorithm => {
                format!(
                    "its sshd is much older or newer; allow one of its offers for {host} in ssh_config"
                )
            }
            SshFailure::NotSsh => {
                "check the port: `name = \"ssh://host:port\"`, or Port in ssh_config".to_owned()
            }
            SshFailure::ProxyFailed => format!("`{}` must work without a question", ssh.login()),
            SshFailure::BadConfiguration => {
                "mend the file that ssh names; ssh itself refuses it".to_owned()
            }
            SshFailure::NoSshClient => {
                "install OpenSSH's client: `apt install openssh-client`".to_owned()
            }
            SshFailure::Other => format!("`{}` must work without a question", ssh.login()),
        })
    }
}

/// COS asks nobody for a password, so the way in must be made beforehand: which step of it is missing?
fn login_cure(
    methods: &[String],
    obstacle: Option<&LoginObstacle>,
    on_the_way: bool,
    circumstances: &Circumstances<'_>,
) -> String {
    match obstacle {
        Some(LoginObstacle::KeyReadableByOthers(path)) => {
            return format!(
                "ssh ignores a key that others may read: `chmod 600 {}`",
                quoted(&path.to_string_lossy())
            );
        }
        Some(LoginObstacle::TooManyKeys) => {
            return "too many keys were offered: name the right one by IdentityFile and set IdentitiesOnly yes in \
                    ssh_config"
                .to_owned();
        }
        Some(LoginObstacle::AgentRefused) => {
            return "the agent has the key but did not sign: unlock or confirm it, or `ssh-add` it again".to_owned();
        }
        None => {}
    }
    if !methods.is_empty() && !methods.iter().any(|method| method == "publickey") {
        return format!(
            "COS never asks for passwords, and this sshd takes no keys (only {}): ask its administrator",
            methods.join(", ")
        );
    }
    let copy = match on_the_way {
        true => "`ssh-copy-id` to the jump host".to_owned(),
        false => format!("`{}`", SshCommand(circumstances).copy_id()),
    };
    let step = match circumstances.keys {
        AgentKeys::Some => format!("The agent's keys are not on the host: {copy}"),
        AgentKeys::None => "No key in the agent: `ssh-add`".to_owned(),
        AgentKeys::NoAgent => {
            format!(
                "No agent is running: `eval $(ssh-agent); ssh-add`; key not on the host: {copy}"
            )
        }
    };
    format!("COS never asks for passwords. {step}")
}

/// No command to paste: whether a changed key is right is a question to a person.
fn changed_key_cure(host: &HostName, known: Option<&(std::path::PathBuf, u32)>) -> String {
    let place = match known {
        Some((file, line)) => format!("{} line {line}", file.display()),
        None => "known_hosts".to_owned(),
    };
    format!(
        "either {host} was installed anew or somebody is in between. Ask its administrator for the fingerprint; \
         only if it is the one above, remove the old key ({place}) and log in once by hand"
    )
}

/// Command lines that the user can paste.
struct SshCommand<'a>(&'a Circumstances<'a>);

impl SshCommand<'_> {
    /// `ssh ws01`
    fn login(&self) -> String {
        format!("ssh {}{}", self.config(), quoted(self.0.host.as_str()))
    }

    /// `ssh-copy-id ws01`; unlike ssh it knows no `ssh://`.
    fn copy_id(&self) -> String {
        let host = self.0.host;
        let port = host
            .port()
            .map(|port| format!("-p {port} "))
            .unwrap_or_default();
        let user = host
            .user()
            .map(|user| format!("{user}@"))
            .unwrap_or_default();
        format!(
            "ssh-copy-id {}{port}{}",
            self.config(),
            quoted(&format!("{user}{}", host.host()))
        )
    }

    fn config(&self) -> String {
        match self.0.ssh_config {
            Some(path) => format!("-F {} ", quoted(&path.to_string_lossy())),
            None => String::new(),
        }
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
    }
}
