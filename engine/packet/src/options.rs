//! The options of IPv4 headers (RFC 791 section 3.1).

use std::ops::Range;

use crate::ip::IPV4_HEADER;
use crate::reason::Drop;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;

/// The options of an IPv4 header, each as the range of its octets; fillers are left out.
pub(crate) struct Options<'a> {
    header: &'a [u8],
    offset: usize,
}

impl<'a> Options<'a> {
    /// `header`: a whole one.
    pub(crate) fn of(header: &'a [u8]) -> Options<'a> {
        Options {
            header,
            offset: IPV4_HEADER,
        }
    }

    fn judge(&mut self) -> Result<Range<usize>, Drop> {
        let start = self.offset;
        let length = self
            .header
            .get(start + 1)
            .map_or(0, |&length| length.into());
        let end = start + length;
        if length < 2 || end > self.header.len() {
            self.offset = self.header.len();
            return Err(Drop::Malformed);
        }
        self.offset = end;
        Ok(start..end)
    }
}

impl Iterator for Options<'_> {
    type Item = Result<Range<usize>, Drop>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.header.get(self.offset) {
                None | Some(&END) => return None,
                Some(&NO_OPERATION) => self.offset += 1,
                Some(_) => return Some(self.judge()),
            }
        }
    }
}
