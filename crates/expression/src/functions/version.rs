//! Semantic versions.

use std::rc::Rc;

use semver::Version;

use super::overload::{Answer, Function, G, T, function, method, unfit};
use crate::{error::Fault, value::Value};

const BOOL: G = G::Is(T::Bool);
const INT: G = G::Is(T::Int);
const SEMVER: G = G::Is(T::Semver);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("semver", &[T::Text], SEMVER, |_, v| made(v)),
    function("semver", &[T::Text, T::Bool], SEMVER, |_, v| made(v)),
    function("isSemver", &[T::Text], BOOL, |_, v| Ok(Value::Bool(read(v)?.is_some()))),
    function("isSemver", &[T::Text, T::Bool], BOOL, |_, v| Ok(Value::Bool(read(v)?.is_some()))),
    method("major", &[T::Semver], INT, |_, v| part(v, |it| it.major)),
    method("minor", &[T::Semver], INT, |_, v| part(v, |it| it.minor)),
    method("patch", &[T::Semver], INT, |_, v| part(v, |it| it.patch)),
    method("isLessThan", &[T::Semver, T::Semver], BOOL, |_, v| two(v, |it| Value::Bool(it < 0))),
    method("isGreaterThan", &[T::Semver, T::Semver], BOOL, |_, v| two(v, |it| Value::Bool(it > 0))),
    method("compareTo", &[T::Semver, T::Semver], INT, |_, v| two(v, Value::Int)),
];

fn read(values: &[Value<'_>]) -> Result<Option<Version>, Fault> {
    let (text, normalize) = match values {
        [Value::Text(text)] => (text.as_str(), false),
        [Value::Text(text), Value::Bool(normalize)] => (text.as_str(), *normalize),
        _ => return Err(unfit()),
    };
    match normalize {
        true => Ok(Version::parse(&normalized(text)).ok()),
        false => Ok(Version::parse(text).ok()),
    }
}

/// `v1.02` is 1.2.0: without its `v`, without leading zeros, with what is missing.
fn normalized(text: &str) -> String {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut parts: Vec<&str> = numbers
        .split('.')
        .map(|it| match it.trim_start_matches('0') {
            "" if !it.is_empty() => "0",
            it => it,
        })
        .collect();
    while parts.len() < 3 {
        parts.push("0");
    }
    format!("{}{rest}", parts.join("."))
}

fn made<'a>(values: &[Value<'a>]) -> Answer<'a> {
    let version = read(values)?.ok_or_else(|| Fault::error("is not a semantic version"))?;
    Ok(Value::Semver(Rc::new(version)))
}

fn part<'a>(values: &[Value<'a>], of: impl Fn(&Version) -> u64) -> Answer<'a> {
    match values {
        [Value::Semver(it)] => Ok(Value::Int(i64::try_from(of(it)).unwrap_or(i64::MAX))),
        _ => Err(unfit()),
    }
}

fn two<'a>(values: &[Value<'a>], answer: impl Fn(i64) -> Value<'a>) -> Answer<'a> {
    match values {
        [Value::Semver(a), Value::Semver(b)] => Ok(answer(a.cmp_precedence(b) as i64)),
        _ => Err(unfit()),
    }
}
