//! Values of the file as types: each reader says in its own words what it expected.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeString, DeTable, DeValue};

use super::super::report::{Problem, quoted};

/// A value with its place.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A key with its place.
pub(super) type Key<'i> = Spanned<DeString<'i>>;

/// A value's kind in a sentence.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The problem of a value of another kind.
pub(super) fn mismatch(key: &str, value: &Value<'_>, expected: &str) -> Problem {
    let title = format!("{} cannot be {}", quoted(key), kind(value.get_ref()));
    Problem::new(value.span(), title, format!("expected {expected}"))
}

/// The problem of a value of the right kind that is not allowed.
pub(super) fn refused(key: &str, value: &Value<'_>, cure: impl Display) -> Problem {
    let shown = match value.get_ref() {
        DeValue::String(text) => format!("cannot be {}", quoted(text)),
        DeValue::Integer(number) => format!("cannot be {}", quoted(&number.to_string())),
        DeValue::Float(number) => format!("cannot be {}", quoted(&number.to_string())),
        _ => "is not right".to_owned(),
    };
    Problem::new(
        value.span(),
        format!("{} {shown}", quoted(key)),
        cure.to_string(),
    )
}

/// A text, which must not be empty or contain a NUL byte: no key has a use for one.
pub(super) fn text<'v>(key: &str, value: &'v Value<'_>, example: &str) -> Result<&'v str, Problem> {
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| mismatch(key, value, &format!("a text such as {example}")))?;
    if text.is_empty() {
        return Err(refused(
            key,
            value,
            format!("expected a text such as {example}"),
        ));
    }
    if text.contains('\0') {
        return Err(refused(key, value, "must not contain a NUL byte"));
    }
    Ok(text)
}

/// A text that a type reads.
pub(super) fn parsed<T>(key: &str, value: &Value<'_>, example: &str) -> Result<T, Problem>
where
    T: FromStr<Err: Display>,
{
    text(key, value, example)?
        .parse()
        .map_err(|error| refused(key, value, error))
}

/// `true` or `false`.
pub(super) fn boolean(key: &str, value: &Value<'_>) -> Result<bool, Problem> {
    value
        .get_ref()
        .as_bool()
        .ok_or_else(|| mismatch(key, value, "`true` or `false`"))
}

/// A whole number within bounds.
pub(super) fn integer(key: &str, value: &Value<'_>, least: i32, most: i32) -> Result<i32, Problem> {
    let expected = format!("a whole number from {least} to {most}");
    let DeValue::Integer(number) = value.get_ref() else {
        return Err(mismatch(key, value, &expected));
    };
    whole(number)
        .and_then(|number| i32::try_from(number).ok())
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| refused(key, value, expected))
}

/// A number above zero.
pub(super) fn positive(key: &str, value: &Value<'_>) -> Result<f64, Problem> {
    let number = match value.get_ref() {
        DeValue::Integer(number) => whole(number).map(|number| number as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => return Err(mismatch(key, value, "a number such as 0.8")),
    };
    number
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .ok_or_else(|| refused(key, value, "expected a number above 0, such as 0.8"))
}

/// A number of TOML, of any radix, if it fits.
pub(super) fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A length of time within bounds, such as "10s" or "1m30s".
pub(super) fn duration(
    key: &str,
    value: &Value<'_>,
    least: Duration,
    most: Duration,
) -> Result<Duration, Problem> {
    const EXPECTED: &str = "a length of time such as \"10s\" or \"1m30s\"";
    if let DeValue::Integer(number) = value.get_ref() {
        return Err(mismatch(
            key,
            value,
            &format!("a length of time with its unit: \"{number}s\""),
        ));
    }
    let text = value
        .get_ref()
        .as_str()
        .ok_or_else(|| mismatch(key, value, EXPECTED))?;
    let duration = humantime::parse_duration(text)
        .map_err(|_| refused(key, value, format!("expected {EXPECTED}")))?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        let show = |bound| humantime::format_duration(bound);
        Err(refused(
            key,
            value,
            format!("from {} to {}", show(least), show(most)),
        ))
    }
}

/// A list.
pub(super) fn list<'v, 'i>(
    key: &str,
    value: &'v Value<'i>,
    example: &str,
) -> Result<&'v DeArray<'i>, Problem> {
    value
        .get_ref()
        .as_array()
        .ok_or_else(|| mismatch(key, value, &format!("a list such as {example}")))
}

/// A table in a line.
pub(super) fn map<'v, 'i>(
    key: &str,
    value: &'v Value<'i>,
    example: &str,
) -> Result<&'v DeTable<'i>, Problem> {
    value
        .get_ref()
        .as_table()
        .ok_or_else(|| mismatch(key, value, &format!("a table such as {example}")))
}

/// Words by which hosts are selected; the first one that is not right is reported.
pub(super) fn tags(key: &str, value: &Value<'_>) -> Result<Vec<String>, Problem> {
    let mut tags: Vec<String> = Vec::new();
    for item in list(key, value, "[\"lab\"]")? {
        let tag = text(key, item, "\"lab\"")?;
        if tag.starts_with('-') || tag.contains(|character: char| !is_tag_character(character)) {
            return Err(refused(
                key,
                item,
                "a tag is a word of letters, digits, `-`, `_` and `.`",
            ));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

fn is_tag_character(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.')
}

/// Variables of the environment.
pub(super) fn environment(
    key: &str,
    value: &Value<'_>,
) -> Result<BTreeMap<String, String>, Vec<Problem>> {
    let table = map(key, value, "{ OMP_NUM_THREADS = \"1\" }").map_err(|problem| vec![problem])?;
    let mut variables = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in table {
        match variable(name, value) {
            Ok((name, value)) => drop(variables.insert(name, value)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(variables)
    } else {
        Err(problems)
    }
}

fn variable(name: &Key<'_>, value: &Value<'_>) -> Result<(String, String), Problem> {
    let word: &str = name.get_ref();
    let first = word.bytes().next();
    let valid = first.is_some_and(|byte| !byte.is_ascii_digit())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !valid {
        let title = format!("{} is not the name of a variable", quoted(word));
        return Err(Problem::new(
            name.span(),
            title,
            "letters, digits and `_`, not beginning with a digit",
        ));
    }
    let DeValue::String(content) = value.get_ref() else {
        let expected = match value.get_ref() {
            DeValue::Integer(number) => format!("a text: \"{number}\""),
            DeValue::Float(number) => format!("a text: \"{number}\""),
            DeValue::Boolean(boolean) => format!("a text: \"{boolean}\""),
            _ => "a text".to_owned(),
        };
        return Err(mismatch(word, value, &expected));
    };
    if content.contains('\0') {
        return Err(refused(word, value, "must not contain a NUL byte"));
    }
    Ok((word.to_owned(), content.to_string()))
}
