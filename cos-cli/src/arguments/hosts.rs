//! Flags that choose the hosts, and the hosts that they choose.

use std::io;
use std::path::PathBuf;

use cos_ssh_vm::inventory::{
    Environment, Inventory, InventoryError, Request, SelectionError, SlotCount, SlotCountError,
};

/// Which hosts a command means.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Hosts")]
pub struct HostSelection {
    /// Read the hosts from this file instead of searching for hosts.toml
    #[arg(long, env = "COS_HOSTS", hide_env = true, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
    /// Hosts without a file: [SLOTS/]HOST, several separated by commas; `:` is this machine
    // Split at commas by the inventory, which knows those within `ws[01,03]`.
    #[arg(
        short = 'S',
        long,
        env = "COS_SSHLOGIN",
        hide_env = true,
        value_name = "[N/]HOST,..."
    )]
    pub sshlogin: Vec<String>,
    /// Only hosts with this name or tag; several separated by commas
    #[arg(long, env = "COS_ON", hide_env = true, value_name = "TAG|HOST")]
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
}

/// Why the flags choose no hosts. Each text is complete, beginning with `error:`.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// The hosts could not be read: a mistake of the user's, exit 2.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// No host is left: exit 3.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The current directory is gone.
    #[error("error: cannot tell the current directory\n  {0}")]
    CurrentDirectory(io::Error),
}

impl HostsError {
    /// The complete text, in colours if `color`, with a line feed at its end.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let text = match self {
            Self::Inventory(error) => error.render(color),
            Self::Selection(_) | Self::CurrentDirectory(_) => self.to_string(),
        };
        text.trim_end().to_owned() + "\n"
    }

    /// The exit code of `cos`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Inventory(_) => crate::exit_code::USAGE_ERROR,
            Self::Selection(_) => crate::exit_code::NO_USABLE_HOST,
            Self::CurrentDirectory(_) => crate::exit_code::INTERNAL_ERROR,
        }
    }
}

impl HostSelection {
    /// All hosts of the file or of `--sshlogin`, those too that `--on` leaves out or that are switched off. Nothing is asked of any
    /// host.
    ///
    /// # Errors
    ///
    /// Every mistake of the file at once.
    pub fn inventory(&self) -> Result<Inventory, HostsError> {
        let environment = Environment::of_process().map_err(HostsError::CurrentDirectory)?;
        let request = Request {
            hosts: self.hosts.clone(),
            sshlogin: self.sshlogin.clone(),
            file_required: false,
        };
        let mut inventory = Inventory::find(&request, &environment)?;
        if let Some(slots) = self.slots {
            inventory.set_slots(slots);
        }
        Ok(inventory)
    }

    /// The hosts of a run.
    ///
    /// # Errors
    ///
    /// As [`inventory`](Self::inventory), and when no host is left.
    pub fn selected(&self) -> Result<Inventory, HostsError> {
        Ok(self.inventory()?.select(&self.on)?)
    }
}

/// Slots as in hosts.toml, and GNU parallel's `-1`.
fn parse_slots(text: &str) -> Result<SlotCount, String> {
    let spelled = match text.strip_prefix('-') {
        Some(fewer) => format!("cores-{fewer}"),
        None => text.to_owned(),
    };
    spelled
        .parse()
        .map_err(|error: SlotCountError| match text.strip_prefix('+') {
            Some(_) => {
                "more slots than cores are written as a number or a share such as `150%`".to_owned()
            }
            None => error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_hosts_toml_and_gnu() {
        assert_eq!(parse_slots("4"), Ok(SlotCount::Number(4)));
        assert_eq!(parse_slots("cores"), Ok(SlotCount::Cores));
        assert_eq!(parse_slots("cores-1"), Ok(SlotCount::CoresMinus(1)));
        assert_eq!(parse_slots("-1"), Ok(SlotCount::CoresMinus(1)));
        assert_eq!(parse_slots("50%"), Ok(SlotCount::Percent(50)));
        assert!(parse_slots("+1").is_err_and(|error| error.contains("150%")));
        for wrong in [
            "",
            "x",
            "4x",
            "cores1",
            "0",
            "0%",
            "-",
            "--1",
            "%",
            "99999999999",
        ] {
            assert!(parse_slots(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_flags_choose_the_hosts() {
        let selection = |sshlogin: &[&str], on: &[&str]| HostSelection {
            hosts: None,
            sshlogin: sshlogin.iter().map(ToString::to_string).collect(),
            on: on.iter().map(ToString::to_string).collect(),
            slots: Some(SlotCount::Number(3)),
        };
        let chosen = selection(&[":,8/ws[01,03]", "big"], &["ws03,big"])
            .selected()
            .expect("hosts");
        let names: Vec<_> = chosen
            .hosts
            .iter()
            .map(|host| host.name.to_string())
            .collect();
        assert_eq!(names, ["ws03", "big"]);
        assert!(
            chosen
                .hosts
                .iter()
                .all(|host| host.slots == SlotCount::Number(3))
        );

        let error = selection(&["-oProxyCommand=id"], &[])
            .selected()
            .expect_err("an option of ssh");
        assert_eq!(error.exit_code(), crate::exit_code::USAGE_ERROR);
        let error = selection(&["ws01"], &["gpu"])
            .selected()
            .expect_err("no such host");
        assert_eq!(error.exit_code(), crate::exit_code::NO_USABLE_HOST);
        assert!(
            error
                .render(false)
                .starts_with("error: no enabled host has tag `gpu`\n")
        );
    }
}
