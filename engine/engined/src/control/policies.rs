//! Requests about policies, one by one or as a batch.

use std::sync::Arc;

use packet::database::Database;
use packet::error::DatabaseError;
use packet::spd::{Policy, PolicyKey, PolicyParams, Spd};

use super::Control;
use super::batch::Batch;
use super::client::Client;
use crate::clock::Clock;
use crate::family::group;
use crate::netlink::{self, Header};
use crate::octets::Cursor;
use crate::refusal::Refusal;
use crate::xfrm::info::put_spd_info;
use crate::xfrm::migrate::MigrateMessage;
use crate::xfrm::policy::{parse_policy, parse_policy_key, put_policy};
use crate::xfrm::{events, message};

const NO_BATCH: Refusal = Refusal::new(libc::EINVAL, "this socket has begun no batch");

impl Control {
    pub(super) fn write_policy(
        &mut self,
        client: &mut Client,
        kind: u16,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let change = Change::parse(kind, payload);
        let (now_s, clock) = (self.shared.clock.seconds(), self.shared.clock);
        if let Some(batch) = &mut client.batch {
            let outcome = change
                .and_then(|change| change.apply(&mut Policies::Draft(&mut batch.draft), now_s));
            return batch.note(outcome, &clock);
        }
        let changed = change?.apply(&mut Policies::Database(&mut self.database), now_s)?;
        self.tell(group::POLICY, changed.notification(&clock));
        Ok(())
    }

    pub(super) fn get_policy(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let found = self.database.spd().get(parse_policy_key(payload)?);
        let found = found.ok_or(DatabaseError::NoSuchPolicy)?;
        let answer = header.answer(message::NEWPOLICY, 0);
        client.answer(netlink::message(answer, |body| {
            put_policy(body, &found, &self.shared.clock);
        }));
        Ok(())
    }

    pub(super) fn get_spd_info(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let flags = Cursor::new(payload).u32()?;
        let answer = header.answer(message::NEWSPDINFO, 0);
        client.answer(netlink::message(answer, |body| {
            put_spd_info(body, flags, self.database.spd());
        }));
        Ok(())
    }

    /// MIGRATE changes both databases, which no batch does.
    pub(super) fn migrate(&mut self, client: &Client, payload: &[u8]) -> Result<(), Refusal> {
        if client.batch.is_some() {
            return Err(Refusal::new(libc::EBUSY, "nothing migrates within a batch"));
        }
        let asked = MigrateMessage::parse(payload)?;
        let moved = self
            .database
            .migrate(asked.key, &asked.migrations, asked.encap)?;
        for (old, sa) in moved.sas {
            if old == sa.id() {
                self.tell_sa(message::UPDSA, sa);
            } else {
                self.tell(group::SA, events::sa_deleted(old));
                self.tell_sa(message::NEWSA, sa);
            }
        }
        let clock = self.shared.clock;
        let told = events::policy_changed(message::UPDPOLICY, &moved.policy, &clock);
        self.tell(group::POLICY, told);
        let told = events::migrated(&moved.policy.params, &asked.migrations);
        self.tell(group::MIGRATE, told);
        Ok(())
    }

    pub(super) fn begin_batch(&self, client: &mut Client) -> Result<(), Refusal> {
        if client.batch.is_some() {
            return Err(Refusal::new(
                libc::EBUSY,
                "this socket has begun a batch already",
            ));
        }
        client.batch = Some(Batch::begin(&self.database));
        Ok(())
    }

    pub(super) fn commit_batch(&mut self, client: &mut Client) -> Result<(), Refusal> {
        let batch = client.batch.take().ok_or(NO_BATCH)?;
        for notification in batch.commit(&mut self.database)? {
            self.tell(group::POLICY, notification);
        }
        Ok(())
    }

    pub(super) fn abort_batch(client: &mut Client) -> Result<(), Refusal> {
        client.batch.take().map(drop).ok_or(NO_BATCH)
    }
}

/// One policy message.
enum Change {
    Add(PolicyParams),
    Update(PolicyParams),
    Delete(PolicyKey),
    Flush,
}

/// What a change has done.
pub enum Changed {
    /// Added.
    New(Arc<Policy>),
    /// Written anew.
    Updated(Arc<Policy>),
    /// Gone.
    Deleted(Arc<Policy>),
    /// All are gone.
    Flushed,
}

impl Changed {
    /// The notification about it.
    pub fn notification(&self, clock: &Clock) -> Vec<u8> {
        match self {
            Self::New(policy) => events::policy_changed(message::NEWPOLICY, policy, clock),
            Self::Updated(policy) => events::policy_changed(message::UPDPOLICY, policy, clock),
            Self::Deleted(policy) => events::policy_deleted(&policy.params),
            Self::Flushed => events::policies_flushed(),
        }
    }
}

/// Where a change goes: the database or a batch's draft of it.
enum Policies<'a> {
    Database(&'a mut Database),
    Draft(&'a mut Spd),
}

impl Change {
    fn parse(kind: u16, payload: &[u8]) -> Result<Self, Refusal> {
        match kind {
            message::NEWPOLICY => parse_policy(payload).map(Self::Add),
            message::UPDPOLICY => parse_policy(payload).map(Self::Update),
            message::DELPOLICY => parse_policy_key(payload).map(Self::Delete),
            _ => Ok(Self::Flush),
        }
    }

    fn apply(self, to: &mut Policies<'_>, now_s: u64) -> Result<Changed, Refusal> {
        Ok(match self {
            Self::Add(params) => Changed::New(to.add(params, now_s)?),
            Self::Update(params) => Changed::Updated(to.update(params, now_s)?),
            Self::Delete(key) => Changed::Deleted(to.delete(key)?),
            Self::Flush => {
                to.flush();
                Changed::Flushed
            }
        })
    }
}

type Outcome = Result<Arc<Policy>, DatabaseError>;

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
