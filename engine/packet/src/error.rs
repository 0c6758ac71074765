//! Why the database refuses a request.

use std::fmt;

/// A refusal, with the errno that the kernel would answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseError {
    /// It is there already.
    Exists,
    /// There is no such SA.
    NoSuchSa,
    /// There is no such policy.
    NoSuchPolicy,
    /// A migration is about none of the policy's templates.
    NoSuchTemplate,
    /// A bound of `limits` is reached.
    Full(&'static str),
    /// The request contradicts itself or the RFCs.
    Invalid(&'static str),
    /// Two address families that do not go together.
    WrongFamily(&'static str),
    /// Not built.
    Unsupported(&'static str),
    /// No SPI in the range is free.
    NoSpi,
    /// The policies changed while a batch was written.
    Conflict,
}

impl DatabaseError {
    /// The positive errno of Linux: EEXIST, ESRCH, ENOENT, ESRCH, ENOBUFS, EINVAL, EPROTONOSUPPORT, EOPNOTSUPP, ENOENT, EAGAIN.
    pub const fn errno(self) -> i32 {
        match self {
            DatabaseError::Exists => 17,
            DatabaseError::NoSuchSa | DatabaseError::NoSuchTemplate => 3,
            DatabaseError::NoSuchPolicy | DatabaseError::NoSpi => 2,
            DatabaseError::Full(_) => 105,
            DatabaseError::Invalid(_) => 22,
            DatabaseError::WrongFamily(_) => 93,
            DatabaseError::Unsupported(_) => 95,
            DatabaseError::Conflict => 11,
        }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DatabaseError::Exists => "it exists already",
            DatabaseError::NoSuchSa => "no such security association",
            DatabaseError::NoSuchPolicy => "no such policy",
            DatabaseError::NoSuchTemplate => "the policy has no such template",
            DatabaseError::NoSpi => "no SPI of the range is free",
            DatabaseError::Conflict => "the policies changed while the batch was written",
            DatabaseError::Full(what)
            | DatabaseError::Invalid(what)
            | DatabaseError::WrongFamily(what)
            | DatabaseError::Unsupported(what) => what,
        })
    }
}

impl std::error::Error for DatabaseError {}
