//! Regular expressions: of linear time by their crate, bounded in size here.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::overload::{Answer, Call, Function, G, T, function, method, unfit};
use crate::{
    error::Fault,
    value::{Text, Value},
};

/// A compiled expression may take so many bytes: `x{1000}{1000}` is refused, not built.
const SIZE_BYTES_MAX: usize = 256 << 10;
const NEST_MAX: u32 = 50;
/// Steps for compiling one that does not stand in the text.
const COMPILE_STEPS: u64 = 2_000;

/// Functions whose second argument is a regular expression.
pub(crate) const TAKE_PATTERNS: [&str; 3] = ["matches", "find", "findAll"];

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    method("matches", &[T::Text, T::Text], G::Is(T::Bool), matches),
    function("matches", &[T::Text, T::Text], G::Is(T::Bool), matches),
    method("find", &[T::Text, T::Text], G::Is(T::Text), find),
    method("findAll", &[T::Text, T::Text], G::Texts, find_all),
    method("findAll", &[T::Text, T::Text, T::Int], G::Texts, find_all),
];

/// Compiles within the bounds.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern)
        .size_limit(SIZE_BYTES_MAX)
        .dfa_size_limit(SIZE_BYTES_MAX)
        .nest_limit(NEST_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            let why = last.strip_prefix("error: ").unwrap_or(last);
            format!("the regular expression cannot be read: {why}")
        }
    })
}

fn regex<'c>(call: &Call<'c>, pattern: &Text<'_>) -> Result<Cow<'c, Regex>, Fault> {
    // The checker has compiled what stands in the text, whatever the object is.
    if let Some(regex) = call.regex {
        return Ok(Cow::Borrowed(regex));
    }
    call.budget.spend(COMPILE_STEPS)?;
    compile(pattern.as_str()).map(Cow::Owned).map_err(Fault::Error)
}

/// A search costs at worst the product of both lengths.
fn spend(call: &Call<'_>, text: &Text<'_>, pattern: &Text<'_>) -> Result<(), Fault> {
    call.budget.spend_bytes(text.len().saturating_mul(1 + pattern.len() / 16))
}

fn matches<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text), Value::Text(pattern)] = values else { return Err(unfit()) };
    spend(call, text, pattern)?;
    Ok(Value::Bool(regex(call, pattern)?.is_match(text.as_str())))
}

fn find<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text), Value::Text(pattern)] = values else { return Err(unfit()) };
    spend(call, text, pattern)?;
    let regex = regex(call, pattern)?;
    let found = regex.find(text.as_str()).map(|it| it.as_str()).unwrap_or_default();
    Ok(Value::made(found))
}

fn find_all<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (text, pattern, limit) = match values {
        [Value::Text(text), Value::Text(pattern)] => (text, pattern, -1),
        [Value::Text(text), Value::Text(pattern), Value::Int(limit)] => (text, pattern, *limit),
        _ => return Err(unfit()),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = regex(call, pattern)?;
    let mut found = Vec::new();
    // Each search may look at all that is left.
    for it in regex.find_iter(text.as_str()).take(limit) {
        spend(call, text, pattern)?;
        found.push(Value::made(it.as_str()));
    }
    spend(call, text, pattern)?;
    Ok(Value::list(found))
}
