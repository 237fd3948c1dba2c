//! The tables `[[host]]`: names expanded, defaults applied, hosts compared with each other.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::DeValue;

use super::super::host_name::HostName;
use super::super::host_range::{self, MAX_HOSTS};
use super::super::host_spec::HostSpec;
use super::super::report::{Problem, quoted};
use super::Reader;
use super::settings::{Located, Settings};
use super::values::{self, Value};

/// The hosts of a file.
pub(super) struct Hosts {
    defaults: Settings,
    specs: Vec<HostSpec>,
}

/// The names that one `[[host]]` stands for, and where they are written.
struct Names {
    names: Vec<HostName>,
    span: Range<usize>,
}

impl Hosts {
    /// Reads the value of `host`. What is missing is only reported when the text was `complete`: the tree
    /// of a text with faults lacks what could not be read.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        value: Option<&Value<'_>>,
        defaults: Settings,
        complete: bool,
    ) -> Self {
        let mut hosts = Self {
            defaults,
            specs: Vec::new(),
        };
        let mut entries: Vec<(Names, Settings)> = Vec::new();
        let mut count = 0;
        for value in tables(reader, value, complete) {
            let DeValue::Table(table) = value.get_ref() else {
                reader.report(values::mismatch("host", value, "a table: write `[[host]]`"));
                continue;
            };
            let mut name = None;
            let settings =
                Settings::read(reader, table, Some(&mut |value| name = Some(names(value))));
            match name {
                Some(Ok(names)) if count + names.names.len() > MAX_HOSTS => {
                    let title = format!("more than {MAX_HOSTS} hosts");
                    reader.report(Problem::new(names.span, title, "with this one"));
                    break;
                }
                Some(Ok(names)) => {
                    count += names.names.len();
                    entries.push((names, settings));
                }
                Some(Err(problem)) => reader.report(problem),
                None if complete => {
                    let label = "add `name = \"...\"`: an ssh destination, or \"local\"";
                    reader.report(Problem::new(value.span(), "a host without a name", label));
                }
                None => {}
            }
        }
        find_duplicates(reader, &entries);
        find_unequal_lists(reader, &hosts.defaults, &entries);
        for (names, settings) in entries {
            let settings = settings.over(&hosts.defaults);
            hosts
                .specs
                .extend(names.names.into_iter().map(|name| settings.host(name)));
        }
        hosts
    }

    /// The lists of this machine: its own entry's, else that of `[defaults]`.
    pub(super) fn spawner_mirrored_storage(&self) -> Option<Vec<PathBuf>> {
        let own = self
            .specs
            .iter()
            .find(|spec| spec.name.is_local())
            .and_then(|spec| spec.mirrored_storage.clone());
        own.or_else(|| {
            self.defaults
                .mirrored_storage
                .as_ref()
                .map(|located| located.value.clone())
        })
    }

    pub(super) fn into_specs(self) -> Vec<HostSpec> {
        self.specs
    }
}

/// The elements of `host`, which is an array of tables if it is right.
fn tables<'v, 'i>(
    reader: &mut Reader<'_>,
    value: Option<&'v Value<'i>>,
    complete: bool,
) -> Vec<&'v Value<'i>> {
    match value.map(|value| (value, value.get_ref())) {
        Some((_, DeValue::Array(tables))) if !tables.is_empty() => tables.iter().collect(),
        Some((value, DeValue::Table(_))) => {
            let title = "`[host]` is one table, but there may be many hosts";
            reader.report(Problem::new(value.span(), title, "write `[[host]]`"));
            vec![value]
        }
        Some((value, _)) => {
            reader.report(values::mismatch(
                "host",
                value,
                "a table for each host: write `[[host]]`",
            ));
            Vec::new()
        }
        None if complete => {
            let title = format!("no host in {}", reader.surroundings.file_name());
            let label = "add `[[host]]` and below it `name = \"ws01\"`";
            // A misspelt table has been reported: the hosts are in there.
            if reader.problems.is_empty() {
                reader.report(Problem::new(0..0, title, label));
            }
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn names(value: &Value<'_>) -> Result<Names, Problem> {
    let text = value.get_ref().as_str().ok_or_else(|| {
        values::mismatch("name", value, "a text such as \"ws01\" or \"ws[01-12]\"")
    })?;
    match host_range::expand(text) {
        Ok(names) => Ok(Names {
            names,
            span: value.span(),
        }),
        Err(error) => Err(Problem::new(
            value.span(),
            format!("{} is not the name of a host", quoted(text)),
            error.to_string(),
        )),
    }
}

/// Reports hosts that are named twice, once for each pair of places.
fn find_duplicates(reader: &mut Reader<'_>, entries: &[(Names, Settings)]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, (names, _)) in entries.iter().enumerate() {
        let mut doubles: Vec<(usize, Vec<&HostName>)> = Vec::new();
        for name in &names.names {
            match seen.entry(name.folded()) {
                Entry::Vacant(vacant) => drop(vacant.insert(index)),
                Entry::Occupied(occupied) => {
                    let first = *occupied.get();
                    match doubles.iter_mut().find(|(place, _)| *place == first) {
                        Some((_, doubled)) => doubled.push(name),
                        None => doubles.push((first, vec![name])),
                    }
                }
            }
        }
        for (first, doubled) in doubles {
            let title = match doubled.as_slice() {
                [name] => format!("host `{name}` is here twice"),
                [name, others @ ..] => {
                    format!("host `{name}` and {} others are here twice", others.len())
                }
                [] => continue,
            };
            let problem = Problem::new(names.span.clone(), title, "named again");
            reader.report(if first == index {
                problem
            } else {
                problem.context(entries[first].0.span.clone(), "first named here")
            });
        }
    }
}

/// Reports lists of mirrored storage that differ in length from the first one.
fn find_unequal_lists(reader: &mut Reader<'_>, defaults: &Settings, entries: &[(Names, Settings)]) {
    let own = entries.iter().map(|(_, settings)| settings);
    let mut lists = std::iter::once(defaults)
        .chain(own)
        .filter_map(|settings| settings.mirrored_storage.as_ref());
    let Some(first) = lists.next() else {
        return;
    };
    let count = |list: &Located<Vec<PathBuf>>| match list.value.len() {
        1 => "1 entry".to_owned(),
        count => format!("{count} entries"),
    };
    for list in lists.filter(|list| list.value.len() != first.value.len()) {
        let title = "lists of mirrored storage that differ in length";
        let label = format!("{}; entry n is the same tree on every host", count(list));
        reader.report(
            Problem::new(list.span.clone(), title, label).context(first.span.clone(), count(first)),
        );
    }
}
