//! The command line of `culvert-engine`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::log::Level;

/// How to call the program.
pub const USAGE: &str = "usage: culvert-engine --socket PATH --tun NAME --mark N [--ready-fd FD] [--log-level error|warn|info|debug|trace] [--log-format text|json]";

/// What the command line said.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Where the control socket goes.
    pub socket: PathBuf,
    /// The name of the TUN.
    pub tun: String,
    /// The mark of every socket.
    pub mark: u32,
    /// Where to write one octet when all is ready.
    pub ready_fd: Option<i32>,
    /// How much is logged.
    pub log_level: Level,
    /// Whether the log is JSON.
    pub log_json: bool,
}

impl Arguments {
    /// Reads the arguments, the program's name left out.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut socket, mut tun, mut mark, mut ready_fd) = (None, None, None, None);
        let (mut log_level, mut log_json) = (Level::Info, false);
        while let Some(name) = arguments.next() {
            let name = name
                .into_string()
                .map_err(|_| "an option is not text".to_owned())?;
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} wants a value, or is unknown"))?;
            if name == "--socket" {
                socket = Some(PathBuf::from(value));
                continue;
            }
            let value = value
                .into_string()
                .map_err(|_| format!("the value of {name} is not text"))?;
            match name.as_str() {
                "--tun" => tun = Some(value),
                "--mark" => mark = Some(number(&name, &value)?),
                "--ready-fd" => ready_fd = Some(number(&name, &value)? as i32),
                "--log-level" => {
                    log_level = value
                        .parse()
                        .map_err(|()| format!("there is no log level {value:?}"))?
                }
                "--log-format" => {
                    log_json = match value.as_str() {
                        "text" => false,
                        "json" => true,
                        _ => return Err(format!("there is no log format {value:?}")),
                    }
                }
                _ => return Err(format!("there is no option {name}")),
            }
        }
        Ok(Self {
            socket: socket.ok_or("--socket is missing")?,
            tun: tun.ok_or("--tun is missing")?,
            mark: mark.ok_or("--mark is missing")?,
            ready_fd,
            log_level,
            log_json,
        })
    }
}

/// A number in decimal, or in hexadecimal after 0x.
fn number(name: &str, value: &str) -> Result<u32, String> {
    let parsed = match value.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.map_err(|_| format!("{name} wants a number, not {value:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_whole_line_is_understood() {
        let arguments =
            parse("--socket /run/c.sock --tun culvert0 --mark 0x10 --ready-fd 5 --log-level debug")
                .unwrap();
        assert!(!arguments.log_json);
        let json = parse("--socket s --tun t --mark 1 --log-format json").unwrap();
        assert!(json.log_json);
        assert_eq!(arguments.socket, PathBuf::from("/run/c.sock"));
        assert_eq!(
            (arguments.mark, arguments.ready_fd, arguments.log_level),
            (16, Some(5), Level::Debug)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(
            parse("--tun t --mark 1").unwrap_err(),
            "--socket is missing"
        );
        assert_eq!(
            parse("--socket s --tun t --mark x").unwrap_err(),
            "--mark wants a number, not \"x\""
        );
        assert_eq!(
            parse("--colour red").unwrap_err(),
            "there is no option --colour"
        );
        assert!(parse("--socket").is_err());
    }
}
