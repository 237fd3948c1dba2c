//! How a host gets ready: directories, setup, what former runs left, neighbours.

mod host;

use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use cos_core::job::Exit;
use cos_core::wire::message::{
    Containment, DirectoryReport, FromAgent, PrepareError, RunDirectory, SlotCount, Swept,
};
use cos_storage::PlantedToken;
use host::{Host, preparation};
use rustix::process::{Pid, Signal, kill_process};
use serde_bytes::ByteBuf;

fn path_bytes(path: &std::path::Path) -> ByteBuf {
    ByteBuf::from(path.as_os_str().as_bytes())
}

/// Whether a private directory was swept. Processes are told too, but may be those of another test.
fn names_a_directory(swept: &[Swept]) -> bool {
    swept
        .iter()
        .any(|it| it.run.as_deref() == Some("test") && it.what.starts_with("directory of run test"))
}

#[test]
fn a_host_tells_what_it_is() {
    let mut host = Host::start();
    let mut wanted = preparation(host.path());
    wanted.slots = SlotCount::CoresMinus(1);
    let report = host.prepare(wanted).unwrap();
    assert!(!report.node.is_empty() && !report.kernel.is_empty());
    assert_eq!(report.system, format!("{} Linux", std::env::consts::ARCH));
    assert!(report.cores >= 1);
    assert_eq!(report.slots, (report.cores - 1).max(1));
    assert!(report.memory_kib > 1024);
    assert!(report.clock > 1_700_000_000);
    assert_eq!(report.containment, Containment::Subreaper);
    assert_eq!(report.neighbours.len(), 0);
    let path = path_bytes(host.path());
    assert_eq!(report.directory, DirectoryReport::Shared { path });
}

#[test]
fn a_proven_directory_is_used_and_another_of_the_same_name_is_not() {
    let mut host = Host::start();
    let shared = host.path().join("shared");
    let copy = host.path().join("copy");
    std::fs::create_dir(&shared).unwrap();
    std::fs::create_dir(&copy).unwrap();
    let planted = PlantedToken::plant(&shared, &shared).unwrap();
    let mut wanted = preparation(host.path());
    let token = planted.token().clone();
    let path = path_bytes(&shared);
    wanted.directory = RunDirectory::Proven {
        // The likeliest one is wrong, and no matter.
        paths: vec![path_bytes(&copy), path.clone()],
        token,
    };
    let report = host.prepare(wanted.clone()).unwrap();
    assert_eq!(report.directory, DirectoryReport::Shared { path });
    let (_, output) = host.run("pwd");
    assert_eq!(output.trim_ascii(), shared.as_os_str().as_bytes());

    let mut other = Host::start();
    let token = planted.token().clone();
    let path = path_bytes(&copy);
    wanted.directory = RunDirectory::Proven {
        paths: vec![path],
        token,
    };
    wanted.local_storage = other.path().join("local").display().to_string();
    let report = other.prepare(wanted).unwrap();
    let DirectoryReport::Scratch { path, reason } = report.directory else {
        panic!("the copy was taken for the directory");
    };
    assert!(reason.unwrap().contains("copy"));
    let (_, output) = other.run("pwd; ls -A | wc -l; touch left");
    let expected = [&path[..], b"\n0\n"].concat();
    assert_eq!(output, expected);
    assert_eq!(other.shut_down(), Vec::<String>::new());
    let local = other.path().join("local");
    assert_eq!(std::fs::read_dir(local).unwrap().count(), 0);
}

#[test]
fn scratch_goes_with_a_killed_agent() {
    let mut host = Host::ready_with(|preparation| {
        preparation.directory = RunDirectory::Scratch { reason: None }
    });
    host.run("touch left; mkdir d; chmod 0 d");
    let local = host.path().join("local");
    assert_eq!(std::fs::read_dir(&local).unwrap().count(), 1);
    let agent = Pid::from_raw(host.process("cos-agent")).unwrap();
    kill_process(agent, Signal::KILL).unwrap();
    host.wait_for_end();
    host.bridge_end();
    assert_eq!(std::fs::read_dir(local).unwrap().count(), 0);
}

