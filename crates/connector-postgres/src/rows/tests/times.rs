//! Times and dates: PostgreSQL's extremes, and any others compared with chrono.

use chrono::{DateTime, NaiveDate, TimeDelta};
use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 2000-01-01 in seconds since 1970.
const EPOCH: i64 = 946_684_800;

fn timestamptz(micros: i64) -> String {
    let text = value(Form::Timestamptz, &micros.to_be_bytes()).unwrap();
    let without = value(Form::Timestamp, &micros.to_be_bytes()).unwrap();
    let text = text.trim_matches('"').to_owned();
    assert_eq!(without.trim_matches('"'), text.strip_suffix('Z').unwrap_or(&text));
    text
}

fn date(days: i32) -> String {
    value(Form::Date, &days.to_be_bytes()).unwrap().trim_matches('"').to_owned()
}

#[test]
fn known_times() {
    let cases = [
        (0, "2000-01-01T00:00:00Z"),
        (-1, "1999-12-31T23:59:59.999999Z"),
        (1, "2000-01-01T00:00:00.000001Z"),
        (250_000, "2000-01-01T00:00:00.25Z"),
        (-EPOCH * SECOND, "1970-01-01T00:00:00Z"),
        // 2000 was a leap year, 1900 was none.
        (59 * DAY, "2000-02-29T00:00:00Z"),
        (60 * DAY - 1, "2000-02-29T23:59:59.999999Z"),
        (-36_466 * DAY, "1900-02-28T00:00:00Z"),
        (-36_465 * DAY, "1900-03-01T00:00:00Z"),
        // The ends that PostgreSQL knows: 4713-11-24 00:00 BC and 294276-12-31 23:59:59.999999.
        (-211_813_488_000 * SECOND, "-4713-11-24T00:00:00Z"),
        (9_223_371_331_200 * SECOND - 1, "+294276-12-31T23:59:59.999999Z"),
        (i64::MAX, "infinity"),
        (i64::MIN, "-infinity"),
    ];
    for (micros, expected) in cases {
        assert_eq!(timestamptz(micros), expected);
    }
}

#[test]
fn years_at_their_edges() {
    let cases = [
        (0, "2000-01-01"),
        (2_921_939, "9999-12-31"),
        (2_921_940, "+10000-01-01"),
        (-730_119, "0001-01-01"),
        (-730_120, "0000-12-31"),
        (-730_485, "0000-01-01"),
        (-730_486, "-0001-12-31"),
        // 44-03-15 BC by the calendar that PostgreSQL counts in.
        (-746_117, "-0043-03-15"),
        // The ends that PostgreSQL knows: 4714-11-24 BC and 5874897-12-31.
        (-2_451_545, "-4713-11-24"),
        (2_145_031_948, "+5874897-12-31"),
        (i32::MAX, "infinity"),
        (i32::MIN, "-infinity"),
    ];
    for (days, expected) in cases {
        assert_eq!(date(days), expected);
    }
}

#[test]
fn no_count_is_too_large() {
    for micros in [i64::MAX - 1, i64::MIN + 1] {
        assert!(timestamptz(micros).ends_with('Z'));
    }
    assert_eq!(date(i32::MAX - 1), "+5881610-07-10");
    assert!(date(i32::MIN + 1).starts_with("-5877611-"));
}

#[test]
fn days_of_nine_centuries() {
    let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    for days in (-200_000..130_000).step_by(11) {
        let expected = first.checked_add_signed(TimeDelta::days(i64::from(days))).unwrap();
        assert_eq!(date(days), expected.format("%Y-%m-%d").to_string());
    }
}

fn by_chrono(micros: i64) -> Option<String> {
    let since_1970 = micros.checked_add(EPOCH * SECOND)?;
    let time = DateTime::from_timestamp_micros(since_1970)?;
    let fraction = format!(".{:06}", time.timestamp_subsec_micros());
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    Some(format!("{}{fraction}Z", time.format("%Y-%m-%dT%H:%M:%S")))
}

proptest! {
    #[test]
    fn any_time(any in any::<i64>(), near in -80_000 * DAY..80_000 * DAY, second in -300_000_000_000..300_000_000_000_i64) {
        for micros in [any, near, near / 1_000 * 1_000, second * SECOND] {
            if let Some(expected) = by_chrono(micros) {
                prop_assert_eq!(timestamptz(micros), expected);
            }
        }
    }

    #[test]
    fn any_date(days in -90_000_000..90_000_000_i32) {
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        let expected = first.checked_add_signed(TimeDelta::days(i64::from(days))).unwrap();
        prop_assert_eq!(date(days), expected.format("%Y-%m-%d").to_string());
    }
}
