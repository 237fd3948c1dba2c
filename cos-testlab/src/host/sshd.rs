//! One sshd: its configuration, its start, its end.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::host::log::SshdLog;
use crate::host::mounts::{Mount, Privileges};
use crate::host::processes::HOST_VARIABLE;
use crate::programs;
use crate::quoting::{shell_word, ssh_argument};

/// Generous: a start takes some ten milliseconds, on a machine that does nothing else.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// Between two looks at the log of an sshd that starts.
const LOG_AGAIN: Duration = Duration::from_millis(2);

/// Where distributions have the server side of `scp` and `sftp`.
const SFTP_SERVERS: [&str; 3] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
];

/// Where Debian's sshd, started by root, wants an empty directory to lock its unprivileged part in.
const SEPARATION_DIRECTORY: &str = "/run/sshd";

/// What an sshd is started with.
#[derive(Debug)]
pub(crate) struct SshdPlan {
    pub(crate) host: String,
    pub(crate) id: String,
    /// The host's own directory, for configuration, pid file and log.
    pub(crate) root: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) port: u16,
    pub(crate) host_key: PathBuf,
    /// Who may log in; `None`: nobody.
    pub(crate) authorized_keys: Option<String>,
    /// The command that every session runs.
    pub(crate) forced_command: PathBuf,
    /// Options that come before the lab's own, and so win.
    pub(crate) options: Vec<(String, String)>,
    pub(crate) mounts: Vec<(PathBuf, Mount)>,
    pub(crate) privileges: Privileges,
    pub(crate) user: String,
}

/// A configured sshd, running or not.
#[derive(Debug)]
pub(crate) struct Sshd {
    plan: SshdPlan,
    configuration: PathBuf,
    log: SshdLog,
    child: Option<Child>,
}

impl Sshd {
    /// Writes the configuration.
    pub(crate) fn new(plan: SshdPlan) -> Result<Self, LabError> {
        let configuration = plan.root.join("sshd_config");
        let keys = plan.root.join("authorized_keys");
        let lines = plan.authorized_keys.as_deref().unwrap_or_default();
        write_private(&keys, lines)?;
        // Its account's shell starts the forced command, and would read the rc files of `$HOME`.
        let empty = plan.root.join("empty");
        fs::create_dir_all(&empty).map_err(LabError::file("create", &empty))?;
        write_private(&configuration, &plan.configuration(&keys, &empty))?;
        let log = SshdLog::new(plan.root.join("sshd.log"));
        Ok(Self {
            plan,
            configuration,
            log,
            child: None,
        })
    }

    pub(crate) fn log(&self) -> &SshdLog {
        &self.log
    }

