//! UNIX `SOCK_SEQPACKET`: a listening socket and its connections, none of which ever blocks.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::socket;
use crate::syscall::check;

/// Connections that may wait to be accepted.
const BACKLOG: libc::c_int = 16;
/// `sun_path`, one octet of which is the terminating zero.
const PATH_OCTETS: usize = 108;

/// Who is at the other end of a connection, as the kernel saw it when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Listens at `path`, where nothing may be yet.
    ///
    /// # Errors
    /// What the kernel says: `EADDRINUSE` where a file is, `EINVAL` or `ENAMETOOLONG` for a path over 107 octets.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let socket = socket::create(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
        let (address, length) = unix_address(path)?;
        // SAFETY: the address lives until the call returns and has `length` octets.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        // SAFETY: the call has no pointers.
        check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
        Ok(Self { socket })
    }

    /// The next connection that waits; `WouldBlock` when there is none.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn accept(&self) -> io::Result<Connection> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: null pointers say that the other end's address is not wanted.
        let descriptor = unsafe {
            libc::accept4(
                self.socket.as_raw_fd(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                flags,
            )
        };
        check(descriptor)?;
        // SAFETY: the kernel just gave us this descriptor and nobody else has it.
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Connection { socket })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl Connection {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the kernel says: `ENOENT` where nothing is, `ECONNREFUSED` where nobody listens any more.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = socket::create(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
        let (address, length) = unix_address(path)?;
        // SAFETY: the address lives until the call returns and has `length` octets.
        check(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(Self { socket })
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn credentials(&self) -> io::Result<Credentials> {
        let mut peer = libc::ucred {
            pid: 0,
            uid: u32::MAX,
            gid: u32::MAX,
        };
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` octets to a ucred that lives until the call returns.
        check(unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        })?;
        Ok(Credentials {
            pid: peer.pid as u32,
            uid: peer.uid,
            gid: peer.gid,
        })
    }

    /// Receives one datagram into `buffer`; `Ok(0)` when the other end closed, `InvalidData` when the datagram was longer
    /// than the buffer (it is gone then).
    ///
    /// # Errors
    /// What the kernel says, `WouldBlock` when there is nothing.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the kernel writes at most `buffer.len()` octets to the buffer.
        let octets = unsafe {
            libc::recv(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                flags,
            )
        };
        let octets = usize::try_from(octets).map_err(|_| io::Error::last_os_error())?;
        if octets > buffer.len() {
            Err(io::ErrorKind::InvalidData.into())
        } else {
            Ok(octets)
        }
    }

    /// Sends one datagram whole.
    ///
    /// # Errors
    /// What the kernel says, `WouldBlock` when the other end does not read.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the kernel reads `octets.len()` octets from the slice.
        let sent = unsafe {
            libc::send(
                self.socket.as_raw_fd(),
                octets.as_ptr().cast(),
                octets.len(),
                flags,
            )
        };
        if sent < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Two connected ends, for tests.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn pair() -> io::Result<(Self, Self)> {
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let mut ends = [0; 2];
        // SAFETY: the kernel writes two ints to an array of two.
        check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
        // SAFETY: the kernel just gave us these descriptors and nobody else has them.
        let [ours, theirs] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        Ok((Self { socket: ours }, Self { socket: theirs }))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `struct sockaddr_un`.
#[repr(C)]
struct UnixAddress {
    family: libc::sa_family_t,
    path: [u8; PATH_OCTETS],
}

fn unix_address(path: &Path) -> io::Result<(UnixAddress, libc::socklen_t)> {
    let octets = path.as_os_str().as_bytes();
    if octets.is_empty() || octets.len() >= PATH_OCTETS || octets.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    let mut address = UnixAddress {
        family: libc::AF_UNIX as libc::sa_family_t,
        path: [0; PATH_OCTETS],
    };
    address.path[..octets.len()].copy_from_slice(octets);
    Ok((
        address,
        (size_of::<libc::sa_family_t>() + octets.len() + 1) as libc::socklen_t,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_keep_their_borders_and_a_long_one_is_named() {
        let (ours, theirs) = Connection::pair().unwrap();
        theirs.send(b"one").unwrap();
        theirs.send(b"much too long").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(ours.receive(&mut buffer).unwrap(), 3);
        assert_eq!(
            ours.receive(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        assert_eq!(
            ours.receive(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drop(theirs);
        assert_eq!(ours.receive(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_listener_knows_who_connects() {
        let path = std::env::temp_dir().join(format!("culvert-netio-{}", std::process::id()));
        let listener = Listener::bind(&path).unwrap();
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let theirs = Connection::connect(&path).unwrap();
        let ours = listener.accept().unwrap();
        assert_eq!(ours.credentials().unwrap().pid, std::process::id());
        assert_eq!(
            Listener::bind(&path).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(theirs);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        let path = Path::new("/").join("x".repeat(200));
        assert_eq!(
            Listener::bind(&path).unwrap_err().raw_os_error(),
            Some(libc::ENAMETOOLONG)
        );
    }
}
