//! What system calls answer.

use std::io;

/// The error that a negative answer stands for.
pub fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
