//! Strings: CEL's own functions and cel-go's strings extension, which count in characters.

use super::{
    overload::{Answer, Call, Function, G, T, count, function, method, unfit},
    standard,
};
use crate::{budget::Budget, error::Fault, value::Value};

const BOOL: G = G::Is(T::Bool);
const INT: G = G::Is(T::Int);
const TEXT: G = G::Is(T::Text);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    method("contains", &[T::Text, T::Text], BOOL, |c, v| two(c, v, |a, b| Value::Bool(a.contains(b)))),
    method("startsWith", &[T::Text, T::Text], BOOL, |c, v| two(c, v, |a, b| Value::Bool(a.starts_with(b)))),
    method("endsWith", &[T::Text, T::Text], BOOL, |c, v| two(c, v, |a, b| Value::Bool(a.ends_with(b)))),
    method("charAt", &[T::Text, T::Int], TEXT, char_at),
    method("indexOf", &[T::Text, T::Text], INT, |c, v| two(c, v, |a, b| place(a, a.find(b)))),
    method("indexOf", &[T::Text, T::Text, T::Int], INT, index_from),
    method("lastIndexOf", &[T::Text, T::Text], INT, |c, v| two(c, v, |a, b| place(a, a.rfind(b)))),
    method("join", &[T::List], TEXT, join),
    method("join", &[T::List, T::Text], TEXT, join),
    method("lowerAscii", &[T::Text], TEXT, |c, v| made(c, v, str::to_ascii_lowercase)),
    method("upperAscii", &[T::Text], TEXT, |c, v| made(c, v, str::to_ascii_uppercase)),
    method("trim", &[T::Text], TEXT, |c, v| made(c, v, |it| it.trim().to_owned())),
    method("reverse", &[T::Text], TEXT, |c, v| made(c, v, |it| it.chars().rev().collect())),
    method("replace", &[T::Text, T::Text, T::Text], TEXT, replace),
    method("replace", &[T::Text, T::Text, T::Text, T::Int], TEXT, replace),
    method("split", &[T::Text, T::Text], G::Texts, split),
    method("split", &[T::Text, T::Text, T::Int], G::Texts, split),
    method("substring", &[T::Text, T::Int], TEXT, substring),
    method("substring", &[T::Text, T::Int, T::Int], TEXT, substring),
    method("format", &[T::Text, T::List], TEXT, format),
    function("strings.quote", &[T::Text], TEXT, |c, v| made(c, v, |it| format!("{it:?}"))),
];

fn two<'a>(
    call: &Call<'_>,
    values: &[Value<'a>],
    answer: impl Fn(&str, &str) -> Value<'a>,
) -> Answer<'a> {
    let [Value::Text(a), Value::Text(b)] = values else { return Err(unfit()) };
    call.budget.spend_bytes(a.len() + b.len())?;
    Ok(answer(a.as_str(), b.as_str()))
}

fn made<'a>(call: &Call<'_>, values: &[Value<'a>], make: impl Fn(&str) -> String) -> Answer<'a> {
    let [Value::Text(text)] = values else { return Err(unfit()) };
    call.budget.spend_bytes(text.len() * 2)?;
    Ok(Value::made(make(text.as_str())))
}

/// A byte offset as a position in characters; -1 for none.
fn place(text: &str, at: Option<usize>) -> Value<'static> {
    match at.and_then(|at| text.get(..at)) {
        Some(before) => count(before.chars().count()),
        None => Value::Int(-1),
    }
}

/// The byte offset of the `index`-th character; the end where it is one past the last.
fn offset(text: &str, index: i64) -> Result<usize, Fault> {
    let out = || Fault::error(format!("index out of range: {index}"));
    let index = usize::try_from(index).map_err(|_| out())?;
    let mut offsets = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    offsets.nth(index).ok_or_else(out)
}

