//! How much time a lease has left, and what that says about its holder.

use std::time::Duration;

/// How much time a lease has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// A reservation does not end.
    Endless,
    /// It ends unless it is renewed.
    Ends {
        /// Time that it was granted.
        granted: Duration,
        /// What is left of that.
        left: Duration,
    },
    /// It has ended.
    Over,
}

impl Life {
    /// How long the holder still counts as alive if it renews no more; `None` when it does not count as alive.
    ///
    /// A node renews after a third of its time. One that is a tenth late is taken for dead; for [`Life::Endless`]
    /// nobody can tell, so its holder is alive for ever.
    pub fn tended_for(&self) -> Option<Duration> {
        match self {
            Life::Endless => Some(Duration::MAX),
            Life::Over => None,
            Life::Ends { granted, left } => {
                let patience = *granted / 3 + *granted / 10;
                let silent = granted.saturating_sub(*left);
                patience.checked_sub(silent).filter(|rest| !rest.is_zero())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_alive_until_it_is_a_tenth_late_with_its_renewal() {
        let seconds = Duration::from_secs;
        let life = |left| Life::Ends {
            granted: seconds(300),
            left: seconds(left),
        };
        assert_eq!(life(300).tended_for(), Some(seconds(130)));
        assert_eq!(life(171).tended_for(), Some(seconds(1)));
        assert_eq!(life(170).tended_for(), None);
        assert_eq!(Life::Over.tended_for(), None);
        assert_eq!(Life::Endless.tended_for(), Some(Duration::MAX));
    }
}
