//! Moments as people type them: a date, or how long ago.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `30m`, `3h`, `2d` and `1w` are ages; `2026-11-20`, `2026-11-20 15:30` and `2026-11-20T15:30:00` are UTC, as ids are; anything
/// with an offset is what it says.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text.trim(), Timestamp::now())
}

fn parse_at(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(age) = age(text) {
        return now.checked_sub(age).map_err(|_| format!("`{text}` is too long ago"));
    }
    let utc = |moment: DateTime| Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| text.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0))))
        .ok_or_else(|| {
            "give a date (`2026-11-20`), a moment (`2026-11-20T15:30`) or an age (`30m`, `3h`, `2d`, `1w`)".to_owned()
        })
}

fn age(text: &str) -> Option<SignedDuration> {
    let unit = text.chars().last()?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    count.checked_mul(seconds).map(SignedDuration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_moments_and_ages() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2d", "2026-11-19T12:00:00Z"),
            ("90m", "2026-11-21T10:30:00Z"),
            ("1w", "2026-11-14T12:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20 15:30", "2026-11-20T15:30:00Z"),
            ("2026-11-20T15:30:00+01:00", "2026-11-20T14:30:00Z"),
        ] {
            assert_eq!(parse_at(text, now), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "d", "-2d", "2x", "yesterday", "2026-13-01", "999999999999999999w"] {
            assert!(parse_at(text, now).is_err(), "{text}");
        }
        assert!(parse_at("9999999w", now).unwrap_err().contains("too long ago"));
    }
}
