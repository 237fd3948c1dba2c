//! `cos-testlab up 5`: a lab to try things on, for as long as the command runs.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cos_testlab::{Lab, LabError, Shell, TestHost};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// First line of a hosts file that this command has written, and so may replace and remove.
const MARK: &str = "# Written by cos-testlab; removed when the lab ends.";

/// A lab of private sshd hosts on this machine, to try `cos` on.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start hosts ws01, ws02, ... and keep them until Ctrl-C
    Up(Up),
}

#[derive(Debug, clap::Args)]
struct Up {
    /// How many hosts
    #[arg(value_parser = clap::value_parser!(u16).range(1..=99))]
    hosts: u16,

    /// The hosts.toml to write; removed at the end
    #[arg(long, value_name = "FILE", default_value = "lab.toml")]
    hosts_file: PathBuf,

    /// Login shells, in turn [default: all that are installed]
    #[arg(long, value_delimiter = ',', value_parser = parse_shell)]
    shells: Vec<Shell>,

    /// Let every host's rc files print something before each command
    #[arg(long)]
    noisy: bool,

    /// Slots of each host
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("{} exists and is not a lab's; choose another --hosts-file", .0.display())]
    Foreign(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    HostsFile { path: PathBuf, source: io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

fn main() -> ExitCode {
    let Command::Up(up) = Arguments::parse().command;
    match run(&up) {
        Ok(signal) => {
            say(&format!("lab stopped ({})", signal_name(signal)));
            ExitCode::SUCCESS
        }
        Err(error @ UpError::Foreign(_)) => fail(&error, 2),
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &UpError, code: u8) -> ExitCode {
    say(&format!("cos-testlab: {error}"));
    ExitCode::from(code)
}

/// Says something on standard error, if that is still there: its terminal may have gone.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Runs a lab until a signal comes, which it returns.
fn run(up: &Up) -> Result<i32, UpError> {
    // Before anything is started, so that no signal ends this process in between.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(UpError::Signals)?;
    check_hosts_file(&up.hosts_file)?;
    let lab = Lab::new()?;
    let hosts = start_hosts(&lab, up)?;
    let hosts_file = HostsFile::write(&up.hosts_file, &lab.hosts_toml(&hosts)?)?;
    // A closed standard output is no reason to stop a lab.
    let _ = io::stdout().write_all(introduction(&lab, &hosts, up).as_bytes());
    let signal = signals.forever().next().unwrap_or(SIGTERM);
    drop(hosts_file);
    drop(hosts);
    Ok(signal)
}

fn start_hosts(lab: &Lab, up: &Up) -> Result<Vec<TestHost>, LabError> {
    let shells = if up.shells.is_empty() {
        Shell::installed()
    } else {
        up.shells.clone()
    };
    let names = (1..=up.hosts).map(|number| format!("ws{number:02}"));
    names
        .zip(shells.into_iter().cycle())
        .map(|(name, shell)| {
            let host = lab.host(&name).shell(shell).slots(usize::from(up.slots));
            if up.noisy {
                host.noisy().start()
            } else {
                host.start()
            }
        })
        .collect()
}

fn introduction(lab: &Lab, hosts: &[TestHost], up: &Up) -> String {
    let list: Vec<String> = hosts
        .iter()
        .map(|host| format!("{} ({})", host.name(), host.shell()))
        .collect();
    let hosts_file = up.hosts_file.display();
    format!(
        "{count} up, {slots} slots each: {list}\n\
         \n\
         In another terminal:\n\
         \x20 cargo run --release -- run --hosts {hosts_file} 'echo {{}} on $COS_HOST' ::: 1 2 3 4 5 6\n\
         \x20 cargo run --release -- doctor --hosts {hosts_file}\n\
         \x20 ssh -F {ssh_config} {first}\n\
         \n\
         Ctrl-C stops the lab and removes everything of it.\n",
        count = if hosts.len() == 1 {
            "1 host".to_owned()
        } else {
            format!("{} hosts", hosts.len())
        },
        slots = up.slots,
        list = list.join(", "),
        ssh_config = lab.ssh_config().display(),
        first = hosts.first().map_or("ws01", TestHost::name),
    )
}

/// The hosts file, while the lab is up.
struct HostsFile(PathBuf);

impl HostsFile {
    fn write(path: &Path, text: &str) -> Result<Self, UpError> {
        let failed = |source| UpError::HostsFile {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(failed)?;
        file.write_all(format!("{MARK}\n\n{text}").as_bytes())
            .map_err(failed)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for HostsFile {
    fn drop(&mut self) {
        // Somebody may have removed it, or put a file of their own in its place.
        if check_hosts_file(&self.0).is_ok() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// Refuses to replace a file that no lab has written.
fn check_hosts_file(path: &Path) -> Result<(), UpError> {
    match std::fs::read(path) {
        Ok(text) if !text.starts_with(MARK.as_bytes()) => Err(UpError::Foreign(path.to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(UpError::HostsFile {
            path: path.to_owned(),
            source,
        }),
    }
}

fn parse_shell(name: &str) -> Result<Shell, String> {
    let known = || Shell::ALL.map(Shell::name).join(", ");
    Shell::from_name(name).ok_or_else(|| format!("known shells: {}", known()))
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        SIGINT => "Ctrl-C",
        SIGHUP => "its terminal has gone",
        _ => "SIGTERM",
    }
}
