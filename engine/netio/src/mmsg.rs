//! Batches of datagrams in one system call: `recvmmsg` and `sendmmsg`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::device::{ReceiveBatch, Received, SLOT_OCTETS, Transmit};
use crate::message::{Address, CONTROL_OCTETS, Control};

/// Most datagrams of one call, in either direction: enough that the call costs little beside them.
pub const BATCH_DATAGRAMS: usize = 64;

/// Receives as many datagrams as are there and fit into `batch`. A datagram that was cut short by the host comes empty.
///
/// # Errors
/// What the kernel says, `WouldBlock` when there is nothing.
pub fn receive(socket: BorrowedFd<'_>, batch: &mut ReceiveBatch) -> io::Result<usize> {
    receive_behind::<CONTROL_OCTETS>(socket, batch, 0, |_, _, _| None)
}

/// The same, with `front` octets left free before each datagram and `OCTETS` of control messages. `finish` may write there what
/// it makes of the control messages; it answers how many octets of the free ones it used, the last before the
/// datagram; None makes the datagram come empty.
///
/// # Errors
/// As [`receive`].
pub(crate) fn receive_behind<const OCTETS: usize>(
    socket: BorrowedFd<'_>,
    batch: &mut ReceiveBatch,
    front: usize,
    finish: impl Fn(&Received, Messages<'_, OCTETS>, &mut [u8]) -> Option<usize>,
) -> io::Result<usize> {
    batch.filled = 0;
    let slots = batch.slots().min(BATCH_DATAGRAMS);
    let mut addresses = [Address::EMPTY; BATCH_DATAGRAMS];
    let mut controls = [Control::<OCTETS>::EMPTY; BATCH_DATAGRAMS];
    let mut vectors = [NO_VECTOR; BATCH_DATAGRAMS];
    // SAFETY: mmsghdr is plain data, for which all octets zero is a valid value.
    let mut headers: [libc::mmsghdr; BATCH_DATAGRAMS] = unsafe { std::mem::zeroed() };
    for (index, slot) in batch
        .memory
        .chunks_exact_mut(SLOT_OCTETS)
        .take(slots)
        .enumerate()
    {
        vectors[index] = libc::iovec {
            iov_base: slot[front..].as_mut_ptr().cast(),
            iov_len: SLOT_OCTETS - front,
        };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = (&raw mut addresses[index]).cast();
        header.msg_namelen = size_of::<Address>() as libc::socklen_t;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut controls[index]).cast();
        header.msg_controllen = size_of::<Control<OCTETS>>() as _;
    }
    // SAFETY: the first `slots` headers point at an address, a control buffer, a vector and a slot of their own, all alive
    // until after the call and of the lengths given; a null timeout means none.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            slots as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    let slots = batch.memory.chunks_exact_mut(SLOT_OCTETS);
    for (index, slot) in slots.take(count).enumerate() {
        let mut received = describe(&headers[index], &addresses[index], &controls[index]);
        batch.starts[index] = front;
        if received.octets > 0 && front > 0 {
            let length = headers[index].msg_hdr.msg_controllen;
            let used = finish(&received, (&controls[index], length), &mut slot[..front]);
            batch.starts[index] = front - used.unwrap_or(0);
            received.octets = used.map_or(0, |used| used + received.octets);
            received.segment_octets = received.octets;
        }
        batch.received[index] = received;
    }
    batch.filled = count;
    Ok(count)
}

/// The control messages of one datagram, and how many octets of them count.
pub(crate) type Messages<'a, const OCTETS: usize> = (&'a Control<OCTETS>, usize);

fn describe<const OCTETS: usize>(
    header: &libc::mmsghdr,
    address: &Address,
    control: &Control<OCTETS>,
) -> Received {
    let mut received = Received::EMPTY;
    let Some(remote) = address.parse() else {
        return received;
    };
    let truncated = header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    received.remote = remote;
    received.octets = if truncated {
        0
    } else {
        (header.msg_len as usize).min(SLOT_OCTETS)
    };
    control.parse(header.msg_hdr.msg_controllen, &mut received);
    if received.segment_octets == 0 || received.segment_octets > received.octets {
        received.segment_octets = received.octets;
    }
    received
}

/// Sends datagrams from the front, at most [`BATCH_DATAGRAMS`], and returns how many left.
///
/// # Errors
/// What the kernel says of the first datagram; the others were not tried.
pub fn send(socket: BorrowedFd<'_>, transmits: &[Transmit<'_>]) -> io::Result<usize> {
    let transmits = &transmits[..transmits.len().min(BATCH_DATAGRAMS)];
    let mut addresses = [Address::EMPTY; BATCH_DATAGRAMS];
    let mut controls = [Control::<CONTROL_OCTETS>::EMPTY; BATCH_DATAGRAMS];
    let mut vectors = [NO_VECTOR; BATCH_DATAGRAMS];
    // SAFETY: mmsghdr is plain data, for which all octets zero is a valid value.
    let mut headers: [libc::mmsghdr; BATCH_DATAGRAMS] = unsafe { std::mem::zeroed() };
    for (index, transmit) in transmits.iter().enumerate() {
        let (address, address_octets) = Address::emit(&transmit.remote);
        let (control, control_octets) = Control::emit(transmit);
        addresses[index] = address;
        controls[index] = control;
        vectors[index] = libc::iovec {
            iov_base: transmit.octets.as_ptr().cast_mut().cast(),
            iov_len: transmit.octets.len(),
        };
        let header = &mut headers[index].msg_hdr;
        header.msg_name = (&raw mut addresses[index]).cast();
        header.msg_namelen = address_octets as libc::socklen_t;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut controls[index]).cast();
        header.msg_controllen = control_octets as _;
    }
    // SAFETY: the headers point at addresses, control messages, vectors and octets that live until after the call and have
    // the lengths given; the kernel only reads what the vectors point at.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            transmits.len() as libc::c_uint,
            (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

const NO_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};
