//! What each host sees: shared homes, fake tools, every byte of a command, mounts of its own.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use cos_testlab::{Lab, LabError, Mount, Place, Shell};

/// Generous: nothing here should take a second.
const DEADLINE: Duration = Duration::from_secs(30);

fn ssh(lab: &Lab, host: &str, command: &str) -> Output {
    lab.ssh().args([host, command]).output().expect("ssh runs")
}

#[test]
fn one_home_on_several_hosts() {
    let lab = Lab::new().unwrap();
    let home = lab.shared_directory("home").unwrap();
    let one = lab.host("ws01").home(&home).start().unwrap();
    let two = lab.host("ws02").home(&home).start().unwrap();
    assert!(
        ssh(&lab, "ws01", "echo text >file; touch $XDG_RUNTIME_DIR/mine")
            .status
            .success()
    );
    assert_eq!(ssh(&lab, "ws02", "cat file").stdout, b"text\n");
    assert_eq!(one.files_under(one.runtime()), [one.runtime().join("mine")]);
    assert_eq!(
        two.files_under(two.runtime()),
        Vec::<std::path::PathBuf>::new()
    );
    drop(one);
    assert_eq!(
        ssh(&lab, "ws02", "cat file").stdout,
        b"text\n",
        "a shared home outlives a host"
    );
}

#[test]
fn fake_tools_come_first_in_the_path() {
    let lab = Lab::new().unwrap();
    let tools = lab.shared_directory("tools").unwrap();
    let tool = tools.join("ngspice");
    fs::write(&tool, "#!/bin/sh\necho simulated\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    for shell in Shell::installed() {
        let _with = lab
            .host(shell.name())
            .shell(shell)
            .path_prefix(&tools)
            .start()
            .unwrap();
        assert_eq!(
            ssh(&lab, shell.name(), "ngspice").stdout,
            b"simulated\n",
            "{shell}"
        );
    }
    let _without = lab.host("without").start().unwrap();
    assert_eq!(ssh(&lab, "without", "ngspice").status.code(), Some(127));
}

#[test]
fn a_command_reaches_the_shell_byte_for_byte() {
    let lab = Lab::new().unwrap();
    // Everything but NUL, the single quote that quotes it, and what tcsh does inside quotes.
    let bytes: Vec<u8> = (1..=255).filter(|byte| !b"'!\n\\".contains(byte)).collect();
    let mut command = b"printf %s '".to_vec();
    command.extend_from_slice(&bytes);
    command.extend_from_slice(b"' | od -An -v -tx1");
    let command = std::ffi::OsString::from_vec(command);
    let expected: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // tcsh decodes its input by its locale, and has no bytes beyond it.
    for shell in Shell::installed()
        .into_iter()
        .filter(|&shell| shell != Shell::Tcsh)
    {
        let _host = lab.host(shell.name()).shell(shell).start().unwrap();
        let output = lab.ssh().arg(shell.name()).arg(&command).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            printed.split_whitespace().collect::<Vec<_>>(),
            expected,
            "{shell}"
        );
    }
}

