//! The security association database (RFC 4301 section 4.4.2), larval associations included.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::error::DatabaseError;
use crate::limits::{LARVAL_SECONDS, MAX_SAS, MAX_SPI_ATTEMPTS};
use crate::migration::Migration;
use crate::nonces::{Nonces, Numbers};
use crate::sa::{Direction, Encap, Mode, Protocol, Sa, SaId, SaParams};

/// An SPI that was promised to a peer, waiting for its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Larval {
    /// Source of the outer header; may be unspecified.
    pub source: IpAddr,
    /// Ours: destination of the outer header.
    pub destination: IpAddr,
    /// SPI in host order.
    pub spi: u32,
    /// As the request had it.
    pub protocol: Protocol,
    /// As the request had it.
    pub reqid: u32,
    /// As the request had it.
    pub mode: Mode,
    /// When it was allocated, in the seconds that callers pass.
    pub added_s: u64,
}

impl Larval {
    /// What names it.
    pub fn id(&self) -> SaId {
        SaId {
            destination: self.destination,
            spi: self.spi,
            protocol: self.protocol,
        }
    }

    /// When it is given up.
    pub fn expires_s(&self) -> u64 {
        self.added_s + LARVAL_SECONDS
    }
}

/// What ALLOCSPI asks for.
#[derive(Clone, Copy, Debug)]
pub struct SpiRequest {
    /// Source of the outer header; may be unspecified.
    pub source: IpAddr,
    /// Ours.
    pub destination: IpAddr,
    /// ESP or AH.
    pub protocol: Protocol,
    /// Kept for the answer.
    pub reqid: u32,
    /// Kept for the answer.
    pub mode: Mode,
    /// The lowest SPI wanted.
    pub min: u32,
    /// The highest SPI wanted.
    pub max: u32,
}

/// One entry.
#[derive(Clone, Debug)]
pub enum SaEntry {
    /// Without keys: packets for it have an unknown SPI.
    Larval(Larval),
    /// With keys.
    Valid(Arc<Sa>),
}

impl SaEntry {
    /// What names it.
    pub fn id(&self) -> SaId {
        match self {
            SaEntry::Larval(larval) => larval.id(),
            SaEntry::Valid(sa) => sa.id(),
        }
    }
}

/// The security associations, by destination, SPI and protocol.
#[derive(Debug, Default)]
pub struct Sad {
    entries: BTreeMap<SaId, SaEntry>,
    serial: u64,
    nonces: Nonces,
    /// Counts changes.
    pub(crate) generation: u64,
}

impl Sad {
    /// Promise an SPI. `random` gives 32 unforeseeable bits at each call.
    ///
    /// Errors: `Invalid` range, `Full`, `NoSpi`.
    pub fn allocate_spi(
        &mut self,
        request: &SpiRequest,
        random: &mut dyn FnMut() -> u32,
        now_s: u64,
    ) -> Result<Larval, DatabaseError> {
        if request.min < 256 || request.min > request.max {
            return Err(DatabaseError::Invalid(
                "the range of SPIs is empty or goes below 256",
            ));
        }
        self.check_room()?;
        let spi = self.free_spi(request, random).ok_or(DatabaseError::NoSpi)?;
        let SpiRequest {
            source,
            destination,
            protocol,
            reqid,
            mode,
            ..
        } = *request;
        let larval = Larval {
            source,
            destination,
            spi,
            protocol,
            reqid,
            mode,
            added_s: now_s,
        };
        self.insert(SaEntry::Larval(larval));
        Ok(larval)
    }

    /// Add a valid SA.
    ///
    /// Errors: `Exists` (a larval one too), `Full`, `Invalid`, `Unsupported`.
    pub fn add(&mut self, params: SaParams, now_s: u64) -> Result<Arc<Sa>, DatabaseError> {
        if self.entries.contains_key(&params.id()) {
            return Err(DatabaseError::Exists);
        }
        self.check_room()?;
        self.insert_valid(params, now_s)
    }

    /// Give a larval SA its keys, or replace a valid one's lifetimes and encapsulation; of that one everything else stays.
    ///
    /// Errors: `NoSuchSa`, `Invalid`, `Unsupported`.
    pub fn update(&mut self, params: SaParams, now_s: u64) -> Result<Arc<Sa>, DatabaseError> {
        match self.entries.get(&params.id()) {
            None => Err(DatabaseError::NoSuchSa),
            Some(SaEntry::Larval(_)) => self.insert_valid(params, now_s),
            Some(SaEntry::Valid(old)) => {
                let sa = Arc::new(old.updated(params.lifetimes, params.encap)?);
                self.insert(SaEntry::Valid(Arc::clone(&sa)));
                Ok(sa)
            }
        }
    }

