//! Which leases are this node's own, and which are another machine's with the same address or the same name.

use std::fmt::{self, Display};

use crate::lease::{Hold, Lease, LeaseAttrs};

use super::{AllocError, Identity, Knowledge, Rival};

/// What two nodes have in common that nodes must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shared {
    /// The underlay address (`PublicIP`), like the 10.0.2.15 that Vagrant gives to every machine.
    Address,
    /// The node name (`NodeName`).
    Name,
}

/// Which leases are this node's own.
pub(super) enum Own<'a> {
    /// These, the one to prefer first.
    These(Vec<&'a Lease>),
    /// That depends on how much time this one has left.
    Depends(&'a Lease),
}

/// This node's leases: by underlay address before by name, the previous block before others, reservations before
/// leases.
///
/// When only the address or only the name is the same, and the other is there and another one, the lease is ours if
/// this machine remembers the block, or if its holder gave it up or has not tended it. Otherwise it is another
/// machine's, which matters only when we have none of our own: who was there first is not disturbed.
pub(super) fn own_leases<'a>(
    identity: &Identity,
    known: &Knowledge<'a>,
) -> Result<Own<'a>, AllocError> {
    let (mut sure, mut doubtful) = (Vec::new(), Vec::new());
    for lease in known.akin {
        match recognise(identity, &lease.attrs) {
            None => {}
            Some(Likeness { by, doubt: true }) if !is_remembered(identity, lease) => {
                doubtful.push((by, lease));
            }
            Some(Likeness { by, .. }) => sure.push((by, lease)),
        }
    }
    if !sure.is_empty() {
        return Ok(Own::These(sorted(identity, sure)));
    }
    for (by, lease) in &doubtful {
        let Some(life) = known.lives.get(&lease.block) else {
            return Ok(Own::Depends(lease));
        };
        if let Some(wait) = life.tended_for().filter(|_| !lease.attrs.released) {
            return Err(rival(identity, *by, lease, wait));
        }
    }
    Ok(Own::These(sorted(identity, doubtful)))
}

pub(super) fn shared_with(identity: &Identity, attrs: &LeaseAttrs) -> Option<Shared> {
    let likeness = recognise(identity, attrs)?;
    likeness.doubt.then_some(likeness.by)
}

pub(super) struct Likeness {
    by: Shared,
    /// The other of address and name is there and differs.
    doubt: bool,
}

pub(super) fn recognise(identity: &Identity, attrs: &LeaseAttrs) -> Option<Likeness> {
    let both = |a, b| -> Option<bool> { Option::zip(a, b).map(|(a, b)| a == b) };
    let same_v4 = both(
        attrs.underlay_v4.map(u32::from),
        identity.underlay_v4.map(u32::from),
    );
    let same_v6 = attrs
        .underlay_v6
        .zip(identity.underlay_v6)
        .map(|(a, b)| a == b);
    let same_name = attrs
        .node
        .as_ref()
        .zip(identity.node.as_ref())
        .map(|(a, b)| a == b);
    // flannel asks for IPv4 alone as soon as both sides have it.
    let same_address = same_v4.or(same_v6);
    let (by, doubt) = match (same_address, same_name) {
        (Some(true), name) => (Shared::Address, name == Some(false)),
        (address, Some(true)) => (Shared::Name, address == Some(false)),
        _ => return None,
    };
    Some(Likeness { by, doubt })
}

/// In one family is enough: the other may have been added after the block was written down.
fn is_remembered(identity: &Identity, lease: &Lease) -> bool {
    identity
        .previous
        .is_some_and(|previous| previous.overlaps(&lease.block))
}

fn sorted<'a>(identity: &Identity, mut own: Vec<(Shared, &'a Lease)>) -> Vec<&'a Lease> {
    own.sort_by_key(|(by, lease)| {
        let other = identity.previous != Some(lease.block);
        (*by, other, lease.hold != Hold::Reserved, lease.block)
    });
    own.into_iter().map(|(_, lease)| lease).collect()
}

fn rival(
    identity: &Identity,
    shared: Shared,
    lease: &Lease,
    wait: std::time::Duration,
) -> AllocError {
    let attrs = &lease.attrs;
    let is_reserved = lease.hold == Hold::Reserved;
    AllocError::Rival(Box::new(Rival {
        shared,
        me: named(
            identity.node.as_deref(),
            [
                identity.underlay_v4.map(Into::into),
                identity.underlay_v6.map(Into::into),
            ],
        ),
        holder: named(
            attrs.node.as_deref(),
            [
                attrs.underlay_v4.map(Into::into),
                attrs.underlay_v6.map(Into::into),
            ],
        ),
        block: lease.block,
        wait: (!is_reserved).then_some(wait),
    }))
}

fn named(node: Option<&str>, addresses: [Option<std::net::IpAddr>; 2]) -> String {
    let addresses = addresses.iter().flatten().map(ToString::to_string);
    let name = node.map_or("no name".to_owned(), |name| format!("{name:?}"));
    std::iter::once(name)
        .chain(addresses)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Shared {
    /// The settings that change it.
    pub(super) fn flags(self) -> &'static str {
        match self {
            Shared::Address => "--iface or --public-ip",
            Shared::Name => "--node-name",
        }
    }
}

impl Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shared::Address => "underlay address",
            Shared::Name => "node name",
        })
    }
}
