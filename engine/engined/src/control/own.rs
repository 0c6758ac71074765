//! Requests of our own family: subscriptions, counters, links, and dumps of every table.

use std::collections::VecDeque;
use std::sync::Arc;

use packet::reason::Drop;
use packet::spd::Policy;

use super::Control;
use super::client::{Client, Pending};
use super::dump::{Dump, Rows};
use crate::family::{attribute, group, message as family, parse_u32};
use crate::ike;
use crate::links::{parse_gif, parse_name};
use crate::netlink::{self, Attributes, Header, put_attribute};
use crate::refusal::Refusal;
use crate::xfrm::message;
use crate::xfrm::sa_state::put_drops;

/// What this engine can do, for GETINFO; the TUN's offloads follow.
const FEATURES: &str = "esp ah transport tunnel bundle udp-encap protocol-50 protocol-51 esn tfc migrate gif path-mtu \
aes-gcm-16 aes-gcm aes-ccm aes-gmac chacha20-poly1305 aes-cbc aes-ctr camellia-cbc 3des-cbc null \
hmac-sha2 hmac-sha1 hmac-md5 aes-xcbc aes-cmac";

impl Control {
    pub(super) fn subscribe(
        &mut self,
        client: &mut Client,
        attributes: &Attributes<'_>,
    ) -> Result<(), Refusal> {
        let groups = parse_u32(attributes.require(attribute::GROUPS, "GROUPS")?)?;
        if groups & !group::ALL != 0 {
            return Err(Refusal::new(libc::EINVAL, "there is no such group"));
        }
        client.groups = groups;
        if groups & group::DROPPED != 0 {
            self.shared.samples.want(true);
        }
        if groups & group::IKE != 0 {
            for ike in self.kept.take() {
                if !client.notify_ike(&ike::received(&ike).into()) {
                    self.drops.add(Drop::IkeQueueFull);
                }
            }
        }
        Ok(())
    }

    pub(super) fn get_counters(&self, client: &mut Client, header: Header) -> Result<(), Refusal> {
        let drops = self.drops();
        let answer = header.answer(family::GETCOUNTERS, 0);
        client.answer(netlink::message(answer, |body| {
            put_drops(body, attribute::COUNTERS, &drops);
        }));
        Ok(())
    }

    pub(super) fn get_info(&self, client: &mut Client, header: Header) -> Result<(), Refusal> {
        let features = [FEATURES, &self.identity.offloads].join(" ");
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let answer = header.answer(family::GETINFO, 0);
        client.answer(netlink::message(answer, |body| {
            put_attribute(body, attribute::VERSION, version);
            put_attribute(body, attribute::PID, &std::process::id().to_ne_bytes());
            put_attribute(body, attribute::TUN_NAME, self.identity.tun_name.as_bytes());
            put_attribute(body, attribute::MARK, &self.identity.mark.to_ne_bytes());
            put_attribute(body, attribute::FEATURES, features.trim_end().as_bytes());
        }));
        Ok(())
    }

    pub(super) fn set_gif(&mut self, attributes: &Attributes<'_>) -> Result<(), Refusal> {
        let gif = parse_gif(attributes)?;
        if gif.name == self.identity.tun_name {
            return Err(Refusal::new(
                libc::EEXIST,
                "the link's name is that of the tunnel device",
            ));
        }
        self.shared.gifs.set(gif)?;
        self.wake_packets();
        Ok(())
    }

    pub(super) fn delete_gif(&mut self, attributes: &Attributes<'_>) -> Result<(), Refusal> {
        let removed = self.shared.gifs.delete(parse_name(attributes)?);
        self.wake_packets();
        removed
    }

    pub(super) fn dump(&self, client: &mut Client, header: Header) {
        let rows = match header.kind {
            message::GETSA => {
                let rows = self.database.sad().iter().cloned().collect();
                Rows::Sas(rows, client.privileged)
            }
            message::GETPOLICY => {
                let rows: VecDeque<Arc<Policy>> = self.database.spd().iter().cloned().collect();
                Rows::Policies(rows)
            }
            family::GIF_GET => Rows::Gifs(self.shared.gifs.links().into()),
            family::GETPATHMTU => Rows::PathMtus(self.shared.path_mtus.list().into()),
            _ => Rows::Blobs(self.blobs.list()),
        };
        let generation = self.generation_of(&rows);
        client.pending = Some(Pending::Dump(Dump::new(header, rows, generation)));
    }

    /// Counts changes of a table.
    pub(super) fn generation_of(&self, rows: &Rows) -> u64 {
        match rows {
            Rows::Sas(..) => self.database.sad_generation(),
            Rows::Policies(_) => self.database.spd_generation(),
            Rows::Gifs(_) => self.shared.gifs.generation(),
            Rows::PathMtus(_) => self.shared.path_mtus.generation(),
            Rows::Blobs(_) => self.blobs.generation(),
        }
    }
}
