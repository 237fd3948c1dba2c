//! The program `lab`: a program that embeds COS, sends itself to the hosts of a lab and runs commands there.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cos_testlab::Lab;

/// The program, in an environment that has nothing to do with the user's.
fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command
        .current_dir(home)
        .env("HOME", home)
        .env_remove("COS_HOSTS")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("PARALLEL_MIRRORED_STORAGE");
    command
}

fn text(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    format!("{}{stderr}", String::from_utf8_lossy(&output.stdout))
}

#[test]
fn without_a_file_it_has_the_cores_of_this_machine() {
    let home = tempfile::tempdir().unwrap();
    let output = program(home.path()).arg("30").output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "local: 30\n");
}

#[test]
fn it_sends_itself_to_the_hosts_of_the_nearest_file() {
    let lab = Lab::new().unwrap();
    let hosts = ["ws01", "ws02"].map(|name| lab.host(name).start().unwrap());
    let home = tempfile::tempdir().unwrap();
    let below = home.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::write(
        home.path().join("hosts.toml"),
        lab.hosts_toml(&hosts).unwrap(),
    )
    .unwrap();
    let output = program(home.path())
        .current_dir(below)
        .arg("60")
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    let ran = said.lines().map(|line| {
        let (host, number) = line.split_once(": ").unwrap();
        assert!(["ws01", "ws02"].contains(&host), "{said}");
        number.parse::<u64>().unwrap()
    });
    assert_eq!(ran.sum::<u64>(), 60, "{said}");
}

#[test]
fn a_file_that_others_could_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts.toml");
    fs::write(&file, "[[host]]\nname = \"local\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let output = program(home.path()).output().unwrap();
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("not read"), "{}", text(&output));
}
