//! `--results`: every job's output in files of its own, in GNU parallel's layout.
//!
//! A name without a replacement string is a directory: `DIR/1/<first argument>/2/<second>/{seq,stdout,stderr}`, with the
//! columns' names in place of the numbers where `--header` gives them. A name with replacement strings is the name of the file
//! for standard output, `.err` and `.seq` being added for the others; with a slash at its end, it is the directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::RecordError;
use crate::output::{Capture, Spool};
use crate::template::{Template, file_name};

/// Writes every job's output into files of its own.
#[derive(Debug)]
pub struct Results {
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Directory { base: PathBuf, names: Vec<Vec<u8>> },
    Template(Template),
}

/// Why a name for `--results` was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--results writes directories, not {extension} files; tables are in --joblog and --format jsonl"
)]
pub struct ParseResultsError {
    /// The extension that GNU parallel takes for a table.
    pub extension: &'static str,
}

impl Results {
    /// Results under this name; `names` are the columns of `--header`.
    ///
    /// # Errors
    ///
    /// When GNU parallel would write a table under this name.
    pub fn new(name: &OsStr, names: &[Vec<u8>]) -> Result<Self, ParseResultsError> {
        for extension in [".csv", ".tsv", ".json"] {
            if name.as_bytes().ends_with(extension.as_bytes()) {
                return Err(ParseResultsError { extension });
            }
        }
        let template = Template::path(name.as_bytes(), names);
        let layout = if template.has_holes() {
            Layout::Template(template)
        } else {
            Layout::Directory {
                base: name.into(),
                names: names.to_vec(),
            }
        };
        Ok(Self { layout })
    }

    /// Makes the directory that holds everything, so that one that cannot be made is known before any job runs. Where
    /// the name is a template, each job has a directory of its own.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn create(&self) -> Result<(), RecordError> {
        match &self.layout {
            Layout::Directory { base, .. } => {
                fs::create_dir_all(base).map_err(RecordError::at(base))
            }
            Layout::Template(_) => Ok(()),
        }
    }

    /// Writes the files of a job, over those of an earlier run.
    ///
    /// # Errors
    ///
    /// When one of them cannot be written.
    pub fn write<V: AsRef<[u8]>>(
        &self,
        sequence: u64,
        values: &[V],
        capture: &Capture,
    ) -> Result<(), RecordError> {
        let [stdout, stderr, seq] = self.paths(sequence, values);
        if let Some(parent) = stdout.parent() {
            fs::create_dir_all(parent).map_err(RecordError::at(parent))?;
        }
        let spool = |path: &PathBuf, spool: &Spool| {
            let written = || {
                let mut out = BufWriter::new(File::create(path)?);
                spool.copy_to(u64::MAX, &mut out)?;
                out.flush()
            };
            written().map_err(RecordError::at(path))
        };
        spool(&stdout, &capture.stdout.kept)?;
        spool(&stderr, &capture.stderr.kept)?;
        fs::write(&seq, sequence.to_string()).map_err(RecordError::at(&seq))
    }

    /// The files for standard output, standard error and the job's number.
    fn paths<V: AsRef<[u8]>>(&self, sequence: u64, values: &[V]) -> [PathBuf; 3] {
        match &self.layout {
            Layout::Directory { base, names } => {
                let mut directory = base.clone();
                for (index, value) in values.iter().enumerate() {
                    match names.get(index) {
                        Some(name) => directory.push(component(name)),
                        None => directory.push((index + 1).to_string()),
                    }
                    directory.push(component(value.as_ref()));
                }
                ["stdout", "stderr", "seq"].map(|name| directory.join(name))
            }
            Layout::Template(template) => {
                // A name is no shell text, so no value is refused.
                let name = template
                    .bind(values, sequence)
                    .unwrap_or_default()
                    .shown(None);
                let path = |suffix: &[u8]| {
                    PathBuf::from(OsStr::from_bytes(&[name.as_slice(), suffix].concat()))
                };
                if name.ends_with(b"/") {
                    [path(b"stdout"), path(b"stderr"), path(b"seq")]
                } else {
                    [path(b""), path(b".err"), path(b".seq")]
                }
            }
        }
    }
}

fn component(value: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&file_name(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(name: &str, values: &[&str], names: &[&str]) -> [String; 3] {
        let names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let results = Results::new(OsStr::new(name), &names).expect("a directory");
        results
            .paths(7, values)
            .map(|path| path.display().to_string())
    }

    #[test]
    fn the_layout_is_gnus() {
        assert_eq!(
            paths("res", &["a/b", "c"], &[]),
            [
                r"res/1/a\_b/2/c/stdout",
                r"res/1/a\_b/2/c/stderr",
                r"res/1/a\_b/2/c/seq"
            ]
        );
        assert_eq!(paths("res", &["c\\d"], &["f"])[0], r"res/f/c\\d/stdout");
        assert_eq!(paths("res", &["b\tc"], &[])[0], r"res/1/b\tc/stdout");
        assert_eq!(
            paths("res/{1}-{2}.out", &["a", "c"], &[]),
            ["res/a-c.out", "res/a-c.out.err", "res/a-c.out.seq"]
        );
        assert_eq!(
            paths("res/{#}-{1}/", &["x/y"], &[]),
            [
                r"res/7-x\_y/stdout",
                r"res/7-x\_y/stderr",
                r"res/7-x\_y/seq"
            ]
        );
    }

    #[test]
    fn no_value_leaves_its_directory() {
        assert_eq!(paths("res", &[".."], &[])[0], r"res/1/\.\./stdout");
        assert_eq!(paths("res", &["."], &[])[0], r"res/1/\./stdout");
        assert_eq!(paths("res", &[""], &[])[0], r"res/1/\e/stdout");
        assert_eq!(paths("res/{1}/", &[".."], &[])[0], r"res/\.\./stdout");
        assert_eq!(paths("res/{1/.}.log", &["a/b/c.net"], &[])[0], "res/c.log");
    }

    #[test]
    fn tables_are_refused() {
        let error = Results::new(OsStr::new("out.csv"), &[]).expect_err("a table");
        assert!(error.to_string().contains("not .csv files"));
    }
}
