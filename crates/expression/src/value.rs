//! Values of an expression. What comes from JSON is borrowed: a large object costs nothing to bind.

use std::{cmp::Ordering, net::IpAddr, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use crate::{
    budget::Budget,
    error::Fault,
    kubernetes::{Cidr, Format, Quantity, Url},
};

/// A value.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is named as its type is in CEL")]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    Duration(SignedDuration),
    Timestamp(Timestamp),
    Type(&'static str),
    Optional(Option<Rc<Value<'a>>>),
    Quantity(Quantity),
    Ip(IpAddr),
    Cidr(Cidr),
    Url(Rc<Url>),
    Semver(Rc<semver::Version>),
    Format(&'static Format),
}

/// A string, borrowed where it can be.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// Of what is looked at, or of the expression itself.
    Borrowed(&'a str),
    /// Made by the expression.
    Made(Rc<str>),
}

/// A list, borrowed where it can be.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Of what is looked at.
    Borrowed(&'a [Json]),
    /// Made by the expression.
    Made(Rc<Vec<Value<'a>>>),
}

/// A map, borrowed where it can be.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Of what is looked at.
    Borrowed(&'a serde_json::Map<String, Json>),
    /// Made by the expression, in its order.
    Made(Rc<Vec<(Value<'a>, Value<'a>)>>),
}

impl<'a> From<&'a Json> for Value<'a> {
    /// Whole numbers are `int`, as Kubernetes reads them; serde's own conversion would make 2 a
    /// `uint`, and `2 - 10` an overflow.
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(it) => Self::Bool(*it),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(it) => Self::Text(Text::Borrowed(it)),
            Json::Array(items) => Self::List(List::Borrowed(items)),
            Json::Object(fields) => Self::Map(Map::Borrowed(fields)),
        }
    }
}

impl<'a> Value<'a> {
    /// A string that the expression made.
    pub(crate) fn made(text: impl Into<String>) -> Self {
        Self::Text(Text::Made(Rc::from(text.into())))
    }

    pub(crate) fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(items)))
    }

    pub(crate) fn some(self) -> Self {
        Self::Optional(Some(Rc::new(self)))
    }

    pub(crate) fn optional(value: Option<Self>) -> Self {
        Self::Optional(value.map(Rc::new))
    }

    /// As `type(x)` names it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Url(_) => "kubernetes.URL",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// Whether both are the same; what is of two types is not, except that numbers are numbers.
    pub(crate) fn equals(&self, other: &Self, budget: &Budget) -> Result<bool, Fault> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                a.as_str() == b.as_str()
            }
            (Self::Bytes(a), Self::Bytes(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                a == b
            }
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in a.iter() {
                    match b.find(&key, budget)? {
                        Some(other) if value.equals(&other, budget)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Type(a), Self::Type(b)) => a == b,
            (Self::Optional(Some(a)), Self::Optional(Some(b))) => a.equals(b, budget)?,
            (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Quantity(a), Self::Quantity(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a == b,
            (Self::Format(a), Self::Format(b)) => a.name == b.name,
            (a, b) => a.is_number() && a.order(b, budget)? == Some(Ordering::Equal),
        })
    }

    /// Which is the smaller, for what has an order; `None` for a NaN.
    pub(crate) fn order(&self, other: &Self, budget: &Budget) -> Result<Option<Ordering>, Fault> {
        Ok(match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Int(a), Self::Double(b)) => double_of(i128::from(*a)).partial_cmp(b),
            (Self::Double(a), Self::Int(b)) => a.partial_cmp(&double_of(i128::from(*b))),
            (Self::Uint(a), Self::Double(b)) => double_of(i128::from(*a)).partial_cmp(b),
            (Self::Double(a), Self::Uint(b)) => a.partial_cmp(&double_of(i128::from(*b))),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                Some(a.as_str().cmp(b.as_str()))
            }
            (Self::Bytes(a), Self::Bytes(b)) => {
                budget.spend_bytes(a.len().min(b.len()))?;
                Some(a.cmp(b))
            }
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (a, b) => {
                let (a, b) = (a.type_name(), b.type_name());
                return Err(Fault::error(format!("a {a} has no order with a {b}")));
            }
        })
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_) | Self::Double(_))
    }
}

#[expect(clippy::cast_precision_loss, reason = "CEL compares numbers of two types as doubles")]
pub(crate) fn double_of(whole: i128) -> f64 {
    whole as f64
}

impl Text<'_> {
    /// The string.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_str().len()
    }
}

impl<'a> List<'a> {
    /// How many elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(items) => items.len(),
            Self::Made(items) => items.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One element.
    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Borrowed(items) => items.get(index).map(Value::from),
            Self::Made(items) => items.get(index).cloned(),
        }
    }

    /// Each element.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    /// How many entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(fields) => fields.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str, budget: &Budget) -> Result<Option<Value<'a>>, Fault> {
        match self {
            Self::Borrowed(fields) => Ok(fields.get(name).map(Value::from)),
            Self::Made(entries) => {
                for (key, value) in entries.iter() {
                    budget.spend(1)?;
                    if matches!(key, Value::Text(key) if key.as_str() == name) {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The value of a key of any type.
    pub(crate) fn find(
        &self,
        key: &Value<'a>,
        budget: &Budget,
    ) -> Result<Option<Value<'a>>, Fault> {
        match (self, key) {
            (Self::Borrowed(_), Value::Text(key)) => self.field(key.as_str(), budget),
            (Self::Borrowed(_), _) => Ok(None),
            (Self::Made(entries), key) => {
                for (other, value) in entries.iter() {
                    if other.equals(key, budget)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Each entry.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Self::Borrowed(fields) => Box::new(
                fields
                    .iter()
                    .map(|(key, value)| (Value::Text(Text::Borrowed(key)), Value::from(value))),
            ),
            Self::Made(entries) => Box::new(entries.iter().cloned()),
        }
    }
}
