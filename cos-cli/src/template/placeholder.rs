//! One replacement string: its grammar, and which values it means.

/// What a replacement string stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    /// Values of the job's input.
    Input {
        /// Which of them.
        which: Which,
        /// What is taken of each.
        edit: Edit,
        /// Whether each is a path, to be named as the host sees it.
        mapped: bool,
    },
    /// `{#}`: the job's number.
    Sequence,
    /// `{%}`: the slot's number.
    Slot,
}

/// Which values of a job a replacement string means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All, with a space between them.
    All,
    /// The one at this index.
    Front(usize),
    /// The one at this index from the end.
    Back(usize),
}

/// What a replacement string takes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// All of it.
    Whole,
    /// `.`: all but the extension.
    WithoutExtension,
    /// `/`: the last component.
    Basename,
    /// `//`: the directory.
    Dirname,
    /// `/.`: the last component without its extension.
    BasenameWithoutExtension,
}

/// Suffixes of replacement strings; the empty one last, so that a longer one is found first.
const EDITS: [(&[u8], Edit); 5] = [
    (b"/.", Edit::BasenameWithoutExtension),
    (b"//", Edit::Dirname),
    (b"/", Edit::Basename),
    (b".", Edit::WithoutExtension),
    (b"", Edit::Whole),
];

impl Which {
    /// Those of `values` that are meant; none when there is no such position.
    pub(super) fn choose<V>(self, values: &[V]) -> &[V] {
        let index = match self {
            Self::All => return values,
            Self::Front(index) => Some(index),
            Self::Back(index) => values.len().checked_sub(index + 1),
        };
        index
            .and_then(|index| values.get(index..=index))
            .unwrap_or_default()
    }
}

impl Placeholder {
    /// The replacement string at the start of `text`, which begins with `{`, and its length. `None` when there is
    /// none: braces that mean nothing are text.
    pub(super) fn parse(text: &[u8], names: &[Vec<u8>]) -> Option<(Self, usize)> {
        // A column may be called anything, so names come first, the longest match deciding.
        let after_brace = text.get(1..)?;
        let longest = names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
            .flat_map(|(index, name)| EDITS.iter().map(move |edit| (index, name, edit)))
            .filter(|(_, name, (suffix, _))| closes(after_brace, name, suffix))
            .max_by_key(|(_, name, _)| name.len());
        if let Some((index, name, (suffix, edit))) = longest {
            let input = Self::Input {
                which: Which::Front(index),
                edit: *edit,
                mapped: false,
            };
            return Some((input, name.len() + suffix.len() + 2));
        }
        let end = text.iter().position(|&byte| byte == b'}')?;
        let inner = text.get(1..end)?;
        let placeholder = match inner {
            b"#" => Self::Sequence,
            b"%" => Self::Slot,
            _ => Self::input(inner)?,
        };
        Some((placeholder, end + 1))
    }

    /// `[POSITION][m][EDIT]`.
    fn input(inner: &[u8]) -> Option<Self> {
        let sign = usize::from(inner.first() == Some(&b'-'));
        let digits = inner[sign..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (position, rest) = inner.split_at(sign + digits);
        let which = match position {
            b"" => Which::All,
            _ => {
                let number: usize = std::str::from_utf8(&position[sign..]).ok()?.parse().ok()?;
                let index = number.checked_sub(1)?;
                if sign == 1 {
                    Which::Back(index)
                } else {
                    Which::Front(index)
                }
            }
        };
        let (mapped, rest) = match rest.strip_prefix(b"m") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (_, edit) = EDITS.iter().find(|(suffix, _)| *suffix == rest)?;
        Some(Self::Input {
            which,
            edit: *edit,
            mapped,
        })
    }
}

fn closes(text: &[u8], name: &[u8], suffix: &[u8]) -> bool {
    text.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(suffix))
        .is_some_and(|rest| rest.first() == Some(&b'}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, names: &[&str]) -> Option<(Placeholder, usize)> {
        let names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Placeholder::parse(text.as_bytes(), &names)
    }

    fn input(which: Which, edit: Edit, mapped: bool) -> Placeholder {
        Placeholder::Input {
            which,
            edit,
            mapped,
        }
    }

    #[test]
    fn the_grammar() {
        for (text, which, edit, mapped) in [
            ("{}", Which::All, Edit::Whole, false),
            ("{.}", Which::All, Edit::WithoutExtension, false),
            ("{/}", Which::All, Edit::Basename, false),
            ("{//}", Which::All, Edit::Dirname, false),
            ("{/.}", Which::All, Edit::BasenameWithoutExtension, false),
            ("{1}", Which::Front(0), Edit::Whole, false),
            ("{01}", Which::Front(0), Edit::Whole, false),
            (
                "{12/.}",
                Which::Front(11),
                Edit::BasenameWithoutExtension,
                false,
            ),
            ("{-1}", Which::Back(0), Edit::Whole, false),
            ("{-2//}", Which::Back(1), Edit::Dirname, false),
            ("{m}", Which::All, Edit::Whole, true),
            ("{m//}", Which::All, Edit::Dirname, true),
            ("{2m.}", Which::Front(1), Edit::WithoutExtension, true),
        ] {
            assert_eq!(
                parse(text, &[]),
                Some((input(which, edit, mapped), text.len())),
                "{text}"
            );
        }
        assert_eq!(parse("{#}x", &[]), Some((Placeholder::Sequence, 3)));
        assert_eq!(parse("{%}", &[]), Some((Placeholder::Slot, 3)));
    }

    #[test]
    fn other_braces_are_text() {
        for text in [
            "{",
            "{x",
            "{x}",
            "{print $1}",
            "{ }",
            "{0}",
            "{-}",
            "{-0}",
            "{1..3}",
            "{a,b}",
            "{..}",
            "{+1}",
            "{mm}",
            "{1m1}",
            "{99999999999999999999999}",
            "{\n}",
        ] {
            assert_eq!(parse(text, &[]), None, "{text}");
        }
    }

    #[test]
    fn columns_have_names() {
        let names = ["size", "m", "a}b", "x."];
        let front = |index, edit| Some(input(Which::Front(index), edit, false));
        let of = |text| parse(text, &names).map(|(placeholder, _)| placeholder);
        assert_eq!(of("{size}"), front(0, Edit::Whole));
        assert_eq!(of("{size/.}"), front(0, Edit::BasenameWithoutExtension));
        assert_eq!(
            of("{m}"),
            front(1, Edit::Whole),
            "the column goes before the mapping"
        );
        assert_eq!(of("{a}b}"), front(2, Edit::Whole));
        assert_eq!(of("{x.}"), front(3, Edit::Whole));
        assert_eq!(of("{siz}"), None);
        assert_eq!(parse("{size.}x", &names).map(|(_, length)| length), Some(7));
    }

    #[test]
    fn positions_beyond_the_values_are_nothing() {
        let values = ["a", "b"];
        assert_eq!(Which::Front(1).choose(&values), ["b"]);
        assert_eq!(Which::Back(1).choose(&values), ["a"]);
        assert!(Which::Front(2).choose(&values).is_empty());
        assert!(Which::Back(2).choose(&values).is_empty());
    }
}
