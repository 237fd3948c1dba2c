//! The value of `--sshlogin`, in the words of GNU parallel: `[n/]HOST,...`, where `:` is this machine.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use super::host_name::HostName;
use super::host_range::{self, MAX_HOSTS};
use super::host_spec::HostSpec;
use super::report::{Problem, Report, quoted};
use super::slot_count::SlotCount;
use super::{Inventory, Source};

/// How the text is named in messages.
const ORIGIN: &str = "--sshlogin";

/// Reads the values of every `--sshlogin`; they count as one list.
pub(super) fn read(values: &[String]) -> Result<Inventory, Report> {
    let text = values.join(",");
    let mut hosts: Vec<HostSpec> = Vec::new();
    let mut seen: HashMap<String, Range<usize>> = HashMap::new();
    let mut problems = Vec::new();
    for span in items(&text) {
        match login(&text, span.clone()) {
            Ok((slots, names)) => {
                for name in names {
                    match seen.entry(name.folded()) {
                        Entry::Vacant(vacant) => drop(vacant.insert(span.clone())),
                        Entry::Occupied(first) => {
                            let title = format!("host `{name}` is here twice");
                            let problem = Problem::new(span.clone(), title, "named again");
                            problems.push(problem.context(first.get().clone(), "first named here"));
                            break;
                        }
                    }
                    hosts.push(HostSpec {
                        slots,
                        ..HostSpec::new(name)
                    });
                }
            }
            Err(problem) => problems.push(problem),
        }
        if hosts.len() > MAX_HOSTS {
            problems.push(Problem::new(
                span,
                format!("more than {MAX_HOSTS} hosts"),
                "with this one",
            ));
            break;
        }
    }
    if problems.is_empty() {
        Ok(Inventory::of_hosts(Source::Sshlogin, hosts))
    } else {
        Err(Report::new(ORIGIN, &text, problems))
    }
}

/// The items between the commas that stand outside of brackets.
fn items(text: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (offset, character) in text.char_indices() {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(start..offset);
                start = offset + 1;
            }
            _ => {}
        }
    }
    items.push(start..text.len());
    items
}

fn login(text: &str, span: Range<usize>) -> Result<(SlotCount, Vec<HostName>), Problem> {
    let item = &text[span.clone()];
    let refused = |at: Range<usize>, reason: String| {
        let title = format!("{} is not the name of a host", quoted(item));
        Problem::new(at, title, reason)
    };
    if let Some(reason) = form_of_gnu(item) {
        return Err(refused(span, reason.to_owned()));
    }
    let (slots, name_start) = match item.split_once('/') {
        Some((number, _)) if !item.starts_with("ssh://") => {
            let place = span.start..span.start + number.len();
            let slots = number.parse::<SlotCount>().map_err(|error| {
                Problem::new(
                    place.clone(),
                    format!("{} is not a number of slots", quoted(number)),
                    error.to_string(),
                )
            })?;
            (slots, place.end + 1)
        }
        _ => (SlotCount::default(), span.start),
    };
    match &text[name_start..span.end] {
        ":" => Ok((slots, vec![HostName::local()])),
        name => {
            let names = host_range::expand(name)
                .map_err(|error| refused(name_start..span.end, error.to_string()))?;
            Ok((slots, names))
        }
    }
}

/// Forms of GNU parallel that COS has other words for.
fn form_of_gnu(item: &str) -> Option<&'static str> {
    if item == ".." || item == "-" {
        Some("no files of ssh logins: write a hosts.toml (`cos init`)")
    } else if item.starts_with('@') {
        Some("no groups here: give hosts tags in hosts.toml, and --on TAG")
    } else if item.starts_with("ssh ") || item.contains("/ssh ") {
        Some("no ssh command: user, port and options belong in ssh_config, or ssh://user@host:port")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(values: &[&str]) -> Vec<(String, String)> {
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let inventory = read(&values).unwrap();
        assert_eq!(inventory.source, Source::Sshlogin);
        inventory
            .hosts
            .iter()
            .map(|host| (host.name.to_string(), host.slots.to_string()))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, slots)| ((*name).to_owned(), (*slots).to_owned()))
            .collect()
    }

    #[test]
    fn reads_logins_as_gnu_parallel_writes_them() {
        assert_eq!(
            hosts(&["ws01,ws02"]),
            pairs(&[("ws01", "cores"), ("ws02", "cores")])
        );
        assert_eq!(
            hosts(&["4/ws01,:"]),
            pairs(&[("ws01", "4"), ("local", "cores")])
        );
        assert_eq!(
            hosts(&["8/:", "ana@ws02"]),
            pairs(&[("local", "8"), ("ana@ws02", "cores")])
        );
        assert_eq!(
            hosts(&["2/ws[1-2,4],x"]),
            pairs(&[("ws1", "2"), ("ws2", "2"), ("ws4", "2"), ("x", "cores")])
        );
        assert_eq!(
            hosts(&["ssh://ana@ws01:2222,2/ssh://[::1]:22"]),
            pairs(&[("ssh://ana@ws01:2222", "cores"), ("ssh://[::1]:22", "2")])
        );
    }

    #[test]
    fn tells_every_mistake_with_its_place() {
        let report =
            read(&["ws01,-oProxyCommand=id,0/ws02".into(), "ws01,,..".into()]).unwrap_err();
        insta::assert_snapshot!(report);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"[0-9a-b/:,@\[\].-]{0,24}|\PC{0,40}") {
            if let Err(report) = read(&[text]) {
                prop_assert!(report.to_string().starts_with("error: "));
            }
        }
    }
}
