//! `ip(…)`, `cidr(…)` and what they know.

use std::net::IpAddr;

use super::overload::{Answer, Call, Function, G, T, function, method, string_argument, unfit};
use crate::{
    error::Fault,
    kubernetes::{Cidr, parse_ip},
    value::Value,
};

const BOOL: G = G::Is(T::Bool);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("ip", &[T::Text], G::Is(T::Ip), |_, v| {
        let text = string_argument(v)?;
        parse_ip(text).map(Value::Ip).ok_or_else(|| Fault::error(format!("`{text}` is not an IP address")))
    }),
    function("isIP", &[T::Text], BOOL, |_, v| Ok(Value::Bool(parse_ip(string_argument(v)?).is_some()))),
    function("ip.isCanonical", &[T::Text], BOOL, |_, v| {
        let text = string_argument(v)?;
        let ip = parse_ip(text).ok_or_else(|| Fault::error(format!("`{text}` is not an IP address")))?;
        Ok(Value::Bool(ip.to_string() == text))
    }),
    method("family", &[T::Ip], G::Is(T::Int), |_, v| ip(v, |it| Value::Int(if it.is_ipv4() { 4 } else { 6 }))),
    method("isUnspecified", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(it.is_unspecified()))),
    method("isLoopback", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(it.is_loopback()))),
    method("isLinkLocalMulticast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_link_local_multicast(it)))),
    method("isLinkLocalUnicast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_link_local(it)))),
    method("isGlobalUnicast", &[T::Ip], BOOL, |_, v| ip(v, |it| Value::Bool(is_global(it)))),
    function("cidr", &[T::Text], G::Is(T::Cidr), |_, v| {
        let text = string_argument(v)?;
        Cidr::parse(text).map(Value::Cidr).ok_or_else(|| Fault::error(format!("`{text}` is not a CIDR")))
    }),
    function("isCIDR", &[T::Text], BOOL, |_, v| Ok(Value::Bool(Cidr::parse(string_argument(v)?).is_some()))),
    method("containsIP", &[T::Cidr, T::Ip], BOOL, contains_ip),
    method("containsIP", &[T::Cidr, T::Text], BOOL, contains_ip),
    method("containsCIDR", &[T::Cidr, T::Cidr], BOOL, contains_cidr),
    method("containsCIDR", &[T::Cidr, T::Text], BOOL, contains_cidr),
    method("ip", &[T::Cidr], G::Is(T::Ip), |_, v| cidr(v, |it| Value::Ip(it.address))),
    method("masked", &[T::Cidr], G::Is(T::Cidr), |_, v| cidr(v, |it| Value::Cidr(it.masked()))),
    method("prefixLength", &[T::Cidr], G::Is(T::Int), |_, v| cidr(v, |it| Value::Int(it.bits.into()))),
];

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
            let no = || Fault::error(format!("`{}` is not an IP address", text.as_str()));
            (cidr, parse_ip(text.as_str()).ok_or_else(no)?)
        }
        _ => return Err(unfit()),
    };
    Ok(Value::Bool(cidr.contains(ip)))
}

fn contains_cidr<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (cidr, other) = match values {
        [Value::Cidr(cidr), Value::Cidr(other)] => (cidr, *other),
        [Value::Cidr(cidr), Value::Text(text)] => {
            let no = || Fault::error(format!("`{}` is not a CIDR", text.as_str()));
            (cidr, Cidr::parse(text.as_str()).ok_or_else(no)?)
        }
        _ => return Err(unfit()),
    };
    Ok(Value::Bool(cidr.bits <= other.bits && cidr.contains(other.address)))
}
