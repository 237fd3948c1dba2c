//! Ranges in host names: `ws[01-12]`, `rack[1-2]-node[1,3,7-9]`.

use std::ops::RangeInclusive;

use thiserror::Error;

use super::host_name::{HostName, HostNameError};

/// The most hosts that one name may stand for, and the most that an inventory may have.
pub const MAX_HOSTS: usize = 4096;

/// Expands the ranges of a name.
///
/// A range is a list in brackets, of numbers and of `first-last`. Leading zeros are kept: `[01-12]` gives
/// `01`, `02` and so on. Several ranges give every combination, the last one running fastest. A name
/// without brackets gives itself. The brackets of an IPv6 address after `ssh://` are no range.
///
/// # Errors
///
/// [`HostRangeError`] for a malformed or too large range, or an expanded name that is no [`HostName`].
pub fn expand(pattern: &str) -> Result<Vec<HostName>, HostRangeError> {
    let pieces = parse(pattern)?;
    let count = pieces.iter().try_fold(1_usize, |count, piece| {
        let count = count.checked_mul(piece.len())?;
        (count <= MAX_HOSTS).then_some(count)
    });
    if count.is_none() {
        return Err(HostRangeError::TooMany);
    }
    let mut names = vec![String::new()];
    for piece in &pieces {
        names = match piece {
            Piece::Text(text) => names.into_iter().map(|name| name + text).collect(),
            Piece::Range(items) => names
                .iter()
                .flat_map(|name| items.iter().flat_map(move |item| item.names(name)))
                .collect(),
        };
    }
    names
        .iter()
        .map(|name| HostName::parse(name).map_err(HostRangeError::from))
        .collect()
}

/// Why a name with brackets cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HostRangeError {
    /// The name, or one that it expands to, is refused.
    #[error(transparent)]
    Name(#[from] HostNameError),
    /// A bracket without its partner, or one inside another.
    #[error("the brackets do not match; a range is written `ws[01-12]`")]
    Brackets,
    /// Something in the brackets is neither a number nor `first-last`.
    #[error("`{item}` is not a range: numbers such as `1-3,7`")]
    Item {
        /// What stands there.
        item: String,
    },
    /// The last number is smaller than the first.
    #[error("the range `{item}` runs backwards")]
    Backwards {
        /// What stands there.
        item: String,
    },
    /// One end has leading zeros and the ends differ in length, so that the width is not clear.
    #[error("`{item}`: both ends of a range with leading zeros need the same number of digits")]
    Width {
        /// What stands there.
        item: String,
    },
    /// The name stands for more than [`MAX_HOSTS`] hosts.
    #[error("more than {MAX_HOSTS} hosts")]
    TooMany,
}

enum Piece<'a> {
    Text(&'a str),
    Range(Vec<Numbers>),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Text(_) => 1,
            Self::Range(items) => items
                .iter()
                .fold(0, |sum, item| sum.saturating_add(item.len())),
        }
    }
}

/// `01-12`, or a single number as a range of one.
struct Numbers {
    range: RangeInclusive<u32>,
    width: usize,
}

impl Numbers {
    fn len(&self) -> usize {
        usize::try_from(self.range.end() - self.range.start())
            .map_or(usize::MAX, |steps| steps.saturating_add(1))
    }

    fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
        self.range
            .clone()
            .map(move |number| format!("{prefix}{number:0width$}", width = self.width))
    }
}

fn parse(pattern: &str) -> Result<Vec<Piece<'_>>, HostRangeError> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    loop {
        let Some(open) = rest.find(['[', ']']) else {
            pieces.push(Piece::Text(rest));
            return Ok(pieces);
        };
        let (text, bracket) = rest.split_at(open);
        let Some((content, after)) = bracket
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
        else {
            return Err(HostRangeError::Brackets);
        };
        if content.contains('[') {
            return Err(HostRangeError::Brackets);
        }
        if pattern.starts_with("ssh://") && content.contains(':') {
            pieces.push(Piece::Text(&rest[..text.len() + content.len() + 2]));
        } else {
            pieces.push(Piece::Text(text));
            pieces.push(Piece::Range(
                content.split(',').map(numbers).collect::<Result<_, _>>()?,
            ));
        }
        rest = after;
    }
}

