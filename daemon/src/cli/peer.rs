//! `twill show peer`.

use crate::config::Config;
use crate::control::{OfPeer, Topic, ask_daemon};
use crate::inspect::{PeerDetail, Tally};

use super::show::as_json;
use super::{Outcome, no_daemon};

/// All about one peer.
pub(super) fn shown(config: &Config, name: &str, json: bool) -> anyhow::Result<(String, Outcome)> {
    let of = |after| OfPeer {
        peer: name.to_owned(),
        after,
    };
    let Some(text) = ask_daemon(&config.run_dir, &Topic::Peer(of(None)))? else {
        return Ok((String::new(), no_daemon(config)));
    };
    let mut peer: PeerDetail = serde_json::from_str(&text)?;
    let mut tally = Tally::default();
    let mut after = None;
    loop {
        let Some(text) = ask_daemon(&config.run_dir, &Topic::Tally(of(after)))? else {
            return Ok((String::new(), no_daemon(config)));
        };
        tally = tally.and(serde_json::from_str(&text)?);
        after = tally.next.clone();
        if after.is_none() {
            break;
        }
    }
    for (at, routes) in peer.routes.iter_mut().enumerate().take(2) {
        (routes.used, routes.told) = (Some(tally.used[at]), Some(tally.told[at]));
    }
    let text = if json { as_json(&peer)? } else { peer.text() };
    Ok((text, Outcome::Fine))
}