#[test]
fn no_scratch_is_an_error_of_the_host() {
    let mut host = Host::start();
    let file = host.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut wanted = preparation(host.path());
    wanted.directory = RunDirectory::Scratch { reason: None };
    wanted.local_storage = file.join("below").display().to_string();
    let error = host.prepare(wanted).unwrap_err();
    assert!(matches!(error, PrepareError::Scratch { .. }), "{error:?}");
}

#[test]
fn a_shell_that_is_not_there_is_named() {
    for shell in ["/no/such/shell", "no-such-shell", "bin/sh", "/etc/passwd"] {
        let mut host = Host::start();
        let mut wanted = preparation(host.path());
        wanted.shell = shell.to_owned();
        let Err(PrepareError::Shell { cause }) = host.prepare(wanted) else {
            panic!("{shell} was accepted");
        };
        assert!(cause.contains(shell), "{cause}");
    }
}

#[test]
fn what_the_setup_exports_reaches_every_job() {
    let mut host = Host::ready_with(|preparation| {
        let script = "A='1 2'\nexport A\nexport B=$(printf 'x\\ny')\nC=own\n\
            PATH=$PATH:/opt/tool; cd /\necho noise; echo noise >&2";
        preparation.setup = Some(script.to_owned());
        let pair = |name: &[u8], value: &[u8]| {
            (ByteBuf::from(name.to_vec()), ByteBuf::from(value.to_vec()))
        };
        preparation.environment = vec![pair(b"A", b"host"), pair(b"GIVEN", b"\xff")];
    });
    let line = "echo \"$A|$B|$C|$GIVEN|${PATH##*:}\"; pwd";
    let mut expected = b"1 2|x\ny||\xff|/opt/tool\n".to_vec();
    expected.extend_from_slice(host.path().as_os_str().as_bytes());
    expected.push(b'\n');
    assert_eq!(host.run(line).1, expected);
    assert_eq!(host.run(line).1, expected);
}

#[test]
fn every_shell_that_is_here_gives_its_exports() {
    let shells = [
        ("sh", "export A='1 2'"),
        ("bash", "export A='1 2'"),
        ("dash", "export A='1 2'"),
        ("zsh", "export A='1 2'"),
        ("ksh", "export A='1 2'"),
        ("fish", "set -x A '1 2'"),
        ("tcsh", "setenv A '1 2'"),
    ];
    for (shell, export) in shells {
        if !std::path::Path::new("/bin").join(shell).exists() {
            continue;
        }
        let mut host = Host::start();
        let mut wanted = preparation(host.path());
        wanted.shell = shell.to_owned();
        wanted.setup = Some("false".to_owned());
        let failed = host.prepare(wanted.clone());
        assert!(
            matches!(failed, Err(PrepareError::Setup { .. })),
            "{shell}: {failed:?}"
        );
        drop(host);
        let mut host = Host::start();
        wanted.setup = Some(export.to_owned());
        let path = path_bytes(host.path());
        wanted.directory = RunDirectory::Here { path };
        let ready = host.prepare(wanted);
        assert!(ready.is_ok(), "{shell}: {ready:?}");
        let (end, output) = host.run("echo $A; exit 3");
        assert_eq!(
            (end.exit, &output[..]),
            (Exit::Code(3), &b"1 2\n"[..]),
            "{shell}"
        );
    }
}

#[test]
fn a_setup_that_fails_leaves_the_host_out() {
    let cases = [
        ("echo no license >&2; false", "exit 1", "no license"),
        ("echo gone; exit 0", "before its last line", "gone"),
        ("echo tool; exit 9", "exit 9", "tool"),
        ("kill -9 $$", "SIGKILL", ""),
        ("if", "exit 2", ""),
    ];
    for (script, ended_with, output_with) in cases {
        let mut host = Host::start();
        let mut wanted = preparation(host.path());
        wanted.setup = Some(script.to_owned());
        let Err(PrepareError::Setup { ended, output }) = host.prepare(wanted) else {
            panic!("`{script}` was taken for a success");
        };
        assert!(ended.contains(ended_with), "{script}: {ended}");
        assert!(output.contains(output_with), "{script}: {output}");
    }
}

