//! What a job is given arrives as it is, whatever bytes it has and whatever the login shell is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use cos_testlab::Shell;

use crate::support::Fixture;

/// One host for each login shell that is installed; its name is the shell's.
fn host_for_each_shell() -> Fixture {
    let fixture = Fixture::new(|lab| {
        let shells = Shell::installed().into_iter();
        let hosts = shells.map(|shell| lab.host(shell.name()).shell(shell).start().unwrap());
        hosts.collect()
    });
    assert!(fixture.hosts.len() >= 2, "install more shells to test with");
    fixture
}

/// What any shell would take for more than text, and every byte that there is.
fn treacherous_values() -> Vec<Vec<u8>> {
    let mut values = treacherous_texts();
    values.push((1..=255u8).collect());
    values.push((1..=255u8).rev().collect());
    values
}

fn treacherous_texts() -> Vec<Vec<u8>> {
    let texts = [
        "",
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "a\ntouch canary\n",
        "' ; touch canary ; '",
        "\" ; touch canary ; \"",
        "'\"'\"'",
        "\\'; touch canary; \\'",
        "${IFS}touch${IFS}canary",
        "!!",
        "!touch",
        "~root",
        "*",
        "-n",
        "--",
        "{}",
        "{1}{.}{/}",
        "%s%n",
        "\\",
        "\\\\\\",
        "a\\\nb",
        "\u{1b}[2J\u{9b}",
        "\u{feff}\u{202e}",
        "|touch canary",
        "&touch canary&",
        "<canary >canary",
        "(touch canary)",
        "\r\ntouch canary\r\n",
    ];
    texts.map(Into::into).to_vec()
}

/// What the values look like when each is followed by a NUL.
fn with_nuls(values: &[Vec<u8>]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.iter().copied().chain([0]))
        .collect()
}

#[test]
fn values_stay_data_behind_every_login_shell() {
    let fixture = host_for_each_shell();
    let expected = with_nuls(&treacherous_values());
    for host in &fixture.hosts {
        // Alone, in single quotes, in double quotes and inside a word.
        let command = "printf '%s\\0' {} >&1";
        let on = ["--on", host.name(), "-0", "-k"];
        let ran = fixture
            .run(&on)
            .args(&[command])
            .input(expected.clone())
            .end()
            .exited(0);
        let got: Vec<&[u8]> = ran.stdout.split(|&byte| byte == 0).collect();
        let wanted: Vec<&[u8]> = expected.split(|&byte| byte == 0).collect();
        assert_eq!(got.len(), wanted.len(), "{}: {}", host.name(), ran.story());
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(
                got.escape_ascii().to_string(),
                wanted.escape_ascii().to_string(),
                "{}",
                host.name()
            );
        }
        assert_eq!(host.sessions(), 1);
        let canaries = fixture.lab.directory().join("canary");
        assert!(
            !canaries.exists()
                && host
                    .files_under(host.home())
                    .iter()
                    .all(|it| !it.ends_with("canary"))
        );
    }
}

#[test]
fn values_stay_data_wherever_they_stand_in_the_command() {
    let fixture = Fixture::of(1);
    let mut values: Vec<Vec<u8>> = (1..=255u8).map(|byte| vec![b'x', byte, b'y']).collect();
    values.extend((1..=255u8).map(|byte| vec![byte]));
    values.extend([
        b"' ; touch canary ; '".to_vec(),
        b"\" ; touch canary ; \"".to_vec(),
        b"$(touch canary)`touch canary`".to_vec(),
        b"a\ntouch canary".to_vec(),
    ]);
    for command in [
        "printf '%s\\0' {}",
        "printf '%s\\0' '{}'",
        "printf '%s\\0' \"{}\"",
        "value={}; printf '%s\\0' \"$value\"",
        "printf '%s\\0' $(printf %s {} >&2) {}",
    ] {
        let ran = fixture
            .run(&["-0", "-k", command])
            .input(with_nuls(&values))
            .end()
            .exited(0);
        assert_eq!(
            ran.stdout.escape_ascii().to_string(),
            with_nuls(&values).escape_ascii().to_string(),
            "{command}"
        );
    }
    let words = OsStr::from_bytes(b"\xff $(touch canary) '\"\n");
    let ran = fixture
        .run(&["printf '%s\\0' {}", ":::"])
        .args(&[words])
        .end()
        .exited(0);
    assert_eq!(ran.stdout, [words.as_bytes(), b"\0"].concat());
}

#[test]
fn file_names_of_any_bytes_are_read() {
    let fixture = host_for_each_shell();
    let data = fixture.lab.shared_directory("data").unwrap();
    let fixture = fixture.default_line(&format!("mirrored_storage = ['{}']", data.display()));
    // No name has a slash, and none more than 255 bytes.
    let bytes: Vec<u8> = (1..=255).filter(|&byte| byte != b'/').collect();
    let (first, second) = bytes.split_at(127);
    let texts = treacherous_texts();
    let texts = texts
        .iter()
        .map(|text| text.as_slice())
        .chain([first, second]);
    let names: Vec<Vec<u8>> = texts
        .map(|text| [b"f", text].concat())
        .map(|name| name.into_iter().filter(|&byte| byte != b'/').collect())
        .collect();
    for name in &names {
        fs::write(data.join(OsStr::from_bytes(name)), name).unwrap();
    }
    for host in &fixture.hosts {
        let on = ["--on", host.name(), "-0", "-k", "cat {}; printf '\\0'"];
        let input = with_nuls(&names);
        let ran = fixture
            .run_in(&data, &on)
            .input(input.clone())
            .end()
            .exited(0);
        assert!(ran.stdout == input, "{}: {}", host.name(), ran.story());
    }
}

