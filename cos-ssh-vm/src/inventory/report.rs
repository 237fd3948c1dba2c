//! Everything that is wrong with a text, shown with its lines.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// The most problems that are shown; a file of another kind has thousands.
const MAX_SHOWN: usize = 50;

/// All problems of one text, in the order of the text: a hosts.toml, or the value of `--sshlogin`.
///
/// [`Display`](fmt::Display) gives the whole report without colour:
///
/// ```text
/// error: unknown key `slotz` in hosts.toml
///  --> lab/hosts.toml:3:1
///   |
/// 3 | slotz = 4
///   | ^^^^^ did you mean `slots`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    origin: String,
    text: String,
    problems: Vec<Problem>,
}

impl Report {
    /// `origin` is the name that stands before `:line:column`. There is at least one problem.
    pub(super) fn new(origin: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
            problems,
        }
    }

    /// How many problems there are.
    pub fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// The first line of each problem, without place and cure.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.problems.iter().map(|problem| problem.title.as_str())
    }

    /// The whole report, ending without a newline; `color` adds terminal escapes.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut shown: Vec<String> = self
            .problems
            .iter()
            .take(MAX_SHOWN)
            .map(|problem| self.render_problem(problem, &renderer))
            .collect();
        if self.problems.len() > MAX_SHOWN {
            let title = "further errors are not shown";
            shown.push(renderer.render(&[Group::with_title(Level::ERROR.primary_title(title))]));
        }
        shown.join("\n\n")
    }

    fn render_problem(&self, problem: &Problem, renderer: &Renderer) -> String {
        // Only the lines that matter are handed over: the renderer's cost grows with the text.
        let spans = std::iter::once(&problem.span)
            .chain(problem.context.iter().map(|context| &context.span));
        let spans: Vec<_> = spans.map(|span| self.within_line(span)).collect();
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let end = spans.iter().map(|span| span.end).max().unwrap_or(0);
        let excerpt = self.line_start(start)..self.line_end(end);
        let within = |span: &Range<usize>| span.start - excerpt.start..span.end - excerpt.start;

        let mut snippet = Snippet::source(visible(&self.text[excerpt.clone()]))
            .path(&self.origin)
            .line_start(self.text[..excerpt.start].matches('\n').count() + 1)
            .annotation(
                AnnotationKind::Primary
                    .span(within(&spans[0]))
                    .label(&problem.label),
            );
        if let (Some(context), Some(span)) = (&problem.context, spans.get(1)) {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(within(span))
                    .label(&context.label),
            );
        }
        let mut group =
            Group::with_title(Level::ERROR.primary_title(&problem.title)).element(snippet);
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        renderer.render(&[group])
    }

    /// The part of `span` on its first line, on character boundaries.
    fn within_line(&self, span: &Range<usize>) -> Range<usize> {
        let boundary = |mut offset: usize| {
            offset = offset.min(self.text.len());
            while !self.text.is_char_boundary(offset) {
                offset -= 1;
            }
            offset
        };
        let start = boundary(span.start);
        start..boundary(span.end).clamp(start, self.line_end(start))
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text[..offset]
            .rfind('\n')
            .map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, offset: usize) -> usize {
        let rest = &self.text[offset..];
        let line = rest.split('\n').next().unwrap_or(rest);
        offset + line.strip_suffix('\r').unwrap_or(line).len()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

/// A second place that explains the first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Context {
    span: Range<usize>,
    label: String,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    span: Range<usize>,
    title: String,
    label: String,
    context: Option<Box<Context>>,
    hint: Option<String>,
}

impl Problem {
    /// `title` says what is wrong, `label` below the bytes `span` how to mend it.
    pub(super) fn new(
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self {
            span,
            title: title.into(),
            label: label.into(),
            context: None,
            hint: None,
        }
    }

    /// Adds a second place that explains the first.
    pub(super) fn context(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.context = Some(Box::new(Context {
            span,
            label: label.into(),
        }));
        self
    }

    /// Adds a sentence below.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where the problem begins, in bytes.
    pub(super) fn offset(&self) -> usize {
        self.span.start
    }
}

/// A word of the text for use in a sentence: escaped, and cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARACTERS: usize = 60;
    let mut escaped = text.escape_debug().to_string();
    if let Some((cut, _)) = escaped.char_indices().nth(MAX_CHARACTERS) {
        escaped.truncate(cut);
        escaped.push_str("...");
    }
    format!("`{escaped}`")
}

/// A path for a message: a directory above may have been named by anybody.
pub(super) fn shown_path(path: &Path) -> String {
    let escape = |character: char| {
        let escaped = character.is_control().then(|| character.escape_default());
        let plain = (!character.is_control()).then_some(character);
        escaped.into_iter().flatten().chain(plain)
    };
    path.to_string_lossy().chars().flat_map(escape).collect()
}

/// Replaces the control characters that the renderer lets through, U+0080 to U+009F, which some terminals
/// obey. The replacement has as many bytes, so that spans keep their place.
fn visible(text: &str) -> String {
    text.chars()
        .map(|character| {
            if ('\u{80}'..='\u{9f}').contains(&character) {
                '\u{bf}'
            } else {
                character
            }
        })
        .collect()
}

/// The candidate that `word` is most likely a slip of, if any is near enough.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Long words are no slips, and the distance costs the product of the lengths.
    const MAX_BYTES: usize = 64;
    if word.len() > MAX_BYTES {
        return None;
    }
    let normal = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&normal, &candidate.to_lowercase().replace('-', "_")),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_place_line_caret_and_cure() {
        let text = "[[host]]\nname = \"a\"\nslotz = 4\n";
        let problem = Problem::new(
            20..25,
            "unknown key `slotz` in hosts.toml",
            "did you mean `slots`?",
        );
        let expected = "error: unknown key `slotz` in hosts.toml
 --> lab/hosts.toml:3:1
  |
3 | slotz = 4
  | ^^^^^ did you mean `slots`?";
        assert_eq!(
            Report::new("lab/hosts.toml", text, vec![problem]).to_string(),
            expected
        );
    }

    #[test]
    fn problems_stand_in_the_order_of_the_text() {
        let problems = vec![
            Problem::new(4..5, "second", ""),
            Problem::new(0..1, "first", ""),
        ];
        let report = Report::new("x", "a\n\nb\n", problems);
        assert_eq!(report.titles().collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn a_long_report_is_cut_and_says_so() {
        let problems = (0..60).map(|_| Problem::new(0..1, "wrong", "")).collect();
        let report = Report::new("x", "a", problems).to_string();
        assert_eq!(report.matches("error: wrong").count(), 50);
        assert!(
            report.ends_with("error: further errors are not shown"),
            "{report}"
        );
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let text = "name = \"\u{1b}[31m\u{9b}2J\u{7f}\u{202e}\" # tail";
        let title = format!("{} is odd", quoted("\u{1b}[31m\u{9b}\u{202e}"));
        let report = Report::new("x", text, vec![Problem::new(7..22, title, "here")]).to_string();
        let bad = |character: &char| {
            (character.is_control() && *character != '\n') || *character == '\u{202e}'
        };
        assert_eq!(report.chars().find(bad), None, "{report}");
    }

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let keys = ["slots", "nice", "local_storage", "host_keys"];
        assert_eq!(nearest("slotz", keys), Some("slots"));
        assert_eq!(nearest("ncie", keys), Some("nice"));
        assert_eq!(nearest("Local-Storage", keys), Some("local_storage"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"s".repeat(10_000), keys), None);
    }
}