#[test]
fn an_environment_beyond_the_kernels_limit_leaves_the_host_out() {
    let mut host = Host::start();
    let mut wanted = preparation(host.path());
    let value = ByteBuf::from(vec![b'x'; 140 * 1024]);
    wanted.environment = vec![(ByteBuf::from(b"LARGE".to_vec()), value)];
    let Err(PrepareError::Other { cause }) = host.prepare(wanted) else {
        panic!("it was taken");
    };
    assert!(cause.contains("no slot process"), "{cause}");
    let mut wanted = preparation(host.path());
    let name = ByteBuf::from(b"A=B".to_vec());
    wanted.environment = vec![(name, ByteBuf::new())];
    let Err(PrepareError::Other { cause }) = host.prepare(wanted) else {
        panic!("it was taken");
    };
    assert!(cause.contains("`A=B`"), "{cause}");
}

#[test]
fn a_setup_that_takes_too_long_is_killed_with_all_it_started() {
    let mut host = Host::start();
    let mut wanted = preparation(host.path());
    wanted.setup = Some("setsid sleep 1000 & echo waiting; sleep 1000".to_owned());
    wanted.setup_timeout = Duration::from_millis(200);
    let Err(PrepareError::Setup { ended, output }) = host.prepare(wanted) else {
        panic!("it was taken for a success");
    };
    assert!(ended.contains("not done"), "{ended}");
    assert_eq!(output, "waiting");
    let processes = host.processes();
    assert!(
        processes.iter().all(|(_, name)| name.starts_with("cos-")),
        "{processes:?}"
    );
}

#[test]
fn what_a_setup_starts_on_purpose_lives_as_long_as_the_run() {
    let mut host = Host::ready_with(|preparation| {
        let script = "sleep 1000 >/dev/null 2>&1 & export HELPER=$!";
        preparation.setup = Some(script.to_owned());
    });
    assert_eq!(host.run("kill -0 $HELPER").0.exit, Exit::Code(0));
    let victim = host.shell("echo ready; sleep 1000");
    host.wait_for_output(victim, "ready");
    let slot = Pid::from_raw(host.process("cos-slot")).unwrap();
    kill_process(slot, Signal::KILL).unwrap();
    host.result(victim);
    assert_eq!(host.run("kill -0 $HELPER").0.exit, Exit::Code(0));
    host.shut_down();
    host.assert_gone_within(host::PATIENCE);
}

#[test]
fn agents_of_one_user_see_each_other_and_nothing_is_shared() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = directory.path().join("runtime");
    std::fs::create_dir(&runtime).unwrap();
    let start = || {
        Host::start_in(tempfile::tempdir().unwrap(), |command| {
            command.env("XDG_RUNTIME_DIR", &runtime);
        })
    };
    let (mut one, mut two) = (start(), start());
    let wanted = preparation(one.path());
    assert_eq!(one.prepare(wanted).unwrap().neighbours.len(), 0);
    let wanted = preparation(two.path());
    let report = two.prepare(wanted).unwrap();
    let [neighbour] = &report.neighbours[..] else {
        panic!("{:?}", report.neighbours);
    };
    assert_eq!(neighbour.pid.cast_signed(), one.process("cos-agent"));
    assert_eq!((neighbour.run.as_str(), neighbour.slots), ("test", 2));
    assert!(!names_a_directory(&report.swept), "{:?}", report.swept);
    assert_eq!(one.run("echo one").1, b"one\n");
    one.shut_down();
    one.assert_gone_within(host::PATIENCE);
    assert_eq!(two.run("echo two").1, b"two\n");
}

