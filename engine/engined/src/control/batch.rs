//! BATCH: policy messages that become one snapshot or none.

use packet::database::Database;
use packet::spd::Spd;

use super::policies::Changed;
use crate::clock::Clock;
use crate::limits::{MAX_BATCH_MESSAGES, MAX_TOLD_OF_BATCH};
use crate::refusal::Refusal;
use crate::xfrm::events;

/// A batch that was begun.
pub struct Batch {
    /// The policies as they shall be.
    pub draft: Spd,
    drawn_at: u64,
    messages: usize,
    /// One for each message, as long as they are few.
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
            messages: 0,
            notifications: Vec::new(),
            spoiled: false,
        }
    }

    /// Notes one message's outcome: the notification that follows the commit, or a refusal that spoils the batch.
    ///
    /// # Errors
    /// The refusal, or `ENOBUFS` for a batch of too many messages.
    pub fn note(
        &mut self,
        outcome: Result<Changed, Refusal>,
        clock: &Clock,
    ) -> Result<(), Refusal> {
        let outcome = match outcome {
            Ok(_) if self.messages >= MAX_BATCH_MESSAGES => Err(Refusal::new(
                libc::ENOBUFS,
                "a batch has at most 262144 messages",
            )),
            outcome => outcome,
        };
        self.spoiled |= outcome.is_err();
        let changed = outcome?;
        self.messages += 1;
        if self.messages <= MAX_TOLD_OF_BATCH {
            self.notifications.push(changed.notification(clock));
        } else {
            self.notifications = Vec::new();
        }
        Ok(())
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
        if self.messages > 0 {
            database.replace_policies(self.draft, self.drawn_at)?;
        }
        if self.messages > MAX_TOLD_OF_BATCH {
            return Ok(vec![events::policies_rewritten()]);
        }
        Ok(self.notifications)
    }
}
