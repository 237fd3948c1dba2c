//! What the bootstrap says, line by line.

use cos_core::wire::preamble::FRAMES;

/// A line of the bootstrap, without its nonce. The bootstrap's own text describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    System {
        system: String,
        machine: String,
    },
    NoWorker,
    NoVerifier,
    Skip {
        directory: String,
        cause: String,
    },
    Corrupt {
        file: String,
    },
    Upload {
        directory: String,
    },
    Refused {
        status: String,
        cause: String,
    },
    NoDirectory,
    Run {
        file: String,
    },
    /// Said by the worker: frames follow.
    Frames,
}

impl Said {
    /// Reads a line; `None` when it is none of them.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.splitn(3, '\t');
        let word = fields.next()?;
        let mut field = || fields.next().map(|field| field.trim().to_owned());
        Some(match word {
            "system" => Self::System {
                system: field()?,
                machine: field()?,
            },
            "noworker" => Self::NoWorker,
            "noverifier" => Self::NoVerifier,
            "skip" => Self::Skip {
                directory: field()?,
                cause: field()?,
            },
            "corrupt" => Self::Corrupt { file: field()? },
            "upload" => Self::Upload {
                directory: field()?,
            },
            "refused" => Self::Refused {
                status: field()?,
                cause: field()?,
            },
            "nodirectory" => Self::NoDirectory,
            "run" => Self::Run { file: field()? },
            FRAMES => Self::Frames,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_separated_by_tabs_and_the_last_may_hold_any() {
        assert_eq!(
            Said::parse("skip\t/home/ana/.cache\tRead-only\tfile system "),
            Some(Said::Skip {
                directory: "/home/ana/.cache".to_owned(),
                cause: "Read-only\tfile system".to_owned()
            })
        );
        assert_eq!(Said::parse("frames"), Some(Said::Frames));
        for line in ["", "skip", "skip\t/x", "nonsense", "run", " frames"] {
            assert_eq!(Said::parse(line), None, "{line:?}");
        }
    }
}
