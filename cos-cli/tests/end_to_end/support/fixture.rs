//! A lab, its hosts and its hosts.toml.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cos_testlab::{BrokenHost, HostBuilder, Lab, TestHost};

use super::{Cos, RunDirectory};

/// The program under test.
pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_cos");

/// A lab with hosts and the hosts.toml that names them, in the client's home and so in its current directory.
pub(crate) struct Fixture {
    pub(crate) lab: Lab,
    pub(crate) hosts: Vec<TestHost>,
    /// Held for as long as they are to be broken.
    _broken: Vec<BrokenHost>,
}

impl Fixture {
    /// A lab without hosts: jobs run on this machine.
    pub(crate) fn local() -> Self {
        let lab = Lab::new().expect("a lab");
        Self {
            lab,
            hosts: Vec::new(),
            _broken: Vec::new(),
        }
    }

    /// A lab of so many hosts of two slots, `ws01`, `ws02` and so on.
    pub(crate) fn of(count: usize) -> Self {
        Self::with(count, |builder| builder)
    }

    /// As [`Fixture::of`], each host described by `describe`.
    pub(crate) fn with(count: usize, describe: impl Fn(HostBuilder) -> HostBuilder) -> Self {
        Self::new(|lab| {
            (1..=count)
                .map(|number| {
                    let builder = lab.host(&format!("ws{number:02}"));
                    describe(builder).start().expect("a host")
                })
                .collect()
        })
    }

    /// A lab with these hosts.
    pub(crate) fn new(hosts: impl FnOnce(&Lab) -> Vec<TestHost>) -> Self {
        Self::with_broken(|lab| (hosts(lab), Vec::new()))
    }

    /// A lab with these hosts, some of which cannot be reached.
    pub(crate) fn with_broken(
        hosts: impl FnOnce(&Lab) -> (Vec<TestHost>, Vec<BrokenHost>),
    ) -> Self {
        let lab = Lab::new().expect("a lab");
        let (hosts, broken) = hosts(&lab);
        let fixture = Self {
            lab,
            hosts,
            _broken: broken,
        };
        let path = fixture.hosts_file();
        fixture
            .lab
            .write_hosts_toml(path)
            .expect("the client's home can be written");
        fixture
    }

    /// Adds a line to the defaults in hosts.toml.
    pub(crate) fn default_line(self, line: &str) -> Self {
        let path = self.hosts_file();
        let text = fs::read_to_string(&path).expect("hosts.toml");
        let text = text.replacen("[defaults]\n", &format!("[defaults]\n{line}\n"), 1);
        fs::write(&path, text).expect("hosts.toml can be written");
        self
    }

    /// The hosts.toml of this lab.
    pub(crate) fn hosts_file(&self) -> PathBuf {
        self.lab.client_home().join("hosts.toml")
    }

    /// The host of this name.
    pub(crate) fn host(&self, name: &str) -> &TestHost {
        self.hosts
            .iter()
            .find(|host| host.name() == name)
            .unwrap_or_else(|| panic!("no host {name} in this lab"))
    }

    /// `cos run` with the lab's hosts, or on this machine where it has none.
    pub(crate) fn run<W: AsRef<std::ffi::OsStr>>(&self, words: &[W]) -> Cos<'_> {
        self.cos(&["run"]).args(words)
    }

    /// As [`Fixture::run`] in another directory, where hosts.toml is not found by looking for it.
    pub(crate) fn run_in<W: AsRef<std::ffi::OsStr>>(&self, path: &Path, words: &[W]) -> Cos<'_> {
        let hosts = self.hosts_file();
        let cos = self.cos(&["run", "--hosts"]).args(&[&hosts]);
        cos.directory(path).args(words)
    }

    /// As [`Fixture::run`], with hang-ups ignored as by `nohup`.
    pub(crate) fn run_by_nohup<W: AsRef<std::ffi::OsStr>>(&self, words: &[W]) -> Cos<'_> {
        let command = self.command(&["--default-signal=INT,TERM", "--ignore-signal=HUP"]);
        Cos::new(self, command).args(&["run"]).args(words)
    }

    /// `cos` with these words.
    pub(crate) fn cos<W: AsRef<std::ffi::OsStr>>(&self, words: &[W]) -> Cos<'_> {
        let command = self.command(&["--default-signal=INT,TERM,HUP"]);
        Cos::new(self, command).args(words)
    }

    /// The command `cos` in the client's environment. What signals do is said, since tests that run in the background
    /// of a script would hand on that Ctrl-C is ignored.
    fn command(&self, signals: &[&str]) -> Command {
        // Not found in `PATH`, which a test may change.
        let mut command = self.lab.command("/usr/bin/env");
        command.args(signals).arg(PROGRAM);
        command
    }

    /// What the latest run has recorded.
    pub(crate) fn latest_run(&self) -> RunDirectory {
        RunDirectory::latest(&self.lab.client_home().join(".local/state/cos/runs"))
    }
}
