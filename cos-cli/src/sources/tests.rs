//! Sources as a whole, the expectations being what GNU parallel 20221122 prints.

use super::*;
use crate::arguments::CommandLine;
use std::ffi::OsString;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

fn open(words: &str, options: InputOptions, stdin: &[u8]) -> Result<JobInputs, SourceError> {
    let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
    let line = CommandLine::split(&words, &[]).expect("a command line");
    JobInputs::open(
        &line,
        options,
        StandardInput::of_reader(io::Cursor::new(stdin.to_vec())),
    )
}

fn rows_of(inputs: JobInputs) -> Vec<String> {
    inputs
        .map(|row| {
            let row = row.expect("a row");
            let values: Vec<_> = row
                .values()
                .iter()
                .map(|value| value.escape_ascii().to_string())
                .collect();
            values.join("|")
        })
        .collect()
}

fn rows(words: &str) -> Vec<String> {
    rows_of(open(words, InputOptions::default(), b"p\nq\n").expect("sources"))
}

fn separated(separator: &str) -> InputOptions {
    let separator = Some(regex::bytes::Regex::new(separator).expect("a regex"));
    InputOptions {
        separator,
        ..InputOptions::default()
    }
}

fn list(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(content.as_bytes()).expect("written");
    file
}

#[test]
fn combinations_come_in_gnus_order() {
    assert_eq!(rows("echo ::: a b ::: 1 2"), ["a|1", "a|2", "b|1", "b|2"]);
    assert_eq!(
        rows("echo ::: a b c :::+ 1 2 ::: X Y"),
        ["a|1|X", "a|1|Y", "b|2|X", "b|2|Y"]
    );
    assert_eq!(
        rows("echo ::: a b ::: 1 2 3 :::+ X Y"),
        ["a|1|X", "a|2|Y", "b|1|X", "b|2|Y"]
    );
    assert_eq!(rows("echo :::+ a b ::: 1"), ["a|1", "b|1"]);
}

#[test]
fn files_and_standard_input_are_sources() {
    let (f, g) = (list("1\n2\n"), list("x\ny\nz\n"));
    let (f, g) = (f.path().display(), g.path().display());
    assert_eq!(
        rows(&format!("echo :::: {f} {g}")),
        ["1|x", "1|y", "1|z", "2|x", "2|y", "2|z"]
    );
    assert_eq!(rows(&format!("echo :::: {f} ::::+ {g}")), ["1|x", "2|y"]);
    assert_eq!(
        rows(&format!("echo ::: a b ::::+ {f} {g}")),
        ["a|1|x", "b|2|y"]
    );
    assert_eq!(
        rows(&format!("echo :::: - {f}")),
        ["p|1", "p|2", "q|1", "q|2"]
    );
    assert_eq!(
        rows(&format!("echo :::: {f} -")),
        ["1|p", "1|q", "2|p", "2|q"]
    );
    assert_eq!(rows("echo"), ["p", "q"], "standard input by default");
}

#[test]
fn nothing_combined_with_anything_is_nothing() {
    assert!(rows("echo :::").is_empty());
    assert!(
        rows("echo ::: a ::: ").len() == 1,
        "one empty argument is one"
    );
    assert!(rows("echo ::: ::: a").is_empty());
    let empty = list("");
    assert!(rows(&format!("echo ::: a :::: {}", empty.path().display())).is_empty());
}

#[test]
fn lines_are_kept_as_they_are() {
    let read = |stdin: &[u8], null| {
        let options = InputOptions {
            null,
            ..InputOptions::default()
        };
        rows_of(open("echo", options, stdin).expect("stdin"))
    };
    assert_eq!(read(b"a\n\nb", false), ["a", "", "b"]);
    assert_eq!(read(b" a \r\n\xff\n", false), [r" a \r", r"\xff"]);
    assert_eq!(read(b"a\nb\0c\0", true), [r"a\nb", "c"]);
    assert!(read(b"", false).is_empty());
}

#[test]
fn columns_are_split_at_a_regular_expression_and_trimmed() {
    let read = |separator, stdin: &[u8]| {
        rows_of(open("echo", separated(separator), stdin).expect("stdin"))
    };
    assert_eq!(
        read(",", b"a b.txt,1\nc, 2 \nd\ne,,f\n"),
        ["a b.txt|1", "c|2", "d", "e||f"]
    );
    assert_eq!(read(",", b"a,,\n,a\n\n"), ["a||", "|a", ""]);
    assert_eq!(read(r"\s+", b"a  b\tc\n"), ["a|b|c"]);
    assert_eq!(read("\t", b"\xff\t\xfe\n"), [r"\xff|\xfe"]);
    let words = "echo ::: a,b c,d ::: 1,2 3";
    let combined = rows_of(open(words, separated(","), b"").expect("arguments"));
    assert_eq!(combined, ["a|b|1|2", "a|b|3", "c|d|1|2", "c|d|3"]);
}

