//! The job that COS is for: one command over many files, on every host of a lab.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use cos_testlab::{Shell, TestHost};

use crate::support::{Fixture, sorted_lines, sorted_numbers};

/// Five hosts with login shells as different as are installed, all of which print on login.
fn five_noisy_hosts() -> Fixture {
    Fixture::new(|lab| {
        let shells = Shell::installed();
        // `sh` is one of the others: it comes last, for where there are no five.
        let mut shells: Vec<Shell> = shells.into_iter().rev().collect();
        shells.truncate(5);
        while shells.len() < 5 {
            shells.push(Shell::Sh);
        }
        let hosts = shells.iter().zip(1..).map(|(shell, number)| {
            lab.host(&format!("ws{number:02}"))
                .shell(*shell)
                .noisy()
                .start()
                .unwrap()
        });
        hosts.collect()
    })
}

/// So many regular files of /usr/bin, in the order of their names, not the largest.
fn programs(count: usize) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("/usr/bin")
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| entry.metadata().is_ok_and(|it| it.len() < 200_000))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let step = (files.len() / count).max(1);
    files.into_iter().step_by(step).take(count).collect()
}

/// The worker that lies on a host: which file it is, and when it was written.
fn worker(host: &TestHost) -> (PathBuf, u64, i64, i64) {
    let files = host.files_under(host.cache().join("cos"));
    let [file] = &files[..] else {
        panic!("one worker is expected: {files:?}");
    };
    let found = fs::metadata(file).unwrap();
    (file.clone(), found.ino(), found.mtime(), found.mtime_nsec())
}

#[test]
fn five_hosts_give_what_a_loop_on_this_machine_gives() {
    let fixture = five_noisy_hosts();
    let files = programs(60);
    assert!(files.len() >= 40, "few files in /usr/bin: {files:?}");
    let mut expected = Vec::new();
    for file in &files {
        let script = "gzip -9 -c \"$1\" | sha256sum";
        let output = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        expected.extend(output.stdout);
    }

    let run = || {
        let mut cos = fixture
            .run(&["-k", "-v", "gzip -9 -c {} | sha256sum"])
            .open_input()
            .start();
        let (last, others) = files.split_last().unwrap();
        for file in others {
            cos.write(format!("{}\n", file.display()));
        }
        // However fast the others are, each host is to have a part in it.
        for host in &fixture.hosts {
            cos.wait_for_stderr(&format!("{} is up", host.name()));
        }
        cos.write(format!("{}\n", last.display()));
        cos.end_input();
        cos.end().exited(0).printed(&expected)
    };
    run().said("of worker sent");
    let before: Vec<_> = fixture.hosts.iter().map(worker).collect();
    for host in &fixture.hosts {
        let counts = (host.connections(), host.logins(), host.sessions());
        assert_eq!(counts, (1, 1, 1), "{}: {}", host.name(), host.shell());
    }
    fixture
        .latest_run()
        .job_log()
        .has_each_once(1, files.len() as u64);

    run().never_said("of worker sent");
    let after: Vec<_> = fixture.hosts.iter().map(worker).collect();
    assert_eq!(before, after, "the worker was there already");
    for host in &fixture.hosts {
        assert_eq!(
            (host.connections(), host.sessions()),
            (2, 2),
            "{}",
            host.name()
        );
    }
}

#[test]
fn three_lines_of_hosts_toml_are_enough() {
    let fixture = Fixture::of(1);
    // As somebody writes it whose ssh_config knows the host: the lab's stands in for ~/.ssh/config.
    let config = fixture.lab.ssh_config();
    let text = format!(
        "defaults.ssh_config = '{}'\n[[host]]\nname = \"ws[01-01]\"\nslots = 2\nlocal_storage = '{}'\n",
        config.display(),
        fixture.host("ws01").scratch().display()
    );
    fs::write(fixture.hosts_file(), text).unwrap();
    fixture
        .run(&["-k", "echo", ":::", "a", "b c"])
        .end()
        .exited(0)
        .printed("a\nb c\n");
    assert_eq!(fixture.host("ws01").connections(), 1);
}

