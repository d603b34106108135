//! What is wrong with an UPDATE that does not end the session (RFC 7606 section 2).

use std::fmt::{self, Display};

use crate::wire::notification::Notification;

/// What an error in an attribute leads to; the later is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The attribute is dropped, the routes are taken.
    Discard,
    /// The routes of the UPDATE are taken back.
    Withdraw,
}

/// One error in an UPDATE that the session survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The attribute's type code; 0 for the list of attributes as a whole.
    pub attribute: u8,
    /// What it leads to.
    pub severity: Severity,
    /// The subcode that RFC 4271 section 6.3 has for it.
    pub subcode: u8,
    /// What is wrong.
    pub why: &'static str,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity {
            Severity::Discard => write!(f, "attribute {} dropped: {}", self.attribute, self.why),
            Severity::Withdraw => write!(
                f,
                "routes withdrawn: attribute {}: {}",
                self.attribute, self.why
            ),
        }
    }
}

/// Why an attribute is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Discard(&'static str),
    Withdraw(u8, &'static str),
    Reset(Notification),
}

/// The attribute's length is wrong (3/5).
pub(crate) const BAD_LENGTH: Wrong = Wrong::Withdraw(5, "its length is wrong");
/// An attribute that only internal peers may send.
pub(crate) const FROM_EXTERNAL: Wrong = Wrong::Discard("an external peer may not send it");

impl Wrong {
    /// The session ends with this subcode of "UPDATE message error".
    pub(crate) fn reset(subcode: u8, data: &[u8]) -> Wrong {
        Wrong::Reset(Notification::new(3, subcode).with(data))
    }
}
