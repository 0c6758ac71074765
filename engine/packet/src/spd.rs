//! The security policy database (RFC 4301 section 4.4.1), as XFRM shapes it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::DatabaseError;
use crate::limits::{MAX_POLICIES, MAX_TEMPLATES};
use crate::migration::{self, Migration};
use crate::sa::{Lifetimes, Mode, Protocol, Sa};
use crate::selector::Selector;

/// Which packets a policy judges; the numbers are XFRM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PolicyDirection {
    /// What came out of a tunnel, for this host or to be forwarded.
    In = 0,
    /// What is to leave.
    Out = 1,
    /// What came out of a tunnel and is to be forwarded.
    Fwd = 2,
}

impl PolicyDirection {
    /// The direction of an XFRM number.
    pub fn from_number(number: u8) -> Option<PolicyDirection> {
        [
            PolicyDirection::In,
            PolicyDirection::Out,
            PolicyDirection::Fwd,
        ]
        .get(usize::from(number))
        .copied()
    }
}

/// What is done with the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let through: protected if the policy has a template, else as they are.
    Allow,
    /// Discard.
    Block,
}

/// One step of how packets are protected: what an SA has to be (`xfrm_user_tmpl`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Outer source; unspecified: any in tunnel mode, the packet's own in transport mode.
    pub source: IpAddr,
    /// Outer destination; likewise.
    pub destination: IpAddr,
    /// SPI in host order; 0: any.
    pub spi: u32,
    /// The SA's reqid; 0: any, as in KAME.
    pub reqid: u32,
    /// ESP or AH.
    pub protocol: Protocol,
    /// Tunnel or transport; never any.
    pub mode: Mode,
    /// `level use` of setkey: used if an SA is there, else the packet goes on without it.
    pub optional: bool,
}

impl Template {
    /// Whether an SA is what the template asks for. In transport mode it must also be between the packet's own ends,
    /// which only the caller knows.
    pub fn satisfied_by(&self, sa: &Sa) -> bool {
        let params = sa.params();
        params.mode.serves(self.mode)
            && self.protocol == params.protocol
            && (self.reqid == 0 || self.reqid == params.reqid)
            && (self.spi == 0 || self.spi == params.spi)
            && (self.source.is_unspecified() || self.source == params.source)
            && (self.destination.is_unspecified() || self.destination == params.destination)
    }

    fn check(&self) -> Result<(), DatabaseError> {
        if self.mode == Mode::Any {
            return Err(DatabaseError::Invalid(
                "a template says tunnel or transport",
            ));
        }
        if self.source.is_ipv4() != self.destination.is_ipv4() {
            return Err(DatabaseError::Invalid(
                "source and destination of a template are of different families",
            ));
        }
        Ok(())
    }
}

/// All that NEWPOLICY carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyParams {
    /// Which packets, by direction.
    pub direction: PolicyDirection,
    /// Which packets, by what they are.
    pub selector: Selector,
    /// What is done with them.
    pub action: Action,
    /// The lowest number is asked first.
    pub priority: u32,
    /// The number that names it; 0: the database chooses.
    pub index: u32,
    /// `XFRM_POLICY_*`, kept for dumps.
    pub flags: u8,
    /// How packets are protected, the innermost step first; empty: what is allowed passes as it is.
    pub templates: Vec<Template>,
    /// When it ends. Of a policy only seconds count, and those of use since it was last used.
    pub lifetimes: Lifetimes,
}

impl PolicyParams {
    fn check(&self) -> Result<(), DatabaseError> {
        if self.index != 0 && self.index % 8 != self.direction as u32 {
            return Err(DatabaseError::Invalid(
                "the policy's index is not one of its direction",
            ));
        }
        if self.action == Action::Block && !self.templates.is_empty() {
            return Err(DatabaseError::Invalid(
                "a policy that discards has no template",
            ));
        }
        if self.templates.len() > MAX_TEMPLATES {
            return Err(DatabaseError::Full("a policy has six templates at most"));
        }
        self.templates.iter().try_for_each(Template::check)?;
        self.check_families()
    }

    /// In transport mode a packet keeps its header, and so its family; a tunnel gives it another.
    fn check_families(&self) -> Result<(), DatabaseError> {
        let mut ipv4 = self.selector.is_ipv4();
        for template in &self.templates {
            let of_template = template.destination.is_ipv4();
            if template.mode == Mode::Transport && of_template != ipv4 {
                return Err(DatabaseError::Invalid(
                    "a template in transport mode is of another family than its packets",
                ));
            }
            ipv4 = of_template;
        }
        Ok(())
    }

