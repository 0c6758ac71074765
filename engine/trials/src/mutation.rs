//! Changed octets from a seed: some nonsense, most nearly right.

/// The longest input that is made.
pub const MOST_OCTETS: usize = 2_048;

/// A generator that gives the same numbers for the same seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Source(u64);

impl Source {
    /// One for a seed.
    pub fn new(seed: u64) -> Source {
        Source(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() >> 16) as usize % bound
    }

    /// Some octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.draw() as u8).collect()
    }
}

/// A changed copy of one of `inputs`, of which there is at least one.
pub fn mutated(source: &mut Source, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = inputs[source.below(inputs.len())].clone();
    for _ in 0..[0, 1, 1, 1, 2, 4, 16][source.below(7)] {
        change(source, &mut octets, inputs);
    }
    octets.truncate(MOST_OCTETS);
    octets
}

fn change(source: &mut Source, octets: &mut Vec<u8>, inputs: &[Vec<u8>]) {
    let at = source.below(octets.len() + 1);
    match source.below(8) {
        0 => octets.truncate(at),
        1 => {
            let count = [1, 2, 4, 8, 64][source.below(5)];
            let fresh = source.octets(count);
            octets.splice(at..at, fresh);
        }
        2 => {
            let end = (at + [1, 2, 4, 8][source.below(4)]).min(octets.len());
            octets.drain(at..end);
        }
        3 => {
            let other = &inputs[source.below(inputs.len())];
            octets.truncate(at);
            octets.extend(other.get(at..).unwrap_or_default());
        }
        4 => {
            if let Some(octet) = octets.get_mut(at) {
                *octet = [0, 1, 4, 0x7f, 0x80, 0xff][source.below(6)];
            }
        }
        5 => {
            let length = octets.len();
            let copied = octets[..at].to_vec();
            octets.splice(at..at, copied);
            octets.truncate(length.max(64));
        }
        _ => {
            if let Some(octet) = octets.get_mut(at) {
                *octet ^= 1 << source.below(8);
            }
        }
    }
}
