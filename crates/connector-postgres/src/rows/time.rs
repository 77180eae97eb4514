//! Times and dates as JSON. In: PostgreSQL's counts of microseconds and days since 2000-01-01. Out: ISO 8601 texts of the whole
//! range that PostgreSQL has: years beyond 9999 with a sign (`+10000-01-01`), those before 1 by astronomical count (`0000` is
//! 1 BC, `-0043` is 44 BC). `infinity` and `-infinity` are what PostgreSQL calls them.

use super::cell::{Place, bare};
use super::json::{Json, Stop};

const DAY_MICROS: i64 = 86_400_000_000;
/// From 0000-03-01 to 2000-01-01 in the proleptic Gregorian calendar, which is PostgreSQL's.
const DAYS_TO_2000: i64 = 730_425;
/// Days of 400 years.
const ERA_DAYS: i64 = 146_097;

/// `micros` since 2000-01-01 00:00, ended by `zone`.
pub(super) fn timestamp(out: &mut Json, micros: i64, zone: &str, place: Place) -> Result<(), Stop> {
    match micros {
        i64::MAX => return bare(out, b"infinity", place),
        i64::MIN => return bare(out, b"-infinity", place),
        _ => {}
    }
    out.push(place.quote())?;
    push_day(out, micros.div_euclid(DAY_MICROS))?;
    let of_day = micros.rem_euclid(DAY_MICROS);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let [h1, h2] = two(seconds / 3_600);
    let [m1, m2] = two(seconds / 60 % 60);
    let [s1, s2] = two(seconds % 60);
    out.push(&[b'T', h1, h2, b':', m1, m2, b':', s1, s2])?;
    if fraction > 0 {
        push_fraction(out, fraction)?;
    }
    out.push(zone.as_bytes())?;
    out.push(place.quote())
}

/// `days` since 2000-01-01.
pub(super) fn date(out: &mut Json, days: i32, place: Place) -> Result<(), Stop> {
    match days {
        i32::MAX => return bare(out, b"infinity", place),
        i32::MIN => return bare(out, b"-infinity", place),
        _ => {}
    }
    out.push(place.quote())?;
    push_day(out, i64::from(days))?;
    out.push(place.quote())
}

fn push_day(out: &mut Json, days: i64) -> Result<(), Stop> {
    let (year, month, day) = civil(days);
    let ([m1, m2], [d1, d2]) = (two(month), two(day));
    if (0..=9999).contains(&year) {
        let ([y1, y2], [y3, y4]) = (two(year / 100), two(year % 100));
        return out.push(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
    }
    // ISO 8601: an expanded year has a sign.
    let sign = if year < 0 { '-' } else { '+' };
    out.push(format!("{sign}{:04}", year.abs()).as_bytes())?;
    out.push(&[b'-', m1, m2, b'-', d1, d2])
}

/// Year, month and day. Years begin in March here, so that the day of a leap year is their last.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since = days + DAYS_TO_2000;
    let (era, of_era) = (since.div_euclid(ERA_DAYS), since.rem_euclid(ERA_DAYS));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months from March on, and again from August on, have 153 days.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = 400 * era + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Microseconds without zeros at the end.
fn push_fraction(out: &mut Json, micros: i64) -> Result<(), Stop> {
    let ([a, b], [c, d], [e, f]) = (two(micros / 10_000), two(micros / 100 % 100), two(micros % 100));
    let digits = [b'.', a, b, c, d, e, f];
    let (mut rest, mut len) = (micros, digits.len());
    while rest > 0 && rest % 10 == 0 {
        rest /= 10;
        len -= 1;
    }
    out.push(digits.get(..len).unwrap_or_default())
}

/// Two digits of a number below 100.
const fn two(number: i64) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}
