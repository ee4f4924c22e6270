//! Types of values that Kubernetes adds to CEL, and how it reads them.

mod cidr;
mod format;
mod quantity;
mod url;

pub(crate) use cidr::{Cidr, parse_ip};
pub(crate) use format::Format;
pub(crate) use quantity::{NANOS, Quantity};
pub(crate) use url::Url;
