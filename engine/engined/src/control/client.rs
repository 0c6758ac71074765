//! One connection of the control socket: what it asked, what waits to be written to it. The engine never waits for it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use netio::seqpacket::Connection;
use zeroize::Zeroizing;

use super::batch::Batch;
use super::dump::Dump;
use crate::blobs::Parts;
use crate::family::message::OVERRUN;
use crate::limits::{MAX_ANSWER_OCTETS, MAX_IKE_MESSAGES, MAX_NOTIFICATIONS};
use crate::netlink::{self, DATAGRAM_OCTETS, Header};

/// A notification that waits.
struct Waiting {
    message: Arc<[u8]>,
    /// It is an IKE message, which anybody may have sent.
    ike: bool,
}

/// What keeps a client's next request waiting.
pub enum Pending {
    /// BARRIER, until all packets meet the newest snapshot.
    Barrier(Header),
    /// A dump that is not written whole yet.
    Dump(Dump),
}

/// A connection.
pub struct Client {
    connection: Connection,
    /// May do everything; else it may dump and count.
    pub privileged: bool,
    /// Groups of notifications that it wants.
    pub groups: u32,
    /// What its next request waits for.
    pub pending: Option<Pending>,
    /// Its open batch.
    pub batch: Option<Batch>,
    /// The parts of the blob that it puts next.
    pub parts: Parts,
    /// The connection has ended.
    pub gone: bool,
    answers: VecDeque<Zeroizing<Vec<u8>>>,
    answer_octets: usize,
    notifications: VecDeque<Waiting>,
    ike_messages: usize,
    requests: Zeroizing<Vec<u8>>,
    handled: usize,
}

impl Client {
    /// A new connection.
    pub fn new(connection: Connection, privileged: bool) -> Self {
        Self {
            connection,
            privileged,
            groups: 0,
            pending: None,
            batch: None,
            parts: Parts::default(),
            gone: false,
            answers: VecDeque::new(),
            answer_octets: 0,
            notifications: VecDeque::new(),
            ike_messages: 0,
            requests: Zeroizing::new(Vec::new()),
            handled: 0,
        }
    }

    /// The connection, to wait on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether its next request may be handled: nothing keeps it, and all answers have gone out.
    pub fn is_ready(&self) -> bool {
        !self.gone && self.pending.is_none() && self.answers.is_empty()
    }

    /// Whether a datagram has requests left that were not handled.
    pub fn has_requests(&self) -> bool {
        self.handled < self.requests.len()
    }

    /// Whether something waits to be written.
    pub fn wants_to_write(&self) -> bool {
        !self.answers.is_empty() || (self.may_notify() && !self.notifications.is_empty())
    }

    /// Whether answers wait to be written.
    pub fn wants_to_write_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether another answer has room.
    pub fn has_room(&self) -> bool {
        self.answer_octets < MAX_ANSWER_OCTETS
    }

    /// A dump is of one moment; notifications about what came later follow it.
    fn may_notify(&self) -> bool {
        !matches!(self.pending, Some(Pending::Dump(_)))
    }

    /// Takes the octets of the requests that were not handled, to be given back by [`Client::put_back`].
    pub fn take_requests(&mut self) -> (Zeroizing<Vec<u8>>, usize) {
        (
            std::mem::replace(&mut self.requests, Zeroizing::new(Vec::new())),
            self.handled,
        )
    }

    /// Gives back what [`Client::take_requests`] took, of which so many octets are handled now.
    pub fn put_back(&mut self, requests: Zeroizing<Vec<u8>>, handled: usize) {
        (self.requests, self.handled) = (requests, handled);
    }

    /// Reads the next datagram, if there is one; false when there is none. A datagram that is too long comes as one octet,
    /// which no message has.
    pub fn read(&mut self) -> bool {
        let mut datagram = Zeroizing::new(vec![0; DATAGRAM_OCTETS]);
        match self.connection.receive(&mut datagram) {
            Ok(0) => self.gone = true,
            Ok(octets) => datagram.truncate(octets),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => datagram.truncate(1),
            Err(error) if is_passing(&error) => return false,
            Err(_) => self.gone = true,
        }
        if !self.gone {
            self.put_back(datagram, 0);
        }
        !self.gone
    }

