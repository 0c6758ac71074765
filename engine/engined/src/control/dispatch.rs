//! What each request does.

use std::collections::VecDeque;
use std::sync::Arc;

use packet::database::Database;
use packet::sa::SaId;
use packet::sad::SaEntry;
use packet::spd::{Policy, PolicyKey, PolicyParams};

use super::Control;
use super::batch::Batch;
use super::client::{Client, Pending};
use super::dump::{Dump, Rows};
use crate::family::{attribute, group, message as family, parse_u32};
use crate::ike;
use crate::netlink::{self, ACK, Attributes, DUMP, Header, REQUEST, put_attribute};
use crate::octets::Cursor;
use crate::refusal::Refusal;
use crate::xfrm::sa::{SaMessage, parse_spi_request};
use crate::xfrm::sa_state::{put_drops, put_entry};
use crate::xfrm::structures::{parse_protocol, parse_sa_id};
use crate::xfrm::{events, message, policy};

/// What this engine can do, for GETINFO; the TUN's offloads follow.
const FEATURES: &str =
    "esp tunnel udp-encap protocol-50 esn aes-gcm-16 chacha20-poly1305 aes-cbc hmac-sha2";

const UNPRIVILEGED: Refusal = Refusal::new(
    libc::EPERM,
    "only root and the engine's own user may do this",
);
const UNKNOWN: Refusal = Refusal::new(libc::EOPNOTSUPP, "there is no such message");
const NOT_A_REQUEST: Refusal = Refusal::new(libc::EINVAL, "a request carries NLM_F_REQUEST");

impl Control {
    /// Handles one request and queues what it is answered.
    pub(super) fn request(&mut self, client: &mut Client, header: Header, payload: &[u8]) {
        let outcome = self
            .judge(client, header)
            .and_then(|()| self.dispatch(client, header, payload));
        let keeps = client.pending.is_some();
        match outcome {
            Ok(()) if header.has(ACK) && !keeps => {
                client.answer(netlink::acknowledgement(header, Ok(())))
            }
            Ok(()) => {}
            Err(refusal) => client.answer(netlink::acknowledgement(header, Err(&refusal))),
        }
    }

    fn judge(&self, client: &Client, header: Header) -> Result<(), Refusal> {
        if !header.has(REQUEST) {
            return Err(NOT_A_REQUEST);
        }
        let harmless = [
            message::GETSA,
            message::GETPOLICY,
            family::GETCOUNTERS,
            family::GETINFO,
        ];
        if client.privileged || harmless.contains(&header.kind) {
            Ok(())
        } else {
            Err(UNPRIVILEGED)
        }
    }

    fn dispatch(
        &mut self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        match header.kind {
            message::GETSA | message::GETPOLICY | family::BLOB_GET if header.has(DUMP) => {
                self.dump(client, header);
                Ok(())
            }
            message::NEWSA | message::UPDSA => self.put_sa(header.kind, payload),
            message::DELSA => self.delete_sa(payload),
            message::GETSA => self.get_sa(client, header, payload),
            message::ALLOCSPI => self.allocate_spi(client, header, payload),
            message::FLUSHSA => self.flush_sas(payload),
            message::GETPOLICY => self.get_policy(client, header, payload),
            message::NEWPOLICY | message::UPDPOLICY | message::DELPOLICY | message::FLUSHPOLICY => {
                self.write_policy(client, header.kind, payload)
            }
            _ => self.dispatch_family(client, header, payload),
        }
    }

    fn dispatch_family(
        &mut self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let attributes = Attributes::parse(payload)?;
        match header.kind {
            family::SUBSCRIBE => self.subscribe(client, &attributes),
            family::BARRIER => {
                self.publish();
                client.pending = Some(Pending::Barrier(header));
                Ok(())
            }
            family::BATCH_BEGIN => self.begin_batch(client),
            family::BATCH_COMMIT => self.commit_batch(client),
            family::BATCH_ABORT => client.batch.take().map(drop).ok_or(NO_BATCH),
            family::IKE_SEND => {
                // The peer may answer at once with what was set up before.
                self.publish();
                ike::send(payload, &self.shared.devices)
            }
            family::GETCOUNTERS => self.get_counters(client, header),
            family::GETINFO => self.get_info(client, header),
            family::BLOB_PUT => {
                let key = attributes.require(attribute::KEY, "KEY")?;
                self.blobs
                    .put(key, attributes.require(attribute::DATA, "DATA")?)
            }
            family::BLOB_DELETE => self
                .blobs
                .delete(attributes.require(attribute::KEY, "KEY")?),
            family::SHUTDOWN => {
                self.ending = true;
                Ok(())
            }
            _ => Err(UNKNOWN),
        }
    }

