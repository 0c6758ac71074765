//! Seals and opens whole packets with the engine's functions, a line a call, for tests that compare them with others'.
//!
//!     add SPI tunnel|transport NEWSA      an association by the body of its message, its sequence numbers anew
//!     seal SPI tunnel|transport PACKET    answers the protected packet
//!     open SPI tunnel|transport PACKET    answers the packet that was in it
//!
//! Octets are hexadecimal. Answers are `ok HEX`, or `no` and the reason.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::Arc;

use packet::bundle::Step;
use packet::protect::{self, Choice};
use packet::sa::{Mode, Sa};
use trials::{associations, hex};

const NOW_S: u64 = 2_000;
const IDENTIFICATION: u16 = 0x4321;

type Answer = Result<Vec<u8>, String>;

#[derive(Default)]
struct Oracle {
    sas: HashMap<String, Arc<Sa>>,
}

impl Oracle {
    fn answer(&mut self, line: &str) -> Answer {
        let words: Vec<_> = line.split_whitespace().collect();
        let &[verb, spi, mode, octets] = words.as_slice() else {
            return Err("four words are wanted".into());
        };
        let octets = hex::decode(octets).ok_or("the octets are not hexadecimal")?;
        match verb {
            "add" => self.add(spi, &octets),
            "seal" => self.seal(spi, mode, &octets),
            "open" => self.open(spi, octets),
            _ => Err(format!("{verb} is no verb")),
        }
    }

    fn add(&mut self, spi: &str, message: &[u8]) -> Answer {
        let sa = associations::association(message)?;
        self.sas.insert(spi.to_owned(), Arc::new(sa));
        Ok(Vec::new())
    }

    fn sa(&self, spi: &str) -> Result<Arc<Sa>, String> {
        self.sas
            .get(spi)
            .cloned()
            .ok_or("no such association".into())
    }

    fn seal(&self, spi: &str, mode: &str, packet: &[u8]) -> Answer {
        let mode = if mode == "tunnel" {
            Mode::Tunnel
        } else {
            Mode::Transport
        };
        let step = Step {
            sa: self.sa(spi)?,
            mode,
        };
        let choice = Choice {
            identification: IDENTIFICATION,
            ..Choice::default()
        };
        let mut out = Vec::new();
        protect::seal(&step, packet, &choice, &mut out, NOW_S)
            .map_err(|drop| drop.name().to_owned())?;
        Ok(out)
    }

    fn open(&self, spi: &str, mut packet: Vec<u8>) -> Answer {
        let opened = protect::open(&self.sa(spi)?, &mut packet, false, NOW_S)
            .map_err(|drop| drop.name().to_owned())?;
        Ok(packet[opened.range].to_vec())
    }
}

fn main() -> io::Result<()> {
    let mut oracle = Oracle::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        match oracle.answer(&line?) {
            Ok(octets) => writeln!(out, "ok {}", hex::encode(&octets))?,
            Err(reason) => writeln!(out, "no {reason}")?,
        }
        out.flush()?;
    }
    Ok(())
}
