//! Which files travel with a job, by the flags and the job's values.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cos_core::job::{InputScope, StagedInput, Staging};
use cos_storage::{Suffix, SuffixError};

use crate::arguments::{StagingArguments, WorkingDirectory};
use crate::failure::Failure;
use crate::message::Message;
use crate::sources::Row;
use crate::template::{BindError, Template};

/// A name of GNU parallel and rsync with this in it: what comes behind is the name on the host.
const FROM_HERE: &[u8] = b"/./";

/// Why a file cannot travel.
#[derive(Debug, thiserror::Error)]
pub(super) enum StagingError {
    /// A value does not fit into a template.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The name could lead out of the job's directory.
    #[error(transparent)]
    Suffix(#[from] SuffixError),
    /// It has no name below the job's directory.
    #[error("`{path}` is not below the current directory, so it has no place in a job's directory")]
    Outside {
        /// The name, escaped.
        path: String,
    },
    /// It names the directory itself.
    #[error("`{path}` names no file")]
    Nameless {
        /// The name, escaped.
        path: String,
    },
}

impl StagingError {
    /// What the user can do about it.
    pub(super) fn cure(&self) -> String {
        match self {
            Self::Bind(error) => error.hint(),
            Self::Suffix(_) | Self::Outside { .. } | Self::Nameless { .. } => {
                "what follows `/./` is the name there: /data/./in/a.csv is in/a.csv".to_owned()
            }
        }
    }
}

/// The files of all jobs, as far as they are known before any job is.
#[derive(Debug)]
pub(super) struct StagingTemplates {
    root: Arc<PathBuf>,
    in_place: bool,
    transfers: Vec<Template>,
    bases: Vec<StagedInput>,
    returns: Vec<Template>,
    clean_up: bool,
}

impl StagingTemplates {
    /// What the flags ask for; `None` if that is nothing.
    pub(super) fn new(
        arguments: &StagingArguments,
        workdir: &WorkingDirectory,
        names: &[Vec<u8>],
    ) -> Result<Option<Self>, Failure> {
        let (transfers, returns) = (arguments.transfers(), arguments.all_returns());
        if transfers.is_empty() && returns.is_empty() && arguments.basefile.is_empty() {
            return Ok(None);
        }
        let root = std::env::current_dir().map_err(|error| {
            Failure::internal(Message::error("cannot tell the current directory").cause(error))
        })?;
        let base = |name: &std::ffi::OsString| {
            let input = input(name.as_encoded_bytes(), &root, InputScope::Run);
            let input = input.map_err(|error| {
                let message = Message::error(format!("--basefile: {error}"));
                Failure::usage(message.hint(error.cure()))
            })?;
            match std::fs::metadata(&input.source) {
                Ok(found) if found.is_file() => Ok(input),
                Ok(_) => Err(unusable(&input, "not a regular file")),
                Err(error) => Err(unusable(&input, error)),
            }
        };
        let bases = arguments
            .basefile
            .iter()
            .map(base)
            .collect::<Result<_, _>>()?;
        let templates = |texts: &[&[u8]]| {
            texts
                .iter()
                .map(|text| Template::text(text, names))
                .collect()
        };
        Ok(Some(Self {
            in_place: *workdir == WorkingDirectory::Current,
            transfers: templates(&transfers),
            returns: templates(&returns),
            clean_up: arguments.cleans_up(),
            root: Arc::new(root),
            bases,
        }))
    }

    /// The files of one job.
    pub(super) fn of(&self, row: &Row, sequence: u64) -> Result<Arc<Staging>, StagingError> {
        let mut inputs = self.bases.clone();
        for template in &self.transfers {
            let name = template.bind(row.values(), sequence)?.shown(None);
            inputs.push(input(&name, &self.root, InputScope::Command)?);
        }
        let mut returns = Vec::new();
        for template in &self.returns {
            let name = template.bind(row.values(), sequence)?.shown(None);
            returns.push(place(&name, &self.root)?);
        }
        Ok(Arc::new(Staging {
            root: Arc::clone(&self.root),
            in_place: self.in_place,
            inputs,
            returns,
            clean_up: self.clean_up,
        }))
    }
}

fn unusable(input: &StagedInput, cause: impl std::fmt::Display) -> Failure {
    let name = input.source.display();
    Failure::usage(Message::error(format!("--basefile: {name}: {cause}")))
}

fn input(name: &[u8], root: &Path, scope: InputScope) -> Result<StagedInput, StagingError> {
    Ok(StagedInput {
        source: root.join(OsStr::from_bytes(name)),
        path: place(name, root)?,
        scope,
    })
}

/// Where a file is below a job's directory, and below the current one.
fn place(name: &[u8], root: &Path) -> Result<Suffix, StagingError> {
    let shown = || name.escape_ascii().to_string();
    let marked = name
        .windows(FROM_HERE.len())
        .rposition(|at| at == FROM_HERE);
    let below = match marked {
        Some(at) => Path::new(OsStr::from_bytes(&name[at + FROM_HERE.len()..])),
        None => {
            let path = Path::new(OsStr::from_bytes(name));
            match path.is_absolute() {
                false => path,
                true => path
                    .strip_prefix(root)
                    .map_err(|_| StagingError::Outside { path: shown() })?,
            }
        }
    };
    let place = Suffix::of(below)?;
    match place.is_empty() {
        false => Ok(place),
        true => Err(StagingError::Nameless { path: shown() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_the_current_directory_are_kept() {
        let root = Path::new("/home/ana/lab");
        for (name, expected) in [
            ("a.csv", "a.csv"),
            ("in//a.csv", "in/a.csv"),
            ("./a.csv", "a.csv"),
            ("/home/ana/lab/in/a.csv", "in/a.csv"),
            ("/data/./in/a.csv", "in/a.csv"),
            ("../other/./b", "b"),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(place(name.as_bytes(), root).unwrap().to_string(), expected);
        }
        let input = input(b"../other/./b", root, InputScope::Command).unwrap();
        assert_eq!(input.source, Path::new("/home/ana/lab/../other/./b"));
    }

    #[test]
    fn names_elsewhere_are_refused_with_a_cure() {
        let root = Path::new("/home/ana/lab");
        for name in [
            "/etc/passwd",
            "../a",
            "in/../../a",
            "/data/./../a",
            ".",
            "",
            "a\0b",
        ] {
            let error = place(name.as_bytes(), root).unwrap_err();
            assert!(error.cure().contains("/./"), "{name}");
        }
    }
}
