//! The command line as a whole.

use super::*;
use cos_ssh_vm::inventory::SlotCount;

fn try_run(words: &str) -> Result<RunArguments, ParseFailure> {
    let words = ["cos", "run"]
        .into_iter()
        .chain(words.split_whitespace())
        .map(OsString::from);
    match parse(words)?.command {
        Command::Run(arguments) => Ok(*arguments),
        other => panic!("expected `run`, found {other:?}"),
    }
}

fn run(words: &str) -> RunArguments {
    try_run(words).unwrap_or_else(|error| panic!("{words}: {error}"))
}

#[test]
fn clap_finds_no_contradiction() {
    command().debug_assert();
}

#[test]
fn flags_end_where_the_command_begins() {
    let arguments = run("-j4 -k echo -j8 --tag {} ::: -k --retries");
    assert_eq!(arguments.hosts.slots, Some(SlotCount::Number(4)));
    assert!(arguments.output.keep_order);
    assert!(!arguments.output.tag);
    assert_eq!(
        arguments.words,
        ["echo", "-j8", "--tag", "{}", ":::", "-k", "--retries"]
    );
}

#[test]
fn two_hyphens_before_the_command_are_dropped_and_kept_within() {
    assert_eq!(run("-j4 -- -odd -- x").words, ["-odd", "--", "x"]);
    assert_eq!(run("-j4 grep -- -x {}").words, ["grep", "--", "-x", "{}"]);
}

#[test]
fn defaults_are_those_of_the_manual() {
    let arguments = run("true");
    assert_eq!(arguments.limits.retries.get(), 1);
    assert_eq!(arguments.limits.timeout, TimeLimit::Never);
    assert_eq!(arguments.limits.slow, TimeLimit::PercentOfMedian(300));
    assert_eq!(arguments.limits.halt, Halt::Never);
    assert_eq!(arguments.job.workdir, WorkingDirectory::Current);
    assert_eq!(arguments.job.cores.get(), 1);
    assert_eq!(arguments.output.output, OutputMode::Group);
    assert_eq!(arguments.progress.max_hosts_shown, 8);
    assert_eq!(arguments.progress.status_level, StatusLevel::Slow);
    assert_eq!(arguments.output.max_output, ByteCount(1 << 30));
    assert_eq!(arguments.progress.shown(), ShowProgress::Auto);
}

#[test]
fn values_arrive_as_types() {
    let arguments = run(
        "-S 4/ws01,: --on lab,big -j -1 --timeout 300% --halt now,fail=10% \
         --success-exit 1,3 --env A --env B=c,d --workdir ... --colsep \\s+ --header : -vv \
         --status-level all --eta --tagstring {#} -a f -a g -0 --max-output 10M true",
    );
    assert_eq!(arguments.hosts.sshlogin, ["4/ws01,:"]);
    assert_eq!(arguments.hosts.on, ["lab,big"]);
    assert_eq!(arguments.hosts.slots, Some(SlotCount::CoresMinus(1)));
    assert_eq!(arguments.limits.timeout, TimeLimit::PercentOfMedian(300));
    assert_eq!(
        arguments.limits.success().codes().collect::<Vec<_>>(),
        [0, 1, 3]
    );
    assert_eq!(
        arguments.job.env,
        [
            EnvironmentEntry::Inherit("A".into()),
            EnvironmentEntry::Set("B".into(), "c,d".into())
        ]
    );
    assert_eq!(arguments.job.workdir, WorkingDirectory::PerJob);
    assert!(arguments.input.colsep.is_some() && arguments.input.header.is_some());
    assert_eq!(arguments.messages.verbose, 2);
    assert_eq!(arguments.progress.shown(), ShowProgress::Bar);
    assert_eq!(arguments.output.tag_template(), Some(&b"{#}"[..]));
    assert_eq!(arguments.input.arg_file.len(), 2);
    assert_eq!(arguments.output.max_output, ByteCount(10_000_000));
}

#[test]
fn wrong_values_are_usage_errors() {
    for words in [
        "--halt now true",
        "--retries 0 true",
        "-j 0 true",
        "--timeout 0 true",
        "--success-exit 256 true",
        "--nice 20 true",
        "--colsep ( true",
        "--header x true",
        "--max-output x true",
        "--env = true",
    ] {
        match try_run(words) {
            Err(ParseFailure::Clap(error)) => assert_eq!(error.exit_code(), 2, "{words}"),
            other => panic!("{words}: {other:?}"),
        }
    }
}

#[test]
fn a_flag_of_gnu_parallel_is_answered_with_a_sentence() {
    match try_run("--pipe wc") {
        Err(failure @ ParseFailure::GnuFlag { .. }) => {
            assert_eq!(
                failure.to_string(),
                "`--pipe` is a flag of GNU parallel that cos does not have"
            );
            assert!(failure.hint().is_some_and(|hint| hint.contains("split -n")));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        try_run("-j4 -u wc"),
        Err(ParseFailure::GnuFlag { .. })
    ));
    assert!(matches!(
        try_run("--resume wc"),
        Err(ParseFailure::GnuFlag { .. })
    ));
    assert!(matches!(
        try_run("--slotz 4 wc"),
        Err(ParseFailure::Clap(_))
    ));
}

#[test]
fn a_forgotten_run_is_recognised() {
    let failure =
        parse(["cos", "gzip", ":::", "a"].map(OsString::from)).expect_err("no such command");
    assert_eq!(
        failure.hint().as_deref(),
        Some("to run it on the hosts: `cos run gzip ...`")
    );
    let failure = parse(["cos", "docter"].map(OsString::from)).expect_err("no such command");
    assert_eq!(
        failure.hint().as_deref(),
        Some("did you mean `cos doctor`?")
    );
}

#[test]
fn check_is_doctor() {
    let cli = parse(["cos", "check", "--hosts", "lab.toml"].map(OsString::from)).expect("doctor");
    match cli.command {
        Command::Doctor(arguments) => {
            assert_eq!(arguments.selection.hosts, Some("lab.toml".into()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_flag_is_also_a_variable() {
    for subcommand in command().get_subcommands() {
        for argument in subcommand.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            if matches!(long, "help" | "version") {
                continue;
            }
            let variable = format!("COS_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(
                argument
                    .get_env()
                    .map(|name| name.to_string_lossy().into_owned()),
                Some(variable),
                "--{long} of {}",
                subcommand.get_name()
            );
        }
    }
}

#[test]
fn no_flag_takes_its_value_or_leaves_it() {
    // A flag with an optional value before the command would swallow the command.
    for argument in command()
        .find_subcommand("run")
        .expect("run")
        .get_arguments()
    {
        if let Some(values) = argument.get_num_args()
            && argument.get_long().is_some()
        {
            assert_eq!(
                values.min_values(),
                values.max_values(),
                "{:?}",
                argument.get_long()
            );
        }
    }
}
