//! Whole templates: against GNU parallel's output, and through real shells.

use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

fn line(command: &str, values: &[&str], names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
    let template = Template::command(&[command], &names);
    let bound = template
        .bind(values, 7)
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    String::from_utf8(bound.shown(Some(3))).expect("text")
}

#[test]
fn lines_are_those_of_gnu_parallel() {
    let all = ["a/x.t", "d d/w.w"];
    for (command, expected) in [
        ("echo", "echo a/x.t 'd d/w.w'"),
        ("echo {}", "echo a/x.t 'd d/w.w'"),
        ("echo [{.}] [{/}]", "echo [a/x 'd d/w'] [x.t w.w]"),
        ("{1} {2} {3} {-1} {-2}", "a/x.t 'd d/w.w'  'd d/w.w' a/x.t"),
        (
            "{1.} {2/} {1//} {2/.} {-1.} {-1/}",
            "a/x w.w a w 'd d/w' w.w",
        ),
        ("{+1} {01}", "{+1} a/x.t"),
        ("echo {#}", "echo 7"),
        ("echo {%}", "echo 3"),
        ("echo {nope}", "echo {nope} a/x.t 'd d/w.w'"),
    ] {
        assert_eq!(line(command, &all, &[]), expected, "{command}");
    }
    assert_eq!(line("echo x{}x", &[""], &[]), "echo x''x");
    assert_eq!(line("{a}-{b/}", &["1", "x/y"], &["a", "b"]), "1-y");
}

#[test]
fn words_are_joined_by_spaces() {
    let template = Template::command(&["echo", "a b", "{}"], &[]);
    assert_eq!(
        template.bind(&["1"], 1).expect("bound").shown(None),
        b"echo a b 1"
    );
}

#[test]
fn without_a_command_the_input_is_the_command() {
    let template = Template::command::<&str>(&[], &[]);
    let bound = template.bind(&["echo q {} | cat 'x'"], 1).expect("bound");
    assert_eq!(bound.shown(None), b"echo q {} | cat 'x'");
    let bound = template.bind(&["echo a", "c"], 1).expect("bound");
    assert_eq!(bound.shown(None), b"echo a c");
}

