//! The name of a host: an ssh destination that is safe to hand to ssh, or `local`.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

/// The longest name that is accepted, in bytes: a user of 64, a host of 253, a port, and room.
const MAX_BYTES: usize = 384;

/// A validated host name.
///
/// Either [`HostName::LOCAL`], which is this machine without ssh, or a destination as ssh takes it: a
/// host name, an alias from ssh_config, an address, `user@host`, or `ssh://user@host:port`.
///
/// A name that exists can stand on ssh's command line and inside a `ProxyCommand`: it does not begin
/// with `-` and holds no shell metacharacter, blank or control character. OpenSSH itself refuses such
/// names only since 9.6.
///
/// Two names are equal when they are the same text; see [`HostName::same_host`] for upper and lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The reserved name of this machine, which needs no ssh.
    pub const LOCAL: &str = "local";

    /// This machine.
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }

    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    ///
    /// [`HostNameError`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, HostNameError> {
        if text.is_empty() {
            return Err(HostNameError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(HostNameError::TooLong { bytes: text.len() });
        }
        if let Some(authority) = text.strip_prefix("ssh://") {
            check_authority(authority)?;
        } else {
            check_destination(text)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was written, which is what ssh gets after `--`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the reserved name of this machine.
    pub fn is_local(&self) -> bool {
        self.0 == Self::LOCAL
    }

    /// The user that the name itself gives, if it does; ssh_config may give another otherwise.
    pub fn user(&self) -> Option<&str> {
        self.authority().rsplit_once('@').map(|(user, _)| user)
    }

    /// The host without user, `ssh://`, port and brackets.
    pub fn host(&self) -> &str {
        let host = self.host_and_port();
        if let Some(bracketed) = host.strip_prefix('[') {
            return bracketed.split(']').next().unwrap_or(bracketed);
        }
        match host.split_once(':') {
            Some((host, _)) if self.is_uri() => host,
            _ => host,
        }
    }

    /// The port that the name itself gives, if it does (`ssh://host:port`).
    pub fn port(&self) -> Option<u16> {
        let after_host = match self.host_and_port().rsplit_once(']') {
            Some((_, after)) => after,
            None => self.host_and_port(),
        };
        let (_, port) = after_host.rsplit_once(':').filter(|_| self.is_uri())?;
        port.parse().ok()
    }

    /// Whether both names mean the same destination: names of hosts do not distinguish case.
    pub fn same_host(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }

    /// The name with its host in lower case, as a key for [`HostName::same_host`].
    pub(crate) fn folded(&self) -> String {
        let user_ends = self.0.rfind('@').map_or(0, |at| at + 1);
        let (user, host) = self.0.split_at(user_ends);
        format!("{user}{}", host.to_ascii_lowercase())
    }

    fn is_uri(&self) -> bool {
        self.0.starts_with("ssh://")
    }

    fn authority(&self) -> &str {
        self.0.strip_prefix("ssh://").unwrap_or(&self.0)
    }

    fn host_and_port(&self) -> &str {
        let authority = self.authority();
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for HostName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a host name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostNameError {
    /// Nothing is there.
    #[error("a host name cannot be empty")]
    Empty,
    /// The name, its user or its host begins with `-`.
    #[error("a host name cannot begin with `-`: ssh would read it as an option")]
    LeadingHyphen,
    /// A character that neither a host name nor a user name has.
    #[error("a host name cannot contain {}{}", shown(*character), advice(*character))]
    Character {
        /// The first such character.
        character: char,
    },
    /// `host:port`, which ssh takes for the name of a host.
    #[error("ssh takes no port here: write `ssh://{host}:{port}`, or set Port in ssh_config")]
    PortAfterName {
        /// What stands before the colon.
        host: String,
        /// What stands after it.
        port: String,
    },
    /// The port of `ssh://host:port` is not a number from 1 to 65535.
    #[error("`{port}` is not a port: a number from 1 to 65535")]
    Port {
        /// What was written.
        port: String,
    },
    /// Several colons, but not an IPv6 address.
    #[error("`{text}` is not an IPv6 address")]
    Address {
        /// What was written.
        text: String,
    },
    /// Far longer than any host name.
    #[error("a host name has at most {MAX_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

fn shown(character: char) -> String {
    match character {
        ' ' => "a space".to_owned(),
        _ if character.is_control() => {
            format!("the control character U+{:04X}", u32::from(character))
        }
        _ if character.is_ascii_graphic() => format!("`{character}`"),
        _ => format!(
            "`{}` (U+{:04X})",
            character.escape_debug(),
            u32::from(character)
        ),
    }
}

fn advice(character: char) -> &'static str {
    match character {
        ',' | ' ' => ": one name, or a range such as `ws[01-12]`",
        '[' | ']' => " here: an IPv6 address in brackets needs `ssh://`",
        '{' | '}' => ": a range is written `ws[01-12]`",
        '*' | '?' => ": a range is written `ws[01-12]`, there are no wildcards",
        '/' => "; a number of slots belongs in `slots`",
        _ => "",
    }
}

/// Checks `[user@]host` as ssh takes it.
fn check_destination(text: &str) -> Result<(), HostNameError> {
    let host = check_user(text)?;
    match host.matches(':').count() {
        0 => check_host(host),
        1 => {
            let (host, port) = host.split_once(':').unwrap_or((host, ""));
            check_host(host)?;
            Err(
                match port
                    .chars()
                    .find(|character| !is_host_character(*character))
                {
                    Some(character) => HostNameError::Character { character },
                    None => HostNameError::PortAfterName {
                        host: host.to_owned(),
                        port: port.to_owned(),
                    },
                },
            )
        }
        _ => check_ipv6(host),
    }
}

/// Checks `[user@]host[:port]`, the part of a URI after `ssh://`.
fn check_authority(text: &str) -> Result<(), HostNameError> {
    let host = check_user(text)?;
    let (host, port) = if let Some(bracketed) = host.strip_prefix('[') {
        let Some((address, after)) = bracketed.split_once(']') else {
            return Err(HostNameError::Character { character: '[' });
        };
        check_ipv6(address)?;
        let port = after.strip_prefix(':');
        if port.is_none() && !after.is_empty() {
            return Err(HostNameError::Character { character: ']' });
        }
        (None, port)
    } else {
        match host.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(host), None),
        }
    };
    if let Some(host) = host {
        check_host(host)?;
    }
    match port {
        Some(port) if !is_port(port) => Err(HostNameError::Port {
            port: port.escape_debug().to_string(),
        }),
        _ => Ok(()),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Checks the user before the last `@`, if any, and returns what follows it.
fn check_user(text: &str) -> Result<&str, HostNameError> {
    let Some((user, host)) = text.rsplit_once('@') else {
        return Ok(text);
    };
    if user.is_empty() {
        return Err(HostNameError::Character { character: '@' });
    }
    // Accounts of a domain are written user@domain, hence a second `@`.
    check_part(user, |character| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '+' | '@')
    })?;
    Ok(host)
}

fn check_host(host: &str) -> Result<(), HostNameError> {
    check_part(host, is_host_character)
}

fn is_host_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

fn check_part(part: &str, allowed: impl Fn(char) -> bool) -> Result<(), HostNameError> {
    if part.is_empty() {
        return Err(HostNameError::Empty);
    }
    if part.starts_with('-') {
        return Err(HostNameError::LeadingHyphen);
    }
    match part.chars().find(|character| !allowed(*character)) {
        Some(character) => Err(HostNameError::Character { character }),
        None => Ok(()),
    }
}

/// Checks an IPv6 address with an optional `%interface`.
fn check_ipv6(text: &str) -> Result<(), HostNameError> {
    let (address, interface) = match text.split_once('%') {
        Some((address, interface)) => (address, Some(interface)),
        None => (text, None),
    };
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(HostNameError::Address {
            text: text.escape_debug().to_string(),
        });
    }
    interface.map_or(Ok(()), check_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_ssh_takes_as_destination() {
        for text in [
            "ws01",
            "WS01.lab.example.org",
            "build_host",
            "10.0.0.7",
            "ana@ws01",
            "ana.b@corp.example@ws01",
            "fe80::1%eth0",
            "ana@::1",
            "ssh://ws01",
            "ssh://ana@ws01:2222",
            "ssh://[::1]:22",
            "ssh://ana@[fe80::1%lo]",
            "local",
        ] {
            assert_eq!(
                HostName::parse(text).map(|name| name.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn refuses_what_ssh_or_a_shell_would_misread() {
        for character in " \t\n\r\0\u{7f}\u{9b}\u{202e};$`&|<>()[]{}'\"\\*?~!#=/,%^ü".chars() {
            for text in [
                format!("a{character}b"),
                format!("{character}@ws01"),
                format!("ssh://a{character}b"),
            ] {
                assert!(HostName::parse(&text).is_err(), "{text:?}");
            }
        }
        let hyphens = "-oProxyCommand=id ana@-oX -l@ws01 ssh://-x ssh://ana@-x ssh://-x@ws01 -";
        let parts = "@ws01 ana@ @ ssh:// ssh://@ws01 ssh://ana@ ssh://ws01/ ssh:/ws01 http://ws01";
        let ports = "ws01:22 ssh://ws01:0 ssh://ws01:65536 ssh://ws01: ssh://ws01:+22 ssh://a:b:c";
        let addresses =
            "1::2::3 [::1] ssh://[::1 ssh://[::1]x ssh://[ws01] ssh://::1 ::1% ::1%a;b ::1%-a";
        for text in [hyphens, parts, ports, addresses]
            .iter()
            .flat_map(|texts| texts.split(' '))
        {
            assert!(HostName::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(HostName::parse(""), Err(HostNameError::Empty));
        assert!(HostName::parse(&"a".repeat(385)).is_err());
    }

    #[test]
    fn says_what_is_wrong_and_what_to_write() {
        let error = |text: &str| {
            HostName::parse(text)
                .map_err(|error| error.to_string())
                .unwrap_err()
        };
        assert_eq!(
            error("-x"),
            "a host name cannot begin with `-`: ssh would read it as an option"
        );
        assert_eq!(error("a;id"), "a host name cannot contain `;`");
        assert_eq!(
            error("a,b"),
            "a host name cannot contain `,`: one name, or a range such as `ws[01-12]`"
        );
        assert_eq!(
            error("a\u{1b}b"),
            "a host name cannot contain the control character U+001B"
        );
        assert_eq!(
            error("ws01:2222"),
            "ssh takes no port here: write `ssh://ws01:2222`, or set Port in ssh_config"
        );
    }

    #[test]
    fn takes_a_name_apart() {
        let parts = |text: &str| {
            let name = HostName::parse(text).unwrap();
            (
                name.user().map(str::to_owned),
                name.host().to_owned(),
                name.port(),
            )
        };
        assert_eq!(parts("ws01"), (None, "ws01".into(), None));
        assert_eq!(parts("a@b@ws01"), (Some("a@b".into()), "ws01".into(), None));
        assert_eq!(parts("::1"), (None, "::1".into(), None));
        assert_eq!(
            parts("ssh://ana@ws01:2222"),
            (Some("ana".into()), "ws01".into(), Some(2222))
        );
        assert_eq!(parts("ssh://[::1]:22"), (None, "::1".into(), Some(22)));
        assert_eq!(parts("ssh://[::1]"), (None, "::1".into(), None));
    }

    #[test]
    fn upper_case_is_the_same_host_but_another_user() {
        let name = |text: &str| HostName::parse(text).unwrap();
        assert!(name("WS01").same_host(&name("ws01")));
        assert!(!name("Ana@ws01").same_host(&name("ana@ws01")));
    }
}
