//! The command `cos` as its users meet it: exit codes, what goes to which stream, and that it ends quietly.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// `cos` in a directory and a home of its own, without the user's settings.
fn cos(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cos"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("TERM", "xterm")
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Output {
    let directory = tempfile::tempdir().expect("a directory");
    cos(directory.path())
        .args(words)
        .output()
        .expect("cos runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, stderr: &str) {
    assert_eq!(text(&output.stderr), stderr);
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty(), "{}", output.stdout.escape_ascii());
}

#[test]
fn a_dry_run_prints_the_commands() {
    let output = run(&[
        "run",
        "--dry-run",
        "-j4",
        "gzip -9 {} > {.}.gz",
        ":::",
        "a b.c",
        "it's",
    ]);
    assert_eq!(
        text(&output.stdout),
        "gzip -9 'a b.c' > 'a b'.gz\ngzip -9 'it'\\''s' > 'it'\\''s'.gz\n"
    );
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[test]
fn empty_input_is_told_by_its_exit_code() {
    assert_fails(
        &run(&["run", "--dry-run", "echo"]),
        4,
        "error: no jobs: the input is empty\n",
    );
}

#[test]
fn usage_errors_come_with_a_cure_and_without_colours() {
    assert_fails(
        &run(&["run", "--lb", "echo", ":::", "a"]),
        2,
        "error: `--lb` is a flag of GNU parallel that cos does not have\n  hint: use --output line\n",
    );
    assert_fails(
        &run(&["echo", "a"]),
        2,
        "error: cos has no command `echo`\n  hint: to run it on the hosts: `cos run echo ...`\n",
    );
    assert_fails(
        &run(&["run", "--dry-run", "echo", "::::", "no-such-list"]),
        2,
        "error: cannot open `no-such-list`\n  No such file or directory (os error 2)\n",
    );
    let mixed = run(&["run", "--dry-run", "echo $(({}))", ":::", "a[$(id)]", "7"]);
    assert_eq!(text(&mixed.stdout), "echo $((7))\n");
    assert_fails(
        &run(&["run", "--dry-run", "echo $(({}))", ":::", "a[$(id)]"]),
        100,
        "error: job 1: `{}` stands within arithmetic, where the value `a[$(id)]` could be read as code\n  \
         hint: assign it first and use the variable there: 'x={}; ... $x ...'\n",
    );
    let clap = run(&["run", "--halt", "now", "echo", ":::", "a"]);
    assert_eq!(clap.status.code(), Some(2));
    assert!(!clap.stderr.contains(&0x1b));
}

#[test]
fn a_flag_may_stand_in_the_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("list");
    std::fs::write(&list, "a,b\n").expect("written");
    let output = cos(directory.path())
        .args(["run", "echo {2}"])
        .env("COS_DRY_RUN", "1")
        .env("COS_COLSEP", ",")
        .env("COS_ARG_FILE", "list")
        .env("COS_VERBOSE", "2")
        .env("COS_KEEP_ORDER", "no")
        .output()
        .expect("cos runs");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "echo b\n");
}

#[test]
fn input_is_read_as_it_comes_and_a_closed_output_ends_quietly() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut child = cos(directory.path())
        .args(["run", "--dry-run", "echo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cos runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || {
        // Ends when cos does.
        while stdin.write_all(b"line\n").is_ok() {}
    });
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    stdout
        .read_line(&mut first)
        .expect("a line of an endless input");
    assert_eq!(first, "echo line\n");
    drop(stdout);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut stderr)
        .expect("text");
    assert_eq!(stderr, "");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    writer.join().expect("the writer ends");
}

#[test]
fn arguments_of_any_bytes_pass() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().expect("a directory");
    let bytes: Vec<u8> = (1..=255).collect();
    let output = cos(directory.path())
        .args(["run", "--dry-run", "printf %s", ":::"])
        .arg(std::ffi::OsStr::from_bytes(&bytes))
        .output()
        .expect("cos runs");
    let script = std::ffi::OsStr::from_bytes(&output.stdout);
    let printed = Command::new("sh")
        .arg("-c")
        .arg(script)
        .output()
        .expect("sh runs");
    assert_eq!(
        printed.stdout.escape_ascii().to_string(),
        bytes.escape_ascii().to_string()
    );
}

#[test]
fn init_writes_a_file_that_hosts_reads() {
    let directory = tempfile::tempdir().expect("a directory");
    let cos = |words: &[&str]| {
        cos(directory.path())
            .args(words)
            .output()
            .expect("cos runs")
    };
    let output = cos(&["init", "ws[01-02]"]);
    assert_eq!(
        text(&output.stdout),
        "wrote hosts.toml:\n\n[[host]]\nname  = \"ws[01-02]\"\nslots = \"cores\"\n\nNext: cos doctor\n"
    );
    let again = cos(&["init"]);
    assert_fails(
        &again,
        2,
        "error: there is a hosts.toml here already\n  hint: edit it, or remove it first\n",
    );
    let hosts = cos(&["hosts", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_slice(&hosts.stdout).expect("JSON");
    assert_eq!(document["hosts"][1]["name"], "ws02");
    let none = cos(&["hosts", "--on", "gpu"]);
    assert_eq!(none.status.code(), Some(3));
    let refused = cos(&["hosts", "-S", "-oProxyCommand=id"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn completions_and_the_manual_are_on_standard_output() {
    let output = run(&["completions", "bash"]);
    assert!(text(&output.stdout).contains("complete -F _cos"));
    let output = run(&["man"]);
    assert!(text(&output.stdout).contains(".TH cos 1"));
}