    // Security associations.

    fn put_sa(&mut self, kind: u16, payload: &[u8]) -> Result<(), Refusal> {
        let message = SaMessage::parse(payload)?;
        let now_s = self.shared.clock.seconds();
        let sa = if kind == message::NEWSA {
            self.database.add_sa(message.into_params(None)?, now_s)?
        } else {
            let known = self.known_transform(message.id());
            self.database
                .update_sa(message.into_params(known)?, now_s)?
        };
        let entry = SaEntry::Valid(sa);
        self.tell(
            group::SA,
            events::sa_changed(kind, &entry, &self.shared.clock),
        );
        Ok(())
    }

    fn known_transform(&self, id: SaId) -> Option<packet::algorithm::Transform> {
        match self.database.sad().get(id) {
            Some(SaEntry::Valid(sa)) => Some(sa.params().transform.clone()),
            _ => None,
        }
    }

    fn delete_sa(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let id = parse_sa_id(&mut Cursor::new(payload))?;
        self.database.delete_sa(id)?;
        self.tell(group::SA, events::sa_deleted(id));
        Ok(())
    }

    fn flush_sas(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let protocol = Cursor::new(payload).u8()?;
        // IPSEC_PROTO_ANY is 255 in the kernel, and 0 matches any too.
        let protocol = match protocol {
            0 | 255 => None,
            number => Some(parse_protocol(number)?),
        };
        self.database.flush_sas(protocol);
        let number = protocol.map_or(0, |protocol| protocol.number());
        self.tell(group::SA, events::sas_flushed(number));
        Ok(())
    }

    fn get_sa(&self, client: &mut Client, header: Header, payload: &[u8]) -> Result<(), Refusal> {
        let id = parse_sa_id(&mut Cursor::new(payload))?;
        let entry = self
            .database
            .sad()
            .get(id)
            .ok_or(packet::error::DatabaseError::NoSuchSa)?;
        let show_keys = client.privileged;
        let answer = header.answer(message::NEWSA, 0);
        client.answer(netlink::secret_message(answer, |body| {
            put_entry(body, entry, show_keys, &self.shared.clock);
        }));
        Ok(())
    }

    fn allocate_spi(
        &mut self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let request = parse_spi_request(payload)?;
        let now_s = self.shared.clock.seconds();
        let larval =
            self.database
                .allocate_spi(&request, &mut netio::process::random_u32, now_s)?;
        client.answer(netlink::message(header.answer(message::NEWSA, 0), |body| {
            put_entry(body, &SaEntry::Larval(larval), false, &self.shared.clock);
        }));
        Ok(())
    }

    // Policies.

    fn write_policy(
        &mut self,
        client: &mut Client,
        kind: u16,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let change = Change::parse(kind, payload);
        let (now_s, clock) = (self.shared.clock.seconds(), self.shared.clock);
        if let Some(batch) = &mut client.batch {
            let outcome = change.and_then(|change| {
                change.apply(&mut Policies::Draft(&mut batch.draft), now_s, &clock)
            });
            return batch.note(outcome);
        }
        let notification =
            change?.apply(&mut Policies::Database(&mut self.database), now_s, &clock)?;
        self.tell(group::POLICY, notification);
        Ok(())
    }

    fn get_policy(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let key = policy::parse_policy_key(payload)?;
        let found = self
            .database
            .spd()
            .get(key)
            .ok_or(packet::error::DatabaseError::NoSuchPolicy)?;
        client.answer(netlink::message(
            header.answer(message::NEWPOLICY, 0),
            |body| {
                policy::put_policy(body, &found, &self.shared.clock);
            },
        ));
        Ok(())
    }

    fn begin_batch(&self, client: &mut Client) -> Result<(), Refusal> {
        if client.batch.is_some() {
            return Err(Refusal::new(
                libc::EBUSY,
                "this socket has begun a batch already",
            ));
        }
        client.batch = Some(Batch::begin(&self.database));
        Ok(())
    }

    fn commit_batch(&mut self, client: &mut Client) -> Result<(), Refusal> {
        let batch = client.batch.take().ok_or(NO_BATCH)?;
        for notification in batch.commit(&mut self.database)? {
            self.tell(group::POLICY, notification);
        }
        Ok(())
    }

    // The rest of our own family.

