//! The attributes of one UPDATE, each read by its own rules, with what is wrong with them (RFC 7606 section 3 and 7).

use std::net::Ipv4Addr;

use crate::ident::{Asn, Peering, RouterId};
use crate::wire::as_path::{AsPath, has_set};
use crate::wire::attribute::{OPTIONAL, RawAttribute, TRANSITIVE, code, expected_flags};
use crate::wire::attributes::{Aggregator, Attributes, NextHop, Origin, Unknown};
use crate::wire::community::{Community, ExtendedCommunity, LargeCommunity};
use crate::wire::fault::{BAD_LENGTH, FROM_EXTERNAL, Fault, Severity, Wrong};
use crate::wire::nlri::Prefixes;
use crate::wire::notification::Notification;
use crate::wire::reach::{MpReach, decode_reach, decode_unreach, is_possible};
use crate::wire::rules::Rules;

/// More faults than this in one UPDATE say nothing new.
const MOST_FAULTS: usize = 8;

/// What the attributes of one UPDATE say.
pub(crate) struct Collected {
    /// NEXT_HOP in it is not set yet: it depends on the family.
    pub(crate) attributes: Attributes,
    pub(crate) next_hop: Option<NextHop>,
    pub(crate) reach: Option<MpReach>,
    pub(crate) unreach: Option<Prefixes>,
    pub(crate) faults: Vec<Fault>,
    seen: Seen,
    next_hop_fault: Option<Fault>,
    as4_path: Option<AsPath>,
    as4_aggregator: Option<Aggregator>,
}

/// The type codes that were there.
#[derive(Default)]
struct Seen([u64; 4]);

impl Seen {
    fn has(&self, code: u8) -> bool {
        self.0[usize::from(code / 64)] >> (code % 64) & 1 == 1
    }

    /// Whether it is the first of its kind.
    fn first(&mut self, code: u8) -> bool {
        let first = !self.has(code);
        self.0[usize::from(code / 64)] |= 1 << (code % 64);
        first
    }
}

impl Collected {
    pub(crate) fn new() -> Collected {
        Collected {
            attributes: Attributes::originated(NextHop::V4(Ipv4Addr::UNSPECIFIED)),
            next_hop: None,
            reach: None,
            unreach: None,
            faults: Vec::new(),
            seen: Seen::default(),
            next_hop_fault: None,
            as4_path: None,
            as4_aggregator: None,
        }
    }

    /// Takes one attribute in. An error ends the session.
    pub(crate) fn take(
        &mut self,
        raw: RawAttribute<'_>,
        rules: &Rules,
    ) -> Result<(), Notification> {
        match self.read(raw, rules) {
            Ok(()) => Ok(()),
            Err(Wrong::Reset(notification)) => Err(notification),
            Err(Wrong::Discard(why)) => {
                self.blame(raw.code, Severity::Discard, 5, why);
                Ok(())
            }
            Err(Wrong::Withdraw(subcode, why)) if raw.code == code::NEXT_HOP => {
                let severity = Severity::Withdraw;
                self.next_hop_fault = Some(Fault {
                    attribute: raw.code,
                    severity,
                    subcode,
                    why,
                });
                Ok(())
            }
            Err(Wrong::Withdraw(subcode, why)) => {
                self.blame(raw.code, Severity::Withdraw, subcode, why);
                Ok(())
            }
        }
    }

    /// Notes a fault. The strongest is always among those kept.
    pub(crate) fn blame(
        &mut self,
        attribute: u8,
        severity: Severity,
        subcode: u8,
        why: &'static str,
    ) {
        if self.faults.len() < MOST_FAULTS
            || self.worst().is_none_or(|worst| worst.severity < severity)
        {
            self.faults.push(Fault {
                attribute,
                severity,
                subcode,
                why,
            });
        }
    }

    /// The first of the strongest faults.
    pub(crate) fn worst(&self) -> Option<&Fault> {
        self.faults.iter().rev().max_by_key(|fault| fault.severity)
    }

    /// Whether there was an MP_REACH_NLRI, of whatever family.
    pub(crate) fn has_reach(&self) -> bool {
        self.seen.has(code::MP_REACH)
    }

    /// Whether there was any attribute but MP_UNREACH_NLRI.
    pub(crate) fn says_more_than_unreach(&self) -> bool {
        let mut rest = self.seen.0;
        rest[0] &= !(1 << code::MP_UNREACH);
        rest != [0; 4]
    }

