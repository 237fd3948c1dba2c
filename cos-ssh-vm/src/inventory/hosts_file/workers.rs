//! The table `[worker]`: an executable for each target.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::report::{Problem, quoted};
use super::Reader;
use super::settings::is_target;
use super::values::{self, Key, Value};

/// Reads the table. Whether the files exist is asked when one is needed: it may not be built yet.
pub(super) fn read(reader: &mut Reader<'_>, value: &Value<'_>) -> BTreeMap<String, PathBuf> {
    let mut workers = BTreeMap::new();
    let Some(table) = reader.table("worker", value) else {
        return workers;
    };
    for (target, path) in table {
        let entry = worker(target, path);
        if let Some((target, path)) = reader.accept(entry) {
            workers.insert(target.to_owned(), reader.surroundings.resolve(path));
        }
    }
    workers
}

fn worker<'v>(target: &'v Key<'_>, path: &'v Value<'_>) -> Result<(&'v str, &'v str), Problem> {
    let triple: &str = target.get_ref();
    if !is_target(triple) {
        let title = format!("{} is not a target", quoted(triple));
        let label = "expected a triple such as \"aarch64-unknown-linux-musl\"";
        return Err(Problem::new(target.span(), title, label));
    }
    let example = "\"target/aarch64-unknown-linux-musl/release/cos-worker\"";
    Ok((triple, values::text(triple, path, example)?))
}