#[test]
fn quotes_of_the_command_are_respected() {
    assert_eq!(line("grep \"{}\" f", &["a $b"], &[]), r#"grep "a \$b" f"#);
    assert_eq!(line("grep '{}' f", &["it's"], &[]), r"grep 'it'\''s' f");
    assert_eq!(line("echo {}>f", &["2"], &[]), "echo '2'>f");
    assert_eq!(line("echo {%}>f", &["2"], &[]), "echo '3'>f");
}

#[test]
fn a_value_that_cannot_be_quoted_is_refused() {
    assert_eq!(line("echo $(({}+1))", &["41"], &[]), "echo $((41+1))");
    let error = Template::command(&["echo $(({}+1))"], &[])
        .bind(&["a[$(id)]"], 1)
        .expect_err("would be run");
    assert_eq!(
        error.to_string(),
        "`{}` stands within arithmetic, where the value `a[$(id)]` could be read as code"
    );
}

#[test]
fn paths_are_mapped_for_their_host() {
    let template = Template::command(&["cat {m} > {1m.}.out # {%}"], &[]);
    assert!(template.needs_mapping());
    let bound = template.bind(&["/home/a b.c"], 1).expect("bound");
    assert!(bound.needs_mapping());
    let on_host = |path: &[u8]| Ok::<_, std::convert::Infallible>([b"/net", path].concat());
    let program = bound.program(on_host).expect("mapped");
    let cos_core::job::Program::Shell(parts) = program else {
        panic!("a shell line")
    };
    let text: Vec<u8> = parts
        .iter()
        .flat_map(|part| match part {
            cos_core::job::LinePart::Text(text) => text.clone(),
            cos_core::job::LinePart::Slot => b"4".to_vec(),
        })
        .collect();
    assert_eq!(
        text.escape_ascii().to_string(),
        r"cat \'/net/home/a b.c\' > \'/net/home/a b\'.out # 4"
    );
    assert_eq!(
        bound.shown(Some(4)),
        b"cat '/home/a b.c' > '/home/a b'.out # 4"
    );
}

#[test]
fn tags_are_not_quoted() {
    let tag = Template::text(b"{1}-{2/} {#}:", &[]);
    assert_eq!(
        tag.bind(&["a b", "c/it's"], 2).expect("bound").shown(None),
        b"a b-it's 2:"
    );
}

/// Every byte but NUL, each twice with something ordinary between, and the awkward neighbours.
fn awkward_values() -> Vec<Vec<u8>> {
    let mut values = vec![
        (1..=255).collect::<Vec<u8>>(),
        (1..=255).rev().collect(),
        b"\n".to_vec(),
        b"a\n".to_vec(),
        b"\\".to_vec(),
        b"\\\\'\"\\'".to_vec(),
        b"'".to_vec(),
        b"''\\".to_vec(),
        b"$(id)`id`${HOME}$HOME".to_vec(),
        b"-n".to_vec(),
        b"!!".to_vec(),
        b"*?[a]{a,b}~".to_vec(),
        b"\xff\xfe\xc3".to_vec(),
        b"".to_vec(),
        b"if".to_vec(),
        b";exit 1".to_vec(),
    ];
    values.extend((1..=255u8).map(|byte| vec![byte]));
    values.extend((1..=255u8).map(|byte| vec![b'x', byte, byte, b'x']));
    values
}

fn installed(shell: &str) -> bool {
    let probe = Command::new(shell)
        .args(["-c", ":"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success())
}

/// What a shell prints for one line with all values, NUL bytes between.
fn through_shell(shell: &[&str], place: &str, values: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let template = Template::command(&[format!("printf '%s\\000' {place}")], &[]);
    let mut script = Vec::new();
    for value in values {
        script.extend(template.bind(&[value], 1).expect("bound").shown(Some(1)));
        script.push(b'\n');
    }
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .arg("-c")
        .arg(OsStr::from_bytes(&script))
        .env("HOME", "/nowhere")
        .output()
        .expect("the shell runs");
    let mut printed: Vec<Vec<u8>> = output
        .stdout
        .split(|&byte| byte == 0)
        .map(Into::into)
        .collect();
    assert_eq!(
        printed.pop(),
        Some(vec![]),
        "{shell:?}: {}",
        output.stderr.escape_ascii()
    );
    printed
}

#[test]
fn every_byte_survives_every_shell_in_every_kind_of_quotes() {
    let values = awkward_values();
    let mut tried = 0;
    for shell in [
        &["sh"][..],
        &["bash"],
        &["dash"],
        &["zsh"],
        &["ksh"],
        &["busybox", "sh"],
        &["fish"],
    ] {
        if !installed(shell[0]) {
            continue;
        }
        let quotes: &[&str] = match shell[0] {
            // Within quotes fish has rules of its own; outside of them ours suit it too.
            "fish" => &["{}"],
            _ => &["{}", "'{}'", "\"{}\"", "\"$(printf '%s' {}x)\""],
        };
        for place in quotes {
            let printed = through_shell(shell, place, &values);
            assert_eq!(printed.len(), values.len(), "{shell:?} {place}");
            for (value, printed) in values.iter().zip(printed) {
                let expected = match *place {
                    "\"$(printf '%s' {}x)\"" => [value.as_slice(), b"x"].concat(),
                    _ => value.clone(),
                };
                assert_eq!(
                    printed.escape_ascii().to_string(),
                    expected.escape_ascii().to_string(),
                    "{shell:?} {place}"
                );
            }
        }
        tried += 1;
    }
    assert!(tried >= 1, "there is always a sh");
}

/// Values that create the file `M` when any of their bytes is read as code.
const HOSTILE: [&str; 6] = [
    "';:>M;'",
    "\";:>M;\"",
    "$(:>M)",
    "`:>M`",
    "\n:>M\n)\n:>M\n}\n:>M\n",
    "\\';:>M;\"$(:>M)\\\"`:>M`\n:>M #'",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn no_value_is_read_as_code_in_any_template(
        // The alphabet has no command: whatever runs comes from the value.
        before in "[x '\"$(){}`\\\\#;<&\n]{0,10}|(x=|x |\\(\\(|\\$\\(|\\$\\{x|\\$'|\"|'|`|case |<<x\n){0,5}",
        after in "[x '\"$(){}`\\\\#;&\n]{0,6}",
        value in 0..HOSTILE.len(),
    ) {
        let template = Template::command(&[format!("{before}{{}}{after}")], &[]);
        if let Ok(bound) = template.bind(&[HOSTILE[value]], 1) {
            let directory = tempfile::tempdir().expect("a directory");
            for shell in ["/bin/sh", "/bin/bash"] {
                let run = Command::new(shell)
                    .arg("-c")
                    .arg(OsStr::from_bytes(&bound.shown(None)))
                    .env_clear()
                    .env("PATH", "/nowhere")
                    .current_dir(directory.path())
                    .stdin(Stdio::null())
                    .output();
                if run.is_err() {
                    continue;
                }
                let injected = directory.path().join("M").exists();
                let shown = bound.shown(None).escape_ascii().to_string();
                proptest::prop_assert!(!injected, "{}: {}", shell, shown);
            }
        }
    }
}
