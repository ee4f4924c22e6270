//! CEL's own: sizes, conversions, types, optionals, sets.

use std::rc::Rc;

use super::{
    overload::{Answer, Call, Function, G, T, count, function, method, unfit},
    time,
};
use crate::{
    error::Fault,
    value::{Value, double_of},
};

const INT: G = G::Is(T::Int);
const BOOL: G = G::Is(T::Bool);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("size", &[T::Text], INT, size),
    function("size", &[T::Bytes], INT, size),
    function("size", &[T::List], INT, size),
    function("size", &[T::Map], INT, size),
    method("size", &[T::Text], INT, size),
    method("size", &[T::Bytes], INT, size),
    method("size", &[T::List], INT, size),
    method("size", &[T::Map], INT, size),
    function("type", &[T::Any], G::Type, |_, v| one(v, |it| Ok(Value::Type(it.type_name())))),
    function("dyn", &[T::Any], G::Is(T::Any), |_, v| one(v, |it| Ok(it.clone()))),
    function("int", &[T::Int], INT, int),
    function("int", &[T::Uint], INT, int),
    function("int", &[T::Double], INT, int),
    function("int", &[T::Text], INT, int),
    function("int", &[T::Timestamp], INT, int),
    function("uint", &[T::Uint], G::Is(T::Uint), uint),
    function("uint", &[T::Int], G::Is(T::Uint), uint),
    function("uint", &[T::Double], G::Is(T::Uint), uint),
    function("uint", &[T::Text], G::Is(T::Uint), uint),
    function("double", &[T::Double], G::Is(T::Double), double),
    function("double", &[T::Int], G::Is(T::Double), double),
    function("double", &[T::Uint], G::Is(T::Double), double),
    function("double", &[T::Text], G::Is(T::Double), double),
    function("bool", &[T::Bool], BOOL, boolean),
    function("bool", &[T::Text], BOOL, boolean),
    function("bytes", &[T::Bytes], G::Is(T::Bytes), bytes),
    function("bytes", &[T::Text], G::Is(T::Bytes), bytes),
    function("string", &[T::Text], G::Is(T::Text), to_string),
    function("string", &[T::Bool], G::Is(T::Text), to_string),
    function("string", &[T::Int], G::Is(T::Text), to_string),
    function("string", &[T::Uint], G::Is(T::Text), to_string),
    function("string", &[T::Double], G::Is(T::Text), to_string),
    function("string", &[T::Bytes], G::Is(T::Text), to_string),
    function("string", &[T::Duration], G::Is(T::Text), to_string),
    function("string", &[T::Timestamp], G::Is(T::Text), to_string),
    function("string", &[T::Ip], G::Is(T::Text), to_string),
    function("string", &[T::Cidr], G::Is(T::Text), to_string),
    function("optional.of", &[T::Any], G::OptionalOfFirst, |_, v| one(v, |it| Ok(it.clone().some()))),
    function("optional.none", &[], G::Is(T::Optional), |_, _| Ok(Value::Optional(None))),
    function("optional.ofNonZeroValue", &[T::Any], G::OptionalOfFirst, non_zero),
    method("hasValue", &[T::Optional], BOOL, |_, v| match v {
        [Value::Optional(it)] => Ok(Value::Bool(it.is_some())),
        _ => Err(unfit()),
    }),
    method("value", &[T::Optional], G::Inner, |_, v| match v {
        [Value::Optional(Some(it))] => Ok(Value::clone(it)),
        _ => Err(Fault::error("the optional has no value")),
    }),
    // These two are evaluated where they are called: the other side only if it is needed.
    method("orValue", &[T::Optional, T::Any], G::Inner, |_, _| Err(unfit())),
    method("or", &[T::Optional, T::Optional], G::Same, |_, _| Err(unfit())),
    function("sets.contains", &[T::List, T::List], BOOL, sets_contain),
    function("sets.intersects", &[T::List, T::List], BOOL, sets_intersect),
    function("sets.equivalent", &[T::List, T::List], BOOL, |call, v| {
        let [a, b] = v else { return Err(unfit()) };
        let both = holds_all(call, a, b)? && holds_all(call, b, a)?;
        Ok(Value::Bool(both))
    }),
];

fn one<'a>(values: &[Value<'a>], answer: impl Fn(&Value<'a>) -> Answer<'a>) -> Answer<'a> {
    match values {
        [value] => answer(value),
        _ => Err(unfit()),
    }
}

fn size<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| match value {
        Value::Text(text) => {
            call.budget.spend_bytes(text.len())?;
            Ok(count(text.as_str().chars().count()))
        }
        Value::Bytes(bytes) => Ok(count(bytes.len())),
        Value::List(list) => Ok(count(list.len())),
        Value::Map(map) => Ok(count(map.len())),
        _ => Err(unfit()),
    })
}

