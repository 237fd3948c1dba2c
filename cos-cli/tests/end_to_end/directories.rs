//! Where jobs run, and hosts that are not what they should be: without the tool, or with another directory of the
//! same name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cos_testlab::Breakage;
use rustix::process::Signal;

use crate::support::{Fixture, sorted_lines, sorted_numbers};

/// A program that works, in a directory of its own.
fn write_tool(directory: &Path, name: &str, script: &str) {
    fs::create_dir_all(directory).unwrap();
    let tool = directory.join(name);
    fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn jobs_run_in_the_directory_that_is_proven_shared() {
    let fixture = Fixture::of(2);
    let data = fixture.lab.shared_directory("data").unwrap();
    let fixture = fixture.default_line(&format!("mirrored_storage = ['{}']", data.display()));
    let project = data.join("a project");
    fs::create_dir(&project).unwrap();
    for number in 1..=8 {
        fs::write(project.join(format!("in-{number}")), format!("{number}\n")).unwrap();
    }
    let files: Vec<String> = (1..=8).map(|number| format!("in-{number}")).collect();
    let ran = fixture
        .run_in(&project, &["cat {} | tee out-{}", ":::"])
        .args(&files)
        .end()
        .exited(0);
    assert_eq!(sorted_lines(&ran.stdout), sorted_numbers(1, 8));
    let mut names: Vec<String> = fs::read_dir(&project)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let mut expected: Vec<String> = files
        .iter()
        .flat_map(|it| [it.clone(), format!("out-{it}")])
        .collect();
    expected.sort();
    assert_eq!(names, expected, "the proof leaves no file");
}

/// Runs a job in `directory` that looks around, and checks that it was in an empty scratch directory. Gives what was
/// said of that.
fn told_of_scratch(fixture: &Fixture, directory: &Path) -> Vec<String> {
    fs::write(directory.join("input"), "").unwrap();
    let ran = fixture
        .run_in(directory, &["ls -A; pwd; touch used # {}", ":::", "x"])
        .end()
        .exited(0);
    let printed = ran.text();
    let path = Path::new(printed.trim_end());
    let scratch = fixture.host("ws01").scratch();
    assert!(
        path.starts_with(scratch) && !path.exists(),
        "{}",
        ran.story()
    );
    let told = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning"));
    told.map(str::to_owned).collect()
}

#[test]
fn jobs_run_in_an_empty_scratch_directory_where_theirs_is_not_shared() {
    let fixture = Fixture::new(|lab| {
        let elsewhere = lab.shared_directory("elsewhere").unwrap();
        let mirrored = format!("mirrored_storage = ['{}']", elsewhere.display());
        vec![lab.host("ws01").hosts_toml_line(&mirrored).start().unwrap()]
    });
    // Its home there is another directory.
    let told = told_of_scratch(&fixture, &fixture.lab.client_home());
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("ws01"), "{told:#?}");
}

#[test]
fn nothing_is_said_where_nothing_is_said_to_be_shared() {
    let fixture = Fixture::of(1).default_line("mirrored_storage = []");
    let directory = fixture.lab.shared_directory("work").unwrap();
    let told = told_of_scratch(&fixture, &directory);
    assert_eq!(told, [""; 0]);
}

#[test]
fn a_directory_of_the_same_path_is_used_without_being_written_down() {
    let fixture = Fixture::of(1);
    let directory = fixture.lab.shared_directory("work").unwrap();
    let ran = fixture
        .run_in(&directory, &["pwd; touch seen-{}", ":::", "x"])
        .end()
        .exited(0);
    let ran = ran.printed(format!("{}\n", directory.display()));
    assert!(directory.join("seen-x").exists(), "{}", ran.story());
    ran.never_said("scratch");
}

#[test]
fn a_home_under_another_path_is_the_same_home() {
    // The client's home is a link to the one that the host has, as `/home/ana` to `/net/home/ana`.
    let fixture = Fixture::new(|lab| {
        let home = lab.shared_directory("net-home").unwrap();
        vec![lab.host("ws01").home(home).start().unwrap()]
    });
    let net_home = fixture.lab.shared_directory("net-home").unwrap();
    let home = fixture.lab.directory().join("home-ana");
    std::os::unix::fs::symlink(&net_home, &home).unwrap();
    fs::create_dir(home.join("project")).unwrap();
    let ran = fixture
        .run_in(&home.join("project"), &["pwd", ":::", "x"])
        .env("HOME", &home)
        .end()
        .exited(0);
    ran.printed(format!("{}/project\n", net_home.display()));
}

