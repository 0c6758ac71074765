//! Opaque octets that the engine keeps in memory for the daemon: what a restarted daemon needs to go on. Never on a disk.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::limits::{
    BLOB_PART_OCTETS, MAX_BLOB_OCTETS, MAX_BLOBS, MAX_BLOBS_OCTETS, MAX_KEY_OCTETS,
};
use crate::refusal::Refusal;

/// A blob as it is shared with a dump; it is wiped when the last holder lets it go.
pub type Blob = Arc<Zeroizing<Vec<u8>>>;

const TOO_LONG: Refusal = Refusal::new(libc::EMSGSIZE, "a blob has at most 262144 octets");
const TOO_MANY: Refusal = Refusal::new(libc::ENOSPC, "there are 32768 blobs already");
const NO_ROOM: Refusal = Refusal::new(libc::ENOSPC, "there are 128 MiB of blobs already");
const SPOILED: Refusal = Refusal::new(libc::ECANCELED, "a part of the blob was refused before");

/// All blobs by their keys.
#[derive(Default)]
pub struct Blobs {
    all: BTreeMap<String, Blob>,
    octets: usize,
    generation: u64,
}

impl Blobs {
    /// Keeps octets under `key`, in place of what was there: the parts that came before, and `last` behind them. Where that
    /// is refused, nothing stays under this key: what was there is out of date.
    ///
    /// # Errors
    /// `EINVAL` for a key that is none, `EMSGSIZE` for too many octets, `ENOSPC` for too many blobs, `ECANCELED` where a part
    /// was refused.
    pub fn put(&mut self, key: &[u8], parts: Parts, last: &[u8]) -> Result<(), Refusal> {
        let key = parse_key(key)?;
        self.remove(key);
        let octets = parts.joined(last)?;
        if self.all.len() >= MAX_BLOBS {
            return Err(TOO_MANY);
        }
        if self.octets + octets.len() > MAX_BLOBS_OCTETS {
            return Err(NO_ROOM);
        }
        self.octets += octets.len();
        self.all.insert(key.to_owned(), Arc::new(octets));
        Ok(())
    }

    /// Forgets the blob under `key`.
    ///
    /// # Errors
    /// `EINVAL` for a key that is none, `ENOENT` when there is no such blob.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let found = self.remove(parse_key(key)?);
        found
            .then_some(())
            .ok_or(Refusal::new(libc::ENOENT, "there is no blob of this key"))
    }

    fn remove(&mut self, key: &str) -> bool {
        self.generation += 1;
        let found = self.all.remove(key);
        self.octets -= found.as_ref().map_or(0, |blob| blob.len());
        found.is_some()
    }

    /// All blobs in the order of their keys, in pieces that fit a datagram.
    pub fn list(&self) -> VecDeque<Piece> {
        self.all
            .iter()
            .flat_map(|(key, blob)| pieces(key, blob))
            .collect()
    }

    /// A number that every change makes larger.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// A blob, or a part of a long one.
pub struct Piece {
    /// The key, with the last part alone.
    pub key: Option<String>,
    blob: Blob,
    range: Range<usize>,
}

impl Piece {
    /// The octets of this part.
    pub fn octets(&self) -> &[u8] {
        &self.blob[self.range.clone()]
    }
}

fn pieces(key: &str, blob: &Blob) -> impl Iterator<Item = Piece> {
    let length = blob.len();
    let count = length.div_ceil(BLOB_PART_OCTETS).max(1);
    (0..count).map(move |number| Piece {
        key: (number + 1 == count).then(|| key.to_owned()),
        blob: Arc::clone(blob),
        range: number * BLOB_PART_OCTETS..length.min((number + 1) * BLOB_PART_OCTETS),
    })
}

/// The parts of a long blob that one connection sent so far.
#[derive(Default)]
pub struct Parts {
    all: Vec<Zeroizing<Vec<u8>>>,
    octets: usize,
    spoiled: bool,
}

impl Parts {
    /// Takes the next part.
    ///
    /// # Errors
    /// `EMSGSIZE` when the blob becomes too long; then it cannot be put any more.
    pub fn push(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        self.octets += octets.len();
        if self.spoiled || self.octets > MAX_BLOB_OCTETS {
            *self = Self {
                spoiled: true,
                ..Self::default()
            };
            return Err(TOO_LONG);
        }
        self.all.push(Zeroizing::new(octets.to_vec()));
        Ok(())
    }

    fn joined(&self, last: &[u8]) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        if self.spoiled {
            return Err(SPOILED);
        }
        let length = self.octets + last.len();
        if length > MAX_BLOB_OCTETS {
            return Err(TOO_LONG);
        }
        // All of it at once: growing would leave keys behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(length));
        self.all
            .iter()
            .for_each(|part| whole.extend_from_slice(part));
        whole.extend_from_slice(last);
        Ok(whole)
    }
}