#[test]
fn variables_arrive_as_they_are() {
    let fixture = host_for_each_shell();
    let value: Vec<u8> = (1..=255u8).collect();
    let value = OsStr::from_bytes(&value);
    let mut given = OsStr::new("GIVEN=").to_owned();
    given.push(value);
    for host in &fixture.hosts {
        let ran = fixture
            .run(&["--on", host.name(), "--env", "INHERITED", "--env"])
            .args(&[&given])
            .args(&[
                "printf '%s\\0' \"$INHERITED\" \"$GIVEN\" \"${NEITHER-unset}\" {}",
                ":::",
                "x",
            ])
            .env("INHERITED", value)
            .env("NEITHER", "this stays here")
            .end()
            .exited(0);
        let expected = [value.as_bytes(), value.as_bytes(), b"unset", b"x", b""].join(&0);
        assert_eq!(
            ran.stdout.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{}",
            host.name()
        );
    }
}

#[test]
fn exported_functions_of_the_shell_are_handed_on() {
    let fixture = Fixture::of(1);
    fixture
        .run(&[
            "--shell", "bash", "--env", "greet", "greet {}", ":::", "you",
        ])
        .env("BASH_FUNC_greet%%", "() { echo \"hello $1\"; }")
        .end()
        .exited(0)
        .printed("hello you\n");
}

#[test]
fn a_job_knows_where_it_is() {
    let fixture = Fixture::with(1, |host| {
        host.hosts_toml_line("env = { SITE = \"it's a lab\" }")
    });
    let command =
        "echo $COS_SEQ $COS_HOST $COS_TRY $PARALLEL_SEQ $OMP_NUM_THREADS \"$SITE\" {#} {}";
    let ran = fixture
        .run(&["-k", command, ":::", "a", "b"])
        .end()
        .exited(0);
    ran.printed("1 ws01 1 1 1 it's a lab 1 a\n2 ws01 1 2 1 it's a lab 2 b\n");
    let command = "test \"$COS_SLOT\" = {%} && test \"$PARALLEL_JOBSLOT\" = {%} && echo {%}";
    let ran = fixture
        .run(&["-j1", command, ":::", "a", "b"])
        .end()
        .exited(0);
    ran.printed("1\n1\n");
    let ran = fixture
        .run(&["--cores", "2", "echo $OMP_NUM_THREADS {}", ":::", "a"])
        .end()
        .exited(0);
    ran.printed("2 a\n");
}

#[test]
fn standard_input_of_a_job_is_empty() {
    let fixture = Fixture::of(1);
    let ran = fixture
        .run(&["-k", "cat; echo {}"])
        .input("1\n2\n")
        .end()
        .exited(0);
    ran.printed("1\n2\n");
}

#[test]
fn setup_reaches_every_job_and_runs_once() {
    let fixture = Fixture::with(1, |host| {
        let setup =
            "echo once >>\"$HOME/setups\"; export TOOL='/opt/a b'; tool_is() { echo \"$TOOL\"; }";
        host.hosts_toml_line(&format!("setup = {setup:?}"))
    });
    let ran = fixture
        .run(&["-k", "echo \"$TOOL\" {}", ":::", "1", "2", "3"])
        .end()
        .exited(0);
    ran.printed("/opt/a b 1\n/opt/a b 2\n/opt/a b 3\n");
    let setups = fs::read_to_string(fixture.host("ws01").home().join("setups")).unwrap();
    assert_eq!(setups, "once\n");
}

#[test]
fn a_value_that_cannot_be_quoted_fails_as_its_job_and_loses_nothing() {
    let fixture = Fixture::of(2);
    let log = fixture.lab.client_home().join("joblog");
    let flag = format!("--joblog={}", log.display());
    // In arithmetic nothing can be quoted: what is no number might be code.
    let values = ["1", "a[$(id)]", "2", "$(id)", "3", "4"];
    let ran = fixture
        .run(&["-k", &flag, "echo $(( {} * 10 ))", ":::"])
        .args(&values)
        .end()
        .exited(100)
        .printed("10\n20\n30\n40\n")
        .said("job 2 was not run: `{}` stands within arithmetic, where the value `a[$(id)]` could be read as code")
        .said("command: echo $(( {} * 10 ))")
        .said("hint: assign it first and use the variable there")
        .said("6 jobs: 4 ok, 2 failed");
    assert_eq!(ran.stderr.matches("FAIL").count(), 2, "{}", ran.story());
    // They never ran, so a resumed run would run them.
    let logged = fs::read_to_string(log).unwrap();
    let mut numbers: Vec<&str> = logged
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, ["1", "3", "5", "6"]);
}