    /// Looks over what only the whole shows: missing attributes (RFC 7606 section 3 d), AS4_PATH, the first AS. `classic`:
    /// there are routes behind the attributes, which need NEXT_HOP.
    pub(crate) fn finish(&mut self, classic: bool, rules: &Rules) {
        if classic {
            let missing = !self.seen.has(code::NEXT_HOP);
            match self.next_hop_fault {
                Some(fault) => {
                    self.blame(fault.attribute, fault.severity, fault.subcode, fault.why)
                }
                None if missing => {
                    self.blame(code::NEXT_HOP, Severity::Withdraw, 3, "it is missing")
                }
                None => (),
            }
        }
        for code in [code::ORIGIN, code::AS_PATH] {
            if (classic || self.has_reach()) && !self.seen.has(code) {
                self.blame(code, Severity::Withdraw, 3, "it is missing");
            }
        }
        self.restore_four_octets();
        if self.seen.has(code::AS_PATH)
            && rules.peering == Peering::External
            && rules.enforce_first_as
        {
            self.check_first_as(rules.peer_asn);
        }
    }

    fn check_first_as(&mut self, peer: Asn) {
        if self.worst().is_none_or(|w| w.severity < Severity::Withdraw)
            && self.attributes.as_path.first() != Some(peer)
        {
            self.blame(
                code::AS_PATH,
                Severity::Withdraw,
                11,
                "its first AS is not the peer's",
            );
        }
    }

    /// Puts back what a peer with two-octet numbers could not say (RFC 6793 section 4.2.3).
    fn restore_four_octets(&mut self) {
        if let Some(aggregator) = self.attributes.aggregator
            && let Some(as4) = self.as4_aggregator.take()
        {
            if aggregator.asn != Asn::TRANS {
                return;
            }
            self.attributes.aggregator = Some(as4);
        }
        if let Some(as4) = self.as4_path.take() {
            self.attributes.as_path = self.attributes.as_path.restored(&as4);
        }
    }

    fn read(&mut self, raw: RawAttribute<'_>, rules: &Rules) -> Result<(), Wrong> {
        if !self.seen.first(raw.code) {
            return Err(match raw.code {
                code::MP_REACH | code::MP_UNREACH => Wrong::reset(1, &[]),
                _ => Wrong::Discard("it is there twice"),
            });
        }
        let internal = rules.peering == Peering::Internal;
        if !internal
            && matches!(
                raw.code,
                code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST
            )
        {
            return Err(FROM_EXTERNAL);
        }
        if expected_flags(raw.code).is_none() {
            return self.read_unknown(raw);
        }
        let flags = Wrong::Withdraw(4, "its flags are not those of its type");
        match raw.code {
            // Where the flags are wrong, the routes still have to be found to be withdrawn.
            code::MP_REACH => self.reach = decode_reach(raw.value, rules)?,
            code::MP_UNREACH => self.unreach = decode_unreach(raw.value, rules)?,
            _ if !raw.has_expected_flags() => return Err(flags),
            code::AS_PATH | code::AS4_PATH | code::AGGREGATOR | code::AS4_AGGREGATOR => {
                self.read_path(raw, rules)?
            }
            code::COMMUNITIES | code::EXTENDED_COMMUNITIES | code::LARGE_COMMUNITIES => {
                self.read_communities(raw)?
            }
            _ => self.read_plain(raw)?,
        }
        if raw.has_expected_flags() {
            self.check_mp_next_hop(raw.code)
        } else {
            Err(flags)
        }
    }

    fn check_mp_next_hop(&self, code: u8) -> Result<(), Wrong> {
        match &self.reach {
            Some(reach) if code == code::MP_REACH && reach.next_hop.is_none() => {
                Err(Wrong::Withdraw(8, "its next hop can be nobody's address"))
            }
            _ => Ok(()),
        }
    }

    /// RFC 4271 section 5: known to all, passed on, or ignored.
    fn read_unknown(&mut self, raw: RawAttribute<'_>) -> Result<(), Wrong> {
        if raw.flags & OPTIONAL == 0 {
            return Err(Wrong::reset(2, raw.value));
        }
        if raw.flags & TRANSITIVE != 0 {
            let unknown = Unknown {
                code: raw.code,
                value: raw.value.into(),
            };
            let at = self
                .attributes
                .unknown
                .partition_point(|u| u.code < raw.code);
            self.attributes.unknown.insert(at, unknown);
        }
        Ok(())
    }