fn int<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let out = || Fault::error("is out of the range of an int");
    one(values, |value| match value {
        Value::Int(it) => Ok(Value::Int(*it)),
        Value::Uint(it) => i64::try_from(*it).map(Value::Int).map_err(|_| out()),
        Value::Double(it) => whole(*it).ok_or_else(out),
        Value::Text(it) => {
            let number = it.as_str().parse().map(Value::Int);
            number.map_err(|_| Fault::error(format!("`{}` is not an int", it.as_str())))
        }
        Value::Timestamp(it) => Ok(Value::Int(it.as_second())),
        _ => Err(unfit()),
    })
}

/// A double without its fraction, if it is an int.
pub(super) fn whole(it: f64) -> Option<Value<'static>> {
    let within = it.is_finite() && it.abs() < 9_223_372_036_854_774_784.0;
    within.then(|| format!("{:.0}", it.trunc()).parse().ok().map(Value::Int)).flatten()
}

fn uint<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let out = || Fault::error("is out of the range of a uint");
    one(values, |value| match value {
        Value::Uint(it) => Ok(Value::Uint(*it)),
        Value::Int(it) => u64::try_from(*it).map(Value::Uint).map_err(|_| out()),
        Value::Double(it) if *it >= 0.0 && *it < 1.8e19 => {
            format!("{:.0}", it.trunc()).parse().map(Value::Uint).map_err(|_| out())
        }
        Value::Double(_) => Err(out()),
        Value::Text(it) => {
            let number = it.as_str().parse().map(Value::Uint);
            number.map_err(|_| Fault::error(format!("`{}` is not a uint", it.as_str())))
        }
        _ => Err(unfit()),
    })
}

fn double<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| match value {
        Value::Double(it) => Ok(Value::Double(*it)),
        Value::Int(it) => Ok(Value::Double(double_of(i128::from(*it)))),
        Value::Uint(it) => Ok(Value::Double(double_of(i128::from(*it)))),
        Value::Text(it) => {
            let number = it.as_str().parse().map(Value::Double);
            number.map_err(|_| Fault::error(format!("`{}` is not a double", it.as_str())))
        }
        _ => Err(unfit()),
    })
}

fn boolean<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| match value {
        Value::Bool(it) => Ok(Value::Bool(*it)),
        Value::Text(it) => match it.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            other => Err(Fault::error(format!("`{other}` is not a bool"))),
        },
        _ => Err(unfit()),
    })
}

fn bytes<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| match value {
        Value::Bytes(it) => Ok(Value::Bytes(Rc::clone(it))),
        Value::Text(it) => {
            call.budget.spend_bytes(it.len())?;
            Ok(Value::Bytes(Rc::from(it.as_str().as_bytes())))
        }
        _ => Err(unfit()),
    })
}

fn to_string<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| match value {
        Value::Text(_) => Ok(value.clone()),
        Value::Bytes(it) => {
            call.budget.spend_bytes(it.len())?;
            let text = std::str::from_utf8(it).map_err(|_| Fault::error("is not UTF-8"))?;
            Ok(Value::made(text))
        }
        other => plain(other).map(Value::made).ok_or_else(unfit),
    })
}

/// What has one plain text: not lists and maps, nor what has nothing to show.
pub(super) fn plain(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::Bool(it) => it.to_string(),
        Value::Int(it) => it.to_string(),
        Value::Uint(it) => it.to_string(),
        Value::Double(it) => double_text(*it),
        Value::Duration(it) => time::duration_text(*it),
        Value::Timestamp(it) => it.to_string(),
        Value::Ip(it) => it.to_string(),
        Value::Cidr(it) => it.to_string(),
        Value::Semver(it) => it.to_string(),
        Value::Url(it) => it.text.clone(),
        Value::Quantity(it) => it.to_string(),
        Value::Type(it) => (*it).to_owned(),
        Value::Text(it) => it.as_str().to_owned(),
        Value::Null => "null".to_owned(),
        _ => return None,
    })
}

fn double_text(it: f64) -> String {
    if it.is_infinite() {
        return if it > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    it.to_string()
}

fn non_zero<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    one(values, |value| {
        let is_zero = match value {
            Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) => true,
            Value::Double(it) => *it == 0.0,
            Value::Text(it) => it.len() == 0,
            Value::Bytes(it) => it.is_empty(),
            Value::List(it) => it.is_empty(),
            Value::Map(it) => it.is_empty(),
            _ => false,
        };
        Ok(Value::optional((!is_zero).then(|| value.clone())))
    })
}

fn holds_all(call: &Call<'_>, all: &Value<'_>, some: &Value<'_>) -> Result<bool, Fault> {
    let (Value::List(all), Value::List(some)) = (all, some) else { return Err(unfit()) };
    for wanted in some.iter() {
        let mut found = false;
        for item in all.iter() {
            if item.equals(&wanted, call.budget)? {
                found = true;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sets_contain<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [all, some] = values else { return Err(unfit()) };
    holds_all(call, all, some).map(Value::Bool)
}

fn sets_intersect<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(a), Value::List(b)] = values else { return Err(unfit()) };
    for one in a.iter() {
        for other in b.iter() {
            if one.equals(&other, call.budget)? {
                return Ok(Value::Bool(true));
            }
        }
    }
    Ok(Value::Bool(false))
}
