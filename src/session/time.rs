//! Moments as people and JSON readers want them.

use std::time::{Duration, UNIX_EPOCH};

/// ISO 8601, UTC, milliseconds, of microseconds since 1970.
pub fn iso(us: u64) -> String {
    // Beyond the year 9999 there is no such form.
    const LAST: u64 = 253_402_300_799_000_000;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_micros(us.min(LAST))).to_string()
}

#[cfg(test)]
mod tests {
    use super::iso;

    #[test]
    fn moments() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_709_210_096_123_456), "2024-02-29T12:34:56.123Z");
        assert_eq!(iso(u64::MAX), "9999-12-31T23:59:59.000Z");
    }
}
