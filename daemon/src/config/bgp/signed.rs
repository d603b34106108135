//! Ranges with a password: the kernel drops whatever comes from them without a signature, whoever it is from.

use std::fmt::Display;

use bgp::Prefix;

use super::super::{ConfigError, Source};
use super::reader::Place;
use super::twins::{Among, peer, range};
use super::{BgpChoice, ListenChoice, NodeFilter, TcpChoice};

/// Refuses peers and ranges without a password within the range of one that has a password.
pub(super) fn refuse(choice: &BgpChoice, among: Among, file: &Source) -> Result<(), ConfigError> {
    for around in choice.listen.iter().filter(|one| is_signed(&one.tcp)) {
        let unheard = |tcp: &TcpChoice, on: &NodeFilter, at: Prefix| {
            let together = among == Among::OneNode || *on == around.on;
            together && !is_signed(tcp) && around.range.range.covers(at)
        };
        let mut ranges = choice.listen.iter();
        if let Some(one) = ranges.find(|one| unheard(&one.tcp, &one.on, one.range.range)) {
            let place = range(file, one).key("range");
            return Err(refused(&place, one.range.range, around));
        }
        let host = |address| Prefix::host(address);
        let mut peers = choice.peers.iter();
        if let Some(one) = peers.find(|one| unheard(&one.tcp, &one.on, host(one.peer.address))) {
            let place = peer(file, one).key("address");
            return Err(refused(&place, one.peer.address, around));
        }
    }
    Ok(())
}

fn is_signed(tcp: &TcpChoice) -> bool {
    tcp.key.is_some() || tcp.key_file.is_some()
}

fn refused(place: &Place<'_>, value: impl Display, around: &ListenChoice) -> ConfigError {
    let around = around.range.range;
    place.refuses(
        value,
        format!(
            "bgp.listen {around} has a password, and whoever connects from there without one is dropped by the kernel: want a password here, too"
        ),
    )
}
