//! The TUN: persistent, multi-queue, every packet behind a virtio-net header.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::device::{TunDevice, VNET_HEADER_OCTETS};
use crate::syscall::check;

/// Where the kernel offers its TUN driver.
pub const DEVICE_PATH: &str = "/dev/net/tun";

/// The flags never change: a persistent TUN refuses a re-attach with others.
const FLAGS: libc::c_int =
    libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;

const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO4: libc::c_uint = 0x02;
const TUN_F_TSO6: libc::c_uint = 0x04;
const TUN_F_USO4: libc::c_uint = 0x20;
const TUN_F_USO6: libc::c_uint = 0x40;

/// What the kernel agreed to leave to us when it writes into the TUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Packets may come without their transport checksum.
    pub checksum: bool,
    /// TCP over IPv4 may come as packets of up to 64 KiB.
    pub tso4: bool,
    /// TCP over IPv6 may come as packets of up to 64 KiB.
    pub tso6: bool,
    /// UDP over both families may come as many datagrams in one. The kernel takes the two together or not at all.
    pub uso: bool,
}

impl Offloads {
    /// Everything that this engine can take.
    pub const ALL: Self = Self {
        checksum: true,
        tso4: true,
        tso6: true,
        uso: true,
    };
    /// Whole packets with whole checksums only.
    pub const NONE: Self = Self {
        checksum: false,
        tso4: false,
        tso6: false,
        uso: false,
    };

    fn bits(self) -> libc::c_uint {
        let bit = |wanted: bool, value| if wanted { value } else { 0 };
        bit(self.checksum, TUN_F_CSUM)
            | bit(self.tso4, TUN_F_TSO4)
            | bit(self.tso6, TUN_F_TSO6)
            | bit(self.uso, TUN_F_USO4 | TUN_F_USO6)
    }

    /// The names of what was agreed, for logs and for GETINFO.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        [
            (self.checksum, "csum"),
            (self.tso4, "tso4"),
            (self.tso6, "tso6"),
            (self.uso, "uso"),
        ]
        .into_iter()
        .filter_map(|(agreed, name)| agreed.then_some(name))
        .collect()
    }
}

/// An open queue of a TUN.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    offloads: Offloads,
}

impl Tun {
    /// Opens the TUN `name`, which is made if it is not there, and agrees on as many of `wanted` as the kernel has.
    ///
    /// # Errors
    /// What the kernel says: no device (`ENOENT`, `ENODEV`), no privilege (`EPERM`, `EACCES`), a TUN with other flags (`EINVAL`).
    pub fn open(name: &str, wanted: Offloads) -> io::Result<Self> {
        let (file, offloads) = open_queue(name, wanted)?;
        Ok(Self {
            file,
            name: name.to_owned(),
            offloads,
        })
    }

    /// What the kernel agreed to.
    #[must_use]
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn open_queue(name: &str, wanted: Offloads) -> io::Result<(File, Offloads)> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(DEVICE_PATH)?;
    attach(&file, name)?;
    set_int(
        &file,
        libc::TUNSETVNETHDRSZ,
        VNET_HEADER_OCTETS as libc::c_int,
    )?;
    set_value(&file, libc::TUNSETPERSIST, 1)?;
    let offloads = agree(&file, wanted);
    Ok((file, offloads))
}

impl TunDevice for Tun {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.file).write_vectored(parts)
    }

    /// The descriptor keeps its number: threads that wait on it or use it meet the new interface.
    fn reopen(&self) -> io::Result<()> {
        let (file, _) = open_queue(&self.name, self.offloads)?;
        // SAFETY: both descriptors are open and ours; the old one is replaced in one step, so no thread ever meets a closed
        // or foreign one.
        check(unsafe { libc::dup3(file.as_raw_fd(), self.file.as_raw_fd(), libc::O_CLOEXEC) })
    }

    /// The interface that is gone already says `EBADFD`.
    fn forget(&self) -> io::Result<()> {
        set_value(&self.file, libc::TUNSETPERSIST, 0)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

/// Offloads are asked for one by one, and what is refused is left out: kernels before 6.2 have no USO, some none at all.
fn agree(file: &File, wanted: Offloads) -> Offloads {
    let mut agreed = Offloads::NONE;
    let steps: [fn(&mut Offloads, Offloads); 4] = [
        |to, from| to.checksum = from.checksum,
        |to, from| to.tso4 = from.tso4,
        |to, from| to.tso6 = from.tso6,
        |to, from| to.uso = from.uso,
    ];
    for step in steps {
        let mut next = agreed;
        step(&mut next, wanted);
        if next != agreed && set_value(file, libc::TUNSETOFFLOAD, next.bits()).is_ok() {
            agreed = next;
        }
    }
    if agreed == Offloads::NONE {
        // A re-attach may find what another process agreed on; the kernel that knows no offload refuses even this.
        let _ = set_value(file, libc::TUNSETOFFLOAD, 0);
    }
    agreed
}

fn attach(file: &File, name: &str) -> io::Result<()> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains(['\0', '/', '%']) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: ifreq is plain data, for which all octets zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = FLAGS as libc::c_short;
    // SAFETY: the descriptor is open and TUNSETIFF reads and writes one ifreq, which lives here.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

fn set_int(file: &File, request: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open and the request reads one int, which lives until the call returns.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request, &raw const value) })
}

fn set_value(file: &File, request: libc::Ioctl, value: libc::c_uint) -> io::Result<()> {
    // SAFETY: the descriptor is open and the request takes its argument by value.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request, libc::c_ulong::from(value)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_if_tun_h() {
        assert_eq!(Offloads::ALL.bits(), 0x67);
        assert_eq!(Offloads::NONE.bits(), 0);
        assert_eq!(Offloads::ALL.names(), ["csum", "tso4", "tso6", "uso"]);
    }

    #[test]
    fn a_name_that_is_none_is_refused_before_the_kernel_sees_it() {
        let file = File::open("/dev/null").unwrap();
        for name in ["", "a-name-that-is-too-long", "tun%d", "a/b"] {
            assert_eq!(
                attach(&file, name).unwrap_err().raw_os_error(),
                Some(libc::EINVAL)
            );
        }
    }
}
