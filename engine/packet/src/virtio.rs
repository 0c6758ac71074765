//! The header that a TUN with offload puts before each packet (`struct virtio_net_hdr`, VIRTIO 1.2 section 5.1.6).

/// Octets of the header as TUN has it unless told otherwise: without the number of buffers.
pub const VIRTIO_HEADER: usize = 10;

/// The checksum is partial: `checksum_start` and `checksum_offset` say how to complete it.
pub const NEEDS_CHECKSUM: u8 = 1;

/// One packet.
pub const GSO_NONE: u8 = 0;
/// TCP over IPv4, to be cut.
pub const GSO_TCPV4: u8 = 1;
/// TCP over IPv6, to be cut.
pub const GSO_TCPV6: u8 = 4;
/// UDP datagrams, to be cut.
pub const GSO_UDP_L4: u8 = 5;
/// Added to the type: the first segment carries CWR.
pub const GSO_ECN: u8 = 0x80;

/// The header; numbers are in host order on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtioHeader {
    /// `NEEDS_CHECKSUM` or 0; others are ignored.
    pub flags: u8,
    /// `GSO_*`.
    pub gso_type: u8,
    /// Octets of all headers; only a hint, and not believed.
    pub header_length: u16,
    /// Octets of payload of each segment.
    pub gso_size: u16,
    /// Where the checksum begins.
    pub checksum_start: u16,
    /// Where it goes, from there.
    pub checksum_offset: u16,
}

impl VirtioHeader {
    /// A packet that is complete.
    pub const NONE: VirtioHeader = VirtioHeader {
        flags: 0,
        gso_type: GSO_NONE,
        header_length: 0,
        gso_size: 0,
        checksum_start: 0,
        checksum_offset: 0,
    };

    /// Split what was read from the TUN into header and packet. None: too short.
    pub fn split(read: &[u8]) -> Option<(VirtioHeader, &[u8])> {
        let (header, packet) = read.split_first_chunk::<VIRTIO_HEADER>()?;
        Some((VirtioHeader::from_octets(header), packet))
    }

    /// Read.
    pub fn from_octets(octets: &[u8; VIRTIO_HEADER]) -> VirtioHeader {
        let number = |offset: usize| u16::from_ne_bytes([octets[offset], octets[offset + 1]]);
        VirtioHeader {
            flags: octets[0],
            gso_type: octets[1],
            header_length: number(2),
            gso_size: number(4),
            checksum_start: number(6),
            checksum_offset: number(8),
        }
    }

    /// Write.
    pub fn to_octets(&self) -> [u8; VIRTIO_HEADER] {
        let mut octets = [self.flags, self.gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
        let numbers = [
            self.header_length,
            self.gso_size,
            self.checksum_start,
            self.checksum_offset,
        ];
        for (place, number) in octets[2..].chunks_exact_mut(2).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        octets
    }
}
