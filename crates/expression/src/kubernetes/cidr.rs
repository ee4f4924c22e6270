//! IP addresses and networks, as strict as Kubernetes: no zones, no IPv4 within IPv6.

use std::{fmt, net::IpAddr};

/// An address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

/// An address, unless it is one that Kubernetes does not take.
pub(crate) fn parse_ip(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    match ip {
        IpAddr::V6(it) if it.to_ipv4_mapped().is_some() => None,
        it => Some(it),
    }
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address = parse_ip(address)?;
        let is_canonical = bits == "0" || !bits.starts_with(['0', '+']);
        let bits: u8 = bits.parse().ok().filter(|_| is_canonical)?;
        (bits <= width(address)).then_some(Self { address, bits })
    }

    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        self.address.is_ipv4() == ip.is_ipv4()
            && Self { address: ip, bits: self.bits }.masked().address == self.masked().address
    }

    pub(crate) fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(it) => {
                let gone = 32 - u32::from(self.bits);
                let kept = u32::MAX.checked_shl(gone).unwrap_or(0);
                IpAddr::V4((u32::from(it) & kept).into())
            }
            IpAddr::V6(it) => {
                let gone = 128 - u32::from(self.bits);
                let kept = u128::MAX.checked_shl(gone).unwrap_or(0);
                IpAddr::V6((u128::from(it) & kept).into())
            }
        };
        Self { address, bits: self.bits }
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}