    /// The listener's process id, while it runs.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok())
    }

    /// Starts the listener and returns once it listens.
    pub(crate) fn start(&mut self) -> Result<(), LabError> {
        let before = self.log.text().len();
        let log = self.open_log()?;
        let mut command = self.command();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(
                log.try_clone()
                    .map_err(LabError::file("open", self.log.path()))?,
            )
            .stderr(log)
            // Ctrl-C is for the test's own process group.
            .process_group(0);
        let child = command
            .spawn()
            .map_err(LabError::file("run", &self.plan.program))?;
        let child = self.child.insert(child);
        let end = Instant::now() + START_DEADLINE;
        loop {
            if self.log.listens(before) {
                return Ok(());
            }
            let ended = child.try_wait().is_ok_and(|status| status.is_some());
            if ended || Instant::now() >= end {
                // A process that has ended already cannot be killed; wait() reaps it either way.
                let _ = child.kill();
                let _ = child.wait();
                self.child = None;
                let said = self
                    .log
                    .text()
                    .get(before..)
                    .unwrap_or_default()
                    .trim()
                    .to_owned();
                return Err(LabError::Sshd {
                    host: self.plan.host.clone(),
                    log: said,
                });
            }
            thread::sleep(LOG_AGAIN);
        }
    }

    /// Ends the listener alone, as by `systemctl stop ssh`: its sessions go on.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A process that has ended already cannot be killed; wait() reaps it either way.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn command(&self) -> Command {
        let sshd = [
            self.plan.program.as_os_str(),
            "-D".as_ref(),
            "-e".as_ref(),
            "-f".as_ref(),
        ];
        if self.plan.privileges.mount_namespaces {
            let mut command =
                Command::new(programs::find("unshare").unwrap_or_else(|| "unshare".into()));
            command.args([
                "--mount",
                "/bin/sh",
                "-c",
                &self.plan.namespace_script(),
                "sh",
            ]);
            command.args(sshd).arg(&self.configuration);
            command
        } else {
            let mut command = Command::new(sshd[0]);
            command.args(&sshd[1..]).arg(&self.configuration);
            command
        }
    }

    fn open_log(&self) -> Result<File, LabError> {
        let path = self.log.path();
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(LabError::file("open", path))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl SshdPlan {
    fn configuration(&self, authorized_keys: &Path, home: &Path) -> String {
        let mut text = String::new();
        // The first value of a key wins.
        for (key, value) in &self.options {
            let _ = writeln!(text, "{key} {value}");
        }
        if let Some(server) = SFTP_SERVERS
            .iter()
            .find(|server| Path::new(server).exists())
        {
            let _ = writeln!(text, "Subsystem sftp {server}");
        }
        let quoted = |path: &Path| ssh_argument(&path.to_string_lossy());
        // Without PAM, sshd refuses an account whose password is locked.
        let pam = if self.privileges.root && is_locked(&self.user) {
            "yes"
        } else {
            "no"
        };
        let forced = format!("exec {}", self.forced_command.to_string_lossy());
        for (key, value) in [
            ("Port", self.port.to_string()),
            ("ListenAddress", "127.0.0.1".to_owned()),
            ("HostKey", quoted(&self.host_key)),
            ("PidFile", "none".to_owned()),
            ("LogLevel", "VERBOSE".to_owned()),
            ("AuthorizedKeysFile", quoted(authorized_keys)),
            // The lab's directory is below /tmp, which anybody may write.
            ("StrictModes", "no".to_owned()),
            ("UsePAM", pam.to_owned()),
            ("PasswordAuthentication", "no".to_owned()),
            ("KbdInteractiveAuthentication", "no".to_owned()),
            ("PermitRootLogin", "prohibit-password".to_owned()),
            // The real account's ~/.ssh/rc and ~/.ssh/environment are nobody's business here.
            ("PermitUserRC", "no".to_owned()),
            ("PermitUserEnvironment", "no".to_owned()),
            ("UseDNS", "no".to_owned()),
            ("PrintMotd", "no".to_owned()),
            ("PrintLastLog", "no".to_owned()),
            // One line: sshd reads only the first.
            (
                "SetEnv",
                [
                    format!("{HOST_VARIABLE}={}", self.id),
                    format!("HOME={}", home.display()),
                    // As PAM sets it; without, fish and tcsh take bytes for Latin-1.
                    "LANG=C.UTF-8".to_owned(),
                ]
                .map(|assignment| ssh_argument(&assignment))
                .join(" "),
            ),
            ("ForceCommand", forced),
        ] {
            let _ = writeln!(text, "{key} {value}");
        }
        text
    }

    /// What is mounted before sshd takes the shell's place.
    fn namespace_script(&self) -> String {
        let mut script = String::from("set -e\n");
        if !Path::new(SEPARATION_DIRECTORY).is_dir() {
            let directory = shell_word(SEPARATION_DIRECTORY);
            let _ = writeln!(
                script,
                "mount -t tmpfs -o mode=0755 cos-testlab /run\nmkdir -m 0755 {directory}"
            );
        }
        for (directory, mount) in &self.mounts {
            script.push_str(&mount.script(directory));
        }
        script.push_str("exec \"$@\"\n");
        script
    }
}

/// Makes the directory that root's sshd wants, where it cannot be made in a namespace.
pub(crate) fn prepare_separation_directory(privileges: Privileges) -> Result<(), LabError> {
    let directory = Path::new(SEPARATION_DIRECTORY);
    if privileges.root && !privileges.mount_namespaces && !directory.is_dir() {
        fs::create_dir_all(directory).map_err(LabError::file("create", directory))?;
    }
    Ok(())
}

fn is_locked(user: &str) -> bool {
    let shadow = fs::read_to_string("/etc/shadow").unwrap_or_default();
    shadow.lines().any(|line| {
        line.strip_prefix(user)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|password| password.starts_with('!'))
    })
}

pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).map_err(LabError::file("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(LabError::file("restrict", path))
}
