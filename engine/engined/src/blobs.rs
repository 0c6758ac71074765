//! Opaque octets that the engine keeps in memory for the daemon: what a restarted daemon needs to go on. Never on a disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::limits::{MAX_BLOB_OCTETS, MAX_BLOBS, MAX_KEY_OCTETS};
use crate::refusal::Refusal;

/// A blob as it is shared with a dump; it is wiped when the last holder lets it go.
pub type Blob = Arc<Zeroizing<Vec<u8>>>;

/// All blobs by their keys.
#[derive(Default)]
pub struct Blobs {
    all: BTreeMap<String, Blob>,
    generation: u64,
}

impl Blobs {
    /// Keeps `octets` under `key`, in place of what was there.
    ///
    /// # Errors
    /// `EINVAL` for a key that is none, `EMSGSIZE` for too many octets, `ENOSPC` for too many blobs.
    pub fn put(&mut self, key: &[u8], octets: &[u8]) -> Result<(), Refusal> {
        let key = parse_key(key)?;
        if octets.len() > MAX_BLOB_OCTETS {
            return Err(Refusal::new(
                libc::EMSGSIZE,
                "a blob has at most 16384 octets",
            ));
        }
        if self.all.len() >= MAX_BLOBS && !self.all.contains_key(key) {
            return Err(Refusal::new(libc::ENOSPC, "there are 1024 blobs already"));
        }
        self.all
            .insert(key.to_owned(), Arc::new(Zeroizing::new(octets.to_vec())));
        self.generation += 1;
        Ok(())
    }

    /// Forgets the blob under `key`.
    ///
    /// # Errors
    /// `EINVAL` for a key that is none, `ENOENT` when there is no such blob.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let key = parse_key(key)?;
        self.all
            .remove(key)
            .ok_or(Refusal::new(libc::ENOENT, "there is no blob of this key"))?;
        self.generation += 1;
        Ok(())
    }

    /// All blobs in the order of their keys.
    pub fn list(&self) -> Vec<(String, Blob)> {
        self.all
            .iter()
            .map(|(key, blob)| (key.clone(), Arc::clone(blob)))
            .collect()
    }

    /// A number that every change makes larger.
    pub fn generation(&self) -> u64 {
        self.generation
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

    #[test]
    fn the_last_put_counts_and_a_deleted_blob_is_gone() {
        let mut blobs = Blobs::default();
        blobs.put(b"b", b"one").unwrap();
        blobs.put(b"a", b"two").unwrap();
        blobs.put(b"b", b"three").unwrap();
        let keys: Vec<_> = blobs
            .list()
            .into_iter()
            .map(|(key, blob)| (key, blob.to_vec()))
            .collect();
        assert_eq!(
            keys,
            [
                ("a".into(), b"two".to_vec()),
                ("b".into(), b"three".to_vec())
            ]
        );
        blobs.delete(b"a").unwrap();
        assert_eq!(blobs.delete(b"a").unwrap_err().errno, libc::ENOENT);
    }

    #[test]
    fn bounds_are_kept() {
        let mut blobs = Blobs::default();
        assert_eq!(blobs.put(b"", b"").unwrap_err().errno, libc::EINVAL);
        assert_eq!(
            blobs.put(&[b'k'; 129], b"").unwrap_err().errno,
            libc::EINVAL
        );
        assert_eq!(
            blobs
                .put(b"k", &[0; MAX_BLOB_OCTETS + 1])
                .unwrap_err()
                .errno,
            libc::EMSGSIZE
        );
        for number in 0..MAX_BLOBS {
            blobs.put(number.to_string().as_bytes(), b"x").unwrap();
        }
        assert_eq!(
            blobs.put(b"one more", b"x").unwrap_err().errno,
            libc::ENOSPC
        );
        blobs.put(b"0", b"again").unwrap();
    }
}
