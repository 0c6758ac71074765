//! Netlink's framing (`linux/netlink.h`): headers, padding, attributes, acknowledgements. No sockets, no meaning.

use crate::octets::{Cursor, Put};
use crate::refusal::Refusal;

/// The longest datagram in either direction.
pub const DATAGRAM_OCTETS: usize = 32 * 1024;
/// Octets of `struct nlmsghdr`.
pub const HEADER_OCTETS: usize = 16;

/// This is a request.
pub const REQUEST: u16 = 0x001;
/// One message of several, the last of which is [`DONE`].
pub const MULTI: u16 = 0x002;
/// The sender wants an answer.
pub const ACK: u16 = 0x004;
/// The dump is not of one moment.
pub const DUMP_INTR: u16 = 0x010;
/// What is there is replaced.
pub const REPLACE: u16 = 0x100;
/// The whole table is wanted (`NLM_F_ROOT | NLM_F_MATCH`).
pub const DUMP: u16 = 0x300;
/// The answer holds only the header of the request.
const CAPPED: u16 = 0x100;
/// The answer ends with attributes.
const ACK_TLVS: u16 = 0x200;

/// `NLMSG_ERROR`, which is also the acknowledgement.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub const DONE: u16 = 3;
/// `NLA_F_NESTED`: says of a value that it is attributes, and is no part of the number.
const NESTED: u16 = 0x8000;

/// `NLMSGERR_ATTR_MSG`.
const ERROR_SENTENCE: u16 = 1;

/// `struct nlmsghdr` without its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The message's number.
    pub kind: u16,
    /// The `NLM_F_` bits.
    pub flags: u16,
    /// The requester's number, 0 in notifications.
    pub sequence: u32,
    /// The requester's port, given back as it came.
    pub port: u32,
}

impl Header {
    /// The header of an answer to this request.
    pub fn answer(self, kind: u16, flags: u16) -> Self {
        Self {
            kind,
            flags,
            ..self
        }
    }

    /// The header of a notification.
    pub fn notification(kind: u16) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Whether all of these bits are set.
    pub fn has(self, flags: u16) -> bool {
        self.flags & flags == flags
    }
}

/// A message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub payload: &'a [u8],
    /// The messages behind it.
    pub rest: &'a [u8],
}

/// A message whose end cannot be found, and so nothing behind it either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// As much as there is of its header.
    pub header: Header,
    /// What is wrong.
    pub refusal: Refusal,
}

/// Takes the first message off `datagram`. None at the end.
///
/// # Errors
/// A length that is too small or reaches over the end.
pub fn split(datagram: &[u8]) -> Option<Result<Message<'_>, Malformed>> {
    if datagram.is_empty() {
        return None;
    }
    let Ok((length, header)) = parse_header(datagram) else {
        return Some(Err(Malformed {
            header: Header::default(),
            refusal: Refusal::SHORT,
        }));
    };
    let length = length as usize;
    if length < HEADER_OCTETS || length > datagram.len() {
        let refusal = Refusal::new(
            libc::EINVAL,
            "the message's length does not fit the datagram",
        );
        return Some(Err(Malformed { header, refusal }));
    }
    let next = length.next_multiple_of(4).min(datagram.len());
    Some(Ok(Message {
        header,
        payload: &datagram[HEADER_OCTETS..length],
        rest: &datagram[next..],
    }))
}

fn parse_header(datagram: &[u8]) -> Result<(u32, Header), Refusal> {
    let mut cursor = Cursor::new(datagram);
    let length = cursor.u32()?;
    let header = Header {
        kind: cursor.u16()?,
        flags: cursor.u16()?,
        sequence: cursor.u32()?,
        port: cursor.u32()?,
    };
    Ok((length, header))
}

/// Appends a message to `datagram`; `body` writes its payload.
pub fn put_message(datagram: &mut Vec<u8>, header: Header, body: impl FnOnce(&mut Vec<u8>)) {
    let start = datagram.len();
    datagram.put_u32(0);
    datagram.put_u16(header.kind);
    datagram.put_u16(header.flags);
    datagram.put_u32(header.sequence);
    datagram.put_u32(header.port);
    body(datagram);
    let length = (datagram.len() - start) as u32;
    datagram[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    pad(datagram);
}

/// Room for all but the longest messages.
const USUAL_OCTETS: usize = 2_048;

/// One message in a datagram of its own.
pub fn message(header: Header, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(USUAL_OCTETS);
    put_message(&mut datagram, header, body);
    datagram
}

/// The same for a message that may hold keys: it is not to be moved while it grows, and leave them behind.
pub fn secret_message(header: Header, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut datagram = Vec::with_capacity(DATAGRAM_OCTETS);
    put_message(&mut datagram, header, body);
    datagram
}

/// The answer to a request: 0, or the refusal with its sentence.
pub fn acknowledgement(request: Header, outcome: Result<(), &Refusal>) -> Vec<u8> {
    let flags = if outcome.is_ok() {
        CAPPED
    } else {
        CAPPED | ACK_TLVS
    };
    message(request.answer(ERROR, flags), |body| {
        body.put_u32(outcome.err().map_or(0, |refusal| (-refusal.errno) as u32));
        body.put_u32(HEADER_OCTETS as u32);
        body.put_u16(request.kind);
        body.put_u16(request.flags);
        body.put_u32(request.sequence);
        body.put_u32(request.port);
        if let Err(refusal) = outcome {
            let sentence = [refusal.sentence.as_bytes(), &[0]].concat();
            put_attribute(body, ERROR_SENTENCE, &sentence);
        }
    })
}

/// The end of a dump.
pub fn done(request: Header, flags: u16) -> Vec<u8> {
    message(request.answer(DONE, MULTI | flags), |body| body.put_u32(0))
}

/// Appends an attribute and its padding. A value of over 65,531 octets cannot be written and is left out.
pub fn put_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len() + 4) else {
        return;
    };
    body.put_u16(length);
    body.put_u16(kind);
    body.put(value);
    pad(body);
}