    /// Queues an answer; no answer is ever dropped, and no further request is read before it has gone out.
    pub fn answer(&mut self, message: Vec<u8>) {
        self.answer_octets += message.capacity();
        self.answers.push_back(Zeroizing::new(message));
    }

    /// Queues a notification. A full queue is dropped and said to be so; only IKE messages stay, of which no dump tells.
    pub fn notify(&mut self, message: &Arc<[u8]>) {
        if self.notifications.len() - self.ike_messages >= MAX_NOTIFICATIONS {
            self.notifications.retain(|waiting| waiting.ike);
            self.push(
                netlink::message(Header::notification(OVERRUN), |_| ()).into(),
                false,
            );
        }
        self.push(Arc::clone(message), false);
    }

    /// Queues an IKE message; false when too many wait. Whoever sends us datagrams cannot push out other notifications.
    pub fn notify_ike(&mut self, message: &Arc<[u8]>) -> bool {
        let room = self.ike_messages < MAX_IKE_MESSAGES;
        if room {
            self.ike_messages += 1;
            self.push(Arc::clone(message), true);
        }
        room
    }

    fn push(&mut self, message: Arc<[u8]>, ike: bool) {
        self.notifications.push_back(Waiting { message, ike });
    }

    /// Writes until nothing is left or the other end does not read.
    pub fn flush(&mut self) {
        while let Some(message) = self.answers.front() {
            if !write(&self.connection, message, &mut self.gone) {
                return;
            }
            self.answer_octets -= message.capacity();
            self.answers.pop_front();
        }
        while let Some(waiting) = self.notifications.front().filter(|_| self.may_notify()) {
            if !write(&self.connection, &waiting.message, &mut self.gone) {
                return;
            }
            self.ike_messages -= usize::from(waiting.ike);
            self.notifications.pop_front();
        }
    }
}

fn write(connection: &Connection, message: &[u8], gone: &mut bool) -> bool {
    match connection.send(message) {
        Ok(()) => true,
        Err(error) => {
            *gone |= !is_passing(&error);
            false
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    ) || error.raw_os_error() == Some(libc::ENOBUFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(connection: &Connection) -> Vec<Vec<u8>> {
        let mut buffer = [0; 64];
        let mut all = Vec::new();
        while let Ok(octets) = connection.receive(&mut buffer) {
            all.push(buffer[..octets].to_vec());
        }
        all
    }

    #[test]
    fn who_does_not_read_is_told_once_and_reads_on_from_there() {
        let (ours, theirs) = Connection::pair().unwrap();
        let mut client = Client::new(ours, true);
        for number in 0..=MAX_NOTIFICATIONS as u32 {
            client.notify(&number.to_ne_bytes().to_vec().into());
        }
        client.flush();
        let got = received(&theirs);
        assert_eq!(got.len(), 2);
        assert_eq!(u16::from_ne_bytes([got[0][4], got[0][5]]), OVERRUN);
        assert_eq!(got[1], (MAX_NOTIFICATIONS as u32).to_ne_bytes());
    }

    #[test]
    fn a_flood_of_ike_pushes_nothing_out() {
        let (ours, theirs) = Connection::pair().unwrap();
        let mut client = Client::new(ours, true);
        client.notify(&b"expire".to_vec().into());
        let taken = (0..2_000).filter(|_| client.notify_ike(&b"ike".to_vec().into()));
        assert_eq!(taken.count(), MAX_IKE_MESSAGES);
        let mut got = Vec::new();
        while client.wants_to_write() {
            client.flush();
            got.extend(received(&theirs));
        }
        assert_eq!(
            (got.len(), &got[0][..]),
            (MAX_IKE_MESSAGES + 1, &b"expire"[..])
        );
        assert!(client.notify_ike(&b"ike".to_vec().into()));
    }

    #[test]
    fn answers_go_before_notifications() {
        let (ours, theirs) = Connection::pair().unwrap();
        let mut client = Client::new(ours, true);
        client.notify(&b"later".to_vec().into());
        client.answer(b"now".to_vec());
        assert!(!client.is_ready());
        client.flush();
        assert!(client.is_ready());
        assert_eq!(received(&theirs), [b"now".to_vec(), b"later".to_vec()]);
    }
}
