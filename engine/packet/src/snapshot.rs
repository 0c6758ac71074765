//! What packets meet: an immutable picture of both databases, and every look-up in it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::ip::Headers;
use crate::policy_list::PolicyList;
use crate::reason::Drop;
use crate::sa::Sa;
use crate::sad::Sad;
use crate::spd::{Action, Policy, PolicyDirection, Spd, Template};

/// What becomes of a packet that leaves.
#[derive(Clone, Copy, Debug)]
pub enum Outbound<'a> {
    /// Seal it with this SA.
    Protect(&'a Arc<Sa>),
    /// The policy wants protection and no SA gives it: hold the packet and ask for one.
    NeedSa(&'a Arc<Policy>, &'a Template),
    /// The policy discards it: `PolicyDiscard`.
    Discard(&'a Arc<Policy>),
    /// The policy lets it pass in clear. It should not have come here: `NoPolicy`.
    Bypass(&'a Arc<Policy>),
    /// No policy: `NoPolicy`.
    NoPolicy,
}

/// The same, as places in the snapshot: what a flow cache remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Protect(u32),
    NeedSa(u32),
    Discard(u32),
    Bypass(u32),
    NoPolicy,
}

/// The policies of each direction. Snapshots between which no policy changed share them.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    out: PolicyList,
    inward: PolicyList,
    forward: PolicyList,
}

impl Policies {
    pub(crate) fn new(spd: &Spd) -> Policies {
        let list = |direction| PolicyList::new(spd.in_order(direction));
        Policies {
            out: list(PolicyDirection::Out),
            inward: list(PolicyDirection::In),
            forward: list(PolicyDirection::Fwd),
        }
    }
}

/// An immutable picture of both databases.
#[derive(Debug, Default)]
pub struct Snapshot {
    number: u64,
    policies: Arc<Policies>,
    sas: Vec<Arc<Sa>>,
    by_spi: HashMap<(u32, IpAddr), u32>,
    /// Places of outbound SAs, the newest first.
    by_reqid: HashMap<u32, Vec<u32>>,
}

impl Snapshot {
    /// A picture with a number of its own.
    pub(crate) fn new(number: u64, sad: &Sad, policies: Arc<Policies>) -> Snapshot {
        let mut snapshot = Snapshot {
            number,
            policies,
            sas: sad.newest_first(),
            ..Snapshot::default()
        };
        for (sa, place) in snapshot.sas.iter().zip(0u32..) {
            if sa.serves_inbound() {
                snapshot
                    .by_spi
                    .insert((sa.params().spi, sa.params().destination), place);
            }
            if sa.serves_outbound() {
                snapshot
                    .by_reqid
                    .entry(sa.params().reqid)
                    .or_default()
                    .push(place);
            }
        }
        snapshot
    }

    /// Its number: a higher one is newer.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The SA of an ESP packet, by the outer destination and the SPI. None: `UnknownSpi`.
    pub fn inbound(&self, destination: IpAddr, spi: u32) -> Option<&Arc<Sa>> {
        let place = self.by_spi.get(&(spi, destination))?;
        Some(&self.sas[*place as usize])
    }

    /// What becomes of a packet that leaves. Packets go through a `FlowCache`, which remembers the answer.
    pub fn outbound(&self, headers: &Headers) -> Outbound<'_> {
        self.resolve(self.decide(headers))
    }

    /// The valid SAs, the newest first.
    pub fn sas(&self) -> &[Arc<Sa>] {
        &self.sas
    }

    /// Whether a packet that came out of an SA may go on (RFC 4301 section 5.2).
    ///
    /// It must lie in the SA's selectors, and the first policy `in` or `fwd` that applies must ask for such an SA; neither may
    /// discard it. Errors: `SelectorMismatch`, `InboundPolicyMismatch`, `PolicyDiscard`.
    pub fn accept_inner(&self, sa: &Sa, headers: &Headers) -> Result<(), Drop> {
        if !sa.covers(headers) {
            return Err(Drop::SelectorMismatch);
        }
        let mut accepted = false;
        for list in [&self.policies.inward, &self.policies.forward] {
            let Some(place) = list.first_match(headers) else {
                continue;
            };
            let policy = &list.at(place).params;
            if policy.action == Action::Block {
                return Err(Drop::PolicyDiscard);
            }
            accepted |= policy
                .template
                .is_some_and(|template| template.satisfied_by(sa));
        }
        if accepted {
            Ok(())
        } else {
            Err(Drop::InboundPolicyMismatch)
        }
    }

    pub(crate) fn decide(&self, headers: &Headers) -> Decision {
        let Some(place) = self.policies.out.first_match(headers) else {
            return Decision::NoPolicy;
        };
        let policy = self.policies.out.at(place);
        match (policy.params.action, &policy.params.template) {
            (Action::Block, _) => Decision::Discard(place),
            (Action::Allow, None) => Decision::Bypass(place),
            (Action::Allow, Some(template)) => match self.newest_sa(template, headers) {
                Some(sa) => Decision::Protect(sa),
                None => Decision::NeedSa(place),
            },
        }
    }

    pub(crate) fn resolve(&self, decision: Decision) -> Outbound<'_> {
        match decision {
            Decision::Protect(sa) => Outbound::Protect(&self.sas[sa as usize]),
            Decision::Discard(place) => Outbound::Discard(self.policies.out.at(place)),
            Decision::Bypass(place) => Outbound::Bypass(self.policies.out.at(place)),
            Decision::NoPolicy => Outbound::NoPolicy,
            Decision::NeedSa(place) => {
                let policy = self.policies.out.at(place);
                match &policy.params.template {
                    Some(template) => Outbound::NeedSa(policy, template),
                    None => Outbound::NoPolicy,
                }
            }
        }
    }

    /// The newest SA that a template asks for and whose selectors cover the packet.
    fn newest_sa(&self, template: &Template, headers: &Headers) -> Option<u32> {
        let suits = |place: &u32| {
            let sa = &self.sas[*place as usize];
            sa.serves_outbound() && template.satisfied_by(sa) && sa.covers(headers)
        };
        if template.reqid == 0 {
            return (0..self.sas.len() as u32).find(suits);
        }
        self.by_reqid
            .get(&template.reqid)?
            .iter()
            .copied()
            .find(suits)
    }
}

#[cfg(test)]
mod tests;