    fn is_mortal(&self) -> bool {
        let Lifetimes {
            soft_add_s,
            hard_add_s,
            soft_use_s,
            hard_use_s,
            ..
        } = self.lifetimes;
        [soft_add_s, hard_add_s, soft_use_s, hard_use_s] != [0; 4]
    }
}

/// A policy in the database.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What NEWPOLICY said; the index is never 0.
    pub params: PolicyParams,
    /// The order of adding, which decides between equal priorities: the older is asked first.
    pub serial: u64,
    /// When it was added, in the seconds that callers pass.
    pub added_s: u64,
    used_s: Arc<AtomicU64>,
}

impl Policy {
    /// A policy that was never used.
    pub fn new(params: PolicyParams, serial: u64, added_s: u64) -> Policy {
        Policy {
            params,
            serial,
            added_s,
            used_s: Arc::default(),
        }
    }

    /// When it was last used, in the seconds that callers pass; 0 for never.
    pub fn used_s(&self) -> u64 {
        self.used_s.load(Relaxed)
    }

    /// As the kernel has it: so long after it was added, or after it was last used, or added where it never was.
    fn has_reached(&self, limit: Limit, now_s: u64) -> bool {
        let lifetimes = &self.params.lifetimes;
        let (add_s, use_s) = match limit {
            Limit::Soft => (lifetimes.soft_add_s, lifetimes.soft_use_s),
            Limit::Hard => (lifetimes.hard_add_s, lifetimes.hard_use_s),
        };
        let passed =
            |limit_s, since_s: u64| limit_s != 0 && now_s >= since_s.saturating_add(limit_s);
        passed(add_s, self.added_s) || passed(use_s, self.used_s().max(self.added_s))
    }

    /// A packet met it now. Written once a second, so that threads do not quarrel over it.
    pub fn mark_used(&self, now_s: u64) {
        if self.used_s.load(Relaxed) != now_s {
            self.used_s.store(now_s, Relaxed);
        }
    }
}

/// A policy that reached a limit. Each is told once.
#[derive(Clone, Debug)]
pub struct PolicyExpiry {
    /// Which.
    pub policy: Arc<Policy>,
    /// Hard: it is gone.
    pub hard: bool,
}

/// Numbers that the database chooses from: with the direction behind them, indices below 0x4000_0000.
const CHOSEN_NUMBERS: u32 = 0x0800_0000;

#[derive(Clone, Copy)]
enum Limit {
    Soft,
    Hard,
}

/// How a request names a policy.
#[derive(Clone, Copy, Debug)]
pub enum PolicyKey {
    /// By number.
    Index(u32),
    /// By what it applies to.
    Selector(PolicyDirection, Selector),
}

/// The policies. A clone is a draft: write into it, then hand it to `Database::replace_policies`.
#[derive(Clone, Debug, Default)]
pub struct Spd {
    policies: BTreeMap<u32, Arc<Policy>>,
    by_selector: HashMap<(PolicyDirection, Selector), u32>,
    /// Those that have a lifetime, and whether their soft limit was told.
    mortal: BTreeMap<u32, bool>,
    /// How many there are of each direction.
    counts: [usize; 3],
    serial: u64,
    last_number: u32,
    /// Counts changes; a draft is refused when it was drawn from an older generation.
    pub(crate) generation: u64,
}

impl Spd {
    /// Add a policy. Answers it with its index.
    ///
    /// Errors: `Exists` (equal direction and selector, or the index), `Full`, `Invalid`, `Unsupported`.
    pub fn add(&mut self, params: PolicyParams, now_s: u64) -> Result<Arc<Policy>, DatabaseError> {
        params.check()?;
        if self
            .by_selector
            .contains_key(&(params.direction, params.selector))
        {
            return Err(DatabaseError::Exists);
        }
        if self.policies.len() >= MAX_POLICIES {
            return Err(DatabaseError::Full("too many policies"));
        }
        let index = self.choose_index(&params)?;
        self.serial += 1;
        let params = PolicyParams { index, ..params };
        Ok(self.insert(Policy::new(params, self.serial, now_s)))
    }

    /// Replace the policy of equal direction and selector; it keeps its index and its age. Where there is none, add it.
    ///
    /// Errors: as `add`.
    pub fn update(
        &mut self,
        params: PolicyParams,
        now_s: u64,
    ) -> Result<Arc<Policy>, DatabaseError> {
        params.check()?;
        let Some(&index) = self.by_selector.get(&(params.direction, params.selector)) else {
            return self.add(params, now_s);
        };
        let old = &self.policies[&index];
        let policy = Policy {
            params: PolicyParams { index, ..params },
            ..Policy::clone(old)
        };
        Ok(self.insert(policy))
    }

