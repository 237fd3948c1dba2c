//! The hosts of a run: those that are switched on, and of them those that `--on` names.

use std::collections::BTreeSet;

use thiserror::Error;

use super::host_range;
use super::report::{nearest, quoted};
use super::{HostSpec, Inventory};

/// Why a run has no hosts. The caller ends with "no usable host".
///
/// [`Display`](std::fmt::Display) gives the complete report, beginning with `error:`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// No host that is switched on has this tag or name.
    #[error("error: no enabled host has tag {}\n  hint: {hint}", quoted(word))]
    Unknown {
        /// The word of `--on`.
        word: String,
        /// What there is.
        hint: String,
    },
    /// All hosts with this tag or name are switched off.
    #[error(
        "error: no enabled host has tag {}\n  hint: `enabled = false` is set for {host}",
        quoted(word)
    )]
    SwitchedOff {
        /// The word of `--on`.
        word: String,
        /// The first such host.
        host: String,
    },
    /// All hosts are switched off.
    #[error("error: no host is enabled\n  hint: `enabled = false` is set for every host")]
    NoneEnabled,
}

impl Inventory {
    /// The same inventory with the hosts of a run only.
    ///
    /// Those are the hosts that are switched on; where `on` has words, only those of them that have a
    /// word as tag or as name. A word may be a list with commas, and a name may have ranges. The order
    /// of the inventory is kept.
    ///
    /// # Errors
    ///
    /// [`SelectionError`] if no host is left, and also if one of the words selects none: a slip in one
    /// of several words would otherwise go unnoticed.
    pub fn select(self, on: &[impl AsRef<str>]) -> Result<Self, SelectionError> {
        if self.enabled().next().is_none() {
            return Err(SelectionError::NoneEnabled);
        }
        let words: Vec<&str> = on.iter().flat_map(|list| words(list.as_ref())).collect();
        let mut chosen = BTreeSet::new();
        for word in &words {
            let mut found = Vec::new();
            let any = Term::new(word);
            found.extend((0..self.hosts.len()).filter(|index| any.selects(&self.hosts[*index])));
            if !found.iter().any(|index| self.hosts[*index].enabled) {
                return Err(match found.first() {
                    Some(first) => SelectionError::SwitchedOff {
                        word: (*word).to_owned(),
                        host: self.hosts[*first].name.to_string(),
                    },
                    None => SelectionError::Unknown {
                        word: (*word).to_owned(),
                        hint: self.hint(word),
                    },
                });
            }
            chosen.extend(found);
        }
        let keep = |index: usize, host: &HostSpec| {
            host.enabled && (words.is_empty() || chosen.contains(&index))
        };
        let mut selected = self;
        let hosts = std::mem::take(&mut selected.hosts);
        selected.hosts = hosts
            .into_iter()
            .enumerate()
            .filter(|(index, host)| keep(*index, host))
            .map(|(_, host)| host)
            .collect();
        Ok(selected)
    }

    /// What there is to select, for somebody who asked for something else.
    fn hint(&self, word: &str) -> String {
        const MAX_SHOWN: usize = 12;
        let tags = self.tags();
        let names: Vec<&str> = self.enabled().map(|host| host.name.as_str()).collect();
        if let Some(known) = nearest(word, tags.iter().copied().chain(names.iter().copied())) {
            return format!("did you mean `{known}`?");
        }
        let (kind, list): (_, Vec<&str>) = if tags.is_empty() {
            ("hosts", names)
        } else {
            ("tags", tags.into_iter().collect())
        };
        let shown = list
            .iter()
            .take(MAX_SHOWN)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = if list.len() > MAX_SHOWN {
            format!(" and {} more", list.len() - MAX_SHOWN)
        } else {
            String::new()
        };
        format!("{kind} known here: {shown}{more}")
    }
}

/// One word of `--on`.
struct Term<'a> {
    word: &'a str,
    /// The names that it stands for, in lower case.
    names: Vec<String>,
}

impl<'a> Term<'a> {
    fn new(word: &'a str) -> Self {
        let names = host_range::expand(word).unwrap_or_default();
        Self {
            word,
            names: names.iter().map(super::HostName::folded).collect(),
        }
    }

    fn selects(&self, host: &HostSpec) -> bool {
        host.has_tag(self.word) || self.names.contains(&host.name.folded())
    }
}

/// The words of a list with commas; those in brackets belong to a range.
fn words(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    list.split(move |character| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn lab() -> Inventory {
        let text = r#"
            [[host]]
            name = "ws[01-03]"
            tags = ["lab"]
            [[host]]
            name = "big"
            tags = ["lab", "bigmem"]
            [[host]]
            name = "pi4"
            tags = ["arm"]
            enabled = false
        "#;
        Inventory::from_text(text, Path::new("hosts.toml")).unwrap()
    }

    fn selected(on: &[&str]) -> Vec<String> {
        lab()
            .select(on)
            .unwrap()
            .hosts
            .iter()
            .map(|host| host.name.to_string())
            .collect()
    }

    fn error(on: &str) -> String {
        lab().select(&[on]).unwrap_err().to_string()
    }

    #[test]
    fn selects_by_tag_and_by_name_in_the_order_of_the_file() {
        assert_eq!(selected(&[]), ["ws01", "ws02", "ws03", "big"]);
        assert_eq!(selected(&["lab"]), ["ws01", "ws02", "ws03", "big"]);
        assert_eq!(selected(&["big", "ws[01,03]"]), ["ws01", "ws03", "big"]);
        assert_eq!(selected(&["bigmem,WS02"]), ["ws02", "big"]);
    }

    #[test]
    fn a_word_that_selects_nothing_is_an_error() {
        assert_eq!(
            error("gpu"),
            "error: no enabled host has tag `gpu`\n  hint: tags known here: bigmem, lab"
        );
        assert_eq!(
            error("lab,bigmen"),
            "error: no enabled host has tag `bigmen`\n  hint: did you mean `bigmem`?"
        );
        assert_eq!(
            error("arm"),
            "error: no enabled host has tag `arm`\n  hint: `enabled = false` is set for pi4"
        );
        assert!(
            matches!(lab().select(&["\u{1b}[2J"]), Err(error) if !error.to_string().contains('\u{1b}'))
        );
    }

    #[test]
    fn switching_off_every_host_is_an_error() {
        let mut lab = lab();
        lab.hosts.iter_mut().for_each(|host| host.enabled = false);
        assert_eq!(lab.select(&[] as &[&str]), Err(SelectionError::NoneEnabled));
    }
}
