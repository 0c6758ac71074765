//! A packet's headers as AH covers them: what changes on the way and cannot be foreseen counts as zero, what can be foreseen
//! counts as it will arrive (RFC 4302 section 3.3.3.1 and appendix A).

use std::ops::Range;

use crate::headers::{Extension, Extensions};
use crate::ip::protocol;
use crate::options::Options;
use crate::reason::Drop;

const DESTINATION_IPV4: Range<usize> = 16..20;
const DESTINATION_IPV6: Range<usize> = 24..40;

const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
/// Options that do not change (RFC 4302 appendix A1): security, extended security, commercial security, router alert, sender
/// directed multi-destination delivery. All others count as zero, the unknown ones too.
const IMMUTABLE_OPTIONS: [u8; 5] = [130, 133, 134, 148, 149];
/// A source route's type, length and pointer.
const SOURCE_ROUTE_HEADER: usize = 3;

/// The bit of an IPv6 option's type that says that its data may change (RFC 8200 section 4.2).
const MAY_CHANGE: u8 = 0x20;
const PAD1: u8 = 0;
const ROUTING_TYPE_0: u8 = 0;
const ROUTING_TYPE_2: u8 = 2;
const ROUTING_HEADER: usize = 8;
const ADDRESS_IPV6: usize = 16;

/// Copy the headers in front of AH, the last of which says that AH follows, in the form that the ICV covers.
///
/// Errors: `Malformed`, `AhUnpredictable` for a routing header of another kind than 0 and 2 that is still under way.
pub(super) fn headers(headers: &[u8]) -> Result<Vec<u8>, Drop> {
    let mut covered = headers.to_vec();
    match covered[0] >> 4 {
        4 => cover_ipv4(&mut covered)?,
        _ => cover_ipv6(&mut covered)?,
    }
    Ok(covered)
}

/// Type of service, flags with offset, time to live and checksum change on the way.
fn cover_ipv4(header: &mut [u8]) -> Result<(), Drop> {
    header[1] = 0;
    header[6..9].fill(0);
    header[10..12].fill(0);
    let options: Vec<Range<usize>> = Options::of(header).collect::<Result<_, _>>()?;
    for option in options {
        match header[option.start] {
            kind if IMMUTABLE_OPTIONS.contains(&kind) => continue,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => foresee_destination(header, &option)?,
            _ => {}
        }
        header[option].fill(0);
    }
    Ok(())
}

/// The destination of a packet with a source route is, in the end, the last address of the route. Where the pointer is
/// behind the route, the packet has arrived there already.
fn foresee_destination(header: &mut [u8], option: &Range<usize>) -> Result<(), Drop> {
    if option.len() < SOURCE_ROUTE_HEADER {
        return Err(Drop::Malformed);
    }
    let pointer = usize::from(header[option.start + 2]);
    if pointer > option.len() {
        return Ok(());
    }
    if option.len() < SOURCE_ROUTE_HEADER + 4 {
        return Err(Drop::Malformed);
    }
    header.copy_within(option.end - 4..option.end, DESTINATION_IPV4.start);
    Ok(())
}

/// Traffic class, flow label and hop limit change on the way.
fn cover_ipv6(headers: &mut [u8]) -> Result<(), Drop> {
    headers[0] = 0x60;
    headers[1..4].fill(0);
    headers[7] = 0;
    let extensions: Vec<Extension> = Extensions::of(headers).collect::<Result<_, _>>()?;
    for extension in extensions {
        match extension.protocol {
            protocol::ROUTING => foresee_route(headers, &extension)?,
            _ => cover_options(&mut headers[extension.start + 2..extension.end])?,
        }
    }
    Ok(())
}

/// The data of an option that may change counts as zero; its type and length do not change.
fn cover_options(mut options: &mut [u8]) -> Result<(), Drop> {
    while let Some(&kind) = options.first() {
        if kind == PAD1 {
            options = &mut options[1..];
            continue;
        }
        let length = usize::from(*options.get(1).ok_or(Drop::Malformed)?);
        let (option, rest) = options
            .split_at_mut_checked(2 + length)
            .ok_or(Drop::Malformed)?;
        if kind & MAY_CHANGE != 0 {
            option[2..].fill(0);
        }
        options = rest;
    }
    Ok(())
}

/// A routing header as it will arrive: each node that is still to come puts its own address where the next one stood.
fn foresee_route(headers: &mut [u8], extension: &Extension) -> Result<(), Drop> {
    let header = &headers[extension.start..extension.end];
    let (kind, left) = (header[2], usize::from(header[3]));
    if left == 0 {
        return Ok(());
    }
    if kind != ROUTING_TYPE_0 && kind != ROUTING_TYPE_2 {
        return Err(Drop::AhUnpredictable);
    }
    let route = header.len() - ROUTING_HEADER;
    if route % ADDRESS_IPV6 != 0 || left > route / ADDRESS_IPV6 {
        return Err(Drop::Malformed);
    }
    let to_come = extension.end - left * ADDRESS_IPV6..extension.end;
    let mut destination = [0; ADDRESS_IPV6];
    destination.copy_from_slice(&headers[DESTINATION_IPV6]);
    headers.copy_within(
        extension.end - ADDRESS_IPV6..extension.end,
        DESTINATION_IPV6.start,
    );
    headers[to_come.clone()].rotate_right(ADDRESS_IPV6);
    headers[to_come.start..][..ADDRESS_IPV6].copy_from_slice(&destination);
    headers[extension.start + 3] = 0;
    Ok(())
}