#[test]
fn a_header_names_the_columns_of_every_source() {
    let names = |inputs: &JobInputs| -> Vec<String> {
        inputs
            .column_names()
            .iter()
            .map(|name| name.escape_ascii().to_string())
            .collect()
    };
    let header = InputOptions {
        header: true,
        ..separated(",")
    };
    let inputs = open("echo", header.clone(), b"name, size\na b.txt,1\n").expect("stdin");
    assert_eq!(names(&inputs), ["name", "size"]);
    assert_eq!(rows_of(inputs), ["a b.txt|1"]);

    let plain = InputOptions {
        header: true,
        ..InputOptions::default()
    };
    let inputs = open("echo ::: f a.b c ::: g 1 2", plain.clone(), b"").expect("arguments");
    assert_eq!(names(&inputs), ["f", "g"]);
    assert_eq!(inputs.total_hint(), Some(4));
    assert_eq!(rows_of(inputs), ["a.b|1", "a.b|2", "c|1", "c|2"]);

    let inputs = open("echo", header, b"").expect("stdin");
    assert!(inputs.column_names().is_empty());
    assert!(rows_of(inputs).is_empty());
}

#[test]
fn the_total_is_known_when_nothing_has_to_be_read() {
    let total = |words| {
        open(words, InputOptions::default(), b"")
            .expect("sources")
            .total_hint()
    };
    assert_eq!(total("echo ::: a b c ::: 1 2"), Some(6));
    assert_eq!(total("echo ::: a b c :::+ 1 2"), Some(2));
    assert_eq!(total("echo :::"), Some(0));
    assert_eq!(total("echo"), None);
    assert_eq!(total("echo ::: a :::: -"), None);
}

#[test]
fn a_terminal_is_not_waited_for() {
    let stdin = || StandardInput {
        reader: Box::new(io::empty()),
        is_terminal: true,
    };
    let line = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        CommandLine::split(&words, &[]).expect("a command line")
    };
    let opened = JobInputs::open(&line(&["echo"]), InputOptions::default(), stdin());
    assert!(matches!(opened, Err(SourceError::Terminal)));
    let opened = JobInputs::open(
        &line(&["echo", "::::", "-"]),
        InputOptions::default(),
        stdin(),
    );
    assert!(opened.is_ok(), "asked for by name");
}

#[test]
fn what_cannot_be_read_is_an_error_with_a_place() {
    let error = |words: &str, stdin: &[u8]| {
        open(words, InputOptions::default(), stdin)
            .and_then(|inputs| inputs.collect::<Result<Vec<_>, _>>())
            .expect_err("an error")
            .to_string()
    };
    assert_eq!(
        error("echo :::: /no/such/file", b""),
        "cannot open `/no/such/file`"
    );
    assert_eq!(error("echo :::: /", b""), "cannot open `/`");
    assert_eq!(
        error("echo", b"a\nb\0c\n"),
        "line 2 of standard input holds a NUL byte"
    );
    let long = [b"a\n".as_slice(), &vec![b'x'; (1 << 20) + 1]].concat();
    assert_eq!(
        error("echo", &long),
        "line 2 of standard input is longer than 1048576 bytes"
    );
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let mut inputs = open("echo", InputOptions::default(), b"a\n\0\nb\n").expect("stdin");
    assert!(matches!(inputs.next(), Some(Ok(_))));
    assert!(matches!(inputs.next(), Some(Err(_))));
    assert!(inputs.next().is_none());
}

/// A list without an end that counts what is taken from it.
struct Endless(Arc<AtomicU64>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = b"line\n";
        let whole = buffer.len() / line.len() * line.len();
        for chunk in buffer[..whole].chunks_exact_mut(line.len()) {
            chunk.copy_from_slice(line);
        }
        self.0.fetch_add(whole as u64, Ordering::Relaxed);
        Ok(whole)
    }
}

