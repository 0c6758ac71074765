//! BATCH: policy messages that become one snapshot or none.

use packet::database::Database;
use packet::spd::Spd;

use crate::limits::MAX_BATCH_MESSAGES;
use crate::refusal::Refusal;

/// A batch that was begun.
pub struct Batch {
    /// The policies as they shall be.
    pub draft: Spd,
    drawn_at: u64,
    notifications: Vec<Vec<u8>>,
    spoiled: bool,
}

impl Batch {
    /// A batch that so far changes nothing.
    pub fn begin(database: &Database) -> Self {
        let (draft, drawn_at) = (database.spd().clone(), database.spd_generation());
        Self {
            draft,
            drawn_at,
            notifications: Vec::new(),
            spoiled: false,
        }
    }

    /// Notes one message's outcome: the notification that follows the commit, or a refusal that spoils the batch.
    ///
    /// # Errors
    /// The refusal, or `ENOBUFS` for a batch of too many messages.
    pub fn note(&mut self, outcome: Result<Vec<u8>, Refusal>) -> Result<(), Refusal> {
        let outcome = match outcome {
            Ok(_) if self.notifications.len() >= MAX_BATCH_MESSAGES => Err(Refusal::new(
                libc::ENOBUFS,
                "a batch has at most 32768 messages",
            )),
            outcome => outcome,
        };
        self.spoiled |= outcome.is_err();
        outcome.map(|notification| self.notifications.push(notification))
    }

    /// Puts the draft in the place of the policies and answers the notifications about it.
    ///
    /// # Errors
    /// `ECANCELED` for a spoiled batch, `EAGAIN` when the policies changed meanwhile.
    pub fn commit(self, database: &mut Database) -> Result<Vec<Vec<u8>>, Refusal> {
        if self.spoiled {
            return Err(Refusal::new(
                libc::ECANCELED,
                "a message of the batch was refused, so nothing was changed",
            ));
        }
        if !self.notifications.is_empty() {
            database.replace_policies(self.draft, self.drawn_at)?;
        }
        Ok(self.notifications)
    }
}
