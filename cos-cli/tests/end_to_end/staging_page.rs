//! The three cases of `docs/paths-and-staging.md`, with the commands that stand there.

use std::fs;
use std::path::Path;

use crate::staging::{names_in, prepared, sent};
use crate::support::Fixture;

/// The page that tells users of all this. What stands in it is what runs here.
const PAGE: &str = include_str!("../../../docs/paths-and-staging.md");

/// A command of the page, which has to stand there as it does here.
fn of_the_page(command: &'static str) -> &'static str {
    assert!(PAGE.contains(command), "{command} is not on the page");
    command
}

fn three_inputs(directory: &Path) -> Vec<String> {
    fs::create_dir_all(directory.join("in")).unwrap();
    let name = |lines: usize| {
        let name = format!("in/{lines}");
        fs::write(directory.join(&name), "line\n".repeat(lines)).unwrap();
        name
    };
    (1..=3).map(name).collect()
}

#[test]
fn the_first_case_one_home() {
    let fixture = Fixture::new(|lab| {
        let home = lab.client_home();
        ["ws01", "ws02"]
            .map(|name| lab.host(name).home(&home).start().unwrap())
            .into()
    });
    let project = fixture.lab.client_home().join("project");
    let inputs = three_inputs(&project);
    let script = of_the_page("'wc -l < {} > {}.count'").trim_matches('\'');
    // The flags for labs that share nothing do no harm.
    for flags in [&[][..], &["--trc", "{}.count"][..]] {
        let cos = fixture.run_in(&project, flags).args(&[script, ":::"]);
        cos.args(&inputs).end().exited(0).never_said("scratch");
        let names = names_in(&project.join("in"));
        assert_eq!(names, ["1", "1.count", "2", "2.count", "3", "3.count"]);
        assert!(sent(&fixture).is_empty());
    }
    let count = fs::read_to_string(project.join("in/3.count")).unwrap();
    assert_eq!(count.trim(), "3");
}

#[test]
fn the_second_case_different_mount_points() {
    let fixture = Fixture::new(|lab| {
        let top = lab.shared_directory("trees").unwrap();
        for (name, other) in [("foo", "d1"), ("bar", "d2")] {
            fs::create_dir(top.join(name)).unwrap();
            std::os::unix::fs::symlink(top.join(name), top.join(other)).unwrap();
        }
        let there = format!("mirrored_storage = ['{0}/d1', '{0}/d2']", top.display());
        vec![lab.host("ws01").hosts_toml_line(&there).start().unwrap()]
    });
    let top = fixture.lab.shared_directory("trees").unwrap();
    let here = format!("mirrored_storage = ['{0}/foo', '{0}/bar']", top.display());
    let fixture = fixture.default_line(&here);
    let project = top.join("foo/project");
    fs::create_dir(&project).unwrap();
    three_inputs(&top.join("bar"));
    let script = of_the_page("'wc -l < {m} > {/}.count'").trim_matches('\'');
    let inputs = ["1", "2", "3"].map(|name| top.join("bar/in").join(name));
    let cos = fixture.run_in(&project, &[&format!("{script}; pwd; echo {{m}}"), ":::"]);
    let ran = cos.args(&inputs).end().exited(0);
    assert_eq!(names_in(&project), ["1.count", "2.count", "3.count"]);
    let text = ran.text();
    assert!(
        text.contains("/d1/project\n") && text.contains("/d2/in/3\n"),
        "{text}"
    );
}

#[test]
fn the_third_case_nothing_is_shared() {
    let fixture = Fixture::new(|lab| {
        let tools = lab.shared_directory("tools").unwrap();
        write_simulator(&tools);
        ["ws01", "ws02"]
            .map(|name| lab.host(name).path_prefix(&tools).start().unwrap())
            .into()
    });
    let (fixture, work) = prepared(fixture);
    fs::write(work.join("model.lib"), "model\n").unwrap();
    let inputs = three_inputs(&work);
    let line = of_the_page(
        "cos run --basefile model.lib --transferfile {} --return {}.out --cleanup 'sim model.lib {} > {}.out' ::: in/*",
    );
    let (flags, rest) = line["cos run ".len()..].split_once(" '").unwrap();
    let (script, _) = rest.split_once("' ").unwrap();
    let flags: Vec<&str> = flags.split(' ').collect();
    let cos = fixture.run_in(&work, &flags).args(&[script, ":::"]);
    cos.args(&inputs).end().exited(0);
    for (number, input) in (1..).zip(&inputs) {
        let out = fs::read_to_string(work.join(format!("{input}.out"))).unwrap();
        assert_eq!(out, format!("model\n{}", "line\n".repeat(number)));
    }
}

/// A simulator that says what it was given.
fn write_simulator(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(directory).unwrap();
    let tool = directory.join("sim");
    fs::write(&tool, "#!/bin/sh\nexec cat -- \"$@\"\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
}
