//! Whether what a packet came out of is what a policy asks for (RFC 4301 section 5.2).

use std::net::IpAddr;

use crate::bundle::{Step, is_between};
use crate::ip::Headers;
use crate::reason::Drop;
use crate::sa::Mode;
use crate::spd::{Action, PolicyParams, Template};

/// Whether a policy lets a packet go on that came out of these SAs, the outermost first.
///
/// Errors: `PolicyDiscard`, `InboundPolicyMismatch`.
pub(crate) fn accepts(
    policy: &PolicyParams,
    secpath: &[Step],
    headers: &Headers,
) -> Result<(), Drop> {
    if policy.action == Action::Block {
        return Err(Drop::PolicyDiscard);
    }
    if matches(&policy.templates, secpath, headers) {
        Ok(())
    } else {
        Err(Drop::InboundPolicyMismatch)
    }
}

/// Whether each SA was asked for by a template and each template has its SA, in their order. The last template is the
/// outermost, so both lists are taken apart from the outside. At most six of each: 2^6 ways where all are optional.
fn matches(templates: &[Template], secpath: &[Step], headers: &Headers) -> bool {
    let Some((template, inner_templates)) = templates.split_last() else {
        return secpath.is_empty();
    };
    let taken = secpath.split_first().is_some_and(|(step, inner)| {
        satisfied(template, step, inner, headers) && matches(inner_templates, inner, headers)
    });
    taken || (template.optional && matches(inner_templates, secpath, headers))
}

/// Whether an SA is a template's. `inner`: what was opened after it.
fn satisfied(template: &Template, step: &Step, inner: &[Step], headers: &Headers) -> bool {
    template.mode == step.mode
        && template.satisfied_by(&step.sa)
        && (step.mode != Mode::Transport || is_of_its_hosts(step, inner, headers))
}

/// In transport mode the ends of the SA are those of the packet that it carried: nobody speaks for another host. Behind a
/// NAT the address in the packet is the translator's to choose.
fn is_of_its_hosts(step: &Step, inner: &[Step], headers: &Headers) -> bool {
    let (source, destination) = ends_within(inner, headers);
    let source = match step.sa.params().encap {
        Some(_) => step.sa.params().source,
        None => source,
    };
    is_between(&step.sa, (source, destination))
}

/// The ends of the packet that an SA carried: those of the next tunnel within, or of the innermost packet.
fn ends_within(inner: &[Step], headers: &Headers) -> (IpAddr, IpAddr) {
    let tunnel = inner.iter().find(|step| step.mode == Mode::Tunnel);
    tunnel.map_or((headers.source, headers.destination), |step| {
        (step.sa.params().source, step.sa.params().destination)
    })
}

#[cfg(test)]
mod tests;
