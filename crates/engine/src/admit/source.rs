//! Who sends: an IPv4 address, or the /64 of an IPv6 one, which is what a single customer is given (RFC 6177); and networks.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What counts as one sender.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Source {
    bits: u64,
    /// 4 or 6; 0 is nobody.
    family: u8,
}

impl Source {
    /// The source that an address belongs to. An IPv4 address mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Source {
        match address.to_canonical() {
            IpAddr::V4(address) => Source {
                bits: u64::from(u32::from(address)),
                family: 4,
            },
            IpAddr::V6(address) => Source {
                bits: u64::try_from(u128::from(address) >> 64).unwrap_or(0),
                family: 6,
            },
        }
    }

    /// Its bytes, for a digest.
    pub(crate) fn bytes(self) -> [u8; 9] {
        let mut bytes = [self.family; 9];
        for (place, byte) in bytes.iter_mut().zip(self.bits.to_be_bytes()) {
            *place = byte;
        }
        bytes
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            4 => Ipv4Addr::from(u32::try_from(self.bits).unwrap_or(0)).fmt(f),
            _ => write!(f, "{}/64", Ipv6Addr::from(u128::from(self.bits) << 64)),
        }
    }
}

/// A network: an address and how many of its leading bits count.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The network of `length` bits that `address` lies in; none for a length that its family has not.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Prefix> {
        let address = match address.to_canonical() {
            IpAddr::V4(address) if length <= 32 => IpAddr::V4(Ipv4Addr::from(
                u32::from(address) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0),
            )),
            IpAddr::V6(address) if length <= 128 => IpAddr::V6(Ipv6Addr::from(
                u128::from(address) & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0),
            )),
            _ => return None,
        };
        Some(Prefix { address, length })
    }

    /// What a rule bans when it bans the sender at `address`: the address, or its /64.
    #[must_use]
    pub fn of_source(address: IpAddr) -> Prefix {
        let address = address.to_canonical();
        let length = if address.is_ipv4() { 32 } else { 64 };
        Prefix::new(address, length).unwrap_or(Prefix {
            address,
            length: 128,
        })
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Prefix::new(address, self.length).is_some_and(|other| other == *self)
    }

    /// The source that it is, if it is one.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        let whole = if self.address.is_ipv4() { 32 } else { 64 };
        (self.length == whole).then(|| Source::of(self.address))
    }

    /// How many bits count.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        if self.length == whole {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

impl FromStr for Prefix {
    type Err = String;

    /// Reads `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`.
    fn from_str(text: &str) -> Result<Prefix, String> {
        let wanted = || {
            format!(
                "\"{text}\" is no address or network: give for example 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"
            )
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let bare = address.trim_matches(['[', ']']);
        let address: IpAddr = bare.parse().map_err(|_| wanted())?;
        let length = match length {
            Some(length) => length.parse().map_err(|_| wanted())?,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Prefix::new(address, length).ok_or_else(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_ipv4_address_or_an_ipv6_customer() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff::2"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
        assert_eq!(source("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(source("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    }

    #[test]
    fn a_prefix_holds_what_lies_in_it() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let holds = |text: &str, address: &str| prefix(text).contains(address.parse().unwrap());
        assert!(holds("192.0.2.7/24", "192.0.2.200"));
        assert!(!holds("192.0.2.0/24", "192.0.3.1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"));
        assert!(holds("2001:db8::/32", "2001:db8:9::1"));
        assert_eq!(prefix("192.0.2.7/24").to_string(), "192.0.2.0/24");
        assert_eq!(prefix("[2001:db8::1]").to_string(), "2001:db8::1");
        for wrong in ["", "192.0.2.1/33", "host", "192.0.2.1/", "2001:db8::/129"] {
            assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
        }
    }
}
