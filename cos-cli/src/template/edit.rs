//! What a replacement string takes of its value: GNU parallel's rules, on bytes.

use super::placeholder::Edit;

impl Edit {
    /// The part of the value that this edit takes.
    pub(super) fn apply(self, value: &[u8]) -> &[u8] {
        match self {
            Self::Whole => value,
            Self::WithoutExtension => without_extension(value),
            Self::Basename => basename(value),
            Self::Dirname => dirname(value),
            Self::BasenameWithoutExtension => without_extension(basename(value)),
        }
    }
}

/// Without the last dot and what follows it, unless a slash does.
fn without_extension(value: &[u8]) -> &[u8] {
    match value.iter().rposition(|&byte| byte == b'.' || byte == b'/') {
        Some(end) if value[end] == b'.' => &value[..end],
        _ => value,
    }
}

/// What follows the last slash; nothing when that is the end.
fn basename(value: &[u8]) -> &[u8] {
    match value.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => &value[slash + 1..],
        None => value,
    }
}

/// As dirname(1): slashes at the end do not count.
fn dirname(value: &[u8]) -> &[u8] {
    let path = trim_slashes(value);
    if path.is_empty() {
        return if value.is_empty() { b"." } else { b"/" };
    }
    match path.iter().rposition(|&byte| byte == b'/') {
        None => b".",
        Some(slash) => match trim_slashes(&path[..slash]) {
            [] => b"/",
            parent => parent,
        },
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path
        .iter()
        .rposition(|&byte| byte != b'/')
        .map_or(0, |last| last + 1);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_those_of_gnu_parallel() {
        // value, {.}, {/}, {//}, {/.} as `parallel --dry-run` printed them.
        for (value, extension, base, directory, both) in [
            ("a/b.c.d", "a/b.c", "b.c.d", "a", "b.c"),
            ("/x", "/x", "x", "/", "x"),
            ("/x.y", "/x", "x.y", "/", "x"),
            ("a/", "a/", "", ".", ""),
            ("noext", "noext", "noext", ".", "noext"),
            (".hidden", "", ".hidden", ".", ""),
            ("a.b/c", "a.b/c", "c", "a.b", "c"),
            ("a//b.c", "a//b", "b.c", "a", "b"),
            ("/", "/", "", "/", ""),
            ("a b.c/d e.f", "a b.c/d e", "d e.f", "a b.c", "d e"),
            ("x.", "x", "x.", ".", "x"),
            ("a.b.", "a.b", "a.b.", ".", "a.b"),
            ("x/.y", "x/", ".y", "x", ""),
            ("../b", "../b", "b", "..", "b"),
            ("//a", "//a", "a", "/", "a"),
            ("a/b/", "a/b/", "", "a", ""),
            ("...", "..", "...", ".", ".."),
        ] {
            let of =
                |edit: Edit| String::from_utf8_lossy(edit.apply(value.as_bytes())).into_owned();
            assert_eq!(of(Edit::Whole), value);
            assert_eq!(of(Edit::WithoutExtension), extension, "{{.}} of {value}");
            assert_eq!(of(Edit::Basename), base, "{{/}} of {value}");
            assert_eq!(of(Edit::Dirname), directory, "{{//}} of {value}");
            assert_eq!(
                of(Edit::BasenameWithoutExtension),
                both,
                "{{/.}} of {value}"
            );
        }
    }
}
