//! The log: one sentence a line on standard error, `LEVEL sentence key=value ...`. Nothing fails when nobody reads it.

use std::fmt::Display;
use std::io::Write;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

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

/// From now on lines up to this level are written.
pub fn set_level(level: Level) {
    WANTED.store(level as u8, Ordering::Relaxed);
}

/// Writes one line. Control characters of a value are escaped, so that a line stays one.
pub fn write(level: Level, sentence: &str, fields: &[(&str, &dyn Display)]) {
    if level as u8 > WANTED.load(Ordering::Relaxed) {
        return;
    }
    let mut line = format!("{} {sentence}", LEVELS[level as usize].0.to_uppercase());
    for (name, value) in fields {
        line.push_str(&format!(" {name}={}", quoted(&value.to_string())));
    }
    line.push('\n');
    // Standard error may be a pipe that nobody reads any more: then the line is lost, and that is all.
    let _ = std::io::stderr().write_all(line.as_bytes());
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
    fn levels_have_names() {
        assert_eq!("warn".parse(), Ok(Level::Warn));
        assert_eq!("loud".parse::<Level>(), Err(()));
    }
}
