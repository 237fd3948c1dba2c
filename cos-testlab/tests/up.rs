//! The command `cos-testlab up`: a lab for a person, gone without a trace whatever ends it.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Generous: nothing here should take a second.
const DEADLINE: Duration = Duration::from_secs(30);

struct Up {
    child: Child,
    introduction: String,
    hosts_file: PathBuf,
}

impl Up {
    /// Starts the command and waits until it has said what to do next.
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_cos-testlab"))
            .arg("up")
            .args(arguments)
            .current_dir(directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut introduction = String::new();
        let mut reader = BufReader::new(child.stdout.as_mut().expect("a pipe"));
        while !introduction.contains("Ctrl-C") {
            let count = reader.read_line(&mut introduction).expect("a line");
            assert_ne!(count, 0, "it ended after {introduction:?}");
        }
        Self {
            child,
            introduction,
            hosts_file: directory.join("lab.toml"),
        }
    }

    /// What the hosts file names as ssh's configuration.
    fn ssh_config(&self) -> PathBuf {
        let text = std::fs::read_to_string(&self.hosts_file).expect("a hosts file");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("ssh_config = "));
        PathBuf::from(line.expect("the key").trim_matches('"'))
    }

    fn ssh(&self, host: &str, command: &str) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F")
            .arg(self.ssh_config())
            .args(["-o", "BatchMode=yes", host, command]);
        ssh.stdin(Stdio::null()).output().expect("ssh runs")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("to signal");
    }
}

/// The lab's directory: `client` with the ssh configuration is below it.
fn lab_directory(ssh_config: &Path) -> PathBuf {
    ssh_config
        .ancestors()
        .nth(2)
        .expect("two parents")
        .to_owned()
}

fn wait_until_gone(path: &Path) {
    let start = Instant::now();
    while path.exists() {
        assert!(
            start.elapsed() < DEADLINE,
            "{} is still there",
            path.display()
        );
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_lab_is_there_until_a_signal_comes() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let directory = tempfile::tempdir().unwrap();
        let mut up = Up::start(directory.path(), &["2", "--shells", "sh,bash", "--noisy"]);
        assert!(
            up.introduction.contains("ws01 (sh), ws02 (bash)"),
            "{}",
            up.introduction
        );
        let output = up.ssh("ws02", "echo reached");
        assert!(output.stdout.ends_with(b"\nreached\n"), "{output:?}");
        let lab = lab_directory(&up.ssh_config());
        assert!(lab.join("ws01").is_dir());
        up.signal(signal);
        assert!(up.child.wait().unwrap().success());
        let mut said = String::new();
        up.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(said.starts_with("lab stopped"), "{said}");
        assert!(!lab.exists());
        assert!(!up.hosts_file.exists());
    }
}

#[test]
fn a_killed_lab_is_cleaned_up_after() {
    let directory = tempfile::tempdir().unwrap();
    let mut up = Up::start(directory.path(), &["2"]);
    let lab = lab_directory(&up.ssh_config());
    let script = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let output = up.ssh("ws01", script);
    let daemon = String::from_utf8(output.stdout).unwrap();
    let daemon = PathBuf::from(format!("/proc/{}/cwd", daemon.trim()));
    assert!(daemon.exists(), "{}", daemon.display());
    up.signal(Signal::KILL);
    up.child.wait().unwrap();
    wait_until_gone(&lab);
    wait_until_gone(&daemon);
    // The next lab may have the hosts file that the killed one could not remove.
    let mut next = Up::start(directory.path(), &["1"]);
    assert!(next.ssh("ws01", "true").status.success());
    next.signal(Signal::TERM);
    assert!(next.child.wait().unwrap().success());
}

#[test]
fn a_foreign_hosts_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let hosts_file = directory.path().join("mine.toml");
    std::fs::write(&hosts_file, "[[host]]\nname = \"ws01\"\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cos-testlab"))
        .args(["up", "1", "--hosts-file"])
        .arg(&hosts_file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose another --hosts-file"));
    assert_eq!(
        std::fs::read_to_string(&hosts_file).unwrap(),
        "[[host]]\nname = \"ws01\"\n"
    );
}
