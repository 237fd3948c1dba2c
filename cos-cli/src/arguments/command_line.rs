//! Takes the words after the flags apart: the command, then input sources behind `:::`, `::::`, `:::+`, `::::+`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The command and the sources that a command line names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandLine {
    /// The words of the command; none when each input is a command of its own.
    pub command: Vec<OsString>,
    /// The input sources in order; none means standard input.
    pub sources: Vec<SourceLine>,
}

/// One input source as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// Where its values come from.
    pub marker: SourceMarker,
    /// Whether it advances together with the source before it (`+`), instead of being combined with it.
    pub linked: bool,
}

/// Where the values of an input source come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceMarker {
    /// The command line itself (`:::`).
    Arguments(Vec<OsString>),
    /// A file (`::::`, `-a`), one value per line.
    File(PathBuf),
    /// Standard input (`:::: -`).
    StandardInput,
}

/// Why the words make no command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No file behind `::::`.
    #[error("there is no file behind `{marker}`")]
    NoFile {
        /// `::::` or `::::+`.
        marker: &'static str,
    },
    /// Standard input twice: the second would find nothing.
    #[error("standard input is named twice as a source; it can be read only once")]
    StandardInputTwice,
}

impl CommandLine {
    /// Splits words at their markers. The files of `-a` come before all other sources, as in GNU parallel.
    ///
    /// # Errors
    ///
    /// When a marker that wants files has none, or standard input is to be read twice.
    pub fn split(words: &[OsString], arg_files: &[PathBuf]) -> Result<Self, SplitError> {
        let mut sources: Vec<SourceLine> = arg_files
            .iter()
            .map(|path| SourceLine {
                marker: file(path.as_os_str().to_owned()),
                linked: false,
            })
            .collect();
        let first = words
            .iter()
            .position(|word| marker(word).is_some())
            .unwrap_or(words.len());
        let command = words[..first].to_vec();
        let mut rest = &words[first..];
        while let Some((word, values)) = rest.split_first() {
            let end = values
                .iter()
                .position(|word| marker(word).is_some())
                .unwrap_or(values.len());
            let (values, after) = values.split_at(end);
            match marker(word) {
                Some(Marker {
                    files: true,
                    linked,
                    text,
                }) => {
                    if values.is_empty() {
                        return Err(SplitError::NoFile { marker: text });
                    }
                    let lines = values.iter().cloned();
                    sources.extend(lines.map(|path| SourceLine {
                        marker: file(path),
                        linked,
                    }));
                }
                Some(Marker { linked, .. }) => sources.push(SourceLine {
                    marker: SourceMarker::Arguments(values.to_vec()),
                    linked,
                }),
                // The loop starts at a marker and each turn ends before the next one.
                None => break,
            }
            rest = after;
        }
        if let Some(first) = sources.first_mut() {
            // There is nothing before it to be linked with.
            first.linked = false;
        }
        let stdin = sources
            .iter()
            .filter(|line| line.marker == SourceMarker::StandardInput);
        if stdin.count() > 1 {
            return Err(SplitError::StandardInputTwice);
        }
        Ok(Self { command, sources })
    }
}

struct Marker {
    files: bool,
    linked: bool,
    text: &'static str,
}

fn marker(word: &OsString) -> Option<Marker> {
    let (files, linked, text) = match word.as_bytes() {
        b":::" => (false, false, ":::"),
        b":::+" => (false, true, ":::+"),
        b"::::" => (true, false, "::::"),
        b"::::+" => (true, true, "::::+"),
        _ => return None,
    };
    Some(Marker {
        files,
        linked,
        text,
    })
}

fn file(path: OsString) -> SourceMarker {
    if path == "-" {
        SourceMarker::StandardInput
    } else {
        SourceMarker::File(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(OsString::from)
            .collect()
    }

    fn split(text: &str) -> Result<CommandLine, SplitError> {
        CommandLine::split(&words(text), &[])
    }

    fn arguments(text: &str, linked: bool) -> SourceLine {
        SourceLine {
            marker: SourceMarker::Arguments(words(text)),
            linked,
        }
    }

    fn from_file(path: &str, linked: bool) -> SourceLine {
        SourceLine {
            marker: SourceMarker::File(path.into()),
            linked,
        }
    }

    #[test]
    fn the_command_ends_at_the_first_marker() {
        let line = split("gzip -9 {} ::: a b ::: -c").expect("a command line");
        assert_eq!(line.command, words("gzip -9 {}"));
        assert_eq!(
            line.sources,
            [arguments("a b", false), arguments("-c", false)]
        );
        assert_eq!(split("echo a").map(|line| line.sources), Ok(vec![]));
        assert_eq!(split("::: a").map(|line| line.command), Ok(vec![]));
        assert_eq!(
            split("echo :::").map(|line| line.sources),
            Ok(vec![arguments("", false)])
        );
    }

    #[test]
    fn every_file_is_a_source_and_plus_links_it_to_the_one_before() {
        let line = split("echo ::: a ::::+ f g :::: h - :::+ x").expect("a command line");
        assert_eq!(
            line.sources,
            [
                arguments("a", false),
                from_file("f", true),
                from_file("g", true),
                from_file("h", false),
                SourceLine {
                    marker: SourceMarker::StandardInput,
                    linked: false
                },
                arguments("x", true),
            ]
        );
        let first = split("echo :::+ a").expect("a command line");
        assert_eq!(
            first.sources,
            [arguments("a", false)],
            "nothing to link with"
        );
    }

    #[test]
    fn files_of_the_flag_come_first() {
        let line = CommandLine::split(&words("echo ::: a"), &["f".into()]).expect("a command line");
        assert_eq!(line.sources, [from_file("f", false), arguments("a", false)]);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert_eq!(
            split("echo ::::"),
            Err(SplitError::NoFile { marker: "::::" })
        );
        assert_eq!(
            split("echo ::: a ::::+ ::: b"),
            Err(SplitError::NoFile { marker: "::::+" })
        );
        assert_eq!(split("echo :::: - -"), Err(SplitError::StandardInputTwice));
        let twice = CommandLine::split(&words("echo :::: -"), &["-".into()]);
        assert_eq!(twice, Err(SplitError::StandardInputTwice));
    }
}
