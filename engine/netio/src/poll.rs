//! Waiting: `poll` over descriptors, and an event that one thread sets for another.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What to wait for at one descriptor. An error or the other end's closing is always reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Until something can be read.
    pub read: bool,
    /// Until something can be written.
    pub write: bool,
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Something can be read, be it the end.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
    /// The other end closed, or the descriptor has an error.
    pub closed: bool,
}

/// Waits until one of `descriptors` is ready, at most `timeout_ms`. The answer says which, in the same order.
///
/// # Errors
/// What the kernel says; an interrupting signal is no error, then none is ready.
pub fn wait(
    descriptors: &[(BorrowedFd<'_>, Interest)],
    timeout_ms: Option<u32>,
) -> io::Result<Vec<Ready>> {
    let mut polled: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|(descriptor, interest)| pollfd(*descriptor, *interest))
        .collect();
    let timeout = timeout_ms.map_or(-1, |ms| {
        libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
    });
    // SAFETY: the array lives until the call returns and has the length given.
    let result = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
    if result < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        polled.iter_mut().for_each(|one| one.revents = 0);
    }
    Ok(polled.iter().map(ready).collect())
}

/// Waits until one of `descriptors` can be read (or was closed); otherwise as [`wait`].
///
/// # Errors
/// What the kernel says.
pub fn wait_readable(
    descriptors: &[BorrowedFd<'_>],
    timeout_ms: Option<u32>,
) -> io::Result<Vec<bool>> {
    let interest = Interest {
        read: true,
        write: false,
    };
    let descriptors: Vec<_> = descriptors
        .iter()
        .map(|descriptor| (*descriptor, interest))
        .collect();
    Ok(wait(&descriptors, timeout_ms)?
        .into_iter()
        .map(|ready| ready.read || ready.closed)
        .collect())
}

fn pollfd(descriptor: BorrowedFd<'_>, interest: Interest) -> libc::pollfd {
    let read = if interest.read { libc::POLLIN } else { 0 };
    let write = if interest.write { libc::POLLOUT } else { 0 };
    libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: read | write,
        revents: 0,
    }
}

fn ready(polled: &libc::pollfd) -> Ready {
    let has = |bits| polled.revents & bits != 0;
    Ready {
        read: has(libc::POLLIN),
        write: has(libc::POLLOUT),
        closed: has(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL),
    }
}

/// A flag in the kernel (`eventfd`) that any thread sets and its owner waits for and clears.
#[derive(Debug)]
pub struct Event {
    descriptor: OwnedFd,
}

impl Event {
    /// A clear event.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        // SAFETY: the call has no pointers.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just gave us this descriptor and nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor })
    }

    /// Sets the event. It never blocks; setting a set event changes nothing.
    pub fn set(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight octets are read from an array of eight. The one failure, a full counter, leaves the event set.
        let _ = unsafe { libc::write(self.descriptor.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Clears the event.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        // SAFETY: eight octets are written to an array of eight. The one failure, a clear event, leaves it clear.
        let _ = unsafe {
            libc::read(
                self.descriptor.as_raw_fd(),
                count.as_mut_ptr().cast(),
                count.len(),
            )
        };
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_ready_while_it_is_set() {
        let (set, clear) = (Event::new().unwrap(), Event::new().unwrap());
        set.set();
        set.set();
        assert_eq!(
            wait_readable(&[set.as_fd(), clear.as_fd()], None).unwrap(),
            [true, false]
        );
        set.clear();
        assert_eq!(
            wait_readable(&[set.as_fd(), clear.as_fd()], Some(0)).unwrap(),
            [false, false]
        );
    }
}
