//! Why a request was not done: an errno for programs and a sentence for people.

use std::borrow::Cow;

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A positive errno.
    pub errno: i32,
    /// What was wrong, without a full stop.
    pub sentence: Cow<'static, str>,
}

impl Refusal {
    /// A structure ended too early.
    pub const SHORT: Self = Self::new(libc::EINVAL, "the message is shorter than its structure");

    /// A refusal with a fixed sentence.
    pub const fn new(errno: i32, sentence: &'static str) -> Self {
        Self {
            errno,
            sentence: Cow::Borrowed(sentence),
        }
    }

    /// A refusal whose sentence names what it is about.
    pub fn about(errno: i32, sentence: String) -> Self {
        Self {
            errno,
            sentence: Cow::Owned(sentence),
        }
    }
}

impl From<packet::error::DatabaseError> for Refusal {
    fn from(error: packet::error::DatabaseError) -> Self {
        Self::about(error.errno(), error.to_string())
    }
}
