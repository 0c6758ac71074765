//! MIGRATE: `xfrm_userpolicy_id` and `XFRMA_MIGRATE`, an array of `struct xfrm_user_migrate`.

use packet::migration::Migration;
use packet::sa::Encap;
use packet::spd::PolicyKey;

use super::attribute::{ENCAP, MIGRATE};
use super::policy::parse_policy_key;
use super::sa::{mode_number, parse_encap, parse_mode};
use super::structures::{POLICY_ID_OCTETS, parse_protocol};
use crate::netlink::{Attributes, put_attribute};
use crate::octets::{Cursor, Put, address, family};
use crate::refusal::Refusal;

/// Octets of `struct xfrm_user_migrate`.
const MIGRATE_OCTETS: usize = 76;

/// What MIGRATE says.
#[derive(Debug)]
pub struct MigrateMessage {
    /// The policy.
    pub key: PolicyKey,
    /// What moves.
    pub migrations: Vec<Migration>,
    /// The encapsulation from now on; none: as it was.
    pub encap: Option<Encap>,
}

impl MigrateMessage {
    /// Reads a payload.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn parse(payload: &[u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(payload);
        let id = cursor.slice(POLICY_ID_OCTETS)?;
        let attributes = Attributes::parse(cursor.rest())?;
        let array = attributes.require(MIGRATE, "XFRMA_MIGRATE")?;
        let elements = array.chunks_exact(MIGRATE_OCTETS);
        if !elements.remainder().is_empty() {
            return Err(Refusal::new(
                libc::EINVAL,
                "XFRMA_MIGRATE is not an array of its structure",
            ));
        }
        Ok(Self {
            key: parse_policy_key(id)?,
            migrations: elements.map(parse_migration).collect::<Result<_, _>>()?,
            encap: attributes.get(ENCAP).map(parse_encap).transpose()?,
        })
    }
}

fn parse_migration(octets: &[u8]) -> Result<Migration, Refusal> {
    let mut cursor = Cursor::new(octets);
    let (old_destination, old_source) = (cursor.array()?, cursor.array()?);
    let (new_destination, new_source) = (cursor.array()?, cursor.array()?);
    let (protocol, mode) = (parse_protocol(cursor.u8()?)?, parse_mode(cursor.u8()?)?);
    cursor.skip(2)?;
    let (reqid, old, new) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
    Ok(Migration {
        protocol,
        mode,
        reqid,
        old: (address(old_source, old)?, address(old_destination, old)?),
        new: (address(new_source, new)?, address(new_destination, new)?),
    })
}

/// Appends `XFRMA_MIGRATE`.
pub fn put_migrations(body: &mut Vec<u8>, migrations: &[Migration]) {
    let mut value = Vec::with_capacity(migrations.len() * MIGRATE_OCTETS);
    for migration in migrations {
        for address in [
            migration.old.1,
            migration.old.0,
            migration.new.1,
            migration.new.0,
        ] {
            value.put_address(address);
        }
        value.put_u8(migration.protocol.number());
        value.put_u8(mode_number(migration.mode));
        value.put_u16(0);
        value.put_u32(migration.reqid);
        value.put_u16(family(migration.old.1));
        value.put_u16(family(migration.new.1));
    }
    put_attribute(body, MIGRATE, &value);
}

#[cfg(test)]
mod tests {
    use packet::sa::{Mode, Protocol};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_migration_comes_back() {
        let of = |first: [u8; 4], second: [u8; 4]| (first.into(), second.into());
        let migration = Migration {
            protocol: Protocol::Ah,
            mode: Mode::Tunnel,
            reqid: 7,
            old: of([10, 0, 0, 1], [10, 0, 0, 2]),
            new: (
                "2001:db8::1".parse().unwrap(),
                "2001:db8::2".parse().unwrap(),
            ),
        };
        let mut body = vec![0; POLICY_ID_OCTETS];
        body[56..60].copy_from_slice(&17u32.to_ne_bytes());
        body[60] = 1;
        put_migrations(&mut body, &[migration; 2]);
        assert_eq!(body.len(), POLICY_ID_OCTETS + 4 + 2 * MIGRATE_OCTETS);
        let read = MigrateMessage::parse(&body).unwrap();
        assert_eq!(read.migrations, [migration; 2]);
        assert!(matches!(read.key, PolicyKey::Index(17)));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_migration_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = MigrateMessage::parse(&octets);
        }
    }
}
