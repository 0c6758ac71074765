//! What packets meet: an immutable picture of both databases, and every look-up in it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::bundle::{Bundle, Need, Step};
use crate::index::SaIndex;
use crate::ip::Headers;
use crate::policy_list::PolicyList;
use crate::reason::Drop;
use crate::sa::{Mode, Protocol, Sa};
use crate::sad::Sad;
use crate::spd::{Action, Policy, PolicyDirection, PolicyParams, Spd};
use crate::{bundle, secpath};

/// What becomes of a packet that leaves.
#[derive(Clone, Debug)]
pub enum Outbound {
    /// Apply these SAs.
    Protect(Arc<Bundle>),
    /// The policy wants protection and no SA gives it: hold the packet and ask for one.
    NeedSa(Arc<Need>),
    /// The policy would have it protected, if an SA were there: send it in clear, and ask for one.
    Clear(Arc<Need>),
    /// The policy discards it: `PolicyDiscard`.
    Discard(Arc<Policy>),
    /// The policy lets it pass in clear.
    Bypass(Arc<Policy>),
    /// No policy.
    NoPolicy,
}

impl Outbound {
    /// The policy that decided, if there is one.
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        match self {
            Outbound::Protect(bundle) => Some(bundle.policy()),
            Outbound::NeedSa(need) | Outbound::Clear(need) => Some(&need.policy),
            Outbound::Discard(policy) | Outbound::Bypass(policy) => Some(policy),
            Outbound::NoPolicy => None,
        }
    }
}

/// The policies of each direction. Snapshots between which no policy changed share them.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    out: PolicyList,
    inward: PolicyList,
    forward: PolicyList,
    /// What leaves has to be whole: a policy begins with transport mode, or looks at ports.
    want_whole: bool,
}

impl Policies {
    pub(crate) fn new(spd: &Spd) -> Policies {
        let list = |direction| PolicyList::new(spd.in_order(direction));
        let out = spd.in_order(PolicyDirection::Out);
        Policies {
            want_whole: out.iter().any(|policy| wants_whole(&policy.params)),
            out: PolicyList::new(out),
            inward: list(PolicyDirection::In),
            forward: list(PolicyDirection::Fwd),
        }
    }
}

fn wants_whole(policy: &PolicyParams) -> bool {
    let selector = &policy.selector;
    let first = policy.templates.first();
    first.is_some_and(|template| template.mode == Mode::Transport)
        || (selector.source_port.mask, selector.destination_port.mask) != (0, 0)
}

/// An immutable picture of both databases.
#[derive(Debug, Default)]
pub struct Snapshot {
    number: u64,
    policies: Arc<Policies>,
    sas: SaIndex,
}

impl Snapshot {
    /// A picture with a number of its own.
    pub(crate) fn new(number: u64, sad: &Sad, policies: Arc<Policies>) -> Snapshot {
        Snapshot {
            number,
            policies,
            sas: SaIndex::new(sad.newest_first()),
        }
    }

    /// Its number: a higher one is newer.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The SA of a packet that arrived, by its outer destination, SPI and protocol. None: `UnknownSpi`.
    pub fn inbound(&self, destination: IpAddr, spi: u32, protocol: Protocol) -> Option<&Arc<Sa>> {
        self.sas.inbound(destination, spi, protocol)
    }

    /// The SA of ours that a packet which left was sealed with, by its outer destination, SPI and protocol: for what others
    /// quote of it.
    pub fn outbound_sa(
        &self,
        destination: IpAddr,
        spi: u32,
        protocol: Protocol,
    ) -> Option<&Arc<Sa>> {
        self.sas.outbound(destination, spi, protocol)
    }

    /// Whether fragments that leave have to be put together first.
    pub fn wants_whole(&self) -> bool {
        self.policies.want_whole
    }

    /// Whether it matters if a packet that arrived is forwarded: there are policies for those.
    pub fn judges_forwarded(&self) -> bool {
        !self.policies.forward.is_empty()
    }

    /// The valid SAs, the newest first.
    pub fn sas(&self) -> &[Arc<Sa>] {
        self.sas.all()
    }

    /// What becomes of a packet that leaves. Packets go through a `FlowCache`, which remembers the answer.
    pub fn outbound(&self, headers: &Headers) -> Outbound {
        let Some(policy) = self.policies.out.first_match(headers) else {
            return Outbound::NoPolicy;
        };
        if policy.params.action == Action::Block {
            return Outbound::Discard(Arc::clone(policy));
        }
        if policy.params.templates.is_empty() {
            return Outbound::Bypass(Arc::clone(policy));
        }
        bundle::resolve(&self.sas, policy, headers)
    }

    /// Whether a packet may go on, with what it came out of (RFC 4301 section 5.2).
    ///
    /// `secpath`: the SAs that were opened, the outermost first; empty for a packet that came in clear. `headers`: of what
    /// came out. `forwarded`: it is not for this host.
    ///
    /// The packet must lie in every SA's selectors. The first policy `in` that applies must ask for exactly these SAs, and
    /// where the packet is forwarded and a policy `fwd` applies, so must that. With no policy at all only what came in clear
    /// may go on.
    ///
    /// Errors: `SelectorMismatch`, `InboundPolicyMismatch`, `PolicyDiscard`.
    pub fn accept(&self, secpath: &[Step], headers: &Headers, forwarded: bool) -> Result<(), Drop> {
        if !secpath.iter().all(|step| step.sa.covers(headers)) {
            return Err(Drop::SelectorMismatch);
        }
        let [inward, forward] = self.inward_policies(headers, forwarded);
        if inward.is_none() && forward.is_none() && !secpath.is_empty() {
            return Err(Drop::InboundPolicyMismatch);
        }
        let mut policies = inward.into_iter().chain(forward);
        policies.try_for_each(|policy| secpath::accepts(&policy.params, secpath, headers))
    }

    /// The policies that judge a packet that arrived: `in`, and `fwd` if it is forwarded.
    pub(crate) fn inward_policies(
        &self,
        headers: &Headers,
        forwarded: bool,
    ) -> [Option<&Arc<Policy>>; 2] {
        let forward = forwarded.then(|| self.policies.forward.first_match(headers));
        [self.policies.inward.first_match(headers), forward.flatten()]
    }
}

#[cfg(test)]
mod tests;