    /// Delete a policy and answer it.
    ///
    /// Errors: `NoSuchPolicy`.
    pub fn delete(&mut self, key: PolicyKey) -> Result<Arc<Policy>, DatabaseError> {
        let policy = self.get(key).ok_or(DatabaseError::NoSuchPolicy)?;
        self.policies.remove(&policy.params.index);
        self.mortal.remove(&policy.params.index);
        self.counts[policy.params.direction as usize] -= 1;
        self.by_selector
            .remove(&(policy.params.direction, policy.params.selector));
        self.generation += 1;
        Ok(policy)
    }

    /// Delete all; answers how many there were.
    pub fn flush(&mut self) -> usize {
        let count = self.policies.len();
        self.policies.clear();
        self.by_selector.clear();
        self.mortal.clear();
        self.counts = [0; 3];
        self.generation += 1;
        count
    }

    /// Find a policy.
    pub fn get(&self, key: PolicyKey) -> Option<Arc<Policy>> {
        let index = match key {
            PolicyKey::Index(index) => index,
            PolicyKey::Selector(direction, selector) => {
                *self.by_selector.get(&(direction, selector))?
            }
        };
        self.policies.get(&index).cloned()
    }

    /// All policies, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// How many there are of a direction.
    pub fn count(&self, direction: PolicyDirection) -> usize {
        self.counts[direction as usize]
    }

    /// The policy of a direction and selector with its templates moved.
    ///
    /// Errors: `NoSuchPolicy`, `NoSuchTemplate`, `Invalid` where transport mode would have to change the family.
    pub(crate) fn migrated(
        &self,
        key: PolicyKey,
        migrations: &[Migration],
    ) -> Result<Policy, DatabaseError> {
        let old = self.get(key).ok_or(DatabaseError::NoSuchPolicy)?;
        let templates = migration::moved(&old.params.templates, migrations)
            .ok_or(DatabaseError::NoSuchTemplate)?;
        let params = PolicyParams {
            templates,
            ..old.params.clone()
        };
        params.check()?;
        Ok(Policy {
            params,
            ..Policy::clone(&old)
        })
    }

    /// Limits that were reached and not yet told. What reached a hard one is gone afterwards.
    pub(crate) fn expire(&mut self, now_s: u64) -> Vec<PolicyExpiry> {
        let mut expiries = Vec::new();
        for (index, soft_told) in &mut self.mortal {
            let Some(policy) = self.policies.get(index) else {
                continue;
            };
            let hard = policy.has_reached(Limit::Hard, now_s);
            let soft = !*soft_told && policy.has_reached(Limit::Soft, now_s);
            *soft_told |= soft;
            if hard || soft {
                let policy = Arc::clone(policy);
                expiries.push(PolicyExpiry { policy, hard });
            }
        }
        for expiry in expiries.iter().filter(|expiry| expiry.hard) {
            // It was found in the same table a moment ago.
            let _ = self.delete(PolicyKey::Index(expiry.policy.params.index));
        }
        expiries
    }

    /// Policies of a direction in the order in which they are asked.
    pub(crate) fn in_order(&self, direction: PolicyDirection) -> Vec<Arc<Policy>> {
        let mut list: Vec<_> = self
            .iter()
            .filter(|policy| policy.params.direction == direction)
            .cloned()
            .collect();
        list.sort_by_key(|policy| (policy.params.priority, policy.serial));
        list
    }

    pub(crate) fn insert(&mut self, policy: Policy) -> Arc<Policy> {
        let (index, key) = (
            policy.params.index,
            (policy.params.direction, policy.params.selector),
        );
        if policy.params.is_mortal() {
            self.mortal.insert(index, false);
        } else {
            self.mortal.remove(&index);
        }
        let policy = Arc::new(policy);
        let direction = policy.params.direction as usize;
        if self.policies.insert(index, Arc::clone(&policy)).is_none() {
            self.counts[direction] += 1;
        }
        self.by_selector.insert(key, index);
        self.generation += 1;
        policy
    }

    /// A free number whose lowest three bits are the direction, as the kernel's are. Those from 0x4000_0000 are for whoever
    /// gives policies their numbers.
    fn choose_index(&mut self, params: &PolicyParams) -> Result<u32, DatabaseError> {
        if params.index != 0 {
            let taken = self.policies.contains_key(&params.index);
            return if taken {
                Err(DatabaseError::Exists)
            } else {
                Ok(params.index)
            };
        }
        // Ends: there are more numbers than MAX_POLICIES.
        loop {
            self.last_number = (self.last_number + 1) % CHOSEN_NUMBERS;
            let index = self.last_number << 3 | params.direction as u32;
            if self.last_number != 0 && !self.policies.contains_key(&index) {
                return Ok(index);
            }
        }
    }
}

#[cfg(test)]
mod tests;
