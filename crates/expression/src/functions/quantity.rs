//! `quantity(…)` and what can be done with one.

use super::overload::{Answer, Function, G, T, function, method, string_argument, unfit};
use crate::{
    error::Fault,
    kubernetes::{NANOS, Quantity},
    value::{Value, double_of},
};

const BOOL: G = G::Is(T::Bool);
const QUANTITY: G = G::Is(T::Quantity);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("quantity", &[T::Text], QUANTITY, |_, v| {
        let text = string_argument(v)?;
        let no = || Fault::error(format!("`{text}` is not a quantity"));
        Quantity::parse(text).map(Value::Quantity).ok_or_else(no)
    }),
    function("isQuantity", &[T::Text], BOOL, |_, v| Ok(Value::Bool(Quantity::parse(string_argument(v)?).is_some()))),
    method("sign", &[T::Quantity], G::Is(T::Int), |_, v| one(v, |it| Value::Int(it.nanos().signum().try_into().unwrap_or(0)))),
    method("isInteger", &[T::Quantity], BOOL, |_, v| one(v, |it| Value::Bool(it.whole().is_some()))),
    method("asInteger", &[T::Quantity], G::Is(T::Int), |_, v| match v {
        [Value::Quantity(it)] => it.whole().map(Value::Int).ok_or_else(|| Fault::error("is not an integer")),
        _ => Err(unfit()),
    }),
    method("asApproximateFloat", &[T::Quantity], G::Is(T::Double), |_, v| {
        one(v, |it| Value::Double(double_of(it.nanos()) / double_of(NANOS)))
    }),
    method("add", &[T::Quantity, T::Quantity], QUANTITY, |_, v| sum(v, 1)),
    method("add", &[T::Quantity, T::Int], QUANTITY, |_, v| sum(v, 1)),
    method("sub", &[T::Quantity, T::Quantity], QUANTITY, |_, v| sum(v, -1)),
    method("sub", &[T::Quantity, T::Int], QUANTITY, |_, v| sum(v, -1)),
    method("isLessThan", &[T::Quantity, T::Quantity], BOOL, |_, v| two(v, |a, b| Value::Bool(a < b))),
    method("isGreaterThan", &[T::Quantity, T::Quantity], BOOL, |_, v| two(v, |a, b| Value::Bool(a > b))),
    method("compareTo", &[T::Quantity, T::Quantity], G::Is(T::Int), |_, v| {
        two(v, |a, b| Value::Int(a.cmp(&b) as i64))
    }),
];

fn one<'a>(values: &[Value<'a>], answer: impl Fn(Quantity) -> Value<'a>) -> Answer<'a> {
    match values {
        [Value::Quantity(it)] => Ok(answer(*it)),
        _ => Err(unfit()),
    }
}

fn two<'a>(values: &[Value<'a>], answer: impl Fn(Quantity, Quantity) -> Value<'a>) -> Answer<'a> {
    match values {
        [Value::Quantity(a), Value::Quantity(b)] => Ok(answer(*a, *b)),
        _ => Err(unfit()),
    }
}

fn sum<'a>(values: &[Value<'a>], sign: i128) -> Answer<'a> {
    let (a, b) = match values {
        [Value::Quantity(a), Value::Quantity(b)] => (a.nanos(), b.nanos()),
        [Value::Quantity(a), Value::Int(b)] => (a.nanos(), i128::from(*b) * NANOS),
        _ => return Err(unfit()),
    };
    // A quantity is bounded so that this cannot overflow.
    Ok(Value::Quantity(Quantity::from_nanos(a + sign * b)))
}