#[test]
fn the_next_start_sweeps_what_a_dead_agent_and_its_guardian_left() {
    let directory = tempfile::tempdir().unwrap();
    let mut host = Host::start_in(directory, |_| {});
    let mut wanted = preparation(host.path());
    wanted.directory = RunDirectory::Scratch { reason: None };
    let local_storage = wanted.local_storage.clone();
    host.prepare(wanted.clone()).unwrap();
    let attempt = host.shell("setsid sleep 1000 & echo ready; sleep 1000");
    host.wait_for_output(attempt, "ready");
    // As an out-of-memory killer might: neither has a chance to act.
    let (guardian, agent) = (host.process("cos-guardian"), host.process("cos-agent"));
    let signal = |pid, signal| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    signal(guardian, Signal::STOP);
    signal(agent, Signal::KILL);
    signal(guardian, Signal::KILL);
    host.wait_for_end();

    let runtime = host.path().to_owned();
    let mut next = Host::start_in(tempfile::tempdir().unwrap(), |command| {
        command.env("XDG_RUNTIME_DIR", runtime);
    });
    wanted.local_storage = local_storage.clone();
    let report = next.prepare(wanted).unwrap();
    assert!(names_a_directory(&report.swept), "{:?}", report.swept);
    // Any agent of this user that starts kills them, one of another test included.
    host.assert_gone_within(host::PATIENCE);
    next.shut_down();
    assert_eq!(std::fs::read_dir(local_storage).unwrap().count(), 0);
}

#[test]
fn only_what_agents_have_left_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = directory.path().join("cos");
    let paths = [
        "agents/old-00000000-1",
        "agents/new-00000000-2",
        "workers/0",
    ];
    let paths = paths.map(|path| runtime.join(path));
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    for path in &paths {
        std::fs::create_dir_all(path).unwrap();
    }
    for path in [&paths[0], &paths[2], &runtime.join("workers")] {
        let opened = std::fs::File::open(path).unwrap();
        opened.set_modified(an_hour_ago).unwrap();
    }
    let mut host = Host::start_in(directory, |_| {});
    let wanted = preparation(host.path());
    host.prepare(wanted).unwrap();
    let exist = paths.each_ref().map(|path| path.exists());
    // The second may be one whose agent is just starting.
    assert_eq!(exist, [false, true, true]);
    std::fs::remove_dir(&paths[1]).unwrap();
}

#[test]
fn a_process_of_a_living_agent_is_not_swept() {
    let mut one = Host::ready();
    // Each says what it is when it is that for good.
    let wait = "echo ready; read line <&3";
    let both = format!("mkfifo fifo; exec 3<>fifo; setsid sh -c '{wait}' & {wait}");
    let attempt = one.shell(both);
    one.wait_for_output(attempt, "ready\nready");
    let before = one.processes();
    let mut two = Host::ready();
    assert_eq!(two.run("echo two").1, b"two\n");
    assert_eq!(one.processes(), before);
}

#[test]
fn a_client_that_gives_up_during_the_setup_leaves_nothing() {
    let mut host = Host::start();
    let mut wanted = preparation(host.path());
    wanted.setup = Some("echo > started; setsid sleep 1000 & sleep 1000".to_owned());
    host.hello(cos_core::wire::PROTOCOL_VERSION);
    host.say(cos_core::wire::message::ToAgent::Prepare(Box::new(wanted)));
    host.wait("hello", |message| match message {
        FromAgent::Hello(_) => Some(()),
        _ => None,
    });
    let started = host.path().join("started");
    let deadline = std::time::Instant::now() + host::PATIENCE;
    while !started.exists() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    host.close();
    host.assert_gone_within(host::PATIENCE);
}

#[test]
fn the_worker_answers_what_it_is() {
    let worker = env!("CARGO_BIN_EXE_cos-worker");
    let run = |argument: &str| {
        let mut command = Command::new(worker);
        command.arg(argument).stdin(Stdio::null()).output().unwrap()
    };
    assert!(run("--cos-worker=trial").status.success());
    let version = run("--cos-worker=version");
    let text = String::from_utf8(version.stdout).unwrap();
    let expected = format!("cos-worker {} protocol ", env!("CARGO_PKG_VERSION"));
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(run("--cos-worker=nonsense").status.code(), Some(2));
    assert_eq!(run("--help").status.code(), Some(2));
}
