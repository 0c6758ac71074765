//! What the control thread owns: both databases, and the snapshots that packet threads read.

use std::sync::Arc;

use crate::error::DatabaseError;
use crate::lifetime::{self, Expiry};
use crate::limits::MAX_TEMPLATES;
use crate::migration::Migration;
use crate::sa::{Encap, Protocol, Sa, SaId, SaParams};
use crate::sad::{Larval, SaEntry, Sad, SpiRequest};
use crate::snapshot::{Policies, Snapshot};
use crate::spd::{Policy, PolicyExpiry, PolicyKey, PolicyParams, Spd};

/// What MIGRATE has moved.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// The policy as it is now.
    pub policy: Arc<Policy>,
    /// The SAs as they are now, with the names that they had.
    pub sas: Vec<(SaId, Arc<Sa>)>,
}

/// SAD and SPD. Instants are seconds of one clock of the caller's choice.
#[derive(Debug, Default)]
pub struct Database {
    sad: Sad,
    spd: Spd,
    number: u64,
    current: Option<(u64, u64, Arc<Snapshot>)>,
    /// The policies as packets meet them, and the generation of the SPD that they are of.
    policies: Option<(u64, Arc<Policies>)>,
}

impl Database {
    /// An empty one.
    pub fn new() -> Database {
        Database::default()
    }

    /// The associations, to read.
    pub fn sad(&self) -> &Sad {
        &self.sad
    }

    /// The policies, to read; clone them for a batch.
    pub fn spd(&self) -> &Spd {
        &self.spd
    }

    /// Changes of the SAD so far: a dump that meets another number was interrupted.
    pub fn sad_generation(&self) -> u64 {
        self.sad.generation
    }

    /// Changes of the SPD so far.
    pub fn spd_generation(&self) -> u64 {
        self.spd.generation
    }

    /// ALLOCSPI; see `Sad::allocate_spi`.
    pub fn allocate_spi(
        &mut self,
        request: &SpiRequest,
        random: &mut dyn FnMut() -> u32,
        now_s: u64,
    ) -> Result<Larval, DatabaseError> {
        self.sad.allocate_spi(request, random, now_s)
    }

    /// NEWSA; see `Sad::add`.
    pub fn add_sa(&mut self, params: SaParams, now_s: u64) -> Result<Arc<Sa>, DatabaseError> {
        self.sad.add(params, now_s)
    }

    /// UPDSA; see `Sad::update`.
    pub fn update_sa(&mut self, params: SaParams, now_s: u64) -> Result<Arc<Sa>, DatabaseError> {
        self.sad.update(params, now_s)
    }

    /// DELSA; see `Sad::delete`.
    pub fn delete_sa(&mut self, id: SaId) -> Result<SaEntry, DatabaseError> {
        self.sad.delete(id)
    }

    /// FLUSHSA; None: of both protocols.
    pub fn flush_sas(&mut self, protocol: Option<Protocol>) -> usize {
        self.sad.flush(protocol)
    }

    /// NEWPOLICY; see `Spd::add`.
    pub fn add_policy(
        &mut self,
        params: PolicyParams,
        now_s: u64,
    ) -> Result<Arc<Policy>, DatabaseError> {
        self.spd.add(params, now_s)
    }

    /// UPDPOLICY; see `Spd::update`.
    pub fn update_policy(
        &mut self,
        params: PolicyParams,
        now_s: u64,
    ) -> Result<Arc<Policy>, DatabaseError> {
        self.spd.update(params, now_s)
    }

    /// DELPOLICY; see `Spd::delete`.
    pub fn delete_policy(&mut self, key: PolicyKey) -> Result<Arc<Policy>, DatabaseError> {
        self.spd.delete(key)
    }

    /// FLUSHPOLICY.
    pub fn flush_policies(&mut self) -> usize {
        self.spd.flush()
    }

    /// MIGRATE: the templates of a policy and the SAs between their ends move. Answers the policy, and the SAs with the
    /// names that they had.
    ///
    /// Errors: `NoSuchPolicy`, `NoSuchTemplate`, `Exists`, `Invalid`; nothing is changed then.
    pub fn migrate(
        &mut self,
        key: PolicyKey,
        migrations: &[Migration],
        encap: Option<Encap>,
    ) -> Result<Migrated, DatabaseError> {
        if migrations.is_empty() || migrations.len() > MAX_TEMPLATES {
            return Err(DatabaseError::Invalid(
                "one to six pairs of ends move at a time",
            ));
        }
        migrations.iter().try_for_each(Migration::check)?;
        let policy = self.spd.migrated(key, migrations)?;
        let moved = self.sad.migrated(migrations, encap)?;
        let replaced = moved
            .into_iter()
            .map(|(old, sa)| (old, self.sad.replace(old, sa)));
        Ok(Migrated {
            sas: replaced.collect(),
            policy: self.spd.insert(policy),
        })
    }

    /// Policies whose limits were reached and not yet told. What reached a hard one is gone afterwards.
    pub fn expire_policies(&mut self, now_s: u64) -> Vec<PolicyExpiry> {
        self.spd.expire(now_s)
    }

    /// Put a batch's draft in the place of the policies. `drawn_at`: `spd_generation` when it was cloned.
    ///
    /// Errors: `Conflict` when they have changed since.
    pub fn replace_policies(&mut self, mut draft: Spd, drawn_at: u64) -> Result<(), DatabaseError> {
        if self.spd.generation != drawn_at {
            return Err(DatabaseError::Conflict);
        }
        draft.generation = draft.generation.max(drawn_at + 1);
        self.spd = draft;
        Ok(())
    }

    /// Limits that were reached and not yet told. What reached a hard one is gone afterwards.
    pub fn expire(&mut self, now_s: u64) -> Vec<Expiry> {
        let expiries: Vec<_> = self
            .sad
            .iter()
            .filter_map(|entry| lifetime::due(entry, now_s))
            .collect();
        for expiry in expiries.iter().filter(|expiry| expiry.hard) {
            // It was found in the same table a moment ago.
            let _ = self.sad.delete(expiry.entry.id());
        }
        expiries
    }

    /// The state as packets shall meet it; the same Arc until something changes.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        let generations = (self.sad.generation, self.spd.generation);
        if let Some((sad, spd, snapshot)) = &self.current {
            if (*sad, *spd) == generations {
                return Arc::clone(snapshot);
            }
        }
        self.number += 1;
        let policies = self.current_policies();
        let snapshot = Arc::new(Snapshot::new(self.number, &self.sad, policies));
        self.current = Some((generations.0, generations.1, Arc::clone(&snapshot)));
        snapshot
    }

    /// A rekey changes no policy, and there may be very many.
    fn current_policies(&mut self) -> Arc<Policies> {
        match &self.policies {
            Some((generation, policies)) if *generation == self.spd.generation => {
                Arc::clone(policies)
            }
            _ => {
                let policies = Arc::new(Policies::new(&self.spd));
                self.policies = Some((self.spd.generation, Arc::clone(&policies)));
                policies
            }
        }
    }
}

#[cfg(test)]
mod tests;