fn parse_key(key: &[u8]) -> Result<&str, Refusal> {
    let text = std::str::from_utf8(key)
        .ok()
        .filter(|text| (1..=MAX_KEY_OCTETS).contains(&text.len()));
    text.ok_or(Refusal::new(
        libc::EINVAL,
        "a blob's key is text of 1 to 128 octets",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(blobs: &mut Blobs, key: &str, octets: &[u8]) -> Result<(), Refusal> {
        blobs.put(key.as_bytes(), Parts::default(), octets)
    }

    fn kept(blobs: &Blobs) -> Vec<(String, Vec<u8>)> {
        let (mut all, mut octets) = (Vec::new(), Vec::new());
        for piece in blobs.list() {
            assert!(piece.octets().len() <= BLOB_PART_OCTETS);
            octets.extend_from_slice(piece.octets());
            if let Some(key) = &piece.key {
                all.push((key.clone(), std::mem::take(&mut octets)));
            }
        }
        assert!(octets.is_empty());
        all
    }

    #[test]
    fn the_last_put_counts_and_a_deleted_blob_is_gone() {
        let mut blobs = Blobs::default();
        put(&mut blobs, "b", b"one").unwrap();
        put(&mut blobs, "a", b"two").unwrap();
        put(&mut blobs, "b", b"three").unwrap();
        let expected = [
            ("a".into(), b"two".to_vec()),
            ("b".into(), b"three".to_vec()),
        ];
        assert_eq!(kept(&blobs), expected);
        blobs.delete(b"a").unwrap();
        assert_eq!(blobs.delete(b"a").unwrap_err().errno, libc::ENOENT);
        assert_eq!(blobs.octets, 5);
    }

    #[test]
    fn a_long_one_comes_and_goes_in_parts() {
        let mut blobs = Blobs::default();
        let whole: Vec<u8> = (0..MAX_BLOB_OCTETS).map(|at| (at / 100) as u8).collect();
        let mut parts = Parts::default();
        let (last, first) = (&whole[200_000..], &whole[..200_000]);
        first
            .chunks(30_000)
            .for_each(|part| parts.push(part).unwrap());
        blobs.put(b"long", parts, last).unwrap();
        put(&mut blobs, "none", b"").unwrap();
        put(&mut blobs, "one part", &whole[..BLOB_PART_OCTETS]).unwrap();
        let expected = [
            ("long".into(), whole.clone()),
            ("none".into(), Vec::new()),
            ("one part".into(), whole[..BLOB_PART_OCTETS].to_vec()),
        ];
        assert_eq!(kept(&blobs), expected);
    }

    #[test]
    fn where_one_is_refused_nothing_of_before_stays() {
        let mut blobs = Blobs::default();
        for long in [MAX_BLOB_OCTETS + 1, MAX_BLOB_OCTETS + 1_000] {
            put(&mut blobs, "k", b"of before").unwrap();
            let refusal = put(&mut blobs, "k", &vec![0; long]).unwrap_err();
            assert_eq!(refusal.errno, libc::EMSGSIZE);
            assert!(kept(&blobs).is_empty());
        }
        put(&mut blobs, "k", b"of before").unwrap();
        let mut parts = Parts::default();
        parts.push(&vec![0; MAX_BLOB_OCTETS]).unwrap();
        assert_eq!(parts.push(b"x").unwrap_err().errno, libc::EMSGSIZE);
        assert_eq!(parts.push(b"x").unwrap_err().errno, libc::EMSGSIZE);
        let refusal = blobs.put(b"k", parts, b"end").unwrap_err();
        assert_eq!(refusal.errno, libc::ECANCELED);
        assert!(kept(&blobs).is_empty());
        assert_eq!(blobs.octets, 0);
    }

    #[test]
    fn bounds_are_kept() {
        let mut blobs = Blobs::default();
        assert_eq!(put(&mut blobs, "", b"").unwrap_err().errno, libc::EINVAL);
        let long = "k".repeat(129);
        assert_eq!(put(&mut blobs, &long, b"").unwrap_err().errno, libc::EINVAL);
        for number in 0..MAX_BLOBS {
            put(&mut blobs, &number.to_string(), b"x").unwrap();
        }
        let refusal = put(&mut blobs, "one more", b"x").unwrap_err();
        assert_eq!(refusal.errno, libc::ENOSPC);
        put(&mut blobs, "0", b"again").unwrap();
    }

    #[test]
    fn all_together_have_a_bound() {
        let mut blobs = Blobs::default();
        let whole = vec![7; MAX_BLOB_OCTETS];
        let room = MAX_BLOBS_OCTETS / MAX_BLOB_OCTETS;
        for number in 0..room {
            put(&mut blobs, &number.to_string(), &whole).unwrap();
        }
        let refusal = put(&mut blobs, "more", b"x").unwrap_err();
        assert_eq!(refusal.errno, libc::ENOSPC);
        put(&mut blobs, "0", &whole).unwrap();
        blobs.delete(b"1").unwrap();
        put(&mut blobs, "more", b"x").unwrap();
    }
}
