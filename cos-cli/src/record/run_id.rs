//! Names of runs: short enough to be typed, such as `7kq2`.

use std::fmt;
use std::str::FromStr;

/// No `0 o`, no `1 i l`: what is read off a screen is typed right.
const ALPHABET: &[u8; 31] = b"23456789abcdefghjkmnpqrstuvwxyz";

/// The shortest name. 31^4 are nearly a million.
const SHORTEST: usize = 4;

/// The longest name that is accepted.
const LONGEST: usize = 12;

/// The name of a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunId(String);

/// Why a text names no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a run has a name such as 7kq2: 4 to 12 digits and small letters, without 0, 1, i, l and o"
)]
pub struct ParseRunIdError;

impl RunId {
    /// A random name, `extra` characters longer than the shortest.
    #[must_use]
    pub fn random(extra: usize) -> Self {
        let length = (SHORTEST + extra).min(LONGEST);
        let random = |_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())]);
        Self((0..length).map(random).collect())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, ParseRunIdError> {
        let valid = (SHORTEST..=LONGEST).contains(&text.len())
            && text.bytes().all(|byte| ALPHABET.contains(&byte));
        valid.then(|| Self(text.to_owned())).ok_or(ParseRunIdError)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_can_be_read_back() {
        for extra in [0, 1, 100] {
            let id = RunId::random(extra);
            assert_eq!(id.as_str().parse(), Ok(id.clone()));
            assert!(id.as_str().len() <= LONGEST);
        }
        assert_eq!(RunId::random(0).as_str().len(), 4);
        for wrong in ["", "abc", "../x", "7kq0", "7KQ2", "latest", "aaaaaaaaaaaaa"] {
            assert_eq!(wrong.parse::<RunId>(), Err(ParseRunIdError), "{wrong}");
        }
    }
}
