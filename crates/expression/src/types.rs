//! What an expression may name, and of what type it is.

use std::{collections::BTreeMap, sync::Arc};

/// The type of a value, as far as it is known before anything runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Type {
    /// Not known.
    Dyn,
    /// `null`.
    Null,
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// One without a sign, written `1u`.
    Uint,
    /// A floating point number.
    Double,
    /// A string.
    Text,
    /// Bytes, written `b'…'`.
    Bytes,
    /// A list, of elements of one type.
    List(Arc<Type>),
    /// A map, from anything to values of one type.
    Map(Arc<Type>),
    /// A map with known keys.
    Object(Arc<Fields>),
    /// `duration('1h')`.
    Duration,
    /// `timestamp('2026-01-01T00:00:00Z')`.
    Timestamp,
    /// What `type(x)` is.
    Type,
    /// A value that may be missing: `object.?spec`.
    Optional(Arc<Type>),
    /// `quantity('1Gi')`.
    Quantity,
    /// `ip('10.0.0.1')`.
    Ip,
    /// `cidr('10.0.0.0/8')`.
    Cidr,
    /// `url('https://…')`.
    Url,
    /// `semver('1.2.3')`.
    Semver,
    /// `format.dns1123Label()`.
    Format,
}

/// The fields of an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// For messages: `request`, `an effect`.
    pub name: String,
    /// By name.
    pub fields: BTreeMap<String, Type>,
    /// Fields that were there once, and what to read in their place.
    pub retired: BTreeMap<String, String>,
}

impl Type {
    /// A list.
    pub fn list(of: Self) -> Self {
        Self::List(Arc::new(of))
    }

    /// A map.
    pub fn map(of: Self) -> Self {
        Self::Map(Arc::new(of))
    }

    /// A value that may be missing.
    pub fn optional(of: Self) -> Self {
        Self::Optional(Arc::new(of))
    }

    /// An object of these fields.
    pub fn object<const N: usize>(name: &str, fields: [(&str, Self); N]) -> Self {
        let fields = fields.into_iter().map(|(name, of)| (name.to_owned(), of)).collect();
        let retired = BTreeMap::new();
        Self::Object(Arc::new(Fields { name: name.to_owned(), fields, retired }))
    }

    /// What a value of either type may have: of objects the fields of both, and anything where they
    /// have nothing in common.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Object(a), Self::Object(b)) if !Arc::ptr_eq(a, b) => {
                let mut fields = a.fields.clone();
                for (name, of) in &b.fields {
                    let both = fields.get(name).map_or_else(|| of.clone(), |it| it.union(of));
                    fields.insert(name.clone(), both);
                }
                let name = match a.name == b.name {
                    true => a.name.clone(),
                    false => format!("{} or {}", a.name, b.name),
                };
                let mut retired = a.retired.clone();
                retired.extend(b.retired.clone());
                Self::Object(Arc::new(Fields { name, fields, retired }))
            }
            (Self::List(a), Self::List(b)) => Self::list(a.union(b)),
            (Self::Map(a), Self::Map(b)) => Self::map(a.union(b)),
            _ => self.clone().join(other),
        }
    }

    /// For people: `a string`, `a list`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Dyn => "anything",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "an int",
            Self::Uint => "a uint",
            Self::Double => "a double",
            Self::Text => "a string",
            Self::Bytes => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
            Self::Duration => "a duration",
            Self::Timestamp => "a timestamp",
            Self::Type => "a type",
            Self::Optional(_) => "an optional",
            Self::Quantity => "a quantity",
            Self::Ip => "an IP address",
            Self::Cidr => "a CIDR",
            Self::Url => "a URL",
            Self::Semver => "a semantic version",
            Self::Format => "a format",
        }
    }

    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn)
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// The type that holds both.
    pub(crate) fn join(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }
}

/// The variables that an expression may name, in the order in which a [`crate::Scope`] knows them.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub(crate) variables: Vec<(String, Type)>,
}

impl Schema {
    /// Adds a variable; its number is how many were there before.
    #[must_use]
    pub fn with(mut self, name: &str, of: Type) -> Self {
        self.variables.push((name.to_owned(), of));
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<(usize, &Type)> {
        let index = self.variables.iter().position(|(it, _)| it == name)?;
        self.variables.get(index).map(|(_, of)| (index, of))
    }
}
