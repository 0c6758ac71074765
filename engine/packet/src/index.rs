//! The valid SAs of a snapshot, found by SPI when packets arrive, and by reqid or address when they leave.

use std::net::IpAddr;
use std::sync::Arc;

use crate::hash::QuickMap;
use crate::sa::{Protocol, Sa};
use crate::spd::Template;

/// An immutable list of SAs, the newest first.
#[derive(Debug, Default)]
pub(crate) struct SaIndex {
    sas: Vec<Arc<Sa>>,
    by_spi: QuickMap<(u32, IpAddr, Protocol), u32>,
    /// Places of all SAs for packets that leave, the newest first.
    outbound: Vec<u32>,
    /// The same by reqid.
    by_reqid: QuickMap<u32, Vec<u32>>,
    /// The same by destination.
    by_destination: QuickMap<IpAddr, Vec<u32>>,
}

impl SaIndex {
    /// An index of SAs that are in their order.
    pub(crate) fn new(sas: Vec<Arc<Sa>>) -> SaIndex {
        let mut index = SaIndex::default();
        for (sa, place) in sas.iter().zip(0u32..) {
            let params = sa.params();
            if sa.serves_inbound() {
                let key = (params.spi, params.destination, params.protocol);
                index.by_spi.insert(key, place);
            }
            if sa.serves_outbound() {
                index.outbound.push(place);
                let places = index.by_reqid.entry(params.reqid).or_default();
                places.push(place);
                let places = index.by_destination.entry(params.destination).or_default();
                places.push(place);
            }
        }
        index.sas = sas;
        index
    }

    /// All SAs, the newest first.
    pub(crate) fn all(&self) -> &[Arc<Sa>] {
        &self.sas
    }

    /// The SA of a packet that arrived.
    pub(crate) fn inbound(
        &self,
        destination: IpAddr,
        spi: u32,
        protocol: Protocol,
    ) -> Option<&Arc<Sa>> {
        let place = self.by_spi.get(&(spi, destination, protocol))?;
        Some(&self.sas[*place as usize])
    }

    /// The SA of a packet that left. One destination has few.
    pub(crate) fn outbound(
        &self,
        destination: IpAddr,
        spi: u32,
        protocol: Protocol,
    ) -> Option<&Arc<Sa>> {
        let places = self.by_destination.get(&destination)?;
        let mut sas = places.iter().map(|&place| &self.sas[place as usize]);
        sas.find(|sa| (sa.params().spi, sa.params().protocol) == (spi, protocol))
    }

    /// The SAs for packets that leave among which a template's is, the newest first. `destination`: which it must have; unspecified: any.
    pub(crate) fn candidates(
        &self,
        template: &Template,
        destination: IpAddr,
    ) -> impl Iterator<Item = &Arc<Sa>> {
        let places = if template.reqid != 0 {
            self.by_reqid.get(&template.reqid)
        } else if !destination.is_unspecified() {
            self.by_destination.get(&destination)
        } else {
            Some(&self.outbound)
        };
        let places = places.map_or(&[][..], Vec::as_slice);
        places.iter().map(|&place| &self.sas[place as usize])
    }
}
