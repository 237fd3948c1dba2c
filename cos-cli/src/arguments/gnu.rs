//! Flags of GNU parallel that COS does not have, each with a sentence about what to do instead.

/// What to do instead of a flag of GNU parallel; `None` for words that are no flag of its.
#[must_use]
pub fn advice_for(flag: &str) -> Option<&'static str> {
    let name = flag.split('=').next().unwrap_or(flag);
    ADVICE
        .iter()
        .find(|(flags, _)| flags.contains(&name))
        .map(|(_, advice)| *advice)
}

/// The sentences, by the flags' spellings.
const ADVICE: &[(&[&str], &str)] = &[
    // Output
    (&["--group"], "this is the default here: --output group"),
    (
        &["-u", "--ungroup"],
        "use --output line: two jobs never mix within one line",
    ),
    (
        &["--lb", "--line-buffer", "--linebuffer"],
        "use --output line",
    ),
    (
        &["--ll", "--latest-line", "--latestline"],
        "use --show-progress bar",
    ),
    (
        &["--progress"],
        "this is the default on a terminal: --show-progress bar",
    ),
    (
        &["--silent"],
        "this is the default here: commands are shown by --status-level all",
    ),
    (
        &["-t"],
        "use --status-level all to see every command when it starts, or --dry-run to see them only",
    ),
    (
        &["--files", "--output-as-files", "--outputasfiles"],
        "use --results DIR, which names every file",
    ),
    (
        &["--compress", "--compress-program", "--decompress-program"],
        "output is never kept in the \
      host's temporary files; there is nothing to compress",
    ),
    (
        &["--ctag", "--ctagstring"],
        "use --tag or --tagstring with --color",
    ),
    (
        &["--color-failed", "--cf"],
        "failed jobs are shown in red on every terminal",
    ),
    (
        &["--parset", "--_parset"],
        "use --results DIR and read the files",
    ),
    (
        &["--no-keep-order", "--nokeep-order"],
        "this is the default here; leave -k out",
    ),
    (&["--jl"], "use --joblog FILE"),
    (&["--res"], "use --results DIR"),
    (
        &["--total-jobs", "--total"],
        "the total is known as soon as the input has been read",
    ),
    // Quoting and replacement strings
    (
        &["-q", "--quote"],
        "arguments are quoted already; quote the command itself for your shell, \
      such as 'awk \"{print \\$1}\" {}'",
    ),
    (
        &[
            "-I",
            "-i",
            "--replace",
            "-U",
            "--rpl",
            "--plus",
            "--parens",
            "--er",
            "--extensionreplace",
            "--bnr",
            "--basenamereplace",
            "--dnr",
            "--dirnamereplace",
            "--bner",
            "--basenameextensionreplace",
            "--seqreplace",
            "--slotreplace",
        ],
        "the replacement strings are fixed: {} {.} {/} {//} {/.} {#} {%} {1} {m}",
    ),
    (
        &["--trim"],
        "columns of --colsep are trimmed, whole lines are not",
    ),
    (
        &["--shellquote", "--shell-quote"],
        "use --dry-run to see how arguments are quoted",
    ),
    (
        &["--template", "--tmpl"],
        "write the file by the command itself: 'sed s/X/{}/ template > {#}.in'",
    ),
    (
        &["--process-slot-var"],
        "jobs see their slot as COS_SLOT and as {%}",
    ),
    // Input
    (
        &["-d", "--delimiter"],
        "use -0 for NUL-terminated input, or put tr before: tr , '\\n' | cos run",
    ),
    (
        &["--csv"],
        "use --colsep , where no value holds a comma; quoted values are not understood",
    ),
    (
        &["--arg-sep", "--argsep", "--arg-file-sep", "--argfilesep"],
        "the markers are fixed: ::: and ::::",
    ),
    (
        &["--link", "--xapply"],
        "use :::+ or ::::+ between the sources to link",
    ),
    (
        &[
            "-n",
            "--max-args",
            "-N",
            "--max-replace-args",
            "-L",
            "--max-lines",
            "-l",
            "-m",
            "-X",
            "--xargs",
            "-s",
            "--max-chars",
            "-x",
            "--exit",
        ],
        "a job takes one line; put several arguments on it: xargs -n 8 echo | cos run --colsep ' ' ...",
    ),
    (
        &["-E", "-e", "--eof"],
        "cut the input before: sed '/^END$/,$d' | cos run",
    ),
    (
        &["-r", "--no-run-if-empty"],
        "empty input never runs a job here (exit 4)",
    ),
    (&["--shuf"], "shuffle the input before: shuf | cos run"),
    (
        &["--skip-first-line"],
        "cut it off: tail -n +2 | cos run; or name the columns by --header :",
    ),
    (
        &[
            "--pipe",
            "--spreadstdin",
            "--pipe-part",
            "--pipepart",
            "--block",
            "--block-size",
            "--block-timeout",
            "--bt",
            "--recstart",
            "--recend",
            "--regexp",
            "--rrs",
            "--remove-rec-sep",
            "--removerecsep",
            "--round-robin",
            "--round",
            "--roundrobin",
            "--shard",
            "--bin",
            "--group-by",
            "--groupby",
            "--cat",
            "--fifo",
            "--tee",
        ],
        "a job's standard input is empty here; split the data into files (split -n l/16) and give their names",
    ),
    (
        &["--hashbang", "--shebang", "--shebang-wrap"],
        "write `exec cos run -a \"$0\" ...` in a shell script",
    ),
    // Hosts
    (
        &["--slf", "--sshloginfile"],
        "write a hosts.toml: `cos init HOST...`, then --hosts FILE",
    ),
    (
        &["--hgrp", "--hostgroups", "--hostgroup"],
        "give hosts `tags` in hosts.toml and use --on TAG",
    ),
    (
        &[
            "--ssh",
            "--ssh-delay",
            "--sshdelay",
            "-M",
            "--controlmaster",
        ],
        "one connection per host is kept anyway; ssh's options belong in ~/.ssh/config",
    ),
    (
        &["--filter-hosts", "--filterhosts"],
        "a host that cannot be reached is left out anyway; \
      --require-all-hosts is the opposite, `cos doctor` tells why",
    ),
    (
        &["--onall", "--nonall"],
        "cos spreads jobs over hosts; for one job on each host, \
      loop: for h in ws01 ws02; do cos run --on $h ...; done",
    ),
    (
        &[
            "--use-cores-instead-of-threads",
            "--use-cpus-instead-of-cores",
            "--use-sockets-instead-of-threads",
            "--number-of-cores",
            "--number-of-cpus",
            "--number-of-sockets",
            "--number-of-threads",
        ],
        "see the cores of every host by `cos hosts`, set its slots by -j or in hosts.toml",
    ),
    // Load and limits
    (
        &["--load"],
        "set `max_load` in hosts.toml: other people's load, ours subtracted",
    ),
    (
        &["--noswap", "--memfree", "--memsuspend", "--limit"],
        "limit the jobs at once by -j, or their size by --cores",
    ),
    (&["--halt-on-error"], "use --halt"),
    (
        &["--term-seq", "--termseq"],
        "a job gets TERM, and KILL one second later",
    ),
    (
        &["--resume", "--resume-failed", "--retry-failed"],
        "an interrupted run cannot be continued by this version; its joblog, in the run directory, is GNU's",
    ),
    // Files
    (
        &["--rsync-opts"],
        "files travel without rsync; there is nothing to be set",
    ),
    (
        &["--tmpdir", "--tempdir"],
        "the hosts' scratch is `local_storage` in hosts.toml, ours follows TMPDIR",
    ),
    // What is somebody else's business
    (
        &["--record-env", "--session"],
        "name the variables that jobs need: --env NAME",
    ),
    (
        &["-J", "--profile"],
        "set flags by the environment: COS_SLOTS=4 is --slots 4",
    ),
    (
        &[
            "--bg",
            "--fg",
            "--semaphore",
            "--sem",
            "--semaphore-name",
            "--id",
            "--semaphore-timeout",
            "--st",
            "--wait",
        ],
        "cos has no semaphore; GNU sem or flock(1) is one",
    ),
    (
        &[
            "-p",
            "--interactive",
            "-o",
            "--open-tty",
            "--tty",
            "--tmux",
            "--tmuxpane",
        ],
        "jobs have no terminal here; see the commands before by --dry-run",
    ),
    (
        &[
            "--will-cite",
            "--willcite",
            "--bibtex",
            "--citation",
            "--nn",
            "--no-notice",
            "--nonotice",
        ],
        "cos does not ask; leave it out",
    ),
    (
        &[
            "--gnu",
            "--plain",
            "--tollef",
            "--minversion",
            "--embed",
            "--shell-completion",
            "--show-limits",
            "--max-line-length-allowed",
        ],
        "leave it out",
    ),
    (
        &[
            "--sql",
            "--sql-master",
            "--sqlmaster",
            "--sql-worker",
            "--sqlworker",
            "--sql-and-worker",
            "--sqlandworker",
        ],
        "every run is recorded in its run directory: joblog and events.jsonl",
    ),
    (
        &["--wc", "--filter"],
        "filter the input before: awk '$1 < 5' | cos run",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_known_once_and_with_their_values() {
        assert_eq!(advice_for("--lb"), Some("use --output line"));
        assert!(advice_for("--halt-on-error=2").is_some());
        assert_eq!(advice_for("--slotz"), None);
        let mut all: Vec<_> = ADVICE.iter().flat_map(|(flags, _)| flags.iter()).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "a flag stands in the table twice");
    }

    #[test]
    fn the_table_names_no_flag_that_cos_has() {
        let command = super::super::command();
        let run = command.find_subcommand("run").expect("the command run");
        for (flag, _) in ADVICE
            .iter()
            .flat_map(|(flags, advice)| flags.iter().map(move |f| (f, advice)))
        {
            let taken = run.get_arguments().any(|argument| {
                let long = flag.strip_prefix("--").unwrap_or_default();
                let short = flag.strip_prefix('-').and_then(|rest| rest.chars().next());
                argument.get_long() == Some(long)
                    || argument
                        .get_all_aliases()
                        .unwrap_or_default()
                        .contains(&long)
                    || (!flag.starts_with("--")
                        && short.is_some_and(|short| {
                            argument
                                .get_short_and_visible_aliases()
                                .unwrap_or_default()
                                .contains(&short)
                        }))
            });
            assert!(!taken, "{flag} is a flag of cos run");
        }
    }

    #[test]
    fn every_flag_of_the_installed_gnu_parallel_is_ours_or_has_a_sentence() {
        // Documented flags of GNU parallel 20221122.
        const GNU: &str = "--null -0 --arg-file -a --arg-file-sep --arg-sep --bar --basefile --bf \
            --basenamereplace --bnr --basenameextensionreplace --bner --bin --bg --block --block-size \
            --block-timeout --bt --cat --cleanup --color --color-failed --cf --colsep -C --compress \
            --compress-program --decompress-program --csv --ctag --ctagstring --delay --delimiter -d \
            --dirnamereplace --dnr --dry-run -E --eof -e --embed --env --eta --fg --fifo --filter \
            --filter-hosts --gnu --group --group-by --halt-on-error --halt --header --hostgroups --hgrp \
            -I --replace -i --joblog --jl --jobs -j --max-procs -P --keep-order -k -L --max-lines -l \
            --limit --latest-line --ll --line-buffer --lb --link --xapply --load --controlmaster -M -m \
            --memfree --memsuspend --minversion --max-args -n --max-replace-args -N --nonall --onall \
            --open-tty -o --output-as-files --outputasfiles --files --pipe --spreadstdin --pipe-part \
            --plain --plus --process-slot-var --progress --max-line-length-allowed --number-of-cpus \
            --number-of-cores --number-of-sockets --number-of-threads --no-keep-order --nice \
            --interactive -p --parens --profile -J --quote -q --no-run-if-empty -r --noswap \
            --record-env --recstart --recend --regexp --remove-rec-sep --removerecsep --rrs --results \
            --res --resume --resume-failed --retry-failed --retries --return --round-robin --round \
            --rpl --rsync-opts --max-chars -s --show-limits --semaphore --semaphore-name --id \
            --semaphore-timeout --st --seqreplace --session --shard --shebang --hashbang \
            --shebang-wrap --shell-completion --shell-quote --shuf --skip-first-line --sql \
            --sql-master --sql-and-worker --sql-worker --ssh --ssh-delay --sshlogin -S --sshloginfile \
            --slf --slotreplace --silent --template --tmpl --tty --tag --tagstring --tee --term-seq \
            --total-jobs --total --tmpdir --tmux --tmuxpane --timeout --verbose -t --transfer \
            --transferfile --tf --trc --trim --ungroup -u --extensionreplace --er \
            --use-sockets-instead-of-threads --use-cores-instead-of-threads \
            --use-cpus-instead-of-cores -v --workdir --wd --wait -X --exit -x --xargs";
        for flag in GNU.split_whitespace() {
            let words = ["cos", "run", flag].map(std::ffi::OsString::from);
            if let Err(super::super::ParseFailure::Clap(error)) = super::super::parse(words) {
                assert_ne!(
                    error.kind(),
                    clap::error::ErrorKind::UnknownArgument,
                    "{flag}: {error}"
                );
            }
        }
    }
}
