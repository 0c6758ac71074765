//! What a long-lived process asks of its host: a session of its own, no core dumps, locked memory, signals as events.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use crate::syscall::check;

/// Starts a session, so that the end of the terminal or of the parent's session is not ours. The leader of a process group
/// (a job of a shell, the leader of a session) stays where it is.
pub fn own_session() {
    // SAFETY: the call has no arguments; it fails only for the leader of a process group, and then changes nothing.
    let _ = unsafe { libc::setsid() };
}

/// How much sooner than ordinary programs our threads run (`nice`), with three times their share of a busy processor. Packets
/// of the kernel's own IPsec need not wait for programs at all.
const NICENESS: libc::c_int = -5;

/// Lets this thread, and those that it starts from now on, run sooner than ordinary programs on a busy host.
///
/// # Errors
/// What the kernel says, for instance that we lack the privilege; then nothing is changed.
pub fn run_sooner() -> io::Result<()> {
    // SAFETY: the call has no pointers; 0 is the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) })?;
    // SAFETY: the calls have no arguments, or by value, and cannot fail.
    let leads_session = unsafe { libc::getsid(0) == libc::getpid() };
    if leads_session {
        // Sessions share the processor first, and then the threads of each (sched(7), autogroup); not every kernel has it.
        let _ = std::fs::write("/proc/self/autogroup", NICENESS.to_string());
    }
    Ok(())
}

/// Forbids core dumps and the reading of our memory by other processes of the same user.
///
/// # Errors
/// What the kernel says.
pub fn forbid_dumps() -> io::Result<()> {
    // SAFETY: PR_SET_DUMPABLE takes its argument by value.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) })?;
    set_limit(libc::RLIMIT_CORE, 0)
}

/// Keeps all memory out of swap, where the host allows it without limit.
///
/// # Errors
/// What the kernel says; with a limit, locked memory that grows would one day fail an allocation, so then nothing is locked.
pub fn lock_memory() -> io::Result<()> {
    set_limit(libc::RLIMIT_MEMLOCK, libc::RLIM_INFINITY)?;
    // SAFETY: the call has no pointers.
    check(unsafe {
        libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT as libc::c_int)
    })
}

fn set_limit(resource: libc::__rlimit_resource_t, value: libc::rlim_t) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the kernel reads one rlimit, which lives until the call returns.
    check(unsafe { libc::setrlimit(resource, &raw const limit) })
}

/// The effective user of this process.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    unsafe { libc::geteuid() }
}

/// Thirty-two bits that nobody can foresee.
///
/// # Panics
/// When the kernel has no random numbers, which it has once it has started.
#[must_use]
pub fn random_u32() -> u32 {
    let mut octets = [0u8; 4];
    // SAFETY: the kernel writes at most four octets to an array of four.
    let written = unsafe { libc::getrandom(octets.as_mut_ptr().cast(), octets.len(), 0) };
    assert_eq!(written, 4, "the kernel gave no random numbers");
    u32::from_ne_bytes(octets)
}

/// Takes over a descriptor that whoever started us left open for us.
///
/// # Errors
/// `EBADF` when it is not open; `EINVAL` for the three standard ones, which are in use.
pub fn inherited(descriptor: RawFd) -> io::Result<File> {
    if (0..3).contains(&descriptor) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: F_GETFD has no argument, and any number may be asked about.
    check(unsafe { libc::fcntl(descriptor, libc::F_GETFD) })?;
    // SAFETY: it is open, and it was opened for us and not by us, so no other owner exists in this process.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

/// The descriptor that the signal handler writes to; -1 until signals are wanted.
static SIGNALLED: AtomicI32 = AtomicI32::new(-1);

/// Ignores SIGHUP and SIGPIPE, and sets `event` whenever SIGTERM or SIGINT comes, for as long as the process lives.
///
/// # Errors
/// What the kernel says.
pub fn signals_to(event: &'static crate::poll::Event) -> io::Result<()> {
    use std::os::fd::{AsFd, AsRawFd};
    SIGNALLED.store(event.as_fd().as_raw_fd(), Ordering::Relaxed);
    for signal in [libc::SIGHUP, libc::SIGPIPE] {
        install(signal, libc::SIG_IGN)?;
    }
    for signal in [libc::SIGTERM, libc::SIGINT] {
        install(signal, on_signal as *const () as libc::sighandler_t)?;
    }
    Ok(())
}

extern "C" fn on_signal(_: libc::c_int) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: write is async-signal-safe, eight octets are read from an array of eight, and the event lives for ever. errno is
    // this thread's own; it is put back, for the handler may run between a system call and the reading of its errno.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(
            SIGNALLED.load(Ordering::Relaxed),
            one.as_ptr().cast(),
            one.len(),
        );
        *errno = before;
    }
}

fn install(signal: libc::c_int, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: sigaction is plain data, for which all octets zero is a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the kernel reads one sigaction; the handler does only what a signal handler may.
    check(unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_started_from_now_on_run_sooner_too() {
        // Only root may; who may not is told so.
        let outcome = std::thread::spawn(|| {
            let outcome = run_sooner();
            // SAFETY: the call has no pointers; 0 is the calling thread.
            let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
            (outcome, std::thread::spawn(nice).join().unwrap())
        });
        let (outcome, nice) = outcome.join().unwrap();
        assert_eq!(outcome.is_ok(), nice == NICENESS);
    }
}