fn pad(octets: &mut Vec<u8>) {
    octets.resize(octets.len().next_multiple_of(4), 0);
}

/// The attributes behind a message's structure; of equal ones the last counts.
pub struct Attributes<'a> {
    all: Vec<(u16, &'a [u8])>,
}

impl<'a> Attributes<'a> {
    /// Reads all attributes.
    ///
    /// # Errors
    /// A length that is too small or reaches over the end.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Refusal> {
        const WRONG: Refusal = Refusal::new(
            libc::EINVAL,
            "an attribute's length does not fit the message",
        );
        let mut rest = octets;
        let mut all = Vec::new();
        while rest.len() >= 4 {
            let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
            let kind = u16::from_ne_bytes([rest[2], rest[3]]) & !NESTED;
            let value = rest.get(4..length).ok_or(WRONG)?;
            all.push((kind, value));
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        if rest.iter().all(|octet| *octet == 0) {
            Ok(Self { all })
        } else {
            Err(WRONG)
        }
    }

    /// The value of an attribute, if it is there.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.all
            .iter()
            .rev()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| *value)
    }

    /// The value of an attribute that must be there.
    ///
    /// # Errors
    /// It is not; `name` says so.
    pub fn require(&self, kind: u16, name: &str) -> Result<&'a [u8], Refusal> {
        self.get(kind)
            .ok_or_else(|| Refusal::about(libc::EINVAL, format!("the attribute {name} is missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split_all(mut datagram: &[u8]) -> usize {
        let mut count = 0;
        while let Some(Ok(Message { rest, .. })) = split(datagram) {
            assert!(rest.len() < datagram.len());
            datagram = rest;
            count += 1;
        }
        count
    }

    proptest! {
        #[test]
        fn any_octets_are_messages_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
            split_all(&octets);
            let _ = Attributes::parse(&octets);
        }

        #[test]
        fn what_is_put_is_split(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)) {
            let mut datagram = Vec::new();
            for body in &bodies {
                put_message(&mut datagram, Header { kind: 7, flags: REQUEST, sequence: 9, port: 1 }, |out| out.put(body));
            }
            prop_assert_eq!(split_all(&datagram), bodies.len());
        }

        #[test]
        fn what_is_put_as_attribute_is_found(value in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..NESTED) {
            let mut body = Vec::new();
            put_attribute(&mut body, kind.wrapping_add(1), b"another");
            put_attribute(&mut body, kind, &value);
            let attributes = Attributes::parse(&body).unwrap();
            prop_assert_eq!(attributes.get(kind), Some(&value[..]));
        }
    }

    /// The kernel reads it so: templates that came to nothing would make a policy let packets pass in clear.
    #[test]
    fn a_nested_attribute_is_the_attribute() {
        let mut body = Vec::new();
        put_attribute(&mut body, NESTED | 5, b"templates");
        let attributes = Attributes::parse(&body).unwrap();
        assert_eq!(attributes.get(5), Some(&b"templates"[..]));
    }

    #[test]
    fn a_refusal_carries_errno_header_and_sentence() {
        let request = Header {
            kind: 0x10,
            flags: REQUEST | ACK,
            sequence: 5,
            port: 6,
        };
        let octets = acknowledgement(request, Err(&Refusal::new(libc::EEXIST, "there is one")));
        let Message {
            header,
            payload: body,
            ..
        } = split(&octets).unwrap().unwrap();
        assert_eq!(
            (header.kind, header.flags, header.sequence),
            (ERROR, 0x300, 5)
        );
        assert_eq!(
            i32::from_ne_bytes(body[..4].try_into().unwrap()),
            -libc::EEXIST
        );
        let attributes = Attributes::parse(&body[20..]).unwrap();
        assert_eq!(attributes.get(1), Some(&b"there is one\0"[..]));
    }
}
