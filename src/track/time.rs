//! Moments, as they are stored: UTC, in milliseconds, in a form that sorts as text ("2026-11-21T10:15:30.123Z").

use jiff::Timestamp;

/// Now, in whole milliseconds, so that what is written reads back as the same moment.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// As stored.
pub(super) fn text(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
