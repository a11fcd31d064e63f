//! Networks of IPv4 addresses, and which addresses the proxy connects to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A network of IPv4 addresses, such as 10.75.0.0/16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 network such as 10.75.0.0/16")]
pub struct NetworkError(String);

impl Network {
    /// The private networks of RFC 1918, and that of RFC 6598, which AWS takes for networks too.
    pub const PRIVATE: [Self; 4] =
        [Self::new([10, 0, 0, 0], 8), Self::new([172, 16, 0, 0], 12), Self::new([192, 168, 0, 0], 16), Self::new([100, 64, 0, 0], 10)];

    /// What IANA's registry of special addresses (RFC 6890) takes out of the Internet, beside [`Self::PRIVATE`]. The networks of
    /// documentation (RFC 5737) are not here: nothing is there on AWS, and test beds play the Internet with them.
    const SPECIAL: [Self; 8] = [
        Self::new([0, 0, 0, 0], 8),
        Self::LOOPBACK,
        // Instance metadata, the VPC's name server, Amazon's clock.
        Self::new([169, 254, 0, 0], 16),
        Self::new([192, 0, 0, 0], 24),
        Self::new([192, 88, 99, 0], 24),
        Self::new([198, 18, 0, 0], 15),
        Self::new([224, 0, 0, 0], 4),
        Self::new([240, 0, 0, 0], 4),
    ];

    /// This machine itself.
    pub(super) const LOOPBACK: Self = Self::new([127, 0, 0, 0], 8);

    const fn new([a, b, c, d]: [u8; 4], bits: u8) -> Self {
        Self { address: Ipv4Addr::new(a, b, c, d), bits }
    }

    /// Whether an address is in it.
    pub fn holds(self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address.to_canonical() else { return false };
        let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
        u32::from(address) & mask == u32::from(self.address) & mask
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (address, bits) = text.split_once('/')?;
            let network = Self { address: address.parse().ok()?, bits: bits.parse().ok()? };
            (network.bits <= 32 && !bits.starts_with('+')).then_some(network)
        };
        read().ok_or_else(|| NetworkError(text.to_owned()))
    }
}

/// Not this machine and not its metadata: a name server that is deceived must not lead a tunnel there. Private addresses are right,
/// for an endpoint of the administrator's own network has one.
pub(super) fn is_another_machine(address: IpAddr) -> bool {
    let is_local = match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    };
    !is_local && !address.is_unspecified() && !address.is_multicast()
}

/// An address of the Internet. IPv4 only: the agent knows the IPv4 networks of its VPC and no others, so an IPv6 address could be that
/// of a neighbour; and what is mapped to IPv6, or tunnelled by it, is an IPv4 address under another name.
pub(super) fn is_public(address: IpAddr) -> bool {
    let is_special = |address| [&Network::PRIVATE[..], &Network::SPECIAL].concat().iter().any(|network| network.holds(address));
    address.is_ipv4() && !is_special(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_to_the_secret_never_leads_to_this_machine_or_its_metadata() {
        for (address, is_reached) in [
            ("52.94.5.1", true),
            ("10.75.0.9", true),
            ("2a05:d000::1", true),
            ("127.0.0.1", false),
            ("127.8.9.10", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
        ] {
            assert_eq!(is_another_machine(address.parse().unwrap()), is_reached, "{address}");
        }
    }

    #[test]
    fn the_internet_ends_at_the_first_and_begins_after_the_last_address_of_each_special_network() {
        for (first, last) in [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("224.0.0.0", "255.255.255.255"),
        ] {
            let [first, last]: [Ipv4Addr; 2] = [first.parse().unwrap(), last.parse().unwrap()];
            assert!(!is_public(first.into()) && !is_public(last.into()), "{first} to {last}");
            let beside = [u32::from(first).checked_sub(1), u32::from(last).checked_add(1)];
            for address in beside.into_iter().flatten().map(Ipv4Addr::from) {
                assert!(is_public(address.into()), "{address}");
            }
        }
    }

    #[test]
    fn no_address_of_ipv6_is_one_of_the_internet() {
        let inner = ["::1", "::", "fe80::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"];
        // The same machine under other names: mapped, compatible, NAT64, 6to4. And one that may be a neighbour's.
        let others = ["::ffff:52.94.5.1", "::10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2a05:d000::1"];
        for address in inner.iter().chain(&others) {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_network_holds_its_own_addresses_from_the_first_to_the_last() {
        for (network, inside, outside) in [
            ("10.75.0.0/16", ["10.75.0.0", "10.75.255.255"], ["10.74.255.255", "10.76.0.0"]),
            ("192.0.2.8/32", ["192.0.2.8", "::ffff:192.0.2.8"], ["192.0.2.7", "192.0.2.9"]),
            ("172.16.0.0/12", ["172.16.0.0", "172.31.255.255"], ["172.15.255.255", "172.32.0.0"]),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(inside.iter().all(|address| network.holds(address.parse().unwrap())), "{network:?}");
            assert!(!outside.iter().any(|address| network.holds(address.parse().unwrap())), "{network:?}");
            assert!(!network.holds("2a05:d000::1".parse().unwrap()));
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().holds("203.0.113.1".parse().unwrap()));
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "::/0"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
