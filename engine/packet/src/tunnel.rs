//! Tunnel mode around whole packets: the outer header that goes in front, and what came out (RFC 4301 sections 5.1.2, 5.2).

use std::ops::Range;

use crate::esp::{Content, Opened};
use crate::headers::{Front, HOP_LIMIT, Outer};
use crate::ip::Headers;
use crate::outer;
use crate::protect::{Choice, Parts, outer_pair};
use crate::reason::Drop;
use crate::sa::{FLAG_NOPMTUDISC, Sa};

/// Make `out` the outer header alone; next header and lengths are amended when the whole is there.
///
/// Errors: `Truncated`, `Malformed`.
pub(crate) fn begin<'a>(
    sa: &Sa,
    packet: &'a [u8],
    choice: &Choice,
    out: &mut Vec<u8>,
) -> Result<Parts<'a>, Drop> {
    let inner = Headers::parse(packet)?;
    let pair = outer_pair(sa).ok_or(Drop::Malformed)?;
    let may_be_fragmented = sa.params().flags & FLAG_NOPMTUDISC != 0;
    let header = Outer {
        pair,
        tos: outer::tos(sa, inner.tos),
        hop_limit: HOP_LIMIT,
        dont_fragment: !may_be_fragmented && choice.dont_fragment.over(packet),
        identification: choice.identification.max(1),
    };
    header.begin(sa.params().protocol.number(), 0, out)?;
    Ok(Parts {
        front: Front::before_upper(out)?,
        payload: &packet[..inner.length],
        content: Content {
            next_header: outer::next_header(&inner),
            pad_to: choice.pad_at_most.min(sa.params().tfc_padding as usize),
        },
    })
}

/// Judge the inner packet of an opened one and bring the outer header's congestion into it.
///
/// Errors: `WrongNextHeader`, `InnerMalformed`, `EcnMismatch`.
pub(crate) fn finish(
    sa: &Sa,
    packet: &mut [u8],
    opened: &Opened,
) -> Result<(Range<usize>, Headers), Drop> {
    let outer_tos = outer::read_tos(packet);
    let inner = &mut packet[opened.payload.clone()];
    let mut headers = outer::judge_inner(inner, opened.next_header)?;
    outer::apply_tos(sa, inner, outer_tos)?;
    headers.tos = outer::read_tos(inner);
    let start = opened.payload.start;
    Ok((start..start + headers.length, headers))
}

#[cfg(test)]
mod tests;
