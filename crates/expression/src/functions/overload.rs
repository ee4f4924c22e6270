//! What a function takes and gives: one entry of the table that checker and evaluator read.

use regex::Regex;

use crate::{budget::Budget, error::Fault, types::Type, value::Value};

/// What a function may use besides its arguments.
pub(crate) struct Call<'c> {
    pub(crate) budget: &'c Budget,
    /// The regular expression, where it stands in the text.
    pub(crate) regex: Option<&'c Regex>,
}

pub(crate) type Answer<'a> = Result<Value<'a>, Fault>;

/// One overload; of a method, the target is the first argument.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) member: bool,
    pub(crate) takes: &'static [T],
    pub(crate) gives: G,
    pub(crate) call: for<'a, 'c, 'v> fn(&Call<'c>, &'v [Value<'a>]) -> Answer<'a>,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum T {
    Any,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    List,
    Map,
    Duration,
    Timestamp,
    Optional,
    Quantity,
    Ip,
    Cidr,
    Url,
    Semver,
    Format,
}

/// What a function gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum G {
    Is(T),
    Texts,
    /// An element of its first argument, a list.
    Element,
    /// What its first argument is.
    Same,
    /// What its first argument, an optional, holds.
    Inner,
    /// An optional of its first argument.
    OptionalOfFirst,
    OptionalTexts,
    Type,
}

impl Function {
    pub(crate) fn takes(&self, values: &[Value<'_>]) -> bool {
        self.takes.len() == values.len()
            && self.takes.iter().zip(values).all(|(wanted, value)| wanted.is_of(value))
    }

    /// Whether values of these types might fit.
    pub(crate) fn may_take(&self, types: &[Type]) -> bool {
        self.takes.len() == types.len()
            && self.takes.iter().zip(types).all(|(wanted, of)| wanted.may_be(of))
    }

    pub(crate) fn result_of(&self, types: &[Type]) -> Type {
        let first = types.first().cloned().unwrap_or(Type::Dyn);
        match (self.gives, first) {
            (G::Is(of), _) => of.as_type(),
            (G::Texts, _) => Type::list(Type::Text),
            (G::Element, Type::List(of)) => Type::clone(&of),
            (G::Inner, Type::Optional(of)) => Type::clone(&of),
            (G::Element | G::Inner, _) => Type::Dyn,
            (G::Same, first) => first,
            (G::OptionalOfFirst, first) => Type::optional(first),
            (G::OptionalTexts, _) => Type::optional(Type::list(Type::Text)),
            (G::Type, _) => Type::Type,
        }
    }
}

impl T {
    fn is_of(self, value: &Value<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::Bool => matches!(value, Value::Bool(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::Uint => matches!(value, Value::Uint(_)),
            Self::Double => matches!(value, Value::Double(_)),
            Self::Text => matches!(value, Value::Text(_)),
            Self::Bytes => matches!(value, Value::Bytes(_)),
            Self::List => matches!(value, Value::List(_)),
            Self::Map => matches!(value, Value::Map(_)),
            Self::Duration => matches!(value, Value::Duration(_)),
            Self::Timestamp => matches!(value, Value::Timestamp(_)),
            Self::Optional => matches!(value, Value::Optional(_)),
            Self::Quantity => matches!(value, Value::Quantity(_)),
            Self::Ip => matches!(value, Value::Ip(_)),
            Self::Cidr => matches!(value, Value::Cidr(_)),
            Self::Url => matches!(value, Value::Url(_)),
            Self::Semver => matches!(value, Value::Semver(_)),
            Self::Format => matches!(value, Value::Format(_)),
        }
    }

    fn may_be(self, of: &Type) -> bool {
        match (self, of) {
            (Self::Any, _) | (_, Type::Dyn) => true,
            (Self::List, Type::List(_))
            | (Self::Map, Type::Map(_) | Type::Object(_))
            | (Self::Optional, Type::Optional(_)) => true,
            // What is inside a list or map is not asked: a function that minds it fails when it
            // runs.
            (wanted, of) => wanted.as_type() == *of,
        }
    }

    fn as_type(self) -> Type {
        match self {
            Self::Any => Type::Dyn,
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Uint => Type::Uint,
            Self::Double => Type::Double,
            Self::Text => Type::Text,
            Self::Bytes => Type::Bytes,
            Self::List => Type::list(Type::Dyn),
            Self::Map => Type::map(Type::Dyn),
            Self::Duration => Type::Duration,
            Self::Timestamp => Type::Timestamp,
            Self::Optional => Type::optional(Type::Dyn),
            Self::Quantity => Type::Quantity,
            Self::Ip => Type::Ip,
            Self::Cidr => Type::Cidr,
            Self::Url => Type::Url,
            Self::Semver => Type::Semver,
            Self::Format => Type::Format,
        }
    }
}

/// A global function.
pub(super) const fn function(
    name: &'static str,
    takes: &'static [T],
    gives: G,
    call: for<'a, 'c, 'v> fn(&Call<'c>, &'v [Value<'a>]) -> Answer<'a>,
) -> Function {
    Function { name, member: false, takes, gives, call }
}

/// A method.
pub(super) const fn method(
    name: &'static str,
    takes: &'static [T],
    gives: G,
    call: for<'a, 'c, 'v> fn(&Call<'c>, &'v [Value<'a>]) -> Answer<'a>,
) -> Function {
    Function { name, member: true, takes, gives, call }
}

/// Of arguments that the table does not let through.
pub(super) fn unfit() -> Fault {
    Fault::error("the arguments do not fit")
}

/// A length or position as a CEL number.
pub(super) fn count(length: usize) -> Value<'static> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

/// The one argument of a function that takes a string.
pub(super) fn string_argument<'v>(values: &'v [Value<'_>]) -> Result<&'v str, Fault> {
    match values {
        [Value::Text(text)] => Ok(text.as_str()),
        _ => Err(unfit()),
    }
}
