//! MIGRATE: the ends of a policy's tunnels move, and with them the SAs, whose keys and numbers stay (RFC 4555, draft-ebalard-mext-pfkey-enhanced-migrate).

use std::net::IpAddr;

use crate::error::DatabaseError;
use crate::sa::{Mode, Protocol, Sa};
use crate::spd::Template;

/// One pair of ends that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// ESP or AH.
    pub protocol: Protocol,
    /// Transport or tunnel.
    pub mode: Mode,
    /// The reqid of template and SAs; 0: any.
    pub reqid: u32,
    /// Source and destination so far.
    pub old: (IpAddr, IpAddr),
    /// Source and destination from now on.
    pub new: (IpAddr, IpAddr),
}

impl Migration {
    /// Refuse what cannot be.
    pub(crate) fn check(&self) -> Result<(), DatabaseError> {
        let (source, destination) = self.new;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(DatabaseError::Invalid(
                "source and destination are of different families",
            ));
        }
        if source.is_unspecified() || destination.is_unspecified() {
            return Err(DatabaseError::Invalid("the new ends are two addresses"));
        }
        Ok(())
    }

    /// Whether an SA moves.
    pub(crate) fn moves(&self, sa: &Sa) -> bool {
        let params = sa.params();
        params.protocol == self.protocol
            && params.mode.serves(self.mode)
            && (self.reqid == 0 || self.reqid == params.reqid)
            && (params.source, params.destination) == self.old
    }

    /// Whether a template is about this. It need not say any ends, and in transport mode those that it says do not count.
    fn concerns(&self, template: &Template) -> bool {
        let any_ends = template.source.is_unspecified() && template.destination.is_unspecified();
        template.protocol == self.protocol
            && template.mode == self.mode
            && (self.reqid == 0 || self.reqid == template.reqid)
            && (template.mode == Mode::Transport
                || any_ends
                || (template.source, template.destination) == self.old)
    }
}

/// The templates after they moved. None: nothing was about them.
pub(crate) fn moved(templates: &[Template], migrations: &[Migration]) -> Option<Vec<Template>> {
    let mut concerned = false;
    let templates = templates.iter().map(|template| {
        let Some(migration) = migrations.iter().find(|one| one.concerns(template)) else {
            return *template;
        };
        concerned = true;
        if (template.source, template.destination) != migration.old {
            return *template;
        }
        let (source, destination) = migration.new;
        Template {
            source,
            destination,
            ..*template
        }
    });
    let templates = templates.collect();
    concerned.then_some(templates)
}

#[cfg(test)]
mod tests;
