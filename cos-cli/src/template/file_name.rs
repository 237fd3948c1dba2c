//! Values as names of files: GNU parallel's encoding for `--results`, made safe.

/// The longest name that every file system takes.
const LONGEST: usize = 255;

/// A value as one component of a path: without slash, not `.` or `..`, not empty, not too long.
#[must_use]
pub fn file_name(value: &[u8]) -> Vec<u8> {
    let mut name = match value {
        b"" => b"\\e".to_vec(),
        b"." => b"\\.".to_vec(),
        b".." => b"\\.\\.".to_vec(),
        _ => encode(value),
    };
    if name.len() > LONGEST {
        // GNU parallel cuts, so that two long values share a directory; the checksum keeps them apart.
        let checksum = format!("-{:016x}", fnv1a(&name));
        name.truncate(LONGEST - checksum.len());
        name.extend_from_slice(checksum.as_bytes());
    }
    name
}

/// GNU parallel's escapes for what a name cannot hold.
fn encode(value: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(value.len());
    for &byte in value {
        match byte {
            b'\\' => name.extend_from_slice(b"\\\\"),
            b'\t' => name.extend_from_slice(b"\\t"),
            b'/' => name.extend_from_slice(b"\\_"),
            0 => name.extend_from_slice(b"\\0"),
            _ => name.push(byte),
        }
    }
    name
}

/// FNV-1a, 64 bits: the same in every release, since the results of two runs must meet.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gnus() {
        assert_eq!(file_name(b"a b"), b"a b");
        assert_eq!(file_name(b"a/b\\c\td"), b"a\\_b\\\\c\\td");
    }

    #[test]
    fn no_value_leaves_its_directory() {
        assert_eq!(file_name(b".."), b"\\.\\.");
        assert_eq!(file_name(b"."), b"\\.");
        assert_eq!(file_name(b""), b"\\e");
        assert_eq!(file_name(b"../../x"), b"..\\_..\\_x");
    }

    #[test]
    fn long_values_are_cut_but_kept_apart() {
        let long = "x".repeat(255);
        assert_eq!(file_name(long.as_bytes()), long.as_bytes());
        let [a, b] = ["a", "b"].map(|end| file_name(format!("{long}{end}").as_bytes()));
        assert_ne!(a, b);
        assert_eq!((a.len(), b.len()), (255, 255));
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8, "as published");
    }
}
