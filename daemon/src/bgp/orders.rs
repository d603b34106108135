//! What an operator has done with peers: `twill bgp`. Says what was done, or why nothing.

use std::time::Instant;

use bgp::speaker::{self, PeerView};

use crate::control::Order;

use super::fabric::{Fabric, Input};

/// Does it.
pub(crate) fn carry_out(
    order: &Order,
    fabric: &mut Fabric,
    now: Instant,
) -> Result<String, String> {
    match order {
        Order::Refresh { peer, ask, tell } => refresh(peer, (*ask, *tell), fabric, now),
        Order::Reset { peer, reason } => reset(peer, reason, fabric, now),
        Order::Drain { on } => Ok(drain(*on, fabric, now)),
    }
}

fn refresh(
    peer: &str,
    (ask, tell): (bool, bool),
    fabric: &mut Fabric,
    now: Instant,
) -> Result<String, String> {
    let view = view(fabric, peer, now)?;
    let (_, agreed) = view.session.ok_or_else(|| {
        format!(
            "there is no session with {peer}, and nothing to refresh; see `twill show peer {peer}`"
        )
    })?;
    if ask && !agreed.route_refresh {
        return Err(format!(
            "{peer} does not offer route refresh (RFC 2918) and cannot be asked for its routes again: `twill bgp refresh {peer} --out` tells it ours again, `twill bgp reset {peer}` begins a new session"
        ));
    }
    let families = agreed.rules.families.iter();
    let families: Vec<String> = families.map(|family| family.to_string()).collect();
    let name = view.name.clone();
    let mut done = Vec::new();
    if ask {
        give(fabric, speaker::Input::Refresh(name.clone()), now);
        done.push(format!("asked {peer} for all its routes again"));
    }
    if tell {
        give(fabric, speaker::Input::TellAgain(name), now);
        done.push(format!("telling {peer} all ours again"));
    }
    Ok(format!("{} ({})", done.join("; "), families.join(", ")))
}

fn reset(peer: &str, reason: &str, fabric: &mut Fabric, now: Instant) -> Result<String, String> {
    let view = view(fabric, peer, now)?;
    if view.config.shutdown.is_some() {
        return Err(format!(
            "{peer} is shut down by the settings, and stays so until `shutdown` goes from them"
        ));
    }
    let before = match (view.up_for, view.held, view.state) {
        (Some(time), ..) => format!(
            "the session with {peer} is ended after {} s",
            time.as_secs()
        ),
        (None, true, _) => format!("{peer} may have a session again after too many prefixes"),
        (None, false, Some(_)) => format!("the attempt at a session with {peer} is given up"),
        (None, false, None) => format!("there was no session with {peer}"),
    };
    let told = match (view.state.is_some(), reason) {
        (true, text) if !text.is_empty() => format!(", the peer is told {text:?}"),
        _ => String::new(),
    };
    let then = match (view.dynamic, view.config.passive) {
        (true, _) => "it is a peer again when it connects",
        (false, true) => "a new one begins when it connects",
        (false, false) => "connecting",
    };
    let name = view.name.clone();
    give(fabric, speaker::Input::Reset(name, reason.to_owned()), now);
    Ok(format!("{before}{told}; {then}"))
}

fn drain(on: bool, fabric: &mut Fabric, now: Instant) -> String {
    let before = fabric.speaker().is_draining();
    give(fabric, speaker::Input::Drain(on), now);
    let up = fabric.speaker().peers(now);
    let up = up.filter(|view| view.up_for.is_some()).count();
    match (before, on) {
        (true, true) => "this node drains already".to_owned(),
        (false, false) => "this node does not drain".to_owned(),
        (false, true) => format!(
            "this node drains: all peers are asked to use other paths ({up} at once), until `twill bgp drain --off` or a restart of the daemon"
        ),
        (true, false) => format!("this node drains no more: all peers are told so ({up} at once)"),
    }
}

fn view<'a>(fabric: &'a Fabric, peer: &str, now: Instant) -> Result<PeerView<'a>, String> {
    let id = fabric.named(peer)?;
    let view = fabric.speaker().peer(id, now);
    view.ok_or_else(|| format!("{peer} is no peer any more"))
}

fn give(fabric: &mut Fabric, input: speaker::Input<'_>, now: Instant) {
    fabric.handle(Input::Speaker(input), now);
}