fn char_at<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text), Value::Int(index)] = values else { return Err(unfit()) };
    call.budget.spend_bytes(text.len())?;
    let text = text.as_str();
    let rest = text.get(offset(text, *index)?..).unwrap_or_default();
    Ok(Value::made(rest.chars().take(1).collect::<String>()))
}

fn index_from<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text), Value::Text(of), Value::Int(from)] = values else {
        return Err(unfit());
    };
    call.budget.spend_bytes(text.len() * 2)?;
    let text = text.as_str();
    let start = offset(text, *from)?;
    let found = text.get(start..).and_then(|rest| rest.find(of.as_str()));
    Ok(place(text, found.map(|at| at + start)))
}

fn substring<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (text, start, end) = match values {
        [Value::Text(text), Value::Int(start)] => (text, *start, None),
        [Value::Text(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(unfit()),
    };
    call.budget.spend_bytes(text.len() * 2)?;
    let text = text.as_str();
    let start = offset(text, start)?;
    let end = end.map_or(Ok(text.len()), |end| offset(text, end))?;
    let part = text.get(start..end).ok_or_else(|| Fault::error("ends before it starts"))?;
    Ok(Value::made(part))
}

fn join<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (list, separator) = match values {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(separator)] => (list, separator.as_str()),
        _ => return Err(unfit()),
    };
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(item) = item else {
            return Err(Fault::error(format!("a {} cannot be joined", item.type_name())));
        };
        call.budget.spend(1)?;
        call.budget.spend_bytes(item.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item.as_str());
    }
    Ok(Value::made(joined))
}

fn replace<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (text, from, to, limit) = match values {
        [Value::Text(text), Value::Text(from), Value::Text(to)] => (text, from, to, -1),
        [Value::Text(text), Value::Text(from), Value::Text(to), Value::Int(limit)] => {
            (text, from, to, *limit)
        }
        _ => return Err(unfit()),
    };
    call.budget.spend_bytes(text.len())?;
    let times = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = text.as_str().matches(from.as_str()).count().min(times);
    // Counted before it is made: each replacement may grow the text.
    call.budget.spend_bytes(text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(Value::made(text.as_str().replacen(from.as_str(), to.as_str(), times)))
}

fn split<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let (text, by, limit) = match values {
        [Value::Text(text), Value::Text(by)] => (text, by, -1),
        [Value::Text(text), Value::Text(by), Value::Int(limit)] => (text, by, *limit),
        _ => return Err(unfit()),
    };
    let (whole, by) = (text.as_str(), by.as_str());
    call.budget.spend_bytes(whole.len())?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match (by, limit) {
        (_, 0) => Vec::new(),
        ("", limit) => {
            let ends = whole.char_indices().map(|(at, it)| (at, at + it.len_utf8()));
            let each = ends.filter_map(|(start, end)| whole.get(start..end));
            let mut parts: Vec<&str> = each.take(limit.saturating_sub(1)).collect();
            let taken: usize = parts.iter().map(|it| it.len()).sum();
            parts.extend(whole.get(taken..).filter(|rest| !rest.is_empty()));
            parts
        }
        (by, limit) => whole.splitn(limit, by).collect(),
    };
    call.budget.spend(parts.len() as u64)?;
    Ok(Value::list(parts.into_iter().map(Value::made).collect()))
}

/// `'%s has %d of %.1f'.format([…])`.
fn format<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(pattern), Value::List(list)] = values else { return Err(unfit()) };
    call.budget.spend_bytes(pattern.len())?;
    let (mut made, mut next) = (String::new(), 0);
    let mut rest = pattern.as_str();
    while let Some((before, after)) = rest.split_once('%') {
        made.push_str(before);
        let digits = |it: &str| it.chars().take_while(char::is_ascii_digit).count();
        let (precision, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (number, after) = after.split_at(digits(after));
                let precision: usize = number.parse().unwrap_or(0);
                (Some(precision.min(20)), after)
            }
            None => (None, after),
        };
        let mut letters = after.chars();
        let clause = letters.next().ok_or_else(|| Fault::error("ends within a `%` clause"))?;
        rest = letters.as_str();
        if clause == '%' {
            made.push('%');
            continue;
        }
        let value =
            list.get(next).ok_or_else(|| Fault::error(format!("index {next} out of range")))?;
        next += 1;
        let before = made.len();
        clause_of(clause, precision, &value, call.budget, &mut made)?;
        call.budget.spend_bytes(made.len() - before)?;
    }
    made.push_str(rest);
    Ok(Value::made(made))
}

