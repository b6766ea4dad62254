//! Sizes and modes as people type and read them. Binary units only: a capacity is a power of two, and `KB` would mean
//! two things.

/// Parses `4096`, `64KiB`, `1MiB`, `1GiB` (also `64K`, `1M`, `1G`; case does not matter).
///
/// # Errors
/// What is wrong, and what to write instead.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.len().saturating_sub(text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        "kb" | "mb" | "gb" | "tb" => {
            return Err(format!("the unit {:?} is ambiguous: write KiB, MiB, GiB or TiB", unit.trim_start()));
        }
        _ => return Err("write bytes (4096) or a number with KiB, MiB, GiB or TiB (64KiB)".to_owned()),
    };
    if number.is_empty() {
        return Err("write bytes (4096) or a number with KiB, MiB, GiB or TiB (64KiB)".to_owned());
    }
    let number: u64 = number.parse().map_err(|_| "the number does not fit 64 bits: write a smaller one".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "the size does not fit 64 bits: write a smaller one".to_owned())
}

/// Parses a size or a number that is at least 1.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_nonzero(text: &str) -> Result<u64, String> {
    match parse(text)? {
        0 => Err("0 is too few: give 1 or more".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Parses a budget, `PREFIX=BYTES`.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_budget(text: &str) -> Result<(String, u64), String> {
    let (prefix, bytes) = text.split_once('=').ok_or("write what the names begin with and how much: market.=1GiB")?;
    Ok((prefix.to_owned(), parse(bytes)?))
}

/// Parses permission bits in octal: `600`, `0660`, `0o660`.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err("write permission bits in octal, such as 0600 or 0660".to_owned());
    }
    u32::from_str_radix(digits, 8).map_err(|_| "write permission bits in octal, such as 0600 or 0660".to_owned())
}

/// Parses seconds, whole or with a fraction.
///
/// # Errors
/// What to write instead.
pub(crate) fn parse_seconds(text: &str) -> Result<std::time::Duration, String> {
    let cure = || "write seconds, such as 5 or 0.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| cure())?;
    std::time::Duration::try_from_secs_f64(seconds).map_err(|_| cure())
}

/// The shortest exact way to write `bytes`: `1 MiB`, `4097 B`.
pub(crate) fn exact(bytes: u64) -> String {
    for (unit, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if bytes >= 1 << shift && bytes % (1 << shift) == 0 {
            return format!("{} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} B")
}

/// `number` with its thousands set apart by spaces.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("1mib", 1 << 20),
            ("1G", 1 << 30),
            ("2TiB", 2 << 40),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "KiB", "-1", "+1", "1.5MiB", "1MB", "0x10", "1 MiB x", "18446744073709551616", "99999999TiB", "4,096"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse_nonzero("0").is_err());
        assert_eq!(parse_budget("market.=1MiB"), Ok(("market.".into(), 1 << 20)));
        assert!(parse_budget("market.").is_err() && parse_budget("market.=much").is_err());
    }

    #[test]
    fn modes_and_seconds() {
        assert_eq!(parse_mode("0660"), Ok(0o660));
        assert_eq!(parse_mode("0o600"), Ok(0o600));
        for text in ["", "0o", "rw", "0888", "-1", "77777777777777"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
        assert_eq!(parse_seconds("0.5"), Ok(std::time::Duration::from_millis(500)));
        for text in ["", "-1", "NaN", "inf", "soon"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_people() {
        assert_eq!((exact(1 << 20), exact(4097), exact(3 << 10)), ("1 MiB".into(), "4097 B".into(), "3 KiB".into()));
        assert_eq!((grouped(7), grouped(1_234_567)), ("7".into(), "1 234 567".into()));
    }
}
