//! Reading a hosts.toml: text in, an [`Inventory`] or the [`Report`] of everything that is wrong.

mod hosts;
mod settings;
mod syntax;
mod values;
mod workers;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::hosts::Hosts;
use self::settings::Settings;
use super::report::{Problem, Report, nearest, quoted};
use super::{Inventory, Source};

/// The usual name of the file.
pub(super) const FILE_NAME: &str = "hosts.toml";

/// The tables that a hosts.toml may have.
const TABLES: [&str; 3] = ["defaults", "host", "worker"];

/// The most problems that are kept of each kind, of syntax and of meaning.
const MAX_PROBLEMS: usize = 1000;

/// What a file is read against.
pub(super) struct Surroundings<'a> {
    /// The name of the file in messages.
    pub(super) origin: &'a str,
    /// Its directory, against which relative paths in it are taken.
    pub(super) directory: &'a Path,
    /// The user's home directory, for `~/`.
    pub(super) home: Option<&'a Path>,
    /// Says what is wrong with an ssh_config that the file names, if anything is.
    pub(super) check_ssh_config: &'a dyn Fn(&Path) -> Result<(), String>,
}

impl Surroundings<'_> {
    /// The last component of the file's name, for the sentence "in hosts.toml".
    fn file_name(&self) -> &str {
        Path::new(self.origin)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(FILE_NAME)
    }

    /// A path of the file as seen from anywhere.
    fn resolve(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => self.directory.join(text),
        }
    }
}

/// Reads `text`. Nothing is asked of the system but what `surroundings` does.
///
/// # Errors
///
/// Every problem of the text, in one report.
pub(super) fn read(
    text: &str,
    source: Source,
    surroundings: &Surroundings<'_>,
) -> Result<Inventory, Report> {
    let (document, faults) = syntax::parse(text);
    let mut reader = Reader {
        surroundings,
        problems: Vec::new(),
    };
    let inventory = reader.document(document.get_ref(), source, faults.is_empty());
    let problems = faults.merge(reader.problems);
    if problems.is_empty() {
        Ok(inventory)
    } else {
        Err(Report::new(surroundings.origin, text, problems))
    }
}

/// Collects problems while it walks the document.
struct Reader<'a> {
    surroundings: &'a Surroundings<'a>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>, source: Source, complete: bool) -> Inventory {
        for (key, value) in document {
            if !TABLES.contains(&key.get_ref().as_ref()) {
                self.unknown_table(key, value);
            }
        }
        let defaults = match document.get("defaults") {
            Some(value) => self
                .table("defaults", value)
                .map(|table| Settings::read(self, table, None)),
            None => None,
        };
        let hosts = Hosts::read(
            self,
            document.get("host"),
            defaults.unwrap_or_default(),
            complete,
        );
        let workers = document
            .get("worker")
            .map(|value| workers::read(self, value))
            .unwrap_or_default();
        Inventory {
            source,
            spawner_mirrored_storage: hosts.spawner_mirrored_storage(),
            hosts: hosts.into_specs(),
            workers,
        }
    }

    /// Reports a word at the top that is none of [`TABLES`].
    fn unknown_table(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let word = key.get_ref();
        let is_table = match value.get_ref() {
            DeValue::Table(_) => true,
            DeValue::Array(items) => items.iter().any(|item| item.get_ref().is_table()),
            _ => false,
        };
        if is_table {
            let title = format!(
                "unknown table {} in {}",
                quoted(word),
                self.surroundings.file_name()
            );
            let label = match nearest(word, TABLES) {
                Some(table) => format!("did you mean `{table}`?"),
                None => "the tables are `[defaults]`, `[[host]]` and `[worker]`".to_owned(),
            };
            self.report(Problem::new(key.span(), title, label));
        } else {
            let title = format!("{} stands outside of any table", quoted(word));
            let label = "belongs below `[[host]]`, or below `[defaults]` for every host";
            self.report(Problem::new(key.span(), title, label));
        }
    }

    /// `value` as the table `[name]`.
    fn table<'v, 'i>(
        &mut self,
        name: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let title = format!("`{name}` is {}, not a table", values::kind(value.get_ref()));
            self.report(Problem::new(
                value.span(),
                title,
                format!("write `[{name}]`"),
            ));
        }
        table
    }

    /// Keeps a problem, up to a number that nobody reads.
    fn report(&mut self, problem: Problem) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// Keeps a problem, or gives the value.
    fn accept<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.report(problem)).ok()
    }
}
