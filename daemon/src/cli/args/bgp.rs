//! `twill bgp`: what can be said, and its help.

use clap::{Args, Subcommand};

use crate::config::Flags;
use crate::control::LONGEST_REASON;

/// `twill bgp`
#[derive(Args)]
pub(crate) struct Bgp {
    #[command(subcommand)]
    pub(crate) order: Order,
}

/// What is to be done with peers.
#[derive(Subcommand)]
pub(crate) enum Order {
    /// Have all routes told again, in both directions
    ///
    /// The session stays (route refresh, RFC 2918), and no packet is lost.
    #[command(after_help = REFRESH)]
    Refresh {
        /// Which peer, as in `twill show peers`
        name: String,
        /// Only ask the peer for its routes
        #[arg(long = "in", conflicts_with = "to")]
        from: bool,
        /// Only tell the peer ours
        #[arg(long = "out")]
        to: bool,
        #[command(flatten)]
        flags: Flags,
    },

    /// End the session with a peer and begin another
    ///
    /// Also opens a session again that was closed because of too many prefixes. No other peer is
    /// touched. Routes stay where both speak graceful restart (RFC 8538).
    #[command(after_help = RESET)]
    Reset {
        /// Which peer, as in `twill show peers`
        name: String,
        /// What the peer is told as the reason, at most 255 octets (RFC 9003)
        #[arg(
            long,
            value_name = "TEXT",
            default_value = "",
            hide_default_value = true
        )]
        #[arg(value_parser = reason)]
        reason: String,
        #[command(flatten)]
        flags: Flags,
    },

    /// Ask all peers to use other paths than through this node
    ///
    /// All that is announced has the community GRACEFUL_SHUTDOWN (RFC 8326), and LOCAL_PREF 0 for
    /// peers in our AS. Paths that are the only ones are still used. Lasts until --off or a restart
    /// of the daemon; `twill show status` and `twill show peers` say so.
    #[command(after_help = DRAIN)]
    Drain {
        /// Ask no more
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        flags: Flags,
    },
}

/// What a peer can be told, and a log can show.
fn reason(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_REASON {
        Err(format!(
            "it has {} octets, want at most {LONGEST_REASON}",
            text.len()
        ))
    } else if text.chars().any(char::is_control) {
        Err("want one line without control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Of `twill bgp`.
pub(super) const EXAMPLES: &str = "\
Examples:
  twill bgp refresh tor-a
  twill bgp reset tor-a --reason 'new cable'
  twill bgp drain && sleep 30 && systemctl reboot

Exit codes: 0 done, 1 no daemon runs, 2 no such peer, or it could not be done";

const REFRESH: &str = "\
Examples:
  twill bgp refresh tor-a
  twill bgp refresh tor-a --in

Exit codes: 0 asked for or begun, 1 no daemon runs, 2 no such peer, no session, or the peer cannot be asked";

const RESET: &str = "\
Examples:
  twill bgp reset tor-a
  twill bgp reset tor-a --reason 'new cable'

Exit codes: 0 done, 1 no daemon runs, 2 no such peer, or it is shut down by the settings";

const DRAIN: &str = "\
Examples:
  twill bgp drain
  twill bgp drain --off

Exit codes: 0 done, 1 no daemon runs, 2 error";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_message() {
        assert!(reason(&"x".repeat(255)).is_ok() && reason(&"x".repeat(256)).is_err());
        assert!(reason("two\nlines").is_err());
    }
}