/// The token files in a directory.
fn tokens(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(".cos-token-")).count()
}

/// A host that works, `ws01`, and one that never answers, `ws02`: a run on that one alone has a token for long.
fn one_and_a_silent_one() -> Fixture {
    Fixture::with_broken(|lab| {
        let good = lab.host("ws01").start().unwrap();
        let silent = lab.broken_host("ws02", Breakage::Silent).unwrap();
        (vec![good], vec![silent])
    })
}

#[test]
fn no_token_stays_however_a_run_ends() {
    let fixture = one_and_a_silent_one();
    let directory = fixture.lab.shared_directory("work").unwrap();
    // Its end by itself, a failure of a job and of the whole run.
    for (command, code) in [("ls -A #", 0), ("false", 100), ("no-such-tool", 3)] {
        let words = ["--on", "ws01", command, ":::", "x"];
        let ran = fixture.run_in(&directory, &words).end();
        ran.exited(code).printed("");
        assert_eq!(tokens(&directory), 0, "{command:?}");
    }
    let start = || {
        let mut cos = fixture
            .run_in(&directory, &["--on", "ws02", "true", ":::", "x"])
            .start();
        cos.wait_for("a token", |_| tokens(&directory) == 1);
        cos
    };
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        // Nothing runs yet, so that the first signal ends it.
        let cos = start();
        cos.signal(signal);
        cos.end_unchecked().exited(code);
        assert_eq!(tokens(&directory), 0, "{signal:?}");
    }
    // A killed client cannot remove it; the next one does.
    start().kill();
    assert_eq!(tokens(&directory), 1);
    let words = ["--on", "ws01", "ls -A #", ":::", "x"];
    let ran = fixture.run_in(&directory, &words).end();
    ran.exited(0).printed("");
    assert_eq!(tokens(&directory), 0);
}

#[test]
fn every_job_may_have_a_directory_of_its_own() {
    let fixture = Fixture::of(1);
    let command = "ls -A; echo {} >file; cat file; pwd >&2";
    let ran = fixture
        .run(&["-k", "--workdir", "...", command, ":::", "1", "2", "3"])
        .end()
        .exited(0);
    let ran = ran.printed("1\n2\n3\n");
    let scratch = fixture.host("ws01").scratch().display().to_string();
    let directories = ran.stderr.lines().filter(|line| line.contains(&scratch));
    let directories: std::collections::BTreeSet<&str> = directories.collect();
    assert_eq!(directories.len(), 3, "{}", ran.story());
}

#[test]
fn a_tool_that_is_missing_on_one_host_and_a_directory_that_is_another_one() {
    let fixture = Fixture::new(|lab| {
        let tools = lab.shared_directory("tools").unwrap();
        write_tool(
            &tools,
            "square",
            "sleep 0.05; echo $(($1 * $1)); test ! -e stale",
        );
        let mut hosts = Vec::new();
        for name in ["ws01", "ws02", "ws03"] {
            let mut builder = lab.host(name);
            if name != "ws02" {
                builder = builder.path_prefix(&tools);
            }
            if name == "ws03" {
                let other = lab.directory().join("ws03-data");
                fs::create_dir_all(other.join("project")).unwrap();
                fs::write(other.join("project/stale"), "").unwrap();
                builder =
                    builder.hosts_toml_line(&format!("mirrored_storage = ['{}']", other.display()));
            }
            hosts.push(builder.start().unwrap());
        }
        hosts
    });
    let data = fixture.lab.shared_directory("data").unwrap();
    let fixture = fixture.default_line(&format!("mirrored_storage = ['{}']", data.display()));
    let project = data.join("project");
    fs::create_dir(&project).unwrap();
    let numbers: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
    let mut cos = fixture
        .run_in(&project, &["-k", "square {}"])
        .open_input()
        .start();
    let (last, others) = numbers.split_last().unwrap();
    cos.write(others.join("\n"));
    // Why ws02 gets nothing, and that ws03's directory is not the client's.
    cos.wait_for("the tool that ws02 misses", |cos| {
        let stderr = cos.stderr();
        stderr.lines().any(|line| {
            line.contains("ws02") && line.contains("square") && line.contains("not found")
        })
    });
    cos.wait_for_stderr("not shared with ws03");
    cos.write(format!("\n{last}\n"));
    cos.end_input();
    let ran = cos.end().exited(0);
    let expected: String = (1..=60)
        .map(|number| format!("{}\n", number * number))
        .collect();
    ran.printed(expected);
    let log = fixture.latest_run().job_log();
    log.has_each_once(1, 60);
    assert!(
        log.lines
            .iter()
            .all(|line| line.exit == 0 && line.host != "ws02"),
        "{log:#?}"
    );
}