    fn subscribe(
        &mut self,
        client: &mut Client,
        attributes: &Attributes<'_>,
    ) -> Result<(), Refusal> {
        let groups = parse_u32(attributes.require(attribute::GROUPS, "GROUPS")?)?;
        if groups & !group::ALL != 0 {
            return Err(Refusal::new(libc::EINVAL, "there is no such group"));
        }
        client.groups = groups;
        if groups & group::IKE != 0 {
            for ike in self.kept.take() {
                if !client.notify_ike(&ike::received(&ike).into()) {
                    self.drops.add(packet::reason::Drop::IkeQueueFull);
                }
            }
        }
        Ok(())
    }

    fn get_counters(&self, client: &mut Client, header: Header) -> Result<(), Refusal> {
        let drops = self.drops();
        client.answer(netlink::message(
            header.answer(family::GETCOUNTERS, 0),
            |body| {
                put_drops(body, attribute::COUNTERS, &drops);
            },
        ));
        Ok(())
    }

    fn get_info(&self, client: &mut Client, header: Header) -> Result<(), Refusal> {
        let features = [FEATURES, &self.identity.offloads].join(" ");
        client.answer(netlink::message(
            header.answer(family::GETINFO, 0),
            |body| {
                put_attribute(
                    body,
                    attribute::VERSION,
                    env!("CARGO_PKG_VERSION").as_bytes(),
                );
                put_attribute(body, attribute::PID, &std::process::id().to_ne_bytes());
                put_attribute(body, attribute::TUN_NAME, self.identity.tun_name.as_bytes());
                put_attribute(body, attribute::MARK, &self.identity.mark.to_ne_bytes());
                put_attribute(body, attribute::FEATURES, features.trim_end().as_bytes());
            },
        ));
        Ok(())
    }

    fn dump(&self, client: &mut Client, header: Header) {
        let (rows, generation) = match header.kind {
            message::GETSA => {
                let rows = self.database.sad().iter().cloned().collect();
                (
                    Rows::Sas(rows, client.privileged),
                    self.database.sad_generation(),
                )
            }
            message::GETPOLICY => {
                let rows: VecDeque<Arc<Policy>> = self.database.spd().iter().cloned().collect();
                (Rows::Policies(rows), self.database.spd_generation())
            }
            _ => (
                Rows::Blobs(self.blobs.list().into()),
                self.blobs.generation(),
            ),
        };
        client.pending = Some(Pending::Dump(Dump::new(header, rows, generation)));
    }
}

const NO_BATCH: Refusal = Refusal::new(libc::EINVAL, "this socket has begun no batch");

/// One policy message.
enum Change {
    Add(PolicyParams),
    Update(PolicyParams),
    Delete(PolicyKey),
    Flush,
}

/// Where a change goes: the database or a batch's draft of it.
enum Policies<'a> {
    Database(&'a mut Database),
    Draft(&'a mut packet::spd::Spd),
}

impl Change {
    fn parse(kind: u16, payload: &[u8]) -> Result<Self, Refusal> {
        match kind {
            message::NEWPOLICY => policy::parse_policy(payload).map(Self::Add),
            message::UPDPOLICY => policy::parse_policy(payload).map(Self::Update),
            message::DELPOLICY => policy::parse_policy_key(payload).map(Self::Delete),
            _ => Ok(Self::Flush),
        }
    }

    /// Makes the change and answers the notification about it.
    fn apply(
        self,
        to: &mut Policies<'_>,
        now_s: u64,
        clock: &crate::clock::Clock,
    ) -> Result<Vec<u8>, Refusal> {
        Ok(match self {
            Self::Add(params) => {
                events::policy_changed(message::NEWPOLICY, &*to.add(params, now_s)?, clock)
            }
            Self::Update(params) => {
                events::policy_changed(message::UPDPOLICY, &*to.update(params, now_s)?, clock)
            }
            Self::Delete(key) => events::policy_deleted(&to.delete(key)?.params),
            Self::Flush => {
                to.flush();
                events::policies_flushed()
            }
        })
    }
}

type Outcome = Result<Arc<Policy>, packet::error::DatabaseError>;

impl Policies<'_> {
    fn add(&mut self, params: PolicyParams, now_s: u64) -> Outcome {
        match self {
            Self::Database(database) => database.add_policy(params, now_s),
            Self::Draft(draft) => draft.add(params, now_s),
        }
    }

    fn update(&mut self, params: PolicyParams, now_s: u64) -> Outcome {
        match self {
            Self::Database(database) => database.update_policy(params, now_s),
            Self::Draft(draft) => draft.update(params, now_s),
        }
    }

    fn delete(&mut self, key: PolicyKey) -> Outcome {
        match self {
            Self::Database(database) => database.delete_policy(key),
            Self::Draft(draft) => draft.delete(key),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Database(database) => database.flush_policies(),
            Self::Draft(draft) => draft.flush(),
        };
    }
}
