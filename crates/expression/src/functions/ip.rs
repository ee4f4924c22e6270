//! IP addresses and networks, as strict as Kubernetes: no zones, no IPv4 within IPv6.

use std::{fmt, net::IpAddr};

use super::{Answer, Call, Function, G, T, function, method, unfit};
use crate::{eval::Fault, value::Value};

/// An address and how many of its bits name the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

const BOOL: G = G::Is(T::Bool);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("ip", &[T::Text], G::Is(T::Ip), |_, v| {
        let text = text(v)?;
        parse(text).map(Value::Ip).ok_or_else(|| Fault::error(format!("`{text}` is no IP address")))
    }),
    function("isIP", &[T::Text], BOOL, |_, v| Ok(Value::Bool(parse(text(v)?).is_some()))),
    function("ip.isCanonical", &[T::Text], BOOL, |_, v| {
        let text = text(v)?;
        let ip = parse(text).ok_or_else(|| Fault::error(format!("`{text}` is no IP address")))?;
        Ok(Value::Bool(ip.to_string() == text))
    }),
    method("family", &[T::Ip], G::Is(T::Int), |_, v| ip(v, |it| Value::Int(if it.is_ipv4() { 4 } else { 6 }))),
    method("isUnspecified", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(it.is_unspecified()))),
    method("isLoopback", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(it.is_loopback()))),
    method("isLinkLocalMulticast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_link_local_multicast(it)))),
    method("isLinkLocalUnicast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_link_local(it)))),
    method("isGlobalUnicast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_global(it)))),
    function("cidr", &[T::Text], G::Is(T::Cidr), |_, v| {
        let text = text(v)?;
        Cidr::parse(text).map(Value::Cidr).ok_or_else(|| Fault::error(format!("`{text}` is no CIDR")))
    }),
    function("isCIDR", &[T::Text], BOOL, |_, v| Ok(Value::Bool(Cidr::parse(text(v)?).is_some()))),
    method("containsIP", &[T::Cidr, T::Ip], BOOL, contains_ip),
    method("containsIP", &[T::Cidr, T::Text], BOOL, contains_ip),
    method("containsCIDR", &[T::Cidr, T::Cidr], BOOL, contains_cidr),
    method("containsCIDR", &[T::Cidr, T::Text], BOOL, contains_cidr),
    method("ip", &[T::Cidr], G::Is(T::Ip), |_, v| cidr(v, |it| Value::Ip(it.address))),
    method("masked", &[T::Cidr], G::Is(T::Cidr), |_, v| cidr(v, |it| Value::Cidr(it.masked()))),
    method("prefixLength", &[T::Cidr], G::Is(T::Int), |_, v| cidr(v, |it| Value::Int(it.bits.into()))),
];

fn text<'v>(values: &'v [Value<'_>]) -> Result<&'v str, Fault> {
    match values {
        [Value::Text(text)] => Ok(text.as_str()),
        _ => Err(unfit()),
    }
}

fn ip<'a>(values: &[Value<'a>], answer: impl Fn(IpAddr) -> Value<'a>) -> Answer<'a> {
    match values {
        [Value::Ip(it)] => Ok(answer(*it)),
        _ => Err(unfit()),
    }
}

fn cidr<'a>(values: &[Value<'a>], answer: impl Fn(Cidr) -> Value<'a>) -> Answer<'a> {
    match values {
        [Value::Cidr(it)] => Ok(answer(*it)),
        _ => Err(unfit()),
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    let ip: IpAddr = text.parse().ok()?;
    match ip {
        IpAddr::V6(it) if it.to_ipv4_mapped().is_some() => None,
        it => Some(it),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(it) => matches!(it.octets(), [224, 0, 0, _]),
        IpAddr::V6(it) => it.segments().first().is_some_and(|it| it & 0xff0f == 0xff02),
    }
}

/// Go's meaning: private addresses too.
fn is_global(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(it) if it.is_broadcast());
    !(broadcast
        || ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || is_link_local(ip))
}

fn contains_ip<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (cidr, ip) = match values {
        [Value::Cidr(cidr), Value::Ip(ip)] => (cidr, *ip),
        [Value::Cidr(cidr), Value::Text(text)] => {
            let no = || Fault::error(format!("`{}` is no IP address", text.as_str()));
            (cidr, parse(text.as_str()).ok_or_else(no)?)
        }
        _ => return Err(unfit()),
    };
    Ok(Value::Bool(cidr.contains(ip)))
}

fn contains_cidr<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (cidr, other) = match values {
        [Value::Cidr(cidr), Value::Cidr(other)] => (cidr, *other),
        [Value::Cidr(cidr), Value::Text(text)] => {
            let no = || Fault::error(format!("`{}` is no CIDR", text.as_str()));
            (cidr, Cidr::parse(text.as_str()).ok_or_else(no)?)
        }
        _ => return Err(unfit()),
    };
    Ok(Value::Bool(cidr.bits <= other.bits && cidr.contains(other.address)))
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address = parse(address)?;
        let is_canonical = bits == "0" || !bits.starts_with(['0', '+']);
        let bits: u8 = bits.parse().ok().filter(|_| is_canonical)?;
        (bits <= width(address)).then_some(Self { address, bits })
    }

    fn contains(self, ip: IpAddr) -> bool {
        self.address.is_ipv4() == ip.is_ipv4()
            && Self { address: ip, bits: self.bits }.masked().address == self.masked().address
    }

    fn masked(self) -> Self {
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