    /// Delete an SA and answer it.
    ///
    /// Errors: `NoSuchSa`.
    pub fn delete(&mut self, id: SaId) -> Result<SaEntry, DatabaseError> {
        let entry = self.entries.remove(&id).ok_or(DatabaseError::NoSuchSa)?;
        self.generation += 1;
        Ok(entry)
    }

    /// Delete all, or all of a protocol; answers how many there were.
    pub fn flush(&mut self, protocol: Option<Protocol>) -> usize {
        let count = self.entries.len();
        self.entries
            .retain(|id, _| protocol.is_some_and(|protocol| id.protocol != protocol));
        self.generation += 1;
        count - self.entries.len()
    }

    /// The SAs that move, with the names that they had. Nothing is changed yet.
    ///
    /// Errors: `Exists` where another SA has the name that one would get.
    pub(crate) fn migrated(
        &self,
        migrations: &[Migration],
        encap: Option<Encap>,
    ) -> Result<Vec<(SaId, Sa)>, DatabaseError> {
        let valid = self.iter().filter_map(|entry| match entry {
            SaEntry::Valid(sa) => Some(sa),
            SaEntry::Larval(_) => None,
        });
        let moves = |sa: &Arc<Sa>| {
            let migration = migrations.iter().find(|one| one.moves(sa))?;
            Some((sa.id(), sa.migrated(migration.new, encap)))
        };
        let moved: Vec<_> = valid.filter_map(moves).collect();
        let mut names = HashSet::new();
        for (old, sa) in &moved {
            sa.params().check()?;
            let taken = sa.id() != *old && self.entries.contains_key(&sa.id());
            if taken || !names.insert(sa.id()) {
                return Err(DatabaseError::Exists);
            }
        }
        Ok(moved)
    }

    /// Put an SA that has moved in the place of what it was.
    pub(crate) fn replace(&mut self, old: SaId, sa: Sa) -> Arc<Sa> {
        let sa = Arc::new(sa);
        self.entries.remove(&old);
        self.insert(SaEntry::Valid(Arc::clone(&sa)));
        sa
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Find an SA.
    pub fn get(&self, id: SaId) -> Option<&SaEntry> {
        self.entries.get(&id)
    }

    /// All SAs, by destination and SPI.
    pub fn iter(&self) -> impl Iterator<Item = &SaEntry> {
        self.entries.values()
    }

    /// The valid SAs, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<Arc<Sa>> {
        let valid = self.entries.values().filter_map(|entry| match entry {
            SaEntry::Valid(sa) => Some(Arc::clone(sa)),
            SaEntry::Larval(_) => None,
        });
        let mut list: Vec<_> = valid.collect();
        list.sort_by_key(|sa| std::cmp::Reverse(sa.serial()));
        list
    }

    fn insert_valid(&mut self, params: SaParams, now_s: u64) -> Result<Arc<Sa>, DatabaseError> {
        params.check()?;
        let numbers = match params.direction {
            Some(Direction::In) => Numbers::default(),
            _ => self.nonces.numbers(&params.transform)?,
        };
        let sa = Arc::new(Sa::counting_on(params, self.serial + 1, now_s, numbers)?);
        self.serial += 1;
        self.insert(SaEntry::Valid(Arc::clone(&sa)));
        Ok(sa)
    }

    fn insert(&mut self, entry: SaEntry) {
        self.entries.insert(entry.id(), entry);
        self.generation += 1;
    }

    fn check_room(&self) -> Result<(), DatabaseError> {
        if self.entries.len() < MAX_SAS {
            Ok(())
        } else {
            Err(DatabaseError::Full("too many security associations"))
        }
    }

    fn free_spi(&self, request: &SpiRequest, random: &mut dyn FnMut() -> u32) -> Option<u32> {
        let span = u64::from(request.max - request.min) + 1;
        let id = |spi| SaId {
            destination: request.destination,
            spi,
            protocol: request.protocol,
        };
        (0..MAX_SPI_ATTEMPTS)
            .map(|_| request.min + ((u64::from(random()) * span) >> 32) as u32)
            .find(|&spi| !self.entries.contains_key(&id(spi)))
    }
}
