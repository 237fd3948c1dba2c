//! Amounts: slots per host, and numbers of bytes.

use std::str::FromStr;

use cos_core::wire::message::SlotCount;

/// A number of bytes, written `500`, `64k`, `10M` or `2Gi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteCount(pub u64);

/// Why an amount was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Not a number of slots.
    #[error("expected a number, `cores`, `cores-1` or a share of the cores such as `50%`")]
    Slots,
    /// GNU parallel's 0 means "as many as possible".
    #[error("a host needs at least one slot; leave hosts out by --on or `enabled = false`")]
    NoSlots,
    /// GNU parallel's `+1`.
    #[error("more slots than cores are written as a number or a share such as `150%`")]
    MoreThanCores,
    /// Not a number of bytes.
    #[error("expected a number of bytes such as 500, 64k, 10M or 2Gi")]
    Bytes,
}

/// Reads slots per host: `4`, `cores`, `cores-1`, `50%` as in hosts.toml, or GNU parallel's `-1`.
///
/// # Errors
///
/// When the text is none of these, or no slot is left.
pub fn parse_slots(text: &str) -> Result<SlotCount, ParseAmountError> {
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.parse() {
            Ok(0) => Err(ParseAmountError::NoSlots),
            Ok(percent) => Ok(SlotCount::Percent(percent)),
            Err(_) => Err(ParseAmountError::Slots),
        };
    }
    if text == "cores" {
        return Ok(SlotCount::Cores);
    }
    if text.starts_with('+') || text.starts_with("cores+") {
        return Err(ParseAmountError::MoreThanCores);
    }
    if let Some(less) = text.strip_prefix("cores").unwrap_or(text).strip_prefix('-') {
        return less
            .parse()
            .map(SlotCount::CoresMinus)
            .map_err(|_| ParseAmountError::Slots);
    }
    match text.parse() {
        Ok(0) => Err(ParseAmountError::NoSlots),
        Ok(count) => Ok(SlotCount::Number(count)),
        Err(_) => Err(ParseAmountError::Slots),
    }
}

impl FromStr for ByteCount {
    type Err = ParseAmountError;

    /// Reads a number with an optional unit: `k M G` are powers of 1000, `Ki Mi Gi` of 1024.
    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
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
            _ => return Err(ParseAmountError::Bytes),
        };
        let number: u64 = number.parse().map_err(|_| ParseAmountError::Bytes)?;
        number
            .checked_mul(scale)
            .map(Self)
            .ok_or(ParseAmountError::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_hosts_toml_and_gnu() {
        let slots = |text: &str| parse_slots(text);
        assert_eq!(slots("4"), Ok(SlotCount::Number(4)));
        assert_eq!(slots("cores"), Ok(SlotCount::Cores));
        assert_eq!(slots("cores-1"), Ok(SlotCount::CoresMinus(1)));
        assert_eq!(slots("-1"), Ok(SlotCount::CoresMinus(1)));
        assert_eq!(slots("50%"), Ok(SlotCount::Percent(50)));
        assert_eq!(slots("+1"), Err(ParseAmountError::MoreThanCores));
        assert_eq!(slots("0"), Err(ParseAmountError::NoSlots));
        assert_eq!(slots("0%"), Err(ParseAmountError::NoSlots));
        for wrong in [
            "",
            "x",
            "4x",
            "cores1",
            "coresx",
            "-",
            "--1",
            "%",
            "99999999999",
        ] {
            assert_eq!(slots(wrong), Err(ParseAmountError::Slots), "{wrong}");
        }
    }

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
            assert_eq!(bytes(wrong), Err(ParseAmountError::Bytes), "{wrong}");
        }
    }
}