#[test]
fn a_tool_that_is_missing_everywhere_ends_the_run_at_once() {
    let fixture = Fixture::of(2);
    let numbers: Vec<String> = (1..=200).map(|number| number.to_string()).collect();
    let ran = fixture
        .run(&["no-such-tool {}", ":::"])
        .args(&numbers)
        .end()
        .exited(3);
    ran.said("no-such-tool").said("not found");
    let ran_at_all = fixture.latest_run().job_log().lines.len();
    assert!(ran_at_all < 100, "{ran_at_all} jobs were tried");
}

#[test]
fn a_file_that_cannot_be_executed_is_the_hosts_fault_too() {
    let fixture = Fixture::with(2, |host| host);
    let tools = fixture.lab.shared_directory("tools").unwrap();
    write_tool(&tools, "tool", "echo done");
    fs::set_permissions(tools.join("tool"), fs::Permissions::from_mode(0o600)).unwrap();
    let command = format!("{}/tool", tools.display());
    let ran = fixture.run(&[&command, ":::", "1", "2"]).end().exited(3);
    ran.said("Permission denied");
}

#[test]
fn a_working_directory_that_is_not_there_is_told_once() {
    let fixture = Fixture::of(1);
    let words = ["--workdir", "/nonexistent", "pwd", ":::", "a"];
    let ran = fixture
        .run(&words)
        .end()
        .exited(2)
        .printed("")
        .said("/nonexistent");
    assert_eq!(
        ran.stderr.matches("No such file").count(),
        1,
        "{}",
        ran.story()
    );
}

#[test]
fn paths_are_named_as_each_host_sees_them() {
    let fixture = Fixture::new(|lab| {
        let tree = lab.shared_directory("tree").unwrap();
        // The same tree under another path, and another tree with files of the same names.
        let elsewhere = lab.directory().join("elsewhere");
        std::os::unix::fs::symlink(&tree, &elsewhere).unwrap();
        let other = lab.shared_directory("other").unwrap();
        [("ws01", &tree), ("ws02", &elsewhere), ("ws03", &other)]
            .map(|(name, path)| {
                let mirrored = format!("mirrored_storage = ['{}']", path.display());
                lab.host(name).hosts_toml_line(&mirrored).start().unwrap()
            })
            .into()
    });
    let tree = fixture.lab.shared_directory("tree").unwrap();
    let other = fixture.lab.shared_directory("other").unwrap();
    let elsewhere = fixture.lab.directory().join("elsewhere");
    let fixture = fixture.default_line(&format!("mirrored_storage = ['{}']", tree.display()));
    let names: Vec<String> = (1..=12)
        .map(|number| format!("it's {number}.net"))
        .collect();
    for name in &names {
        fs::write(tree.join(name), "right").unwrap();
        fs::write(other.join(name), "wrong").unwrap();
    }
    let command = "sleep 0.2; printf '%s %s %s\\n' \"$COS_HOST\" \"$(cat {m})\" {m.}";
    let ran = fixture
        .run_in(&tree, &["-k", command, ":::"])
        .args(&names)
        .end()
        .exited(0);
    let printed = ran.text();
    let mut hosts = std::collections::BTreeSet::new();
    for (line, name) in printed.lines().zip(&names) {
        let (host, rest) = line.split_once(' ').unwrap();
        hosts.insert(host.to_owned());
        let seen = match host {
            "ws01" => &tree,
            "ws02" => &elsewhere,
            _ => panic!("{line}\n{}", ran.story()),
        };
        let path = seen.join(name.trim_end_matches(".net"));
        assert_eq!(rest, format!("right {}", path.display()));
    }
    assert_eq!(printed.lines().count(), names.len(), "{}", ran.story());
    let ran = ran.said("is not this computer's directory");
    assert!(hosts.contains("ws02"), "{}", ran.story());

    // A file that no host could see is that job's failure, and the others go on.
    fixture
        .run_in(&tree, &["cat {m}", ":::", "/etc/hostname", "it's 1.net"])
        .end()
        .exited(100)
        .printed("right")
        .said("/etc/hostname is not in mirrored storage")
        .said("`mirrored_storage` in hosts.toml");
}
