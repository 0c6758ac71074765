//! What is told to subscribers: what packets met, what reached a limit, what others wrote.

use std::sync::Arc;

use packet::reason::Drop;

use super::{Control, LOOK_MS, TICK_MS};
use crate::family::group;
use crate::ike;
use crate::links;
use crate::samples;
use crate::shared::{IkeMessage, Notice};
use crate::strays;
use crate::xfrm::events;

impl Control {
    /// Queues a notification for all subscribers of a group.
    pub(super) fn tell(&mut self, group: u32, message: Vec<u8>) {
        self.told.push((group, message.into()));
    }

    /// Gives the queued notifications to those who want them.
    pub(super) fn deliver(&mut self) {
        for (group, message) in std::mem::take(&mut self.told) {
            self.deliver_one(group, &message);
        }
        self.clients
            .values_mut()
            .for_each(super::client::Client::flush);
    }

    fn deliver_one(&mut self, group: u32, message: &Arc<[u8]>) {
        let wants = |client: &&mut super::client::Client| client.groups & group != 0;
        for client in self.clients.values_mut().filter(wants) {
            if group != group::IKE {
                client.notify(message);
            } else if !client.notify_ike(message) {
                self.drops.add(Drop::IkeQueueFull);
            }
        }
    }

    /// What the packet threads have met.
    pub(super) fn handle_notices(&mut self) {
        for notice in self.shared.take_notices() {
            match notice {
                Notice::Ike(message) => self.ike_received(message),
                Notice::Acquire(need, asked) => {
                    self.acquires = self.acquires.wrapping_add(1);
                    let told = events::acquire(&asked, &need, self.acquires, &self.shared.clock);
                    self.tell(group::ACQUIRE, told);
                }
                Notice::Mapping(sa, remote) => {
                    self.tell(group::MAPPING, events::mapping(&sa, remote));
                }
                Notice::PathMtu(remote, mtu) => {
                    self.tell(group::PATH_MTU, links::path_mtu(remote, mtu));
                }
                Notice::Stray(stray) => self.tell(group::UNKNOWN_SPI, strays::told(&stray)),
                Notice::Dropped(sample) => self.dropped(&sample),
                Notice::Limit => self.next_tick_ns = 0,
            }
        }
        self.deliver();
    }

    fn dropped(&mut self, sample: &samples::Sample) {
        let wants = |client: &super::client::Client| client.groups & group::DROPPED != 0;
        let wanted = self.clients.values().any(wants);
        self.shared.samples.want(wanted);
        if wanted {
            self.tell(group::DROPPED, samples::told(sample));
        }
    }

    fn ike_received(&mut self, message: IkeMessage) {
        if self.is_wanted(group::IKE) {
            self.tell(group::IKE, ike::received(&message));
        } else if self.kept.keep(message) {
            self.drops.add(Drop::IkeQueueFull);
        }
    }

    /// Limits that were reached since the last look.
    pub(super) fn tick(&mut self) {
        let now_ns = self.shared.clock.nanoseconds();
        if now_ns < self.next_tick_ns {
            return;
        }
        self.next_tick_ns = now_ns + u64::from(TICK_MS) * 1_000_000;
        let now_s = self.shared.clock.seconds();
        self.expire_sas(now_s);
        self.expire_policies(now_s);
        for remote in self.shared.path_mtus.expire(now_ns) {
            self.tell(group::PATH_MTU, links::path_mtu(remote, 0));
        }
        self.publish();
        self.publishing.free();
        self.deliver();
    }

    /// Associations on which nothing comes in, for those who want to know.
    pub(super) fn look_for_silence(&mut self) {
        let now_ns = self.shared.clock.nanoseconds();
        if now_ns < self.next_look_ns {
            return;
        }
        self.next_look_ns = now_ns + u64::from(LOOK_MS) * 1_000_000;
        if !self.is_wanted(group::SILENCE) {
            return;
        }
        for silence in self.silences.look(self.database.sad().iter(), now_ns) {
            self.tell(group::SILENCE, links::silence(&silence));
        }
        self.deliver();
    }

    fn is_wanted(&self, group: u32) -> bool {
        self.clients
            .values()
            .any(|client| client.groups & group != 0)
    }

    fn expire_sas(&mut self, now_s: u64) {
        let clock = self.shared.clock;
        for expiry in self.database.expire(now_s) {
            let told = events::expire(&expiry.entry, expiry.hard, &clock);
            self.tell(group::EXPIRE, told);
            if expiry.hard {
                self.tell(group::SA, events::sa_deleted(expiry.entry.id()));
            }
        }
    }

    fn expire_policies(&mut self, now_s: u64) {
        let clock = self.shared.clock;
        for expiry in self.database.expire_policies(now_s) {
            let told = events::policy_expired(&expiry.policy, expiry.hard, &clock);
            self.tell(group::EXPIRE, told);
            if expiry.hard {
                self.tell(group::POLICY, events::policy_deleted(&expiry.policy.params));
            }
        }
    }
}
