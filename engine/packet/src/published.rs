//! How snapshots reach the packet threads, and how the control thread knows that they have arrived.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::snapshot::Snapshot;

/// A reader that holds no snapshot.
const IDLE: u64 = u64::MAX;
/// A reader that is about to take one, nobody knows which. One that has it says the snapshot's number and one more.
const ENTERING: u64 = 0;

#[derive(Default)]
struct Shared {
    number: AtomicU64,
    current: Mutex<Arc<Snapshot>>,
    readers: Mutex<Vec<Arc<AtomicU64>>>,
}

/// The place where the control thread puts the newest snapshot. Clones are the same place.
#[derive(Clone, Default)]
pub struct Published(Arc<Shared>);

impl Published {
    /// A place with an empty snapshot.
    pub fn new() -> Published {
        Published::default()
    }

    /// Put a snapshot where every batch from now on finds it.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let number = snapshot.number();
        *lock(&self.0.current) = snapshot;
        self.0.number.store(number, SeqCst);
    }

    /// A reader for one thread.
    pub fn reader(&self) -> Reader {
        let seen = Arc::new(AtomicU64::new(IDLE));
        lock(&self.0.readers).push(Arc::clone(&seen));
        let snapshot = Arc::clone(&lock(&self.0.current));
        Reader {
            shared: Arc::clone(&self.0),
            seen,
            snapshot,
        }
    }

    /// Whether no packet is any longer handled under a snapshot older than the published one: BARRIER's question.
    /// The answer comes within one batch; ask again.
    pub fn everybody_is_current(&self) -> bool {
        let number = self.0.number.load(SeqCst);
        lock(&self.0.readers).iter().all(|seen| {
            let seen = seen.load(SeqCst);
            seen != ENTERING && seen > number
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One thread's way to the newest snapshot.
pub struct Reader {
    shared: Arc<Shared>,
    seen: Arc<AtomicU64>,
    snapshot: Arc<Snapshot>,
}

impl Reader {
    /// Begin a batch of packets. Without a lock unless something changed.
    pub fn enter(&mut self) -> Arc<Snapshot> {
        self.seen.store(ENTERING, SeqCst);
        if self.shared.number.load(SeqCst) != self.snapshot.number() {
            self.snapshot = Arc::clone(&lock(&self.shared.current));
        }
        self.seen.store(self.snapshot.number() + 1, SeqCst);
        Arc::clone(&self.snapshot)
    }

    /// End the batch: before the thread waits for packets.
    pub fn leave(&mut self) {
        self.seen.store(IDLE, SeqCst);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.shared.readers).retain(|seen| !Arc::ptr_eq(seen, &self.seen));
    }
}

#[cfg(test)]
mod tests;