fn clause_of(
    clause: char,
    precision: Option<usize>,
    value: &Value<'_>,
    budget: &Budget,
    made: &mut String,
) -> Result<(), Fault> {
    let wrong = || {
        let found = value.type_name();
        Fault::error(format!("`%{clause}` does not take a {found}"))
    };
    match (clause, value) {
        ('s', value) => return show(value, budget, made),
        ('d', Value::Int(it)) => made.push_str(&it.to_string()),
        ('d', Value::Uint(it)) => made.push_str(&it.to_string()),
        ('f', Value::Double(it)) => made.push_str(&format!("{it:.*}", precision.unwrap_or(6))),
        ('f', Value::Int(it)) => {
            let zeros = "0".repeat(precision.unwrap_or(6));
            made.push_str(&format!("{it}.{zeros}"));
        }
        ('e', Value::Double(it)) => made.push_str(&exponent(*it, precision.unwrap_or(6))),
        ('b', Value::Int(it)) => made.push_str(&signed(*it, |it| format!("{it:b}"))),
        ('b', Value::Bool(it)) => made.push(if *it { '1' } else { '0' }),
        ('x', Value::Int(it)) => made.push_str(&signed(*it, |it| format!("{it:x}"))),
        ('X', Value::Int(it)) => made.push_str(&signed(*it, |it| format!("{it:X}"))),
        ('o', Value::Int(it)) => made.push_str(&signed(*it, |it| format!("{it:o}"))),
        ('x' | 'X', Value::Text(it)) => {
            budget.spend_bytes(it.len() * 2)?;
            for byte in it.as_str().bytes() {
                let pair =
                    if clause == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") };
                made.push_str(&pair);
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn signed(it: i64, digits: impl Fn(u64) -> String) -> String {
    let sign = if it < 0 { "-" } else { "" };
    format!("{sign}{}", digits(it.unsigned_abs()))
}

/// As Go writes it, with two digits at least: `1.5e+03`.
fn exponent(it: f64, precision: usize) -> String {
    let text = format!("{it:.precision$e}");
    let Some((mantissa, power)) = text.split_once('e') else { return text };
    let (sign, digits) = match power.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', power),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// What `%s` makes of anything.
pub(crate) fn show(value: &Value<'_>, budget: &Budget, made: &mut String) -> Result<(), Fault> {
    budget.spend(1)?;
    match value {
        Value::Text(text) => {
            budget.spend_bytes(text.len())?;
            made.push_str(text.as_str());
        }
        Value::List(list) => {
            made.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    made.push_str(", ");
                }
                show(&item, budget, made)?;
            }
            made.push(']');
        }
        Value::Map(map) => {
            // Sorted, so that the same map always reads the same.
            let mut entries = Vec::new();
            for (key, value) in map.iter() {
                let (mut key_text, mut value_text) = (String::new(), String::new());
                show(&key, budget, &mut key_text)?;
                show(&value, budget, &mut value_text)?;
                entries.push(format!("{key_text}: {value_text}"));
            }
            entries.sort();
            made.push('{');
            made.push_str(&entries.join(", "));
            made.push('}');
        }
        Value::Bytes(bytes) => {
            budget.spend_bytes(bytes.len())?;
            made.push_str(&String::from_utf8_lossy(bytes));
        }
        Value::Optional(Some(inner)) => show(inner, budget, made)?,
        Value::Optional(None) => made.push_str("none"),
        other => made.push_str(&standard::plain(other).unwrap_or_default()),
    }
    Ok(())
}
