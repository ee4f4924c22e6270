//! `url(…)` and its parts.

use std::rc::Rc;

use percent_encoding::percent_decode_str;

use super::overload::{Answer, Function, G, T, function, method, string_argument, unfit};
use crate::{
    error::Fault,
    kubernetes::Url,
    value::{Map, Value},
};

const TEXT: G = G::Is(T::Text);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("url", &[T::Text], G::Is(T::Url), |call, v| {
        let text = string_argument(v)?;
        call.budget.spend_bytes(text.len() * 4)?;
        let no = || Fault::error(format!("`{text}` is not a URL"));
        Url::parse(text).map(|it| Value::Url(Rc::new(it))).ok_or_else(no)
    }),
    function("isURL", &[T::Text], G::Is(T::Bool), |call, v| {
        let text = string_argument(v)?;
        call.budget.spend_bytes(text.len() * 4)?;
        Ok(Value::Bool(Url::parse(text).is_some()))
    }),
    method("getScheme", &[T::Url], TEXT, |_, v| part(v, |it| it.scheme.clone())),
    method("getHost", &[T::Url], TEXT, |_, v| part(v, |it| it.host.clone())),
    method("getHostname", &[T::Url], TEXT, |_, v| part(v, |it| it.host_and_port().0.to_owned())),
    method("getPort", &[T::Url], TEXT, |_, v| part(v, |it| it.host_and_port().1.to_owned())),
    method("getEscapedPath", &[T::Url], TEXT, |_, v| part(v, |it| it.path.clone())),
    method("getQuery", &[T::Url], G::Is(T::Map), |call, v| {
        let [Value::Url(url)] = v else { return Err(unfit()) };
        call.budget.spend_bytes(url.query.len() * 4)?;
        Ok(query_map(url))
    }),
];

fn part<'a>(values: &[Value<'a>], of: impl Fn(&Url) -> String) -> Answer<'a> {
    match values {
        [Value::Url(url)] => Ok(Value::made(of(url))),
        _ => Err(unfit()),
    }
}

/// Each key with its values in order.
fn query_map<'a>(url: &Url) -> Value<'a> {
    let decoded =
        |it: &str| percent_decode_str(&it.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut entries: Vec<(String, Vec<Value<'a>>)> = Vec::new();
    for pair in url.query.split('&').filter(|it| !it.is_empty() && !it.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key), Value::made(decoded(value)));
        match entries.iter_mut().find(|(it, _)| *it == key) {
            Some((_, values)) => values.push(value),
            None => entries.push((key, vec![value])),
        }
    }
    let made = entries.into_iter().map(|(key, values)| (Value::made(key), Value::list(values)));
    Value::Map(Map::Made(Rc::new(made.collect())))
}
