//! Address families: IPv4 and IPv6 unicast are all that we speak (RFC 4760).

use std::fmt::{self, Display};

/// SAFI 1.
pub(crate) const UNICAST: u8 = 1;

/// An address family that we speak, always unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4,
    /// AFI 2, SAFI 1.
    Ipv6,
}

impl Family {
    /// Both, in order.
    pub const ALL: [Family; 2] = [Family::Ipv4, Family::Ipv6];

    /// The family with these numbers, if we speak it.
    pub fn of(afi: u16, safi: u8) -> Option<Family> {
        match (afi, safi) {
            (1, UNICAST) => Some(Family::Ipv4),
            (2, UNICAST) => Some(Family::Ipv6),
            _ => None,
        }
    }

    /// The address family identifier.
    pub fn afi(self) -> u16 {
        match self {
            Family::Ipv4 => 1,
            Family::Ipv6 => 2,
        }
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        })
    }
}

/// A set of families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Neither.
    pub const NONE: Families = Families {
        v4: false,
        v6: false,
    };
    /// IPv4 alone.
    pub const IPV4: Families = Families {
        v4: true,
        v6: false,
    };
    /// IPv6 alone.
    pub const IPV6: Families = Families {
        v4: false,
        v6: true,
    };
    /// Both.
    pub const BOTH: Families = Families { v4: true, v6: true };

    /// Whether the family is in the set.
    pub fn has(self, family: Family) -> bool {
        match family {
            Family::Ipv4 => self.v4,
            Family::Ipv6 => self.v6,
        }
    }

    /// Puts the family into the set, or takes it out.
    pub fn set(&mut self, family: Family, there: bool) {
        match family {
            Family::Ipv4 => self.v4 = there,
            Family::Ipv6 => self.v6 = there,
        }
    }

    /// What is in both sets.
    #[must_use]
    pub fn and(self, other: Families) -> Families {
        Families {
            v4: self.v4 && other.v4,
            v6: self.v6 && other.v6,
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Families::NONE
    }

    /// The families in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |f| self.has(*f))
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Families {
        let mut set = Families::NONE;
        families.into_iter().for_each(|f| set.set(f, true));
        set
    }
}
