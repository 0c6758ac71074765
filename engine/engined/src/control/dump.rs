//! Dumps: the rows of one moment, written datagram by datagram as the client reads them.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use packet::sad::SaEntry;
use packet::spd::Policy;
use zeroize::{Zeroize, Zeroizing};

use crate::blobs::Piece;
use crate::clock::Clock;
use crate::family::{attribute, message as family};
use crate::gif::GifLink;
use crate::links::{put_gif, put_path_mtu};
use crate::netlink::{self, DATAGRAM_OCTETS, DUMP_INTR, Header, MULTI, put_attribute, put_message};
use crate::xfrm::{message, policy::put_policy, sa_state::put_entry};

/// Octets of a datagram that rows may fill; the rest is for the end of the dump.
const ROW_OCTETS: usize = DATAGRAM_OCTETS - 32;

/// What is dumped.
pub enum Rows {
    /// Security associations; with their keys?
    Sas(VecDeque<SaEntry>, bool),
    /// Policies.
    Policies(VecDeque<Arc<Policy>>),
    /// Links of gif(4).
    Gifs(VecDeque<Arc<GifLink>>),
    /// What the ways to the peers carry.
    PathMtus(VecDeque<(IpAddr, u32)>),
    /// Blobs.
    Blobs(VecDeque<Piece>),
}

/// A dump under way.
pub struct Dump {
    request: Header,
    rows: Rows,
    generation: u64,
    /// A row that did not fit the datagram before.
    left: Zeroizing<Vec<u8>>,
}

impl Dump {
    /// A dump of these rows, taken when their table had this generation.
    pub fn new(request: Header, rows: Rows, generation: u64) -> Self {
        Self {
            request,
            rows,
            generation,
            left: Zeroizing::default(),
        }
    }

    /// Which table it is of.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// The next datagram, and whether it is the last. `generation` is the table's now.
    pub fn next(&mut self, generation: u64, clock: &Clock) -> (Vec<u8>, bool) {
        let flags = MULTI
            | if generation == self.generation {
                0
            } else {
                DUMP_INTR
            };
        // With room for one row too many at once: keys are not to be left behind where a smaller one was.
        let mut datagram = Vec::with_capacity(2 * DATAGRAM_OCTETS);
        datagram.extend_from_slice(&self.left);
        self.left = Zeroizing::default();
        loop {
            let fits = datagram.len();
            if !self.put_row(&mut datagram, flags, clock) {
                datagram.extend(netlink::done(self.request, flags & DUMP_INTR));
                return (datagram, true);
            }
            if datagram.len() > ROW_OCTETS && fits > 0 {
                self.left = Zeroizing::new(datagram[fits..].to_vec());
                datagram[fits..].zeroize();
                datagram.truncate(fits);
                return (datagram, false);
            }
        }
    }

    fn put_row(&mut self, datagram: &mut Vec<u8>, flags: u16, clock: &Clock) -> bool {
        let request = self.request;
        match &mut self.rows {
            Rows::Sas(rows, show_keys) => rows.pop_front().map(|entry| {
                let header = request.answer(message::NEWSA, flags);
                put_message(datagram, header, |body| {
                    put_entry(body, &entry, *show_keys, clock)
                });
            }),
            Rows::Policies(rows) => rows.pop_front().map(|policy| {
                let header = request.answer(message::NEWPOLICY, flags);
                put_message(datagram, header, |body| put_policy(body, &policy, clock));
            }),
            Rows::Gifs(rows) => rows.pop_front().map(|link| {
                let header = request.answer(family::GIF_SET, flags);
                put_message(datagram, header, |body| put_gif(body, &link.gif));
            }),
            Rows::PathMtus(rows) => rows.pop_front().map(|(remote, mtu)| {
                let header = request.answer(family::PATH_MTU, flags);
                put_message(datagram, header, |body| put_path_mtu(body, remote, mtu));
            }),
            Rows::Blobs(rows) => rows.pop_front().map(|piece| {
                let kind = piece
                    .key
                    .as_ref()
                    .map_or(family::BLOB_PART, |_| family::BLOB_PUT);
                put_message(datagram, request.answer(kind, flags), |body| {
                    if let Some(key) = &piece.key {
                        put_attribute(body, attribute::KEY, key.as_bytes());
                    }
                    put_attribute(body, attribute::DATA, piece.octets());
                });
            }),
        }
        .is_some()
    }
}
