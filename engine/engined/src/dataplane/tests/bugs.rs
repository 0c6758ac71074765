//! A bug of ours costs a batch and nothing more: the thread goes on, and so do the packets behind it.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use netio::TunDevice;
use netio::poll::{self, Event};

use super::*;

/// A TUN that stands for a bug: while it is armed, its next use panics.
struct Trap {
    tun: Arc<MemoryTun>,
    armed: AtomicBool,
    sprung: Arc<Event>,
}

impl Trap {
    fn spring(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            self.sprung.set();
            panic!("a bug");
        }
    }
}

impl TunDevice for Trap {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.spring();
        self.tun.read(buffer)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.spring();
        self.tun.write(parts)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.tun.descriptor()
    }
}

/// A world with an armed trap for its TUN, and the event that tells of the bug.
fn trapped() -> (World, Arc<Event>) {
    let mut world = World::with_policies();
    world.add_sa(true);
    let sprung = Arc::new(Event::new().unwrap());
    let trap = Trap {
        tun: world.tun.clone(),
        armed: AtomicBool::new(true),
        sprung: sprung.clone(),
    };
    let devices = Devices {
        tun: Arc::new(trap),
        ..world.shared.devices.clone()
    };
    world.shared = Arc::new(Shared::new(devices).unwrap());
    world.publish();
    world.outbound = OutboundThread::new(world.shared.clone());
    world.inbound = InboundThread::new(world.shared.clone());
    (world, sprung)
}

fn wait_for(descriptor: BorrowedFd<'_>) {
    assert!(
        poll::wait_readable(&[descriptor.as_fd()], Some(10_000)).unwrap()[0],
        "nothing came"
    );
}

#[test]
fn on_the_way_out() {
    let (world, _) = trapped();
    world.put(&packet(b"x"));
    let (shared, outbound) = (world.shared.clone(), world.outbound);
    let thread = thread::spawn(|| outbound.run());
    wait_for(world.udp.sent());
    shared.stop();
    thread.join().unwrap();
    assert!(shared.outbound_drops.nonzero().is_empty());
}

#[test]
fn on_the_way_in() {
    let mut world = World::with_policies();
    world.add_sa(true);
    (0..2).for_each(|number| world.put(&packet(&[number])));
    world.outbound.turn();
    let sent = taken(&world.udp);
    let (world, sprung) = trapped();
    let (shared, inbound) = (world.shared.clone(), world.inbound);
    let thread = thread::spawn(|| inbound.run());
    for sent in sent {
        let received = Received {
            local: THEIRS.into(),
            remote: SocketAddr::new(OURS.into(), 4500),
            traffic_class: 0,
            segment_octets: sent.octets.len(),
            octets: sent.octets.len(),
        };
        world.udp.put(received, &sent.octets);
        wait_for(sprung.as_fd());
    }
    wait_for(world.tun.written());
    shared.stop();
    thread.join().unwrap();
}
