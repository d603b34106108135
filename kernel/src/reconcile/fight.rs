//! What the operator is told of a fight.

use std::fmt;

use crate::entry::Key;

/// Somebody else changes an entry as often as it is put right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fight {
    /// What is fought over.
    pub key: Key,
    /// How often it was put right.
    pub times: u32,
    /// What stood there instead the last time, with a route's protocol; nothing
    /// when it was taken away.
    pub instead: Option<String>,
}

impl fmt::Display for Fight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fight { key, times, .. } = self;
        match &self.instead {
            Some(instead) => write!(f, "{key}: another program made it {instead}")?,
            None => write!(f, "{key}: another program took it away")?,
        }
        write!(
            f,
            ", {times} times in a row; putting it right more slowly from here on, at most every 30 s, until that program stops"
        )
    }
}
