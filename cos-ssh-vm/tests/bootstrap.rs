//! The bootstrap in every shell that can be a host's `/bin/sh`, and with the tools of busybox, without ssh.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cos_ssh_vm::deploy::{Script, ScriptParts, Worker, Workers};
use cos_testlab::{Shell, this_target};

const NONCE: &str = "0123456789abcdef0123456789abcdef";

const WORKER: &str = "#!/bin/sh
case $1 in
--cos-worker=trial) exit 0 ;;
--cos-worker=bridge) shift; echo \"$1 frames $2 $3 $(umask)\"; exec cat ;;
esac
";

/// A host that is only a home directory and a shell.
struct Host {
    home: tempfile::TempDir,
    shell: Vec<&'static str>,
    path: String,
}

impl Host {
    fn new(shell: &[&'static str], path: &str) -> Self {
        Self {
            home: tempfile::tempdir().expect("a home"),
            shell: shell.to_vec(),
            path: path.to_owned(),
        }
    }

    /// Logs in: the script, the bytes of the worker if `upload`, and then `ping`. Gives the lines that were said.
    fn log_in(&self, workers: &Workers, upload: bool) -> Vec<String> {
        let script = Script::new(&ScriptParts {
            nonce: NONCE,
            run: "7kq2",
            host: "ana@ws01",
            target: None,
            storage: Some("/nowhere/{user}/it's"),
            workers,
        });
        // What the login shell would give to /bin/sh.
        let line = script
            .login_command
            .strip_prefix("exec /bin/sh -c '")
            .and_then(|rest| rest.strip_suffix('\''))
            .expect("the login command has this form");
        let mut child = Command::new(self.shell[0])
            .args(&self.shell[1..])
            .args(["-c", line])
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let mut input = script.text.into_bytes();
        if upload {
            input.extend(workers.iter().flat_map(|worker| worker.bytes().to_vec()));
        }
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = String::new();
        std::thread::scope(|scope| {
            // The worker follows the script at once: nothing may read more than its share. It is too much for a pipe.
            let writer = scope.spawn(|| stdin.write_all(&input).map(|()| stdin));
            while !said.contains(" frames ") {
                let count = stdout.read_line(&mut said).expect("a line");
                assert_ne!(count, 0, "{:?}: {said}", self.shell);
            }
            let mut stdin = writer.join().expect("no panic").expect("all was read");
            stdin.write_all(b"ping\n").expect("the worker reads");
        });
        stdout.read_to_string(&mut said).expect("UTF-8");
        let output = child.wait_with_output().expect("the shell ends");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "",
            "{:?}",
            self.shell
        );
        said.lines()
            .map(|line| line.replace(&self.home.path().display().to_string(), "~"))
            .map(|line| line.replace(&format!("{NONCE} "), ""))
            .collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut pending = vec![self.home.path().to_owned()];
        while let Some(directory) = pending.pop() {
            for entry in fs::read_dir(directory).expect("a directory").flatten() {
                match entry.path().is_dir() {
                    true => pending.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        files
    }

    /// A cold start, a warm one, and one with a damaged worker.
    fn check(&self) {
        let mut workers = Workers::new();
        // With line ends and other bytes at both ends, and larger than any buffer of a shell.
        let text = format!("{WORKER}exit\n{}\n\n", "x".repeat(200_000));
        workers.add(Worker::embedded(
            &this_target(),
            Box::leak(text.into_boxed_str()).as_bytes(),
        ));
        let worker = workers.iter().next().expect("a worker");
        let user = rustix::process::geteuid().as_raw();
        let (target, sha256) = (worker.target(), worker.sha256());
        let file = format!("~/.cache/cos/workers/{user}/{target}/{sha256}/cos-worker");
        let system = format!("system\tLinux\t{}", std::env::consts::ARCH);
        let started = [
            format!("run\t{file}"),
            "frames 7kq2 ana@ws01 0022".to_owned(),
            "ping".to_owned(),
        ];
        let upload = "upload\t~/.cache".to_owned();
        let said = |middle: &[&String]| {
            let mut lines = vec![system.clone()];
            lines.extend(middle.iter().map(|line| (*line).clone()));
            lines.extend(started.clone());
            lines
        };
        let shell = &self.shell;
        assert_eq!(self.log_in(&workers, true), said(&[&upload]), "{shell:?}");
        assert_eq!(self.log_in(&workers, false), said(&[]), "{shell:?}");
        let files = self.files();
        assert_eq!(files.len(), 1, "{shell:?}: {files:?}");
        fs::write(&files[0], "#!/bin/sh\necho damaged\n").expect("writable");
        let corrupt = format!("corrupt\t{file}");
        assert_eq!(
            self.log_in(&workers, true),
            said(&[&corrupt, &upload]),
            "{shell:?}"
        );
        assert_eq!(self.files(), files, "{shell:?}");
        assert_eq!(fs::read(&files[0]).expect("readable"), worker.bytes());
    }
}

fn program(shell: Shell) -> Option<&'static str> {
    let path = shell.path()?;
    Some(Box::leak(path.display().to_string().into_boxed_str()))
}

#[test]
fn every_shell_that_can_be_the_system_shell() {
    let mut checked = 0;
    for (shell, options) in [
        (Shell::Sh, &[][..]),
        (Shell::Dash, &[]),
        (Shell::Bash, &["--posix"]),
        (Shell::Bash, &[]),
        (Shell::Ksh, &[]),
        (Shell::Zsh, &["--emulate", "sh"]),
        (Shell::Busybox, &["sh"]),
    ] {
        if let Some(program) = program(shell) {
            let command = [&[program], options].concat();
            Host::new(&command, "/usr/local/bin:/usr/bin:/bin").check();
            checked += 1;
        }
    }
    assert!(checked >= 2, "sh and bash are everywhere");
}

#[test]
fn the_tools_of_busybox() {
    let Some(busybox) = program(Shell::Busybox) else {
        eprintln!("busybox is not installed; its tools were not tried");
        return;
    };
    let tools = tempfile::tempdir().unwrap();
    let list = Command::new(busybox).arg("--list").output().unwrap().stdout;
    for tool in String::from_utf8(list).unwrap().lines() {
        symlink(busybox, tools.path().join(tool)).unwrap();
    }
    let path = tools.path().display().to_string();
    let shell: &str = Box::leak(format!("{path}/sh").into_boxed_str());
    assert!(Path::new(shell).exists());
    Host::new(&[shell], &path).check();
}
