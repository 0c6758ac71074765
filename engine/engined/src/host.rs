//! What the engine takes from its host at the start: sockets, TUN, control socket. Each refusal has a word for its cause.

use std::fmt;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netio::Datagrams;
use netio::header_included::HeaderIncluded;
use netio::icmp::IcmpErrors;
use netio::raw::RawSocket;
use netio::routes::KernelRoutes;
use netio::seqpacket::{Connection, Listener};
use netio::tun::{DEVICE_PATH, Offloads, Tun};
use netio::udp::{Family, UdpSocket};
use packet::ip::protocol;

use crate::log::{self, Level};
use crate::shared::{IKE_PORT, NAT_T_PORT, PerFamily, Socket};

/// `IPPROTO_RAW`.
const RAW: u8 = 255;
const SOCKET_MODE: u32 = 0o660;

/// What the host refused: one line that begins with a word for the cause.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Refused {
    fn new(cause: &str, what: &str, error: &io::Error) -> Self {
        Self(format!("{cause} {what}: {error}"))
    }

    /// A refusal about the process itself.
    pub fn of_process(error: &io::Error) -> Self {
        Self::about("this process", error)
    }

    /// A refusal about a socket, TUN or file, with the cause that its errno shows.
    fn about(what: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::new("NO_PERMISSION", what, error),
            _ => Self::new("HOST_REFUSED", what, error),
        }
    }

    /// A port that another program holds.
    fn port(port: u16, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self(format!("PORT_TAKEN {port}/udp")),
            _ => Self::about(&format!("{port}/udp"), error),
        }
    }

    fn tun(name: &str, error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EINVAL | libc::EBUSY) => Self::new("HOST_REFUSED", name, error),
            Some(libc::EPERM) if Path::new(DEVICE_PATH).exists() => {
                Self::new("NO_PERMISSION", name, error)
            }
            _ => Self::new("NO_TUN_DEVICE", DEVICE_PATH, error),
        }
    }
}

/// The sockets that carry packets.
pub struct Sockets {
    /// UDP 500.
    pub ike: PerFamily<Socket>,
    /// UDP 4500.
    pub nat_t: PerFamily<Socket>,
    /// Protocol 50.
    pub esp: PerFamily<Socket>,
    /// Protocol 51.
    pub ah: PerFamily<Socket>,
    /// For whole packets.
    pub whole: PerFamily<Socket>,
    /// The same without the mark.
    pub errors: PerFamily<Socket>,
    /// ICMP about packets that are too big.
    pub icmp: PerFamily<Socket>,
    /// The host's routes, as our packets meet them.
    pub routes: KernelRoutes,
}

impl Sockets {
    /// Opens them all, each with `mark`.
    ///
    /// # Errors
    /// The first that the host refuses. A host without IPv6 goes without.
    pub fn open(mark: u32) -> Result<Self, Refused> {
        let udp = |family, port| UdpSocket::bind(family, port, mark).map(share);
        let raw = |family, protocol| RawSocket::open(family, protocol, mark).map(share);
        let about_protocol = |number: u8| {
            move |error: &io::Error| Refused::about(&format!("protocol {number}"), error)
        };
        Ok(Self {
            ike: both(
                |family| udp(family, IKE_PORT),
                |error| Refused::port(IKE_PORT, error),
            )?,
            nat_t: both(
                |family| udp(family, NAT_T_PORT),
                |error| Refused::port(NAT_T_PORT, error),
            )?,
            esp: both(
                |family| raw(family, protocol::ESP),
                about_protocol(protocol::ESP),
            )?,
            ah: both(
                |family| raw(family, protocol::AH),
                about_protocol(protocol::AH),
            )?,
            whole: both(
                |family| HeaderIncluded::open(family, mark).map(share),
                about_protocol(RAW),
            )?,
            errors: both(
                |family| HeaderIncluded::open(family, 0).map(share),
                about_protocol(RAW),
            )?,
            icmp: both(
                |family| IcmpErrors::open(family, mark).map(share),
                about_protocol(protocol::ICMP),
            )?,
            routes: KernelRoutes::open(mark)
                .map_err(|error| Refused::about("the routes", &error))?,
        })
    }
}

fn share(socket: impl Datagrams + 'static) -> Socket {
    Arc::new(socket)
}

fn both(
    open: impl Fn(Family) -> io::Result<Socket>,
    refused: impl Fn(&io::Error) -> Refused,
) -> Result<PerFamily<Socket>, Refused> {
    let v4 = open(Family::V4).map_err(|error| refused(&error))?;
    let v6 = match open(Family::V6) {
        Ok(socket) => Some(socket),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
            ) =>
        {
            log::write(Level::Info, "This host has no IPv6.", &[("error", &error)]);
            None
        }
        Err(error) => return Err(refused(&error)),
    };
    Ok(PerFamily { v4: Some(v4), v6 })
}

/// Opens the TUN, or attaches to the one that an engine before us left.
///
/// # Errors
/// What the host refuses.
pub fn open_tun(name: &str, wanted: Offloads) -> Result<Tun, Refused> {
    Tun::open(name, wanted).map_err(|error| Refused::tun(name, &error))
}

/// The control socket's file; it is removed when this value goes.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens at `path`, mode 0660 and the group of its folder. What an engine that was killed left there is removed.
///
/// # Errors
/// `SOCKET_TAKEN` when an engine listens there, or what the host refuses.
pub fn listen(path: &Path) -> Result<(Listener, SocketFile), Refused> {
    let name = path.display().to_string();
    let listener = match Listener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path, &name)?;
            Listener::bind(path)
        }
        bound => bound,
    }
    .map_err(|error| Refused::about(&name, &error))?;
    let file = SocketFile {
        path: path.to_owned(),
    };
    own(path).map_err(|error| Refused::about(&name, &error))?;
    Ok((listener, file))
}

fn remove_stale(path: &Path, name: &str) -> Result<(), Refused> {
    let found = std::fs::symlink_metadata(path).map_err(|error| Refused::about(name, &error))?;
    if !found.file_type().is_socket() {
        return Err(Refused(format!(
            "SOCKET_TAKEN {name}: a file that is no socket lies there"
        )));
    }
    match Connection::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| Refused::about(name, &error))
        }
        Err(error) => Err(Refused::about(name, &error)),
        Ok(_) => Err(Refused(format!(
            "SOCKET_TAKEN {name}: another engine listens there"
        ))),
    }
}

fn own(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::os::unix::fs::chown(path, None, Some(std::fs::metadata(folder)?.gid()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_taken_over_and_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("culvert-engined-{}", std::process::id()));
        drop(Listener::bind(&path).unwrap());
        let (listener, file) = listen(&path).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert!(listen(&path).unwrap_err().0.starts_with("SOCKET_TAKEN "));
        drop((listener, file));
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let path = std::env::temp_dir().join(format!("culvert-file-{}", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        assert!(listen(&path).unwrap_err().0.starts_with("SOCKET_TAKEN "));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn causes_have_their_words() {
        let error = |errno| io::Error::from_raw_os_error(errno);
        assert_eq!(
            Refused::port(500, &error(libc::EADDRINUSE)).0,
            "PORT_TAKEN 500/udp"
        );
        assert!(
            Refused::port(500, &error(libc::EACCES))
                .0
                .starts_with("NO_PERMISSION 500/udp: ")
        );
        assert!(
            Refused::tun("t", &error(libc::ENOENT))
                .0
                .starts_with("NO_TUN_DEVICE /dev/net/tun: ")
        );
    }
}