fn numbers(item: &str) -> Result<Numbers, HostRangeError> {
    let shown = || item.escape_debug().to_string();
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let number = |digits: &str| {
        // Nine digits always fit; a longer number is a mistake, not a host.
        let valid =
            (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid
            .then(|| digits.parse::<u32>().ok())
            .flatten()
            .ok_or_else(|| HostRangeError::Item { item: shown() })
    };
    let range = number(first)?..=number(last)?;
    if range.is_empty() {
        return Err(HostRangeError::Backwards { item: shown() });
    }
    let padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    if padded(first) || padded(last) {
        if first.len() != last.len() {
            return Err(HostRangeError::Width { item: shown() });
        }
        return Ok(Numbers {
            range,
            width: first.len(),
        });
    }
    Ok(Numbers { range, width: 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(pattern: &str) -> Result<Vec<String>, HostRangeError> {
        expand(pattern).map(|names| names.iter().map(HostName::to_string).collect())
    }

    #[test]
    fn expands_numbers_lists_and_padding() {
        assert_eq!(expanded("ws01"), Ok(vec!["ws01".into()]));
        assert_eq!(
            expanded("ws[08-11]").unwrap(),
            ["ws08", "ws09", "ws10", "ws11"]
        );
        assert_eq!(
            expanded("ws[8-11]").unwrap(),
            ["ws8", "ws9", "ws10", "ws11"]
        );
        assert_eq!(
            expanded("ws[1-3,7].lab").unwrap(),
            ["ws1.lab", "ws2.lab", "ws3.lab", "ws7.lab"]
        );
        assert_eq!(
            expanded("r[1-2]n[01,03]").unwrap(),
            ["r1n01", "r1n03", "r2n01", "r2n03"]
        );
        assert_eq!(
            expanded("ssh://ana@ws[1-2]:22").unwrap(),
            ["ssh://ana@ws1:22", "ssh://ana@ws2:22"]
        );
        assert_eq!(expanded("ssh://[::1]:22").unwrap(), ["ssh://[::1]:22"]);
        assert_eq!(expanded("ws[0-2]").unwrap(), ["ws0", "ws1", "ws2"]);
    }

    #[test]
    fn refuses_what_is_no_range() {
        for pattern in ["ws[01-12", "ws01-12]", "ws[[1-2]]", "]ws["] {
            assert_eq!(
                expanded(pattern),
                Err(HostRangeError::Brackets),
                "{pattern}"
            );
        }
        for pattern in [
            "ws[]",
            "ws[1,,2]",
            "ws[a-c]",
            "ws[1-]",
            "ws[-1]",
            "ws[1-2-3]",
            "ws[ 1]",
            "ws[9999999999]",
            "[::1]",
        ] {
            assert!(
                matches!(expanded(pattern), Err(HostRangeError::Item { .. })),
                "{pattern}"
            );
        }
        assert!(matches!(
            expanded("ws[12-01]"),
            Err(HostRangeError::Backwards { .. })
        ));
        assert!(matches!(
            expanded("ws[1-012]"),
            Err(HostRangeError::Width { .. })
        ));
        assert!(matches!(expanded("w s[1-2]"), Err(HostRangeError::Name(_))));
    }

    #[test]
    fn refuses_a_range_that_is_too_large_before_making_it() {
        assert_eq!(
            expanded("ws[0-4095]").map(|names| names.len()),
            Ok(MAX_HOSTS)
        );
        assert_eq!(expanded("ws[0-4096]"), Err(HostRangeError::TooMany));
        assert_eq!(
            expanded("ws[0-999999999][0-999999999][0-999999999]"),
            Err(HostRangeError::TooMany)
        );
    }

    proptest! {
        #[test]
        fn a_range_gives_each_number_once_in_order(first in 0_u32..2000, length in 0_u32..2000, width in 4_usize..8) {
            let last = first + length;
            let names = expanded(&format!("ws[{first:0width$}-{last:0width$}].lab")).unwrap();
            let expected: Vec<_> = (first..=last).map(|number| format!("ws{number:0width$}.lab")).collect();
            prop_assert_eq!(names, expected);
        }

        #[test]
        fn no_text_panics(pattern in r"(ssh://)?[\[\]0-9a-c@:,.-]{0,24}|\PC{0,40}") {
            if let Ok(names) = expand(&pattern) {
                prop_assert!(!names.is_empty() && names.len() <= MAX_HOSTS);
            }
        }
    }
}
