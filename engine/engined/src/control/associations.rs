//! Requests about security associations.

use std::sync::Arc;

use packet::algorithm::Transform;
use packet::error::DatabaseError;
use packet::sa::{Sa, SaId};
use packet::sad::SaEntry;

use super::Control;
use super::client::Client;
use crate::family::group;
use crate::netlink::{self, Attributes, Header};
use crate::octets::Cursor;
use crate::refusal::Refusal;
use crate::xfrm::aevent::{AeventId, parse_carried, put_aevent};
use crate::xfrm::info::put_sad_info;
use crate::xfrm::replay::Replay;
use crate::xfrm::sa::{SaMessage, parse_spi_request};
use crate::xfrm::sa_state::put_entry;
use crate::xfrm::structures::{parse_protocol, parse_sa_id};
use crate::xfrm::{events, message};

impl Control {
    pub(super) fn put_sa(&mut self, kind: u16, payload: &[u8]) -> Result<(), Refusal> {
        let message = SaMessage::parse(payload)?;
        let now_s = self.shared.clock.seconds();
        let known = if kind == message::UPDSA {
            self.known_transform(message.id())
        } else {
            None
        };
        let (progress, carried) = (message.progress().cloned(), message.carried());
        let is_update_of_valid = known.is_some();
        let params = message.into_params(known)?;
        let sa = if kind == message::NEWSA {
            self.database.add_sa(params, now_s)?
        } else {
            self.database.update_sa(params, now_s)?
        };
        if !is_update_of_valid {
            if let Err(error) = progress.map_or(Ok(()), |progress| sa.advance(&progress)) {
                let _ = self.database.delete_sa(sa.id());
                return Err(error.into());
            }
            carried.inspect(|(octets, packets)| sa.set_usage(*octets, *packets));
        }
        self.tell_sa(kind, sa);
        Ok(())
    }

    /// Tells that an SA was added or changed; `kind` is NEWSA or UPDSA.
    pub(super) fn tell_sa(&mut self, kind: u16, sa: Arc<Sa>) {
        let told = events::sa_changed(kind, &SaEntry::Valid(sa), &self.shared.clock);
        self.tell(group::SA, told);
    }

    fn known_transform(&self, id: SaId) -> Option<Transform> {
        match self.database.sad().get(id) {
            Some(SaEntry::Valid(sa)) => Some(sa.params().transform.clone()),
            _ => None,
        }
    }

    pub(super) fn delete_sa(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let id = parse_sa_id(&mut Cursor::new(payload))?;
        self.database.delete_sa(id)?;
        self.tell(group::SA, events::sa_deleted(id));
        Ok(())
    }

    pub(super) fn flush_sas(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        // IPSEC_PROTO_ANY is 255 in the kernel, and 0 matches any too.
        let protocol = match Cursor::new(payload).u8()? {
            0 | 255 => None,
            number => Some(parse_protocol(number)?),
        };
        self.database.flush_sas(protocol);
        let number = protocol.map_or(0, |protocol| protocol.number());
        self.tell(group::SA, events::sas_flushed(number));
        Ok(())
    }

    pub(super) fn get_sa(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let id = parse_sa_id(&mut Cursor::new(payload))?;
        let entry = self.database.sad().get(id);
        let entry = entry.ok_or(DatabaseError::NoSuchSa)?;
        let show_keys = client.privileged;
        let answer = header.answer(message::NEWSA, 0);
        client.answer(netlink::secret_message(answer, |body| {
            put_entry(body, entry, show_keys, &self.shared.clock);
        }));
        Ok(())
    }

    pub(super) fn allocate_spi(
        &mut self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let request = parse_spi_request(payload)?;
        let now_s = self.shared.clock.seconds();
        let random = &mut netio::process::random_u32;
        let larval = self.database.allocate_spi(&request, random, now_s)?;
        let answer = header.answer(message::NEWSA, 0);
        client.answer(netlink::message(answer, |body| {
            put_entry(body, &SaEntry::Larval(larval), false, &self.shared.clock);
        }));
        Ok(())
    }

    /// NEWAE: an SA that was at work elsewhere goes on from there.
    pub(super) fn set_aevent(&mut self, header: Header, payload: &[u8]) -> Result<(), Refusal> {
        let mut cursor = Cursor::new(payload);
        let sa = self.valid_sa(AeventId::parse(&mut cursor)?.id)?;
        if !header.has(netlink::REPLACE) {
            return Err(Refusal::new(
                libc::EOPNOTSUPP,
                "NEWAE carries NLM_F_REPLACE",
            ));
        }
        let attributes = Attributes::parse(cursor.rest())?;
        let replay = Replay::parse(&attributes, sa.params().replay_window)?;
        let other_window = |window| window != sa.params().replay_window;
        if replay.window_packets.is_some_and(other_window) {
            return Err(Refusal::new(
                libc::EINVAL,
                "the replay window of an SA does not change",
            ));
        }
        let carried = parse_carried(&attributes)?;
        if replay.progress.is_none() && carried.is_none() {
            return Err(Refusal::new(libc::EINVAL, "there is nothing to set"));
        }
        if let Some(progress) = replay.progress {
            sa.advance(&progress)?;
        }
        carried.inspect(|(octets, packets)| sa.set_usage(*octets, *packets));
        Ok(())
    }

    pub(super) fn get_aevent(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let asked = AeventId::parse(&mut Cursor::new(payload))?;
        let sa = self.valid_sa(asked.id)?;
        let answer = header.answer(message::NEWAE, 0);
        client.answer(netlink::message(answer, |body| {
            put_aevent(body, &sa, asked.flags, &self.shared.clock);
        }));
        Ok(())
    }

    fn valid_sa(&self, id: SaId) -> Result<Arc<Sa>, DatabaseError> {
        match self.database.sad().get(id) {
            Some(SaEntry::Valid(sa)) => Ok(Arc::clone(sa)),
            _ => Err(DatabaseError::NoSuchSa),
        }
    }

    pub(super) fn get_sad_info(
        &self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let flags = Cursor::new(payload).u32()?;
        let answer = header.answer(message::NEWSADINFO, 0);
        client.answer(netlink::message(answer, |body| {
            put_sad_info(body, flags, self.database.sad());
        }));
        Ok(())
    }
}
