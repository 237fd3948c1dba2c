//! What the tests share: launching over a lab, and a worker that is a shell script.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cos_core::vm::agent::launcher::{Channel, LaunchRequest, Launcher};
use cos_core::vm::host::{HostFailure, Stage};
use cos_ssh_vm::deploy::{Worker, Workers};
use cos_ssh_vm::inventory::{HostKeys, HostName};
use cos_ssh_vm::launcher::SshLauncher;
use cos_ssh_vm::session::{ControlDirectory, Reach};
pub(crate) use cos_testlab::this_target;
use cos_testlab::{Lab, TestHost};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Generous: what is waited for takes milliseconds on a machine that does nothing else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A worker that can be tried, and that as a bridge says what it was given and then sends back what it reads.
pub(crate) const ECHO_WORKER: &str = "#!/bin/sh
case $1 in
--cos-worker=trial) exit 0 ;;
--cos-worker=bridge)
    printf '%s frames\\n' \"$2\"
    printf 'run=%s host=%s umask=%s pwd=%s\\n' \"$3\" \"$4\" \"$(umask)\" \"$(pwd)\"
    exec cat ;;
esac
";

/// One worker, for this machine.
pub(crate) fn workers(text: &'static str) -> Arc<Workers> {
    let mut workers = Workers::new();
    workers.add(Worker::embedded(&this_target(), text.as_bytes()));
    Arc::new(workers)
}

/// A worker of so many bytes.
pub(crate) fn large_worker(bytes: usize) -> Arc<Workers> {
    let padding = format!("# {}\n", "x".repeat(bytes));
    workers(Box::leak(format!("{ECHO_WORKER}{padding}").into()))
}

/// A launcher for a host of the lab, as its hosts.toml would make it.
pub(crate) fn launcher(lab: &Lab, host: &str, workers: &Arc<Workers>) -> SshLauncher {
    launcher_of(reach(lab, host), workers)
}

pub(crate) fn launcher_of(reach: Reach, workers: &Arc<Workers>) -> SshLauncher {
    let control = Arc::new(ControlDirectory::new().expect("a control directory"));
    SshLauncher::new(reach, Arc::clone(workers), control)
}

pub(crate) fn reach(lab: &Lab, host: &str) -> Reach {
    Reach {
        host: HostName::parse(host).expect("a host name"),
        ssh_config: Some(lab.ssh_config()),
        host_keys: HostKeys::Known,
        // For a machine that is busy with everything else.
        connect_timeout: Duration::from_secs(30),
        silence: Duration::from_secs(60),
    }
}

/// What a launch came to.
pub(crate) struct Launched {
    pub(crate) result: Result<Channel, HostFailure>,
    pub(crate) stages: Vec<Stage>,
}

impl Launched {
    pub(crate) fn channel(self) -> Channel {
        let stages = self.stages;
        self.result
            .unwrap_or_else(|failure| panic!("{stages:?}: {failure:?}"))
    }

    pub(crate) fn failure(self) -> HostFailure {
        match self.result {
            Ok(_) => panic!("the host was expected to fail"),
            Err(failure) => failure,
        }
    }
}

/// Launches once.
pub(crate) async fn launch(launcher: &mut SshLauncher) -> Launched {
    let request = LaunchRequest {
        run: "7kq2".to_owned(),
        host: "ws01".to_owned(),
    };
    let mut stages = Vec::new();
    let mut report = |stage| stages.push(stage);
    let result = tokio::time::timeout(DEADLINE, launcher.launch(request, &mut report))
        .await
        .expect("a launch has its own deadlines");
    Launched { result, stages }
}

/// Reads the echo worker's first line, and lets it echo another one.
pub(crate) async fn converse_with_echo(channel: &mut Channel) -> String {
    channel
        .writer
        .write_all(b"\0ping\n")
        .await
        .expect("a stream");
    let mut received = std::mem::take(&mut channel.received);
    while !received.ends_with(b"\0ping\n") {
        let mut piece = [0; 1024];
        let read = tokio::time::timeout(DEADLINE, channel.reader.read(&mut piece)).await;
        let count = read.expect("an echo").expect("a stream");
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&piece[..count]);
    }
    received.truncate(received.len() - b"\0ping\n".len());
    String::from_utf8(received)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

/// Runs a test's future as a machine's I/O thread would.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The files below a directory whose name says that an upload or a trial was not finished.
pub(crate) fn leftovers(files: &[std::path::PathBuf]) -> Vec<&Path> {
    let unfinished = |path: &&Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(".upload-") || name.starts_with(".probe-")
    };
    files.iter().map(AsRef::as_ref).filter(unfinished).collect()
}

/// The ssh processes that have been started with this lab's configuration and are still there.
pub(crate) fn clients(lab: &Lab) -> Vec<String> {
    let config = lab.ssh_config().display().to_string();
    let output = Command::new("ps").args(["-eo", "args"]).output();
    let list = output.expect("ps runs").stdout;
    let lines = String::from_utf8_lossy(&list).into_owned();
    lines
        .lines()
        .filter(|line| line.contains(&config))
        .map(str::to_owned)
        .collect()
}

/// Writes a program of this name that stands before the host's own.
pub(crate) fn fake(lab: &Lab, name: &str, script: &str) -> std::path::PathBuf {
    let directory = lab.shared_directory(&format!("fake-{name}")).unwrap();
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    directory
}

/// A launch that is expected to fail.
pub(crate) fn fail(lab: &Lab, host: &TestHost, workers: &Arc<Workers>) -> HostFailure {
    run(launch(&mut launcher(lab, host.name(), workers))).failure()
}