#[test]
fn hosts_of_the_command_line_need_no_file() {
    let fixture = Fixture::of(2);
    fs::remove_file(fixture.hosts_file()).unwrap();
    // ssh reads the real account's configuration and not that of `$HOME`: the lab's stands in for it.
    let directory = fixture.lab.shared_directory("bin").unwrap();
    let ssh = format!(
        "#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n",
        fixture.lab.ssh_config().display()
    );
    fs::write(directory.join("ssh"), ssh).unwrap();
    fs::set_permissions(directory.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());

    let command = ["-k", "echo $COS_HOST {}", ":::", "a", "b", "c", "d"];
    let ran = fixture
        .run(&["-S", "1/ws01,ws02,:"])
        .args(&command)
        .env("PATH", path)
        .end()
        .exited(0);
    let text = ran.text();
    let words = text.lines().map(|line| line.split_once(' ').unwrap());
    let (hosts, jobs): (Vec<&str>, Vec<&str>) = words.unzip();
    assert_eq!(jobs, ["a", "b", "c", "d"], "{text}");
    let known = ["ws01", "ws02", ":", "local"];
    assert!(hosts.iter().all(|host| known.contains(host)), "{text}");
}

#[test]
fn this_machine_runs_jobs_where_there_is_no_hosts_toml() {
    let fixture = Fixture::local();
    let ran = fixture
        .run(&["echo", "{}"])
        .input("1\n2\n3\n")
        .end()
        .exited(0);
    assert_eq!(sorted_lines(&ran.stdout), sorted_numbers(1, 3));
    ran.said("no hosts.toml found");
}

#[test]
fn lines_are_commands_where_none_is_given() {
    let fixture = Fixture::of(1);
    let ran = fixture
        .run(&["-k"])
        .input("echo one\necho two; echo three\n")
        .end()
        .exited(0);
    ran.printed("one\ntwo\nthree\n");
}

#[test]
fn hosts_may_share_one_home() {
    let fixture = Fixture::new(|lab| {
        let home = lab.shared_directory("home").unwrap();
        let start = |name: &str| lab.host(name).home(&home).start().unwrap();
        ["ws01", "ws02", "ws03", "ws04"].map(start).into()
    });
    // All of them find no worker, and put it at the same place.
    let mut cos = fixture.run(&["-k", "-v", "echo {}"]).open_input().start();
    cos.write("1\n");
    for host in &fixture.hosts {
        cos.wait_for_stderr(&format!("{} is up", host.name()));
    }
    cos.write("2\n3\n");
    cos.end_input();
    cos.end().exited(0).printed("1\n2\n3\n");
    worker(fixture.host("ws01"));
}

#[test]
fn two_runs_share_a_host() {
    let fixture = Fixture::of(1);
    let gate = fixture.lab.directory().join("gate");
    let command = format!(
        "until [ -e '{}' ]; do sleep 0.05; done; echo {{}}",
        gate.display()
    );
    let jobs = ["-k", &command, ":::", "1", "2", "3"];
    let mut first = fixture.run(&jobs).start();
    first.wait_for("a running job", |_| {
        let processes = fixture.host("ws01").processes();
        processes
            .iter()
            .any(|process| process.command_line.starts_with("/bin/sh -c until"))
    });
    let mut second = fixture.run(&jobs).start();
    second.wait_for_stderr("ws01 works for you already");
    std::fs::write(gate, "").unwrap();
    let first = first.end_unchecked().exited(0).printed("1\n2\n3\n");
    second.end().exited(0).printed("1\n2\n3\n");
    fixture.assert_nothing_left(&first);
    assert_eq!(fixture.host("ws01").connections(), 2);
}