#[test]
fn a_command_under_test_has_an_environment_of_its_own() {
    let lab = Lab::new().unwrap();
    let output = lab
        .command("/bin/sh")
        .args(["-c", "pwd; env"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let home = lab.client_home();
    assert!(home.starts_with(lab.directory()));
    assert!(
        printed.starts_with(&format!("{}\n", home.display())),
        "{printed}"
    );
    for line in printed
        .lines()
        .filter(|line| line.starts_with("XDG_") || line.starts_with("TMPDIR"))
    {
        let value = line.split_once('=').unwrap().1;
        assert!(
            Path::new(value).starts_with(lab.directory()) && Path::new(value).is_dir(),
            "{line}"
        );
    }
    assert!(printed.contains(&format!("\nHOME={}\n", home.display())));
    assert!(
        !printed.contains("SSH_AUTH_SOCK") && !printed.contains("CARGO"),
        "{printed}"
    );
}

#[test]
fn sshd_stops_and_starts_while_the_host_lives() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let mut client = lab.ssh().args(["ws01", "sleep 1000"]).spawn().unwrap();
    host.wait_until("a session", DEADLINE, |host| !host.processes().is_empty())
        .unwrap();
    let pids = || {
        host.processes()
            .iter()
            .map(|process| process.pid)
            .collect::<Vec<_>>()
    };
    // `sh` and, unless it has become it, `sleep`.
    let name = |name| host.processes().iter().any(|process| process.name == name);
    host.wait_until("sleep", DEADLINE, |_| name("sleep"))
        .unwrap();
    let before = pids();

    host.stop_sshd();
    assert_eq!(host.pid(), None);
    assert_eq!(ssh(&lab, "ws01", "true").status.code(), Some(255));
    assert!(client.try_wait().unwrap().is_none(), "the session goes on");
    assert!(!host.sshd_processes().is_empty());

    host.start_sshd().unwrap();
    assert!(matches!(host.start_sshd(), Err(LabError::Invalid { .. })));
    assert!(ssh(&lab, "ws01", "true").status.success());
    assert_eq!((host.connections(), host.sessions()), (2, 2));

    host.drop_connections();
    assert_eq!(client.wait().unwrap().code(), Some(255));
    assert_eq!(pids(), before, "what runs there has not noticed");
    assert!(ssh(&lab, "ws01", "true").status.success());
    host.kill().unwrap();
    assert!(host.processes().is_empty() && host.sshd_processes().is_empty());
}

#[test]
fn processes_that_stay_are_named() {
    let lab = Lab::new().unwrap();
    let host = lab.host("ws01").start().unwrap();
    let started = ssh(
        &lab,
        "ws01",
        "setsid sleep 1000 </dev/null >/dev/null 2>&1 &",
    );
    assert!(started.status.success());
    let error = host
        .wait_for_no_processes(Duration::from_millis(50))
        .unwrap_err();
    assert!(error.to_string().contains("sleep 1000"), "{error}");
    host.kill().unwrap();
    host.wait_for_no_processes(DEADLINE).unwrap();
}

#[test]
fn mounts_are_one_hosts_alone() {
    let lab = Lab::new().unwrap();
    let other = lab.shared_directory("other").unwrap();
    let same_name = lab.shared_directory("same-name").unwrap();
    fs::write(other.join("token"), "other").unwrap();
    let started = lab
        .host("ws01")
        .mount(Place::Cache, Mount::NoExec)
        .mount(Place::Runtime, Mount::ReadOnly)
        .mount(Place::Scratch, Mount::Small { bytes: 64 * 1024 })
        .mount(Place::Path(same_name.clone()), Mount::Other(other))
        .start();
    if !lab.can_mount() {
        assert!(
            matches!(started, Err(LabError::NeedsRoot { .. })),
            "{started:?}"
        );
        return;
    }
    let host = started.unwrap();
    let _plain = lab.host("ws02").start().unwrap();
    let run = |command: &str| ssh(&lab, "ws01", command);
    let script = "cd ~/.cache && printf '#!/bin/sh\\n' >x && chmod +x x && ./x";
    assert_eq!(run(script).status.code(), Some(126));
    let read_only = run("touch \"$XDG_RUNTIME_DIR/x\"");
    assert!(
        String::from_utf8_lossy(&read_only.stderr).contains("Read-only"),
        "{read_only:?}"
    );
    let scratch = host.scratch().display();
    let full = run(&format!(
        "head -c 65536 /dev/zero >{scratch}/a && head -c 1 /dev/zero >{scratch}/b"
    ));
    assert!(
        String::from_utf8_lossy(&full.stderr).contains("No space left"),
        "{full:?}"
    );
    assert!(
        host.files_under(host.scratch())
            .contains(&host.scratch().join("a"))
    );
    let token = format!("cat {}/token", same_name.display());
    assert_eq!(run(&token).stdout, b"other");
    assert!(!ssh(&lab, "ws02", &token).status.success());
}
