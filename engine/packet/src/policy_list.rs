//! Policies of one direction in the order in which they are asked, found by what a packet is and not by walking them all.
//!
//! Selectors of one shape ask for the same bits of a packet, so one look into a hash table answers for all of them. A
//! security policy database has many policies and few shapes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use crate::hash::QuickMap;
use crate::ip::Headers;
use crate::selector::{Prefix, Selector};
use crate::spd::Policy;

/// Which bits of a packet a selector looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    ipv4: bool,
    source_length: u8,
    destination_length: u8,
    protocol: bool,
    port_masks: (u16, u16),
}

/// What those bits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bits {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
}

impl Shape {
    fn of(selector: &Selector) -> Shape {
        Shape {
            ipv4: selector.is_ipv4(),
            source_length: selector.source().length(),
            destination_length: selector.destination().length(),
            protocol: selector.protocol != 0,
            port_masks: (selector.source_port.mask, selector.destination_port.mask),
        }
    }

    fn bits_of_selector(&self, selector: &Selector) -> Bits {
        Bits {
            source: selector.source().address(),
            destination: selector.destination().address(),
            protocol: selector.protocol,
            ports: self.masked((selector.source_port.port, selector.destination_port.port)),
        }
    }

    /// None: no selector of this shape matches such a packet.
    fn bits_of_packet(&self, headers: &Headers) -> Option<Bits> {
        let ports = match headers.ports {
            Some(ports) => self.masked(ports),
            None if self.port_masks == (0, 0) => (0, 0),
            None => return None,
        };
        Some(Bits {
            source: self.prefix(headers.source, self.source_length)?,
            destination: self.prefix(headers.destination, self.destination_length)?,
            protocol: if self.protocol { headers.protocol } else { 0 },
            ports,
        })
    }

    fn prefix(&self, address: IpAddr, length: u8) -> Option<IpAddr> {
        if address.is_ipv4() != self.ipv4 {
            return None;
        }
        Prefix::new(address, length).map(|prefix| prefix.address())
    }

    fn masked(&self, (source, destination): (u16, u16)) -> (u16, u16) {
        (source & self.port_masks.0, destination & self.port_masks.1)
    }
}

/// The policies of one shape.
#[derive(Debug)]
struct Group {
    shape: Shape,
    /// The place of the one that is asked first.
    first: u32,
    places: QuickMap<Bits, u32>,
}

/// An immutable list of policies.
#[derive(Debug, Default)]
pub(crate) struct PolicyList {
    policies: Vec<Arc<Policy>>,
    /// In the order of their first policies.
    groups: Vec<Group>,
}

impl PolicyList {
    /// A list of policies that are in the order in which they are asked.
    pub(crate) fn new(policies: Vec<Arc<Policy>>) -> PolicyList {
        let (mut groups, mut known) = (Vec::<Group>::new(), HashMap::new());
        for (policy, place) in policies.iter().zip(0u32..) {
            let selector = &policy.params.selector;
            let shape = Shape::of(selector);
            let number = *known.entry(shape).or_insert_with(|| {
                groups.push(Group {
                    shape,
                    first: place,
                    places: QuickMap::default(),
                });
                groups.len() - 1
            });
            // Of two that look for the same bits only the first is ever reached.
            if let Entry::Vacant(free) = groups[number]
                .places
                .entry(shape.bits_of_selector(selector))
            {
                free.insert(place);
            }
        }
        PolicyList { policies, groups }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The first policy that applies.
    pub(crate) fn first_match(&self, headers: &Headers) -> Option<&Arc<Policy>> {
        let place = self.first_place(headers)?;
        Some(&self.policies[place as usize])
    }

    fn first_place(&self, headers: &Headers) -> Option<u32> {
        let mut found: Option<u32> = None;
        for group in &self.groups {
            if found.is_some_and(|found| found < group.first) {
                break;
            }
            let bits = group.shape.bits_of_packet(headers);
            let place = bits.and_then(|bits| group.places.get(&bits).copied());
            found = found.into_iter().chain(place).min();
        }
        found
    }
}

#[cfg(test)]
mod tests;
