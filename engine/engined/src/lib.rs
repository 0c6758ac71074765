//! `culvert-engine`: moves packets between a TUN and the Internet as a user-space XFRM, driven over a control socket.
//!
//! The page docs/reference/engine-protocol.md is its contract.

#![forbid(unsafe_code)]

mod arguments;
mod blobs;
mod clock;
mod control;
mod dataplane;
mod family;
mod gif;
mod host;
mod ike;
mod limits;
mod links;
mod log;
mod netlink;
mod octets;
mod path_mtu;
mod refusal;
mod samples;
mod shared;
mod strays;
#[cfg(test)]
mod testing;
pub mod tools;
mod xfrm;

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use netio::TunDevice;
use netio::host::KernelHost;
use netio::poll::Event;
use netio::process;
use netio::tun::{Offloads, Tun};

use arguments::{Arguments, USAGE};
use control::{Control, Identity};
use dataplane::inbound::InboundThread;
use dataplane::outbound::OutboundThread;
use host::{Refused, Sockets};
use log::Level;
use shared::{Devices, Shared};

const EXIT_USAGE: u8 = 2;
const EXIT_REFUSED: u8 = 3;

/// The program: everything from the arguments to the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(sentence) => {
            let _ = writeln!(io::stderr(), "{sentence}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    log::set_level(arguments.log_level);
    log::set_json(arguments.log_json);
    let mut ready = match arguments.ready_fd.map(process::inherited).transpose() {
        Ok(ready) => ready,
        Err(error) => {
            let _ = writeln!(io::stderr(), "--ready-fd: {error}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run(&arguments, &mut ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => {
            let line = format!("{refused}\n");
            let _ = io::stderr().write_all(line.as_bytes());
            // Whoever waits for us may not see our standard error.
            let _ = ready.as_mut().map(|ready| ready.write_all(line.as_bytes()));
            ExitCode::from(EXIT_REFUSED)
        }
    }
}

/// Everything between the first system call and the last.
fn run(arguments: &Arguments, ready: &mut Option<File>) -> Result<(), Refused> {
    let signalled = harden().map_err(|error| Refused::of_process(&error))?;
    // The ports first: who holds them is the other IKE daemon, and then nothing of ours may have been touched.
    let sockets = Sockets::open(arguments.mark)?;
    let tun = Arc::new(host::open_tun(&arguments.tun, Offloads::ALL)?);
    let (listener, socket_file) = host::listen(&arguments.socket)?;
    let devices = Devices {
        tun: tun.clone(),
        ike: sockets.ike,
        nat_t: sockets.nat_t,
        esp: sockets.esp,
        ah: sockets.ah,
        whole: sockets.whole,
        errors: sockets.errors,
        icmp: sockets.icmp,
        routes: Arc::new(sockets.routes),
        host: Arc::new(KernelHost {
            mark: arguments.mark,
        }),
    };
    let shared = Arc::new(Shared::new(devices).map_err(|error| Refused::of_process(&error))?);
    lock_memory();
    run_sooner();
    let threads = start_threads(&shared).map_err(|error| Refused::of_process(&error))?;
    let mut control = Control::new(
        Arc::clone(&shared),
        listener,
        signalled,
        identity(arguments, &tun),
    );
    if let Some(mut ready) = ready.take() {
        // A parent that no longer waits is no reason not to serve.
        let _ = ready.write_all(b"\n");
    }
    log::write(
        Level::Info,
        "The engine is ready.",
        &[("tun", &tun.name()), ("offloads", &offloads(&tun))],
    );
    control.run();
    drop(socket_file);
    stop_threads(&shared, threads);
    shared.gifs.clear();
    forget(&tun);
    Ok(())
}

/// A session of our own, no core dumps, signals as an event.
fn harden() -> io::Result<&'static Event> {
    process::own_session();
    process::forbid_dumps()?;
    let signalled: &'static Event = Box::leak(Box::new(Event::new()?));
    process::signals_to(signalled)?;
    Ok(signalled)
}

fn lock_memory() {
    if let Err(error) = process::lock_memory() {
        log::write(
            Level::Info,
            "Memory is not locked: keys could be swapped out.",
            &[("error", &error)],
        );
    }
}

fn run_sooner() {
    if let Err(error) = process::run_sooner() {
        log::write(
            Level::Debug,
            "On a busy host packets wait for other programs.",
            &[("error", &error)],
        );
    }
}

fn start_threads(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let (outbound, inbound) = (
        OutboundThread::new(Arc::clone(shared)),
        InboundThread::new(Arc::clone(shared)),
    );
    Ok(vec![
        thread::Builder::new()
            .name("outbound".into())
            .spawn(|| outbound.run())?,
        thread::Builder::new()
            .name("inbound".into())
            .spawn(|| inbound.run())?,
    ])
}

fn stop_threads(shared: &Shared, threads: Vec<JoinHandle<()>>) {
    shared.stop();
    for thread in threads {
        // A thread that panicked has said so itself.
        let _ = thread.join();
    }
}

fn forget(tun: &Tun) {
    if let Err(error) = tun.forget() {
        log::write(
            Level::Warn,
            "The tunnel device could not be removed.",
            &[("error", &error)],
        );
    }
    log::write(Level::Info, "The engine has ended.", &[]);
}

fn identity(arguments: &Arguments, tun: &Tun) -> Identity {
    Identity {
        tun_name: tun.name().to_owned(),
        mark: arguments.mark,
        offloads: offloads(tun),
    }
}

fn offloads(tun: &Tun) -> String {
    tun.offloads().names().join(" ")
}
