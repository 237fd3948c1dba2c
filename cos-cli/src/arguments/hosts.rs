//! Flags that choose the hosts.

use clap::builder::FalseyValueParser;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use cos_core::wire::message::SlotCount;

use super::amounts::parse_slots;

/// Which hosts a command means.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Hosts")]
pub struct HostSelection {
    /// Read the hosts from this file instead of searching for hosts.toml
    #[arg(long, env = "COS_HOSTS", hide_env = true, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// Hosts without a file: [SLOTS/]HOST, several separated by commas; `:` is this machine
    #[arg(
        short = 'S',
        long,
        env = "COS_SSHLOGIN",
        hide_env = true,
        value_name = "[N/]HOST",
        value_delimiter = ','
    )]
    pub sshlogin: Vec<SshLogin>,
    /// Only hosts with this name or tag; several separated by commas
    #[arg(
        long,
        env = "COS_ON",
        hide_env = true,
        value_name = "TAG|HOST",
        value_delimiter = ','
    )]
    pub on: Vec<String>,
    /// Slots per host: a number, `cores`, `cores-1` or `50%`
    #[arg(
        short = 'j',
        long,
        alias = "jobs",
        visible_short_alias = 'P',
        alias = "max-procs",
        env = "COS_SLOTS",
        hide_env = true,
        value_name = "N",
        allow_hyphen_values = true,
        value_parser = parse_slots
    )]
    pub slots: Option<SlotCount>,
    /// Stop before the first job unless every host is usable
    #[arg(
        long,
        env = "COS_REQUIRE_ALL_HOSTS",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub require_all_hosts: bool,
}

/// One host of `--sshlogin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshLogin {
    /// Its number of slots, where one was given.
    pub slots: Option<NonZeroU32>,
    /// Where it is.
    pub target: SshTarget,
}

/// Where a host of `--sshlogin` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshTarget {
    /// This machine, without ssh.
    Local,
    /// A destination that ssh knows: `host`, `user@host` or an alias of ssh_config.
    Ssh(String),
}

/// Why a host of `--sshlogin` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseSshLoginError {
    /// There is nothing between two commas, or behind the slash.
    #[error("a host name is missing")]
    Empty,
    /// What stands before the slash is no number of slots.
    #[error("expected a number of slots of at least 1 before the `/`, found `{0}`")]
    Slots(String),
    /// ssh would take the name for an option.
    #[error("a host name cannot begin with `-`")]
    LeadingHyphen,
    /// GNU parallel's host groups.
    #[error("host groups are tags here: give hosts `tags` in hosts.toml and use --on TAG")]
    Group,
    /// GNU parallel's sshloginfile.
    #[error("`..` is GNU parallel's list of hosts: write a hosts.toml (`cos init HOST...`)")]
    LoginFile,
    /// GNU parallel allows a whole ssh command here.
    #[error("options of ssh belong in ~/.ssh/config; here stands a host name only")]
    SshOptions,
    /// A byte that no host name has.
    #[error("`{0}` cannot be part of a host name")]
    Character(char),
}

impl FromStr for SshLogin {
    type Err = ParseSshLoginError;

    fn from_str(text: &str) -> Result<Self, ParseSshLoginError> {
        let text = text.trim();
        let (slots, name) = match text.split_once('/') {
            Some((slots, name)) => {
                let number = slots
                    .parse()
                    .map_err(|_| ParseSshLoginError::Slots(slots.to_owned()))?;
                (Some(number), name)
            }
            None => (None, text),
        };
        if name.is_empty() {
            return Err(ParseSshLoginError::Empty);
        }
        if name.starts_with('-') {
            return Err(ParseSshLoginError::LeadingHyphen);
        }
        if name.starts_with('@') {
            return Err(ParseSshLoginError::Group);
        }
        if name == ".." || name == "-" {
            return Err(ParseSshLoginError::LoginFile);
        }
        if name.contains(char::is_whitespace) {
            return Err(ParseSshLoginError::SshOptions);
        }
        let allowed = |c: char| c.is_alphanumeric() || "@._-:[]%+".contains(c);
        if let Some(wrong) = name.chars().find(|&c| !allowed(c)) {
            return Err(ParseSshLoginError::Character(wrong));
        }
        let target = if name == ":" {
            SshTarget::Local
        } else {
            SshTarget::Ssh(name.to_owned())
        };
        Ok(Self { slots, target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_a_host_with_or_without_slots() {
        let login = |text: &str| text.parse::<SshLogin>();
        let ssh = |name: &str| SshTarget::Ssh(name.to_owned());
        assert_eq!(
            login(":"),
            Ok(SshLogin {
                slots: None,
                target: SshTarget::Local
            })
        );
        assert_eq!(
            login("ana@ws01"),
            Ok(SshLogin {
                slots: None,
                target: ssh("ana@ws01")
            })
        );
        let four = NonZeroU32::new(4);
        assert_eq!(
            login("4/ws[01-12]"),
            Ok(SshLogin {
                slots: four,
                target: ssh("ws[01-12]")
            })
        );
        assert_eq!(
            login("4/:"),
            Ok(SshLogin {
                slots: four,
                target: SshTarget::Local
            })
        );
    }

    #[test]
    fn what_ssh_would_misunderstand_is_refused() {
        let refused = |text: &str| text.parse::<SshLogin>().expect_err(text);
        assert_eq!(
            refused("-oProxyCommand=id"),
            ParseSshLoginError::LeadingHyphen
        );
        assert_eq!(refused("4/-x"), ParseSshLoginError::LeadingHyphen);
        assert_eq!(refused("a;id"), ParseSshLoginError::Character(';'));
        assert_eq!(refused("$(id)"), ParseSshLoginError::Character('$'));
        assert_eq!(refused("ssh -p 22 ws01"), ParseSshLoginError::SshOptions);
        assert_eq!(refused("@lab"), ParseSshLoginError::Group);
        assert_eq!(refused(".."), ParseSshLoginError::LoginFile);
        assert_eq!(refused(""), ParseSshLoginError::Empty);
        assert_eq!(refused("4/"), ParseSshLoginError::Empty);
        assert_eq!(refused("0/ws01"), ParseSshLoginError::Slots("0".into()));
        assert_eq!(refused("x/ws01"), ParseSshLoginError::Slots("x".into()));
    }
}
