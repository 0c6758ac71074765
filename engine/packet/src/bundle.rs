//! Which SAs protect a packet that leaves: a policy's templates resolved one after another (RFC 4301 section 4.4.1.1).

use std::net::IpAddr;
use std::sync::Arc;

use crate::index::SaIndex;
use crate::ip::{Headers, protocol};
use crate::sa::{Mode, Protocol, Sa};
use crate::snapshot::Outbound;
use crate::spd::{Policy, Template};

/// An SA, and the mode in which it is applied to a packet or was taken off it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The SA.
    pub sa: Arc<Sa>,
    /// Transport or tunnel; never any.
    pub mode: Mode,
}

impl Step {
    /// What a packet that arrived came out of. `next_header`: what stood there, which decides where the SA takes either mode.
    pub fn opened(sa: &Arc<Sa>, next_header: u8) -> Step {
        let mode = match (sa.params().mode, next_header) {
            (Mode::Any, protocol::IPV4 | protocol::IPV6) => Mode::Tunnel,
            (Mode::Any, _) => Mode::Transport,
            (mode, _) => mode,
        };
        Step {
            sa: Arc::clone(sa),
            mode,
        }
    }
}

/// What a packet that leaves goes through.
#[derive(Debug)]
pub struct Bundle {
    policy: Arc<Policy>,
    steps: Vec<Step>,
    missing: Option<Arc<Need>>,
}

impl Bundle {
    /// The policy that asked for it.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// One to six SAs in the order in which they are applied: the innermost first.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The first optional SA that is not there: the packet goes on without it, and the SA is asked for.
    pub fn missing(&self) -> Option<&Arc<Need>> {
        self.missing.as_ref()
    }

    /// The SA of the common case: exactly one, ESP in tunnel mode.
    pub fn single_tunnel(&self) -> Option<&Arc<Sa>> {
        match self.steps.as_slice() {
            [step] if step.mode == Mode::Tunnel && step.sa.params().protocol == Protocol::Esp => {
                Some(&step.sa)
            }
            _ => None,
        }
    }
}

/// An SA that is not there.
#[derive(Clone, Debug)]
pub struct Need {
    /// The policy that asks for it.
    pub policy: Arc<Policy>,
    /// The place of its template among the policy's.
    pub template: usize,
    /// The source that it is to have; unspecified: any.
    pub source: IpAddr,
    /// The destination that it is to have; unspecified: any.
    pub destination: IpAddr,
}

impl Need {
    /// The template that asks for it.
    pub fn template(&self) -> &Template {
        &self.policy.params.templates[self.template]
    }
}

/// Both ends of a packet's outermost header.
type Ends = (IpAddr, IpAddr);

/// Find the SA of each template of a policy that has some.
pub(crate) fn resolve(sas: &SaIndex, policy: &Arc<Policy>, headers: &Headers) -> Outbound {
    let mut ends = (headers.source, headers.destination);
    let (mut steps, mut missing) = (Vec::new(), None);
    for (number, template) in policy.params.templates.iter().enumerate() {
        let wanted = wanted_ends(template, ends);
        if let Some(sa) = newest(sas, template, wanted, headers) {
            if template.mode == Mode::Tunnel {
                ends = (sa.params().source, sa.params().destination);
            }
            steps.push(Step {
                sa: Arc::clone(sa),
                mode: template.mode,
            });
            continue;
        }
        let need = || {
            Arc::new(Need {
                policy: Arc::clone(policy),
                template: number,
                source: wanted.0,
                destination: wanted.1,
            })
        };
        if !template.optional {
            return Outbound::NeedSa(need());
        }
        missing = missing.or_else(|| Some(need()));
    }
    match missing {
        Some(need) if steps.is_empty() => Outbound::Clear(need),
        missing => Outbound::Protect(Arc::new(Bundle {
            policy: Arc::clone(policy),
            steps,
            missing,
        })),
    }
}

/// The ends that an SA is to have. In transport mode they are the packet's, whatever the template says.
fn wanted_ends(template: &Template, packet: Ends) -> Ends {
    match template.mode {
        Mode::Transport => packet,
        _ => (template.source, template.destination),
    }
}

/// The newest SA that a template asks for and whose selectors cover the packet. Those are judged on the packet as it was
/// before the first SA, as the kernel does.
fn newest<'a>(
    sas: &'a SaIndex,
    template: &Template,
    wanted: Ends,
    headers: &Headers,
) -> Option<&'a Arc<Sa>> {
    let suits = |sa: &&Arc<Sa>| {
        template.satisfied_by(sa)
            && (template.mode != Mode::Transport || is_between(sa, wanted))
            && sa.covers(headers)
    };
    sas.candidates(template, wanted.1).find(suits)
}

/// Whether an SA is from one end to the other; its source may be any.
pub(crate) fn is_between(sa: &Sa, (source, destination): Ends) -> bool {
    let params = sa.params();
    params.destination == destination && (params.source == source || params.source.is_unspecified())
}

#[cfg(test)]
mod tests;
