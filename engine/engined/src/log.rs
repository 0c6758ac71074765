//! The log: one sentence a line on standard error, `LEVEL sentence key=value ...`, or one JSON object a line with the keys of
//! the daemon's log. Nothing fails when nobody reads it.

use std::fmt::{Display, Write as _};
use std::io::Write;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// A person has to act.
    Error,
    /// A person should look.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Single packets.
    Trace,
}

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        LEVELS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, level)| *level)
            .ok_or(())
    }
}

static WANTED: AtomicU8 = AtomicU8::new(Level::Info as u8);
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on lines up to this level are written.
pub fn set_level(level: Level) {
    WANTED.store(level as u8, Ordering::Relaxed);
}

/// From now on lines are JSON objects, or text.
pub fn set_json(wanted: bool) {
    AS_JSON.store(wanted, Ordering::Relaxed);
}

/// Writes one line. Control characters of a value are escaped, so that a line stays one.
pub fn write(level: Level, sentence: &str, fields: &[(&str, &dyn Display)]) {
    if level as u8 > WANTED.load(Ordering::Relaxed) {
        return;
    }
    let mut line = if AS_JSON.load(Ordering::Relaxed) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        object(now.unwrap_or_default(), level, sentence, fields)
    } else {
        text(level, sentence, fields)
    };
    line.push('\n');
    // Standard error may be a pipe that nobody reads any more: then the line is lost, and that is all.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

fn text(level: Level, sentence: &str, fields: &[(&str, &dyn Display)]) -> String {
    let mut line = format!("{} {sentence}", LEVELS[level as usize].0.to_uppercase());
    for (name, value) in fields {
        let _ = write!(line, " {name}={}", quoted(&value.to_string()));
    }
    line
}

fn object(now: Duration, level: Level, sentence: &str, fields: &[(&str, &dyn Display)]) -> String {
    let level = match level {
        Level::Warn => "warning",
        other => LEVELS[other as usize].0,
    };
    let mut line = format!("{{\"time\": {}, \"level\": \"{level}\"", string(&date(now)));
    let _ = write!(line, ", \"message\": {}", string(sentence));
    for (name, value) in fields {
        let _ = write!(line, ", {}: {}", string(name), string(&value.to_string()));
    }
    line.push('}');
    line
}

/// A JSON string (RFC 8259 section 7).
fn string(value: &str) -> String {
    let mut octets = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => octets.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(octets, "\\u{:04x}", c as u32);
            }
            c => octets.push(c),
        }
    }
    octets.push('"');
    octets
}

/// The date and time of an instant since 1970, in UTC (RFC 3339).
fn date(since: Duration) -> String {
    let (seconds, mut days) = (since.as_secs() % 86_400, since.as_secs() / 86_400);
    let mut year = 1970;
    while days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}+00:00",
        month + 1,
        days + 1,
        since.subsec_millis()
    )
}

fn days_of(year: u64) -> u64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if leap { 366 } else { 365 }
}

fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value
            .chars()
            .all(|c| !c.is_control() && !c.is_whitespace() && c != '"');
    if plain {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_make_a_second_line() {
        assert_eq!(quoted("plain-1.2"), "plain-1.2");
        assert_eq!(quoted("two words\n"), "\"two words\\n\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn an_object_has_the_keys_of_the_daemons_log() {
        let line = object(
            Duration::from_millis(1_709_210_096_007),
            Level::Warn,
            "It \"is\" so.",
            &[("where", &"a\\b\n")],
        );
        let head = r#"{"time": "2024-02-29T12:34:56.007+00:00", "level": "warning""#;
        let tail = r#", "message": "It \"is\" so.", "where": "a\\b\u000a"}"#;
        assert_eq!(line, format!("{head}{tail}"));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000+00:00"),
            (951_782_399, "2000-02-28T23:59:59.000+00:00"),
            (978_307_199, "2000-12-31T23:59:59.000+00:00"),
            (4_107_542_400, "2100-03-01T00:00:00.000+00:00"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn levels_have_names() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("loud".parse::<Level>(), Err(()));
    }
}