    fn read_plain(&mut self, raw: RawAttribute<'_>) -> Result<(), Wrong> {
        let attributes = &mut self.attributes;
        match raw.code {
            code::ORIGIN => attributes.origin = origin(raw.value)?,
            code::NEXT_HOP => {
                let hop = NextHop::V4(Ipv4Addr::from_bits(number(raw.value)?));
                if !is_possible(hop) {
                    return Err(Wrong::Withdraw(8, "it can be nobody's address"));
                }
                self.next_hop = Some(hop);
            }
            code::MED => attributes.med = Some(number(raw.value)?),
            code::LOCAL_PREF => attributes.local_pref = Some(number(raw.value)?),
            code::ATOMIC_AGGREGATE if !raw.value.is_empty() => {
                return Err(Wrong::Discard("it is not empty"));
            }
            code::ATOMIC_AGGREGATE => attributes.atomic_aggregate = true,
            code::ORIGINATOR_ID => {
                attributes.originator_id = Some(RouterId::from_bits(number(raw.value)?))
            }
            _ => attributes.cluster_list = all(raw.value, u32::from_be_bytes)?,
        }
        Ok(())
    }

    fn read_path(&mut self, raw: RawAttribute<'_>, rules: &Rules) -> Result<(), Wrong> {
        let wide = rules.four_octet_as;
        match raw.code {
            code::AS_PATH => {
                let path = AsPath::decode(raw.value, wide)
                    .ok_or_else(|| malformed_path(raw.value, wide))?;
                self.attributes.as_path = path;
            }
            code::AGGREGATOR => self.attributes.aggregator = aggregator(raw.value, wide)?,
            _ if wide => {
                return Err(Wrong::Discard(
                    "a peer with four-octet AS numbers may not send it",
                ));
            }
            code::AS4_PATH => {
                let path = AsPath::decode(raw.value, true);
                self.as4_path = Some(path.ok_or(Wrong::Discard("it is malformed"))?);
            }
            _ => self.as4_aggregator = aggregator(raw.value, true)?,
        }
        Ok(())
    }

    fn read_communities(&mut self, raw: RawAttribute<'_>) -> Result<(), Wrong> {
        let attributes = &mut self.attributes;
        match raw.code {
            code::COMMUNITIES => {
                attributes.communities = set(raw.value, |b| Community(u32::from_be_bytes(b)))?;
            }
            code::EXTENDED_COMMUNITIES => {
                attributes.extended_communities = set(raw.value, ExtendedCommunity)?
            }
            _ => attributes.large_communities = set(raw.value, large)?,
        }
        Ok(())
    }
}

fn origin(value: &[u8]) -> Result<Origin, Wrong> {
    match value {
        [0] => Ok(Origin::Igp),
        [1] => Ok(Origin::Egp),
        [2] => Ok(Origin::Incomplete),
        [_] => Err(Wrong::Withdraw(6, "its value is above 2")),
        _ => Err(BAD_LENGTH),
    }
}

fn number(value: &[u8]) -> Result<u32, Wrong> {
    let octets = value.try_into().map_err(|_| BAD_LENGTH)?;
    Ok(u32::from_be_bytes(octets))
}

fn malformed_path(value: &[u8], wide: bool) -> Wrong {
    let why = if has_set(value, wide) {
        "it has an AS_SET (RFC 9774)"
    } else {
        "it is malformed, or has AS 0 or a confederation in it"
    };
    Wrong::Withdraw(11, why)
}

fn aggregator(value: &[u8], wide: bool) -> Result<Option<Aggregator>, Wrong> {
    let (asn, id) = match (wide, value.len()) {
        (true, 8) => (number(&value[..4])?, number(&value[4..])?),
        (false, 6) => (
            u32::from(u16::from_be_bytes([value[0], value[1]])),
            number(&value[2..])?,
        ),
        _ => return Err(Wrong::Discard("its length is wrong")),
    };
    if asn == 0 {
        return Err(Wrong::Discard("its AS is 0"));
    }
    Ok(Some(Aggregator {
        asn: Asn(asn),
        router_id: RouterId::from_bits(id),
    }))
}

/// A list of at least one item of `N` octets.
fn all<T, const N: usize>(value: &[u8], item: impl Fn([u8; N]) -> T) -> Result<Vec<T>, Wrong> {
    match value.as_chunks::<N>() {
        (items, []) if !items.is_empty() => Ok(items.iter().map(|i| item(*i)).collect()),
        _ => Err(BAD_LENGTH),
    }
}

/// The same, sorted and each once.
fn set<T: Ord, const N: usize>(value: &[u8], item: impl Fn([u8; N]) -> T) -> Result<Vec<T>, Wrong> {
    let mut items = all(value, item)?;
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

fn large(octets: [u8; 12]) -> LargeCommunity {
    let part =
        |n: usize| u32::from_be_bytes([octets[n], octets[n + 1], octets[n + 2], octets[n + 3]]);
    LargeCommunity([part(0), part(4), part(8)])
}
