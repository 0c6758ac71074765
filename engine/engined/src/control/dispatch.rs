//! Who may ask what, and who answers it.

use super::Control;
use super::client::{Client, Pending};
use crate::family::{attribute, message as family};
use crate::ike;
use crate::netlink::{self, ACK, Attributes, DUMP, Header, REQUEST};
use crate::refusal::Refusal;
use crate::xfrm::message;

const UNPRIVILEGED: Refusal = Refusal::new(
    libc::EPERM,
    "only root and the engine's own user may do this",
);
const UNKNOWN: Refusal = Refusal::new(libc::EOPNOTSUPP, "there is no such message");
const NOT_A_REQUEST: Refusal = Refusal::new(libc::EINVAL, "a request carries NLM_F_REQUEST");

/// What anybody may ask: it changes nothing and shows no keys.
const HARMLESS: [u16; 9] = [
    message::GETSA,
    message::GETPOLICY,
    message::GETAE,
    message::GETSADINFO,
    message::GETSPDINFO,
    family::GETCOUNTERS,
    family::GETINFO,
    family::GIF_GET,
    family::GETPATHMTU,
];

impl Control {
    /// Handles one request and queues what it is answered.
    pub(super) fn request(&mut self, client: &mut Client, header: Header, payload: &[u8]) {
        let outcome = judge(client, header).and_then(|()| self.dispatch(client, header, payload));
        let keeps = client.pending.is_some();
        match outcome {
            Ok(()) if header.has(ACK) && !keeps => {
                client.answer(netlink::acknowledgement(header, Ok(())))
            }
            Ok(()) => {}
            Err(refusal) => client.answer(netlink::acknowledgement(header, Err(&refusal))),
        }
    }

    fn dispatch(
        &mut self,
        client: &mut Client,
        header: Header,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        match header.kind {
            message::GETSA
            | message::GETPOLICY
            | family::BLOB_GET
            | family::GIF_GET
            | family::GETPATHMTU
                if header.has(DUMP) =>
            {
                self.dump(client, header);
                Ok(())
            }
            message::NEWSA | message::UPDSA => self.put_sa(header.kind, payload),
            message::DELSA => self.delete_sa(payload),
            message::GETSA => self.get_sa(client, header, payload),
            message::ALLOCSPI => self.allocate_spi(client, header, payload),
            message::FLUSHSA => self.flush_sas(payload),
            message::NEWAE => self.set_aevent(header, payload),
            message::GETAE => self.get_aevent(client, header, payload),
            message::GETSADINFO => self.get_sad_info(client, header, payload),
            message::GETPOLICY => self.get_policy(client, header, payload),
            message::GETSPDINFO => self.get_spd_info(client, header, payload),
            message::MIGRATE => self.migrate(client, payload),
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
            family::BATCH_ABORT => Self::abort_batch(client),
            family::IKE_SEND => {
                // The peer may answer at once with what was set up before.
                self.publish();
                ike::send(payload, &self.shared.devices)
            }
            family::GETCOUNTERS => self.get_counters(client, header),
            family::GETINFO => self.get_info(client, header),
            family::BLOB_PART => client
                .parts
                .push(attributes.require(attribute::DATA, "DATA")?),
            family::BLOB_PUT => {
                let parts = std::mem::take(&mut client.parts);
                let key = attributes.require(attribute::KEY, "KEY")?;
                self.blobs
                    .put(key, parts, attributes.require(attribute::DATA, "DATA")?)
            }
            family::BLOB_DELETE => self
                .blobs
                .delete(attributes.require(attribute::KEY, "KEY")?),
            family::GIF_SET => self.set_gif(&attributes),
            family::GIF_DELETE => self.delete_gif(&attributes),
            family::SHUTDOWN => {
                self.ending = true;
                Ok(())
            }
            _ => Err(UNKNOWN),
        }
    }
}

fn judge(client: &Client, header: Header) -> Result<(), Refusal> {
    if !header.has(REQUEST) {
        return Err(NOT_A_REQUEST);
    }
    if client.privileged || HARMLESS.contains(&header.kind) {
        Ok(())
    } else {
        Err(UNPRIVILEGED)
    }
}
