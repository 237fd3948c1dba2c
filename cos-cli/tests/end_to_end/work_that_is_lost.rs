//! Hosts and agents that die in mid-run, and processes that jobs leave behind: every job is done once, and nothing
//! stays.

use cos_testlab::TestHost;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{DEADLINE, Fixture, Gated, Running, all_done, sorted_lines, sorted_numbers};

/// How many jobs a run has that loses a host.
const JOBS: u32 = 40;

/// A run of [`JOBS`] jobs, some of which run on `host`.
fn start<'a>(fixture: &'a Fixture, host: &TestHost) -> Gated<'a> {
    Gated::start(fixture, JOBS, 4, &[host.name()])
}

/// The process of this name on a host.
fn process(host: &TestHost, name: &str) -> Pid {
    let all = host.processes();
    let found = all.iter().find(|process| process.name == name);
    let found = found.unwrap_or_else(|| panic!("no {name} on {}: {all:#?}", host.name()));
    Pid::from_raw(found.pid).unwrap()
}

#[test]
fn a_host_that_dies_in_mid_run() {
    let fixture = Fixture::of(3);
    let host = fixture.host("ws02");
    let run = start(&fixture, host);
    host.kill().unwrap();
    run.open();
    // A machine that has died cannot clean its disk.
    let ran = run.cos.end_unchecked();
    std::fs::remove_dir_all(host.root()).unwrap();
    fixture.assert_nothing_left(&ran);
    all_done(&fixture, JOBS, ran).said("ws02");
}

#[test]
fn the_last_host_that_dies_ends_the_run() {
    let fixture = Fixture::of(1);
    let host = fixture.host("ws01");
    let run = start(&fixture, host);
    host.kill().unwrap();
    let ran = run.cos.end_unchecked();
    std::fs::remove_dir_all(host.root()).unwrap();
    fixture.assert_nothing_left(&ran);
    let ran = ran.exited(3).said("ws01");
    // What was printed was done.
    let log = fixture.latest_run().job_log();
    let printed = sorted_lines(&ran.stdout);
    for line in &printed {
        let sequence = line.parse().unwrap();
        assert_eq!(log.job(sequence).exit, 0);
    }
    assert!(printed.len() < JOBS as usize, "{}", ran.story());
}

#[test]
fn an_agent_that_is_killed() {
    let fixture = Fixture::of(2);
    let host = fixture.host("ws02");
    let run = start(&fixture, host);
    kill_process(process(host, "cos-agent"), Signal::KILL).unwrap();
    run.open();
    run.end().said("ws02").said("the agent died");
}

#[test]
fn an_agent_that_the_administrator_ends() {
    let fixture = Fixture::of(2);
    let host = fixture.host("ws02");
    let run = start(&fixture, host);
    kill_process(process(host, "cos-agent"), Signal::TERM).unwrap();
    run.open();
    let ran = run.end();
    ran.said("ws02")
        .said("stopped there by SIGTERM")
        .never_said("crash");
    assert_eq!(host.connections(), 1, "it was left alone");
}

#[test]
fn a_slot_that_is_killed() {
    let fixture = Fixture::of(1);
    let host = fixture.host("ws01");
    let run = start(&fixture, host);
    kill_process(process(host, "cos-slot"), Signal::KILL).unwrap();
    run.open();
    run.end();
    assert_eq!(host.connections(), 1, "the host was not lost");
}

#[test]
fn a_connection_that_is_cut() {
    let fixture = Fixture::of(2);
    let host = fixture.host("ws02");
    let run = start(&fixture, host);
    host.drop_connections();
    run.open();
    run.end().said("ws02");
}

#[test]
fn a_client_that_is_killed() {
    let fixture = Fixture::of(2);
    let mut cos = fixture
        .run(&["sleep 1000", ":::", "1", "2", "3", "4"])
        .start();
    for host in &fixture.hosts {
        cos.wait_for("a running job", |_| {
            host.processes()
                .iter()
                .any(|process| process.name == "sleep")
        });
    }
    cos.kill();
    for host in &fixture.hosts {
        host.wait_for_no_processes(DEADLINE).unwrap();
    }
    // The next run finds no trouble, and leaves nothing of the one before.
    fixture
        .run(&["-k", "echo", ":::", "1", "2"])
        .end()
        .exited(0)
        .printed("1\n2\n");
}

#[test]
fn processes_that_have_left_their_session_are_killed_with_their_job() {
    let fixture = Fixture::of(1);
    let command = "leave() { setsid sh -c \"echo >\\$HOME/$1; exec sleep 1000\" >/dev/null 2>&1 & }; \
                   leave one; (leave two); setsid sh -c 'setsid sh -c \"echo >\\$HOME/three; exec sleep 1000\" &' & \
                   cd \"$HOME\"; until [ -e one ] && [ -e two ] && [ -e three ]; do sleep 0.01; done; echo {}";
    let ran = fixture
        .run(&["-j1", "-v", command, ":::", "1"])
        .end()
        .exited(0)
        .printed("1\n");
    ran.said("left-over process");
}

#[test]
fn a_job_that_kills_its_whole_process_group_has_failed_alone() {
    let fixture = Fixture::of(1);
    let command = "test {} != 2 || kill -9 0; echo {}";
    let ran = fixture
        .run(&["-k", command, ":::", "1", "2", "3"])
        .end()
        .exited(100);
    ran.printed("1\n3\n").said("SIGKILL");
    let log = fixture.latest_run().job_log();
    assert_eq!((log.job(2).exit, log.job(2).signal), (0, 9));
    assert_eq!(fixture.host("ws01").connections(), 1);
}

#[test]
fn hosts_that_are_lost_again_and_again() {
    /// How many jobs are handed in after each loss.
    const MORE: u64 = 20;
    let fixture = Fixture::of(3);
    let mut cos = fixture.run(&["sleep 0.05; echo {}"]).open_input().start();
    let mut jobs = 0;
    let mut hand_in = |cos: &mut Running<'_>| {
        let lines = (jobs + 1..=jobs + MORE).map(|number| format!("{number}\n"));
        cos.write(lines.collect::<String>());
        jobs += MORE;
        jobs
    };
    hand_in(&mut cos);
    for host in &fixture.hosts {
        cos.wait_for("an agent", |_| has_process(host, "cos-agent"));
    }
    for round in 0..3 {
        for (fault, host) in fixture.hosts.iter().enumerate() {
            let again = format!("{} is up again", host.name());
            let before = cos.stderr().matches(&again).count();
            match (round + fault) % 3 {
                0 => {
                    host.kill().unwrap();
                    host.start_sshd().unwrap();
                }
                1 => host.drop_connections(),
                _ => kill_process(process(host, "cos-agent"), Signal::KILL).unwrap(),
            }
            hand_in(&mut cos);
            cos.wait_for(&again, |cos| cos.stderr().matches(&again).count() > before);
        }
    }
    let jobs = hand_in(&mut cos);
    cos.end_input();
    let ran = cos.end().exited(0);
    let printed = sorted_lines(&ran.stdout);
    assert_eq!(
        printed,
        sorted_numbers(1, u32::try_from(jobs).unwrap()),
        "{}",
        ran.story()
    );
    fixture.latest_run().job_log().has_each_once(1, jobs);
}

fn has_process(host: &TestHost, name: &str) -> bool {
    host.processes().iter().any(|process| process.name == name)
}
