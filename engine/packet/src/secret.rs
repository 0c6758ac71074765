//! Octets that are wiped when they are let go, and never printed.

use std::fmt;

use zeroize::Zeroizing;

/// Key material.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Copy octets into a container that wipes itself; the caller wipes his own copy.
    pub fn new(octets: &[u8]) -> Secret {
        Secret(Zeroizing::new(octets.to_vec()))
    }

    /// The octets. Only the control socket's answer to the owner may carry them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many octets.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True without octets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} octets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_only() {
        assert_eq!(
            format!("{:?}", Secret::new(&[0xab; 20])),
            "Secret(20 octets)"
        );
    }
}
