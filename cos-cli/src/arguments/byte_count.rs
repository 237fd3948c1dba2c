//! Numbers of bytes as they are written on the command line.

use std::str::FromStr;

/// A number of bytes, written `500`, `64k`, `10M` or `2Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

/// Why a number of bytes was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes such as 500, 64k, 10M or 2Gi")]
pub struct ParseByteCountError;

impl FromStr for ByteCount {
    type Err = ParseByteCountError;

    /// Reads a number with an optional unit: `k M G` are powers of 1000, `Ki Mi Gi` of 1024.
    fn from_str(text: &str) -> Result<Self, ParseByteCountError> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let scale: u64 = match unit.strip_suffix('B').unwrap_or(unit) {
            "" => 1,
            "k" | "K" => 1000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return Err(ParseByteCountError),
        };
        let number: u64 = number.parse().map_err(|_| ParseByteCountError)?;
        number
            .checked_mul(scale)
            .map(Self)
            .ok_or(ParseByteCountError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_units() {
        let bytes = |text: &str| text.parse::<ByteCount>().map(|count| count.0);
        assert_eq!(bytes("500"), Ok(500));
        assert_eq!(bytes("64k"), Ok(64_000));
        assert_eq!(bytes("10M"), Ok(10_000_000));
        assert_eq!(bytes("10MB"), Ok(10_000_000));
        assert_eq!(bytes("2Gi"), Ok(2 << 30));
        for wrong in [
            "",
            "k",
            "1.5M",
            "-1",
            "1T",
            "99999999999999999999",
            "99999999999999G",
        ] {
            assert_eq!(bytes(wrong), Err(ParseByteCountError), "{wrong}");
        }
    }
}
