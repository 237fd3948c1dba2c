//! Runs whose jobs wait at a gate, so that something can be done to their hosts meanwhile.

use super::{Fixture, Ran, Running, sorted_lines, sorted_numbers};

/// A run of jobs that print their numbers. All but the first ones end only when the gate is opened.
pub(crate) struct Gated<'a> {
    fixture: &'a Fixture,
    jobs: u32,
    pub(crate) cos: Running<'a>,
}

impl<'a> Gated<'a> {
    /// Starts so many jobs, and waits until the first `free` of them are done and each of these hosts runs others.
    pub(crate) fn start(fixture: &'a Fixture, jobs: u32, free: u32, hosts: &[&str]) -> Self {
        let numbers: Vec<String> = (1..=jobs).map(|number| number.to_string()).collect();
        let gate = gate(fixture);
        let command = format!(
            "test {{}} -le {free} || until [ -e {} ]; do sleep 0.05; done; echo {{}}",
            gate.display()
        );
        let mut cos = fixture.run(&[&command, ":::"]).args(&numbers).start();
        cos.wait_for_lines(free as usize);
        for host in hosts.iter().map(|name| fixture.host(name)) {
            cos.wait_for("a running job", |_| {
                let processes = host.processes();
                processes
                    .iter()
                    .any(|process| process.command_line.starts_with("/bin/sh -c test"))
            });
        }
        Self { fixture, jobs, cos }
    }

    /// Lets the jobs end.
    pub(crate) fn open(&self) {
        std::fs::write(gate(self.fixture), "").expect("the lab's directory can be written");
    }

    /// Waits for the end; every job is done well, and once.
    #[track_caller]
    pub(crate) fn end(self) -> Ran {
        let Self { fixture, jobs, cos } = self;
        all_done(fixture, jobs, cos.end())
    }
}

/// Every one of so many jobs is done well, and once.
#[track_caller]
pub(crate) fn all_done(fixture: &Fixture, jobs: u32, ran: Ran) -> Ran {
    let ran = ran.exited(0);
    assert_eq!(
        sorted_lines(&ran.stdout),
        sorted_numbers(1, jobs),
        "{}",
        ran.story()
    );
    let log = fixture.latest_run().job_log();
    log.has_each_once(1, u64::from(jobs));
    assert!(
        log.lines
            .iter()
            .all(|line| line.exit == 0 && line.signal == 0),
        "{log:#?}"
    );
    ran
}

/// The file that jobs wait for.
fn gate(fixture: &Fixture) -> std::path::PathBuf {
    fixture.lab.directory().join("gate")
}
