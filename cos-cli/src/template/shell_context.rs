//! Where in a shell command a value stands: reads the command's own text and tells how to quote.
//!
//! ```text
//!            '          "            $( )        ` ` $'..' ${..} $((..)) ((..)) comment <<
//!   Code --> Single    Double --> Code            Opaque: plain values only
//! ```
//!
//! What this reader is not sure to follow (a here-document, a `case` within `$( )`, quotes within `${ }`) makes the rest of
//! the command opaque: a value with special characters is then refused, never let through wrongly quoted.

use super::Quoting;

/// A reader of shell text that stops at every value.
#[derive(Debug)]
pub(super) struct ShellContext {
    /// What is open, the innermost last; the command itself is at the bottom.
    open: Vec<Construct>,
    /// What the byte before was, when that matters.
    before: Before,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Construct {
    /// Commands: the whole, or those of `$( )`, which end at the parenthesis that opened them.
    Code {
        substitution: bool,
        parentheses: u32,
    },
    Single,
    Double,
    /// No value can be quoted here, until it ends.
    Opaque(Opaque),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opaque {
    Backquotes,
    Parameter,
    Arithmetic {
        parentheses: u32,
    },
    DollarSingle,
    Comment,
    /// To the end of the command, for this reason.
    Rest(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The start of a word.
    WordStart,
    /// A byte of a word.
    Word,
    /// A backslash that takes the next byte literally.
    Backslash,
    /// A dollar sign.
    Dollar,
}

impl ShellContext {
    pub(super) fn new() -> Self {
        Self {
            open: vec![Construct::Code {
                substitution: false,
                parentheses: 0,
            }],
            before: Before::WordStart,
        }
    }

    /// How to write the value that stands here; `next` is the byte that follows it in the command.
    pub(super) fn value(&mut self, next: Option<u8>) -> Quoting {
        let quoting = match (self.innermost(), self.before) {
            (Construct::Single, _) => Quoting::SingleQuoted,
            (Construct::Code { .. } | Construct::Double, Before::Backslash) => Quoting::PlainOnly {
                place: "behind a backslash",
            },
            (Construct::Code { .. } | Construct::Double, Before::Dollar) => Quoting::PlainOnly {
                place: "behind a `$`",
            },
            (Construct::Code { .. }, _) => Quoting::Word {
                always: matches!(next, Some(b'<' | b'>')),
            },
            (Construct::Double, _) => Quoting::DoubleQuoted,
            (Construct::Opaque(opaque), _) => Quoting::PlainOnly {
                place: opaque.place(),
            },
        };
        self.before = Before::Word;
        quoting
    }

    /// Reads text of the command.
    pub(super) fn read(&mut self, text: &[u8]) {
        let mut rest = text;
        let mut word = Vec::new();
        while let Some((&byte, after)) = rest.split_first() {
            let before = std::mem::replace(&mut self.before, Before::Word);
            let taken = match self.innermost() {
                _ if before == Before::Backslash => 1,
                Construct::Code { substitution, .. } => {
                    let delimiter =
                        matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(');
                    if delimiter && substitution && word == b"case" {
                        // The parentheses of its patterns are not paired.
                        self.give_up("behind a `case` within $( )");
                        return;
                    }
                    if delimiter || before == Before::WordStart {
                        word.clear();
                    }
                    if !delimiter {
                        word.push(byte);
                    }
                    self.read_code(byte, after, before)
                }
                Construct::Single => {
                    if byte == b'\'' {
                        self.open.pop();
                    }
                    1
                }
                Construct::Double => match byte {
                    b'"' => {
                        self.open.pop();
                        1
                    }
                    b'`' => self.enter(Construct::Opaque(Opaque::Backquotes)),
                    b'$' => self.dollar(after),
                    _ => {
                        self.note_backslash(byte);
                        1
                    }
                },
                Construct::Opaque(opaque) => {
                    self.read_opaque(opaque, byte);
                    1
                }
            };
            rest = &rest[taken..];
        }
    }

    fn read_code(&mut self, byte: u8, after: &[u8], before: Before) -> usize {
        match byte {
            b'\'' if before == Before::Dollar => {
                self.enter(Construct::Opaque(Opaque::DollarSingle))
            }
            b'\'' => self.enter(Construct::Single),
            b'"' => self.enter(Construct::Double),
            b'`' => self.enter(Construct::Opaque(Opaque::Backquotes)),
            b'$' => self.dollar(after),
            b'(' if after.first() == Some(&b'(') => {
                self.enter(Construct::Opaque(Opaque::Arithmetic { parentheses: 2 }));
                2
            }
            b'(' | b')' => {
                self.before = Before::WordStart;
                self.parenthesis(byte);
                1
            }
            b'#' if before == Before::WordStart => self.enter(Construct::Opaque(Opaque::Comment)),
            b'<' if after.starts_with(b"<<") => 3,
            b'<' if after.first() == Some(&b'<') => {
                self.give_up("behind the start of a here-document");
                2
            }
            b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' => {
                self.before = Before::WordStart;
                1
            }
            _ => {
                self.note_backslash(byte);
                1
            }
        }
    }

    fn read_opaque(&mut self, opaque: Opaque, byte: u8) {
        match (opaque, byte) {
            (Opaque::Backquotes, b'`')
            | (Opaque::Parameter, b'}')
            | (Opaque::DollarSingle, b'\'') => {
                self.open.pop();
            }
            (Opaque::Comment, b'\n') => {
                self.open.pop();
                self.before = Before::WordStart;
            }
            (Opaque::Arithmetic { parentheses }, b'(' | b')') => {
                let parentheses = if byte == b'(' {
                    parentheses + 1
                } else {
                    parentheses.saturating_sub(1)
                };
                self.open.pop();
                if parentheses > 0 {
                    self.open
                        .push(Construct::Opaque(Opaque::Arithmetic { parentheses }));
                }
            }
            (Opaque::Parameter | Opaque::Arithmetic { .. }, b'\'' | b'"' | b'`')
            | (Opaque::Parameter, b'{' | b'$') => self.give_up(opaque.place()),
            (Opaque::Comment | Opaque::Rest(_), _) => {}
            _ => self.note_backslash(byte),
        }
    }

    /// A dollar sign and what follows it; how many bytes were read.
    fn dollar(&mut self, after: &[u8]) -> usize {
        match after {
            [b'(', b'(', ..] => {
                self.enter(Construct::Opaque(Opaque::Arithmetic { parentheses: 2 }));
                3
            }
            [b'(', ..] => {
                self.enter(Construct::Code {
                    substitution: true,
                    parentheses: 0,
                });
                self.before = Before::WordStart;
                2
            }
            [b'{', ..] => {
                self.enter(Construct::Opaque(Opaque::Parameter));
                2
            }
            [b'[', ..] => {
                self.give_up("behind the start of `$[`");
                2
            }
            _ => {
                self.before = Before::Dollar;
                1
            }
        }
    }

    fn parenthesis(&mut self, byte: u8) {
        if let Some(Construct::Code {
            substitution,
            parentheses,
        }) = self.open.last_mut()
        {
            match byte {
                b'(' => *parentheses += 1,
                _ if *parentheses > 0 => *parentheses -= 1,
                _ if *substitution => {
                    self.open.pop();
                    self.before = Before::Word;
                }
                _ => {}
            }
        }
    }

    fn innermost(&self) -> Construct {
        let code = Construct::Code {
            substitution: false,
            parentheses: 0,
        };
        self.open.last().copied().unwrap_or(code)
    }

    fn enter(&mut self, construct: Construct) -> usize {
        self.open.push(construct);
        1
    }

    fn give_up(&mut self, place: &'static str) {
        self.open.push(Construct::Opaque(Opaque::Rest(place)));
    }

    fn note_backslash(&mut self, byte: u8) {
        if byte == b'\\' {
            self.before = Before::Backslash;
        }
    }
}

impl Opaque {
    fn place(self) -> &'static str {
        match self {
            Self::Backquotes => "within backquotes",
            Self::Parameter => "within ${ }",
            Self::Arithmetic { .. } => "within arithmetic",
            Self::DollarSingle => "within $' '",
            Self::Comment => "in a comment",
            Self::Rest(place) => place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quoting at the `@` of a command.
    fn at(command: &str) -> Quoting {
        let (before, after) = command.split_once('@').expect("a command with a value");
        let mut context = ShellContext::new();
        context.read(before.as_bytes());
        context.value(after.bytes().next())
    }

    const WORD: Quoting = Quoting::Word { always: false };

    #[test]
    fn quotes_decide() {
        for (command, quoting) in [
            ("echo @", WORD),
            ("echo '@'", Quoting::SingleQuoted),
            ("echo \"@\"", Quoting::DoubleQuoted),
            ("echo 'a' @", WORD),
            ("echo \"it's @\"", Quoting::DoubleQuoted),
            ("echo 'say \"@", Quoting::SingleQuoted),
            (r"echo \' @", WORD),
            (r#"echo "\"@""#, Quoting::DoubleQuoted),
            (r"echo '\' @", WORD),
            ("echo $(cat @)", WORD),
            ("echo \"$(cat @)\"", WORD),
            ("echo \"$(cat x) @\"", Quoting::DoubleQuoted),
            ("echo \"$(cat (x) \"@\")\"", Quoting::DoubleQuoted),
            ("echo a#b @", WORD),
            ("cat <<< @", WORD),
            ("diff <(cat a) @", WORD),
            ("(cd a; echo @)", WORD),
            ("case x in a) echo @;; esac", WORD),
            ("echo @>f", Quoting::Word { always: true }),
            ("echo @<f", Quoting::Word { always: true }),
            ("echo $'a\\'b' @", WORD),
            ("echo ${x} @", WORD),
            ("echo $((1+2)) @", WORD),
            ("echo `date` @", WORD),
            ("echo $x @", WORD),
            ("# don't\necho @", WORD),
        ] {
            assert_eq!(at(command), quoting, "{command}");
        }
    }

    #[test]
    fn where_quoting_cannot_help_values_must_be_plain() {
        for command in [
            r"echo \@",
            "echo $@",
            "echo \"$@\"",
            "echo \"\\@\"",
            "echo `cat @`",
            "echo $'@'",
            "echo ${x:-@}",
            "echo \"${x:-@}\"",
            "echo ${x:-\"}\"} @",
            "echo $((@+1))",
            "(( @ > 3 ))",
            "echo $[@]",
            "cat <<E\n@\nE",
            "cat <<'E'\n@\nE\necho @",
            "echo # @",
            "echo $(case a in a) echo @;; esac)",
            "echo $((\"1\" + @))",
        ] {
            assert!(
                matches!(at(command), Quoting::PlainOnly { .. }),
                "{command}: {:?}",
                at(command)
            );
        }
    }
}
