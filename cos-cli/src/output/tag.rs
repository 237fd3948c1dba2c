//! Puts a tag before every line.

/// The tag of one job's stream, and whether a line is open.
#[derive(Debug)]
pub(super) struct LineTag {
    prefix: Vec<u8>,
    at_line_start: bool,
}

impl LineTag {
    /// Begins every line with `tag` and a tab, as GNU parallel does.
    pub(super) fn new(tag: &[u8]) -> Self {
        Self {
            prefix: [tag, b"\t"].concat(),
            at_line_start: true,
        }
    }

    /// Hands `bytes` on, the tag before every line that begins in them.
    pub(super) fn pass<E>(
        &mut self,
        bytes: &[u8],
        mut out: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.at_line_start {
                out(&self.prefix)?;
            }
            out(line)?;
            self.at_line_start = line.ends_with(b"\n");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_one_tag_however_it_arrives() {
        let mut tag = LineTag::new(b"a b");
        let mut out = Vec::new();
        for piece in [&b"one\ntw"[..], b"o\n", b"\n", b"", b"three"] {
            tag.pass(piece, |bytes| {
                out.extend_from_slice(bytes);
                Ok::<_, ()>(())
            })
            .expect("passed");
        }
        assert_eq!(out, b"a b\tone\na b\ttwo\na b\t\na b\tthree");
    }
}