#[test]
fn a_million_lines_are_read_only_as_they_are_asked_for() {
    let taken = Arc::new(AtomicU64::new(0));
    let line = CommandLine::split(&["echo".into()], &[]).expect("a command line");
    let stdin = StandardInput::of_reader(Endless(Arc::clone(&taken)));
    let mut inputs = JobInputs::open(&line, InputOptions::default(), stdin).expect("stdin");
    assert_eq!(taken.load(Ordering::Relaxed), 0);
    assert!(inputs.next().is_some());
    let one_buffer = 64 * 1024;
    assert!(taken.load(Ordering::Relaxed) <= one_buffer);
    let rows = inputs
        .by_ref()
        .take(1_000_000)
        .filter(Result::is_ok)
        .count();
    assert_eq!(rows, 1_000_000);
    assert!(taken.load(Ordering::Relaxed) <= 5_000_005 + one_buffer);
}

#[tokio::test]
async fn a_thread_reads_ahead_within_bounds() {
    let taken = Arc::new(AtomicU64::new(0));
    let line = CommandLine::split(&["echo".into()], &[]).expect("a command line");
    let stdin = StandardInput::of_reader(Endless(Arc::clone(&taken)));
    let inputs = JobInputs::open(&line, InputOptions::default(), stdin).expect("stdin");
    let mut reader = InputReader::spawn(inputs).expect("a thread");
    for _ in 0..100_000 {
        assert!(matches!(reader.next().await, Some(Ok(_))));
    }
    assert_eq!(reader.total(), None);
    assert!(taken.load(Ordering::Relaxed) <= (100_000 + 2048 + 1) * 5 + 64 * 1024);
}

#[tokio::test]
async fn a_short_list_is_known_before_its_jobs_run() {
    let inputs = open("echo", InputOptions::default(), b"a\nb\nc\n").expect("stdin");
    let mut reader = InputReader::spawn(inputs).expect("a thread");
    let total = reader.total_handle();
    assert!(reader.next().await.is_some());
    let known = tokio::task::spawn_blocking(move || *total.wait())
        .await
        .expect("a total");
    assert_eq!(known, 3);
    assert_eq!(reader.total(), Some(3));
}

/// Runs GNU parallel, where it is installed, and compares every line.
#[test]
fn the_same_lines_as_the_installed_gnu_parallel() {
    let (f, g) = (list("1\n2\n"), list("a,x\nb,y\nc,z\n"));
    let (f, g) = (
        f.path().display().to_string(),
        g.path().display().to_string(),
    );
    let comma = regex::bytes::Regex::new(",").expect("a regex");
    for (flags, words) in [
        ("", format!("echo ::: a b ::: 1 2 3 :::+ X Y :::: {f}")),
        ("", format!("echo {{2}}-{{1}} :::: {f} {g} ::::+ {f}")),
        (
            "--colsep ,",
            format!("echo [{{1}}][{{2}}][{{3}}][{{-1}}] :::: {g} {f}"),
        ),
        (
            "--header : --colsep ,",
            format!("echo {{x}} {{a/}} {{1}} :::: {f} {g}"),
        ),
        (
            "",
            "echo {.}|{/}|{//}|{/.}|{#} ::: a/b.c.d /x x. .y a/ a//b.c ../z // q".to_owned(),
        ),
    ] {
        let mut gnu = std::process::Command::new("parallel");
        gnu.args(["--will-cite", "--dry-run", "-k"])
            .args(flags.split_whitespace());
        let output = gnu
            .args(words.split(' '))
            .stdin(std::process::Stdio::null())
            .output();
        let Ok(output) = output else { return };
        let options = InputOptions {
            separator: flags.contains("colsep").then(|| comma.clone()),
            header: flags.contains("header"),
            null: false,
        };
        let words: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        let line = CommandLine::split(&words, &[]).expect("a command line");
        let stdin = StandardInput::of_reader(io::empty());
        let inputs = JobInputs::open(&line, options, stdin).expect("sources");
        let words: Vec<_> = line
            .command
            .iter()
            .map(|word| word.as_encoded_bytes())
            .collect();
        let template = crate::template::Template::command(&words, inputs.column_names());
        let mut ours = String::new();
        for (sequence, row) in (1..).zip(inputs) {
            let row = row.expect("a row");
            let bound = template.bind(row.values(), sequence).expect("bound");
            ours += &String::from_utf8(bound.shown(Some(1))).expect("text");
            ours.push('\n');
        }
        let gnu = String::from_utf8(output.stdout).expect("text");
        assert_eq!(ours, gnu, "{flags} {words:?}");
    }
}
