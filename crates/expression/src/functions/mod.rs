//! The functions that expressions call: CEL's own, and those that Kubernetes adds.
//!
//! One table says of each overload what it takes and gives; the checker and the evaluator both read
//! it. Whatever makes or walks something large counts it against the budget first.

pub(crate) mod formats;
pub(crate) mod ip;
mod lists;
pub(crate) mod quantity;
pub(crate) mod regexes;
mod standard;
mod strings;
mod time;
pub(crate) mod url;
mod version;

use std::{collections::BTreeMap, sync::LazyLock};

use regex::Regex;

use crate::{Budget, Type, Value, eval::Fault};

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
const fn function(
    name: &'static str,
    takes: &'static [T],
    gives: G,
    call: for<'a, 'c, 'v> fn(&Call<'c>, &'v [Value<'a>]) -> Answer<'a>,
) -> Function {
    Function { name, member: false, takes, gives, call }
}

/// A method.
const fn method(
    name: &'static str,
    takes: &'static [T],
    gives: G,
    call: for<'a, 'c, 'v> fn(&Call<'c>, &'v [Value<'a>]) -> Answer<'a>,
) -> Function {
    Function { name, member: true, takes, gives, call }
}

/// Of arguments that the table does not let through.
fn unfit() -> Fault {
    Fault::error("the arguments do not fit")
}

/// A length or position as a CEL number.
fn count(length: usize) -> Value<'static> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}

type Table = BTreeMap<(&'static str, bool), Vec<&'static Function>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    let all: [&'static [Function]; 10] = [
        standard::FUNCTIONS,
        strings::FUNCTIONS,
        lists::FUNCTIONS,
        regexes::FUNCTIONS,
        time::FUNCTIONS,
        quantity::FUNCTIONS,
        ip::FUNCTIONS,
        url::FUNCTIONS,
        version::FUNCTIONS,
        formats::FUNCTIONS,
    ];
    for function in all.into_iter().flatten() {
        table.entry((function.name, function.member)).or_default().push(function);
    }
    table
});

/// The overloads of a name, and the name itself.
pub(crate) fn named(name: &str, member: bool) -> Option<(&'static str, Vec<&'static Function>)> {
    TABLE
        .iter()
        .find(|((it, is_member), _)| *it == name && *is_member == member)
        .map(|((name, _), overloads)| (*name, overloads.clone()))
}

pub(crate) fn exists(name: &str, member: bool) -> bool {
    named(name, member).is_some()
}

/// Every name, macros too.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    const MACROS: [&str; 11] = [
        "has",
        "all",
        "exists",
        "exists_one",
        "existsOne",
        "map",
        "filter",
        "transformList",
        "transformMap",
        "optMap",
        "optFlatMap",
    ];
    TABLE.keys().map(|(name, _)| *name).chain(MACROS)
}

/// A value as a sentence shows it.
pub(crate) fn shown(value: &Value<'_>, budget: &Budget) -> Result<String, crate::EvalError> {
    let mut text = String::new();
    match strings::shown(value, budget, &mut text) {
        Ok(()) => Ok(text),
        Err(fault) => {
            let is_exhausted = matches!(fault, Fault::Exhausted);
            let message = match fault {
                Fault::Exhausted => "costs more than it may".to_owned(),
                Fault::Error(message) => message,
            };
            Err(crate::EvalError { message, span: crate::Span::default(), is_exhausted })
        }
    }
}
