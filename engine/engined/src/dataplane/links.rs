//! What a packet thread knows of the gif links: taken anew when they have changed.

use std::sync::Arc;

use packet::gif::Link;
use packet::headers::Pair;
use packet::ip::Headers;

use crate::gif::{Gif, GifLink, GifTable};

/// The links as of a generation of the table.
#[derive(Default)]
pub struct Links {
    generation: u64,
    all: Vec<Arc<GifLink>>,
}

impl Links {
    /// Takes the links anew where they have changed; says whether they had.
    pub fn follow(&mut self, table: &GifTable) -> bool {
        if self.is_current(table) {
            return false;
        }
        // First the number: a change after it is seen the next time.
        self.generation = table.generation();
        self.all = table.links();
        true
    }

    /// Whether nothing has changed since.
    pub fn is_current(&self, table: &GifTable) -> bool {
        self.generation == table.generation()
    }

    /// The links in a fixed order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<GifLink>> {
        self.all.iter()
    }

    /// The link whose other end sent a packet with this outer header to ours, and its number.
    pub fn of_ends(&self, outer: &Headers) -> Option<(usize, &Arc<GifLink>)> {
        let ends = (outer.destination, outer.source);
        let mut all = self.all.iter().enumerate();
        all.find(|(_, link)| (link.gif.local, link.gif.remote) == ends)
    }
}

/// A link as packets meet it. None: its ends are of different families, which the table refuses.
pub fn link_of(gif: &Gif) -> Option<Link> {
    Some(Link {
        pair: Pair::new(gif.local, gif.remote)?,
        ecn: gif.ecn_friendly,
        ingress_filter: !gif.no_ingress_filter,
    })
}
