//! Lists: Kubernetes' list library.

use std::cmp::Ordering;

use super::overload::{Answer, Call, Function, G, T, count, method, unfit};
use crate::{
    error::Fault,
    value::{List, Value},
};

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    method("isSorted", &[T::List], G::Is(T::Bool), is_sorted),
    method("sum", &[T::List], G::Element, sum),
    method("min", &[T::List], G::Element, |c, v| extreme(c, v, Ordering::Less)),
    method("max", &[T::List], G::Element, |c, v| extreme(c, v, Ordering::Greater)),
    method("indexOf", &[T::List, T::Any], G::Is(T::Int), index_of),
    method("lastIndexOf", &[T::List, T::Any], G::Is(T::Int), last_index_of),
    method("slice", &[T::List, T::Int, T::Int], G::Same, slice),
    method("distinct", &[T::List], G::Same, distinct),
    method("flatten", &[T::List], G::Is(T::List), flatten),
];

fn list<'v, 'a>(values: &'v [Value<'a>]) -> Result<&'v List<'a>, Fault> {
    match values.first() {
        Some(Value::List(list)) => Ok(list),
        _ => Err(unfit()),
    }
}

fn is_sorted<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let mut last: Option<Value<'a>> = None;
    for item in list(values)?.iter() {
        call.budget.spend(1)?;
        if let Some(last) = last
            && last.order(&item, call.budget)? == Some(Ordering::Greater)
        {
            return Ok(Value::Bool(false));
        }
        last = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let overflow = || Fault::error("overflow");
    let mut total = None;
    for item in list(values)?.iter() {
        call.budget.spend(1)?;
        total = Some(match (total, item) {
            (None, item) => item,
            (Some(Value::Int(a)), Value::Int(b)) => {
                Value::Int(a.checked_add(b).ok_or_else(overflow)?)
            }
            (Some(Value::Uint(a)), Value::Uint(b)) => {
                Value::Uint(a.checked_add(b).ok_or_else(overflow)?)
            }
            (Some(Value::Double(a)), Value::Double(b)) => Value::Double(a + b),
            (Some(Value::Duration(a)), Value::Duration(b)) => {
                Value::Duration(a.checked_add(b).ok_or_else(overflow)?)
            }
            // Numbers of two types compare in CEL, and do not add.
            _ => return Err(Fault::error("what is summed is of two kinds")),
        });
    }
    // Of an empty list nobody knows the type; Kubernetes gives an int as well.
    Ok(total.unwrap_or(Value::Int(0)))
}

fn extreme<'a>(call: &Call<'_>, values: &[Value<'a>], wanted: Ordering) -> Answer<'a> {
    let mut found: Option<Value<'a>> = None;
    for item in list(values)?.iter() {
        call.budget.spend(1)?;
        found = match found {
            Some(best) if item.order(&best, call.budget)? != Some(wanted) => Some(best),
            _ => Some(item),
        };
    }
    found.ok_or_else(|| Fault::error("the list is empty"))
}

fn index_of<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let wanted = values.get(1).ok_or_else(unfit)?;
    for (index, item) in list(values)?.iter().enumerate() {
        if item.equals(wanted, call.budget)? {
            return Ok(count(index));
        }
    }
    Ok(Value::Int(-1))
}

fn last_index_of<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let wanted = values.get(1).ok_or_else(unfit)?;
    let mut found = Value::Int(-1);
    for (index, item) in list(values)?.iter().enumerate() {
        if item.equals(wanted, call.budget)? {
            found = count(index);
        }
    }
    Ok(found)
}

fn slice<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = values else {
        return Err(unfit());
    };
    let out = || Fault::error("out of range");
    let (start, end) =
        (usize::try_from(*start).map_err(|_| out())?, usize::try_from(*end).map_err(|_| out())?);
    if start > end || end > list.len() {
        return Err(out());
    }
    // Only what is copied costs; the rest of the list is not looked at.
    call.budget.spend((end - start) as u64)?;
    Ok(Value::list((start..end).filter_map(|index| list.get(index)).collect()))
}

fn distinct<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let mut kept: Vec<Value<'a>> = Vec::new();
    'items: for item in list(values)?.iter() {
        for other in &kept {
            if other.equals(&item, call.budget)? {
                continue 'items;
            }
        }
        kept.push(item);
    }
    Ok(Value::list(kept))
}

fn flatten<'a>(call: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let mut flat = Vec::new();
    for item in list(values)?.iter() {
        call.budget.spend(1)?;
        match item {
            Value::List(inner) => {
                call.budget.spend(inner.len() as u64)?;
                flat.extend(inner.iter());
            }
            item => flat.push(item),
        }
    }
    Ok(Value::list(flat))
}
