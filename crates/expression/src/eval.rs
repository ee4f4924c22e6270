//! An expression -> its value, within a budget of steps.
//!
//! Semantics are CEL's: `&&` and `||` take an error for unknown, so that the other side may decide;
//! a missing field is an error; numbers of two types compare, and do not add. What it costs is
//! counted where it arises: a step for each node that is evaluated, each element that is looked at,
//! and each 32 bytes that are made or compared. An expression that an agent's object makes
//! expensive ends as an error, in bounded time and memory.

use std::{cmp::Ordering, rc::Rc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    budget::Budget,
    error::{EvalError, Fault},
    functions::Call,
    node::{Kind, Literal, Macro, MacroKind, Node, Operator},
    value::{List, Map, Text, Value},
};

/// Functions whose answer does not depend on the strings in what they are given, but for those in
/// the answer.
const LOOKS_AT_NOTHING: [&str; 4] = ["size", "hasValue", "value", "optional.of"];

/// Where variables come from.
pub trait Scope<'a> {
    /// The value of a variable of the schema; it is asked for only where an expression reads it.
    ///
    /// # Errors
    /// Why it is not known.
    fn variable(&self, index: usize) -> Result<Value<'a>, String>;

    /// Whether [`Scope::look`] is to be asked: where what is looked at is a record with gaps.
    fn watches(&self) -> bool {
        false
    }

    /// Told of each string before an expression uses it. `path` is how the expression names it.
    ///
    /// # Errors
    /// Why it is not known; that it is there, is.
    fn look(&self, _text: &str, _path: &dyn Fn() -> String) -> Result<(), String> {
        Ok(())
    }
}

pub(crate) fn evaluate<'a>(
    root: &'a Node,
    scope: &dyn Scope<'a>,
    budget: &Budget,
) -> Result<Value<'a>, EvalError> {
    Evaluation { scope, watches: scope.watches(), budget, locals: Vec::new() }.node(root)
}

struct Evaluation<'a, 'b> {
    scope: &'b dyn Scope<'a>,
    watches: bool,
    budget: &'b Budget,
    locals: Vec<Value<'a>>,
}

type Result<T, E = EvalError> = std::result::Result<T, E>;

/// Places a fault that happened in a node.
fn at(node: &Node, fault: Fault) -> EvalError {
    EvalError { span: node.span, ..fault.into() }
}

impl<'a> Evaluation<'a, '_> {
    // Each arm that needs room has a function of its own: this one recurses.
    fn node(&mut self, node: &'a Node) -> Result<Value<'a>> {
        self.budget.spend(1).map_err(|fault| at(node, fault))?;
        let value = match &node.kind {
            Kind::Literal(literal) => return Ok(literal_value(literal)),
            Kind::Variable(index, _) => {
                self.scope.variable(*index).map_err(|why| at(node, Fault::Error(why)))
            }
            Kind::Local(index) => Ok(self.locals.get(*index).cloned().unwrap_or(Value::Null)),
            Kind::And(a, b) => self.either(node, a, b, false),
            Kind::Or(a, b) => self.either(node, a, b, true),
            Kind::Not(of) => match self.node(of)? {
                Value::Bool(it) => Ok(Value::Bool(!it)),
                other => Err(no_overload(node, "!", &[other])),
            },
            Kind::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.node(condition)? {
                    Value::Bool(true) => self.node(yes),
                    Value::Bool(false) => self.node(no),
                    other => Err(no_overload(node, "? :", &[other])),
                }
            }
            Kind::Select(of, field) => self.select(node, of, field),
            Kind::Has(of, field) => self.has(node, of, field),
            Kind::OptionalSelect(of, field) => {
                let key = Value::Text(Text::Borrowed(field));
                let of = self.node(of)?;
                self.optional_entry(node, of, key)
            }
            Kind::Index(of, key) => {
                let (of, key) = (self.node(of)?, self.node(key)?);
                self.index(node, of, key)
            }
            Kind::OptionalIndex(of, key) => {
                let (of, key) = (self.node(of)?, self.node(key)?);
                self.optional_entry(node, of, key)
            }
            Kind::Negate(of) => negate(node, self.node(of)?),
            Kind::Binary(operator, a, b) => {
                let (a, b) = (self.node(a)?, self.node(b)?);
                if compares_within(*operator, &a, &b) {
                    self.look_into(node, &[&a, &b])?;
                }
                binary(*operator, a, b, self.budget).map_err(|fault| at(node, fault))
            }
            Kind::Call(..) => self.call(node),
            Kind::List(items) => self.list(node, items),
            Kind::Map(entries) => self.map(node, entries),
            Kind::Macro(it) => self.macro_call(node, it),
        }?;
        self.look_at(node, &value)?;
        Ok(value)
    }

    fn look(&self, node: &Node, text: &str) -> Result<()> {
        let path = || {
            let mut path = String::new();
            node.path(&mut path);
            path
        };
        self.scope.look(text, &path).map_err(|why| at(node, Fault::Error(why)))
    }

    fn look_at(&self, node: &Node, value: &Value<'a>) -> Result<()> {
        match value {
            Value::Text(text) if self.watches => self.look(node, text.as_str()),
            _ => Ok(()),
        }
    }

    /// Looks at every string in values that are used whole.
    fn look_into(&self, node: &Node, values: &[&Value<'a>]) -> Result<()> {
        if !self.watches {
            return Ok(());
        }
        for value in values {
            match value {
                Value::Text(text) => self.look(node, text.as_str())?,
                Value::List(list) => {
                    list.iter().try_for_each(|item| self.look_into(node, &[&item]))?;
                }
                Value::Map(map) => {
                    map.iter().try_for_each(|(_, value)| self.look_into(node, &[&value]))?;
                }
                Value::Optional(Some(inner)) => self.look_into(node, &[&**inner])?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `||` where `decides` is true, `&&` where it is false: the side that decides, decides, even
    /// if the other has no value. A spent budget is never taken for unknown.
    fn either(
        &mut self,
        node: &'a Node,
        a: &'a Node,
        b: &'a Node,
        decides: bool,
    ) -> Result<Value<'a>> {
        let operator = if decides { "||" } else { "&&" };
        let truth = |value: Result<Value<'a>>| match value {
            Ok(Value::Bool(it)) => Ok(it),
            Ok(other) => Err(no_overload(node, operator, &[other])),
            Err(error) => Err(error),
        };
        let first = truth(self.node(a));
        match first {
            // The other side is not evaluated: what a guard rules out costs nothing.
            Ok(it) if it == decides => return Ok(Value::Bool(decides)),
            Err(error) if error.is_exhausted => return Err(error),
            _ => {}
        }
        match (first, truth(self.node(b))) {
            (_, Err(error)) if error.is_exhausted => Err(error),
            (_, Ok(it)) if it == decides => Ok(Value::Bool(decides)),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(_), Ok(_)) => Ok(Value::Bool(!decides)),
        }
    }

    fn select(&mut self, node: &'a Node, of: &'a Node, field: &'a str) -> Result<Value<'a>> {
        match self.node(of)? {
            Value::Map(map) => {
                let found = map.field(field, self.budget).map_err(|fault| at(node, fault))?;
                found.ok_or_else(|| at(node, Fault::Error(format!("no such key: {field}"))))
            }
            // What is selected of an optional is optional.
            Value::Optional(Some(inner)) => {
                let key = Value::Text(Text::Borrowed(field));
                self.optional_entry(node, Value::Optional(Some(inner)), key)
            }
            Value::Optional(None) => Ok(Value::Optional(None)),
            other => {
                let message = format!("a {} has no field {field}", other.type_name());
                Err(at(node, Fault::Error(message)))
            }
        }
    }

    fn has(&mut self, node: &'a Node, of: &'a Node, field: &'a str) -> Result<Value<'a>> {
        let of = match self.node(of)? {
            Value::Optional(None) => return Ok(Value::Bool(false)),
            Value::Optional(Some(inner)) => Value::clone(&inner),
            other => other,
        };
        self.look_at(node, &of)?;
        match of {
            Value::Map(map) => {
                let found = map.field(field, self.budget).map_err(|fault| at(node, fault))?;
                Ok(Value::Bool(found.is_some()))
            }
            other => {
                let message = format!("a {} has no field {field}", other.type_name());
                Err(at(node, Fault::Error(message)))
            }
        }
    }

    fn index(&mut self, node: &'a Node, of: Value<'a>, key: Value<'a>) -> Result<Value<'a>> {
        if let Value::Optional(_) = of {
            return self.optional_entry(node, of, key);
        }
        let missing = match &key {
            Value::Text(key) => format!("no such key: {}", key.as_str()),
            Value::Int(index) => format!("index out of bounds: {index}"),
            _ => "no such key".to_owned(),
        };
        let found = entry(&of, &key, self.budget).map_err(|fault| at(node, fault))?;
        found.ok_or_else(|| at(node, Fault::Error(missing)))
    }

    fn optional_entry(
        &mut self,
        node: &'a Node,
        of: Value<'a>,
        key: Value<'a>,
    ) -> Result<Value<'a>> {
        let of = match of {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => Value::clone(&inner),
            other => other,
        };
        self.look_at(node, &of)?;
        let found = entry(&of, &key, self.budget).map_err(|fault| at(node, fault))?;
        Ok(Value::optional(found))
    }

    fn call(&mut self, node: &'a Node) -> Result<Value<'a>> {
        // Only calls come here. Taken apart here and not in `node`, whose frame would grow by it.
        let Kind::Call(name, overloads, arguments, regex) = &node.kind else {
            return Ok(Value::Null);
        };
        // The only two that do not look at all of their arguments.
        if let ("or" | "orValue", [optional, other]) = (*name, arguments.as_slice()) {
            return match self.node(optional)? {
                Value::Optional(Some(inner)) if *name == "orValue" => Ok(Value::clone(&inner)),
                Value::Optional(None) => self.node(other),
                it @ Value::Optional(_) => Ok(it),
                other => Err(no_overload(node, name, &[other])),
            };
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.node(argument)?);
        }
        if !LOOKS_AT_NOTHING.contains(name) {
            self.look_into(node, &values.iter().collect::<Vec<_>>())?;
        }
        let Some(function) = overloads.iter().find(|it| it.takes(&values)) else {
            return Err(no_overload(node, name, &values));
        };
        let call = Call { budget: self.budget, regex: regex.as_deref() };
        (function.call)(&call, &values).map_err(|fault| at(node, fault))
    }

    fn list(&mut self, node: &'a Node, items: &'a [(Node, bool)]) -> Result<Value<'a>> {
        let mut values = Vec::with_capacity(items.len());
        for (item, is_optional) in items {
            match (self.node(item)?, is_optional) {
                (value, false) => values.push(value),
                (Value::Optional(None), true) => {}
                (Value::Optional(Some(inner)), true) => values.push(Value::clone(&inner)),
                (other, true) => return Err(no_overload(node, "[?]", &[other])),
            }
        }
        Ok(Value::list(values))
    }

    fn map(&mut self, node: &'a Node, entries: &'a [(Node, Node, bool)]) -> Result<Value<'a>> {
        let mut made: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value, is_optional) in entries {
            let (key, value) = (self.node(key)?, self.node(value)?);
            let value = match (value, is_optional) {
                (value, false) => value,
                (Value::Optional(None), true) => continue,
                (Value::Optional(Some(inner)), true) => Value::clone(&inner),
                (other, true) => return Err(no_overload(node, "{?}", &[other])),
            };
            self.insert(node, &mut made, key, value)?;
        }
        Ok(Value::Map(Map::Made(Rc::new(made))))
    }

    fn insert(
        &self,
        node: &Node,
        made: &mut Vec<(Value<'a>, Value<'a>)>,
        key: Value<'a>,
        value: Value<'a>,
    ) -> Result<()> {
        // CEL's types of keys. With doubles, 1 and 1.0 would be one key or two by chance.
        if !matches!(key, Value::Text(_) | Value::Int(_) | Value::Uint(_) | Value::Bool(_)) {
            let message = format!("a {} cannot be a key", key.type_name());
            return Err(at(node, Fault::Error(message)));
        }
        for (other, _) in made.iter() {
            if other.equals(&key, self.budget).map_err(|fault| at(node, fault))? {
                return Err(at(node, Fault::error("a key of a map stands there twice")));
            }
        }
        made.push((key, value));
        Ok(())
    }

    fn macro_call(&mut self, node: &'a Node, it: &'a Macro) -> Result<Value<'a>> {
        let range = self.node(&it.range)?;
        let depth = self.locals.len();
        let value = match (it.kind, range) {
            (MacroKind::OptMap | MacroKind::OptFlatMap, Value::Optional(None)) => {
                Ok(Value::Optional(None))
            }
            (kind @ (MacroKind::OptMap | MacroKind::OptFlatMap), Value::Optional(Some(inner))) => {
                self.locals.push(Value::clone(&inner));
                let mapped = self.node(&it.body);
                mapped.map(|it| if kind == MacroKind::OptMap { it.some() } else { it })
            }
            (MacroKind::OptMap | MacroKind::OptFlatMap, other) => {
                Err(no_overload(node, "optMap", &[other]))
            }
            (_, Value::List(list)) => {
                let entries = list.iter().enumerate().map(|(index, item)| {
                    (Value::Int(i64::try_from(index).unwrap_or(i64::MAX)), item)
                });
                self.each(node, it, entries, false)
            }
            (_, Value::Map(map)) => self.each(node, it, map.iter(), true),
            (_, other) => {
                let message = format!("a {} has no elements", other.type_name());
                Err(at(node, Fault::Error(message)))
            }
        };
        self.locals.truncate(depth);
        value
    }

    fn each(
        &mut self,
        node: &'a Node,
        it: &'a Macro,
        entries: impl Iterator<Item = (Value<'a>, Value<'a>)>,
        of_map: bool,
    ) -> Result<Value<'a>> {
        let depth = self.locals.len();
        let mut found = Collected::default();
        for (key, element) in entries {
            self.budget.spend(1).map_err(|fault| at(node, fault))?;
            self.locals.truncate(depth);
            match (it.two, of_map) {
                (true, _) => self.locals.extend([key.clone(), element.clone()]),
                // One variable over a map is its keys.
                (false, true) => self.locals.push(key.clone()),
                (false, false) => self.locals.push(element.clone()),
            }
            if let Some(filter) = &it.filter
                && !self.truth(node, filter)?
            {
                continue;
            }
            match it.kind {
                MacroKind::All | MacroKind::Exists => {
                    let decides = it.kind == MacroKind::Exists;
                    match self.truth(node, &it.body) {
                        Ok(answer) if answer == decides => return Ok(Value::Bool(decides)),
                        Ok(_) => {}
                        Err(error) if error.is_exhausted => return Err(error),
                        // Another element may still decide.
                        Err(error) => found.error = found.error.or(Some(error)),
                    }
                }
                MacroKind::ExistsOne => {
                    if self.truth(node, &it.body)? {
                        found.count += 1;
                    }
                }
                MacroKind::Filter => {
                    if self.truth(node, &it.body)? {
                        found.items.push(if of_map { key } else { element });
                    }
                }
                MacroKind::TransformMap => {
                    let value = self.node(&it.body)?;
                    found.entries.push((key, value));
                }
                _ => found.items.push(self.node(&it.body)?),
            }
        }
        match it.kind {
            MacroKind::All | MacroKind::Exists => match found.error {
                Some(error) => Err(error),
                None => Ok(Value::Bool(it.kind == MacroKind::All)),
            },
            MacroKind::ExistsOne => Ok(Value::Bool(found.count == 1)),
            MacroKind::TransformMap => Ok(Value::Map(Map::Made(Rc::new(found.entries)))),
            _ => Ok(Value::list(found.items)),
        }
    }

    fn truth(&mut self, node: &'a Node, body: &'a Node) -> Result<bool> {
        match self.node(body)? {
            Value::Bool(it) => Ok(it),
            other => Err(no_overload(node, "a condition", &[other])),
        }
    }
}

/// What a loop has gathered.
#[derive(Default)]
struct Collected<'a> {
    items: Vec<Value<'a>>,
    entries: Vec<(Value<'a>, Value<'a>)>,
    count: usize,
    error: Option<EvalError>,
}

fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(it) => Value::Bool(*it),
        Literal::Int(it) => Value::Int(*it),
        Literal::Uint(it) => Value::Uint(*it),
        Literal::Double(it) => Value::Double(*it),
        Literal::Text(it) => Value::Text(Text::Borrowed(it)),
        Literal::Bytes(it) => Value::Bytes(Rc::from(&**it)),
        Literal::Type(name) => Value::Type(name),
    }
}

/// `of[key]`, if there is such an entry.
fn entry<'a>(of: &Value<'a>, key: &Value<'a>, budget: &Budget) -> Result<Option<Value<'a>>, Fault> {
    match (of, key) {
        (Value::Map(map), key) => map.find(key, budget),
        (Value::List(list), key) => {
            let index = match key {
                Value::Int(index) => usize::try_from(*index).ok(),
                Value::Uint(index) => usize::try_from(*index).ok(),
                // A whole double counts, as in cel-go.
                Value::Double(index) if index.fract() == 0.0 && (0.0..1e9).contains(index) => {
                    format!("{index}").parse().ok()
                }
                other => {
                    let message = format!("a {} cannot be an index of a list", other.type_name());
                    return Err(Fault::Error(message));
                }
            };
            Ok(index.and_then(|index| list.get(index)))
        }
        (other, _) => Err(Fault::Error(format!("a {} has no elements", other.type_name()))),
    }
}

/// Whether the answer depends on what is in these values; strings themselves were looked at.
fn compares_within(operator: Operator, a: &Value<'_>, b: &Value<'_>) -> bool {
    match operator {
        // Of two kinds, as an object and null, nothing is compared.
        Operator::Equal | Operator::NotEqual => a.type_name() == b.type_name(),
        Operator::In => !matches!(b, Value::Map(_)),
        _ => false,
    }
}

fn no_overload(node: &Node, name: &str, values: &[Value<'_>]) -> EvalError {
    let types: Vec<&str> = values.iter().map(Value::type_name).collect();
    at(node, Fault::Error(format!("`{name}` does not take ({})", types.join(", "))))
}

fn negate<'a>(node: &Node, value: Value<'a>) -> Result<Value<'a>> {
    match value {
        Value::Int(it) => match it.checked_neg() {
            Some(it) => Ok(Value::Int(it)),
            None => Err(at(node, Fault::error("overflow"))),
        },
        Value::Double(it) => Ok(Value::Double(-it)),
        other => Err(no_overload(node, "-", &[other])),
    }
}

fn binary<'a>(
    operator: Operator,
    a: Value<'a>,
    b: Value<'a>,
    budget: &Budget,
) -> Result<Value<'a>, Fault> {
    use Operator as O;
    match operator {
        O::Equal => Ok(Value::Bool(a.equals(&b, budget)?)),
        O::NotEqual => Ok(Value::Bool(!a.equals(&b, budget)?)),
        O::Less => Ok(Value::Bool(a.order(&b, budget)? == Some(Ordering::Less))),
        O::Greater => Ok(Value::Bool(a.order(&b, budget)? == Some(Ordering::Greater))),
        O::LessOrEqual => Ok(Value::Bool(a.order(&b, budget)?.is_some_and(Ordering::is_le))),
        O::GreaterOrEqual => Ok(Value::Bool(a.order(&b, budget)?.is_some_and(Ordering::is_ge))),
        O::In => contains(&a, &b, budget),
        O::Add => add(a, b, budget),
        _ => arithmetic(operator, a, b),
    }
}

fn contains<'a>(a: &Value<'a>, b: &Value<'a>, budget: &Budget) -> Result<Value<'a>, Fault> {
    match b {
        Value::List(list) => {
            for item in list.iter() {
                if item.equals(a, budget)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        Value::Map(map) => Ok(Value::Bool(map.find(a, budget)?.is_some())),
        other => Err(Fault::Error(format!("nothing is `in` a {}", other.type_name()))),
    }
}

fn overflow() -> Fault {
    Fault::error("overflow")
}

fn add<'a>(a: Value<'a>, b: Value<'a>, budget: &Budget) -> Result<Value<'a>, Fault> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            // Paid for before it is made, so that no loop of additions outgrows its budget.
            budget.spend_bytes(a.len() + b.len())?;
            Ok(Value::made(format!("{}{}", a.as_str(), b.as_str())))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            budget.spend_bytes(a.len() + b.len())?;
            Ok(Value::Bytes([&*a, &*b].concat().into()))
        }
        (Value::List(a), Value::List(b)) => {
            budget.spend((a.len() + b.len()) as u64)?;
            Ok(Value::List(List::Made(Rc::new(a.iter().chain(b.iter()).collect()))))
        }
        (Value::Duration(a), Value::Duration(b)) => {
            a.checked_add(b).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Timestamp(a), Value::Duration(b)) | (Value::Duration(b), Value::Timestamp(a)) => {
            a.checked_add(b).map(Value::Timestamp).map_err(|_| overflow())
        }
        (a, b) => arithmetic(Operator::Add, a, b),
    }
}

fn arithmetic<'a>(operator: Operator, a: Value<'a>, b: Value<'a>) -> Result<Value<'a>, Fault> {
    use Operator as O;
    let by_zero = || Fault::error("division by zero");
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            let value = match operator {
                O::Add => a.checked_add(b),
                O::Subtract => a.checked_sub(b),
                O::Multiply => a.checked_mul(b),
                O::Divide if b == 0 => return Err(by_zero()),
                O::Divide => a.checked_div(b),
                _ if b == 0 => return Err(by_zero()),
                _ => a.checked_rem(b),
            };
            value.map(Value::Int).ok_or_else(overflow)
        }
        (Value::Uint(a), Value::Uint(b)) => {
            let value = match operator {
                O::Add => a.checked_add(b),
                O::Subtract => a.checked_sub(b),
                O::Multiply => a.checked_mul(b),
                O::Divide if b == 0 => return Err(by_zero()),
                O::Divide => a.checked_div(b),
                _ if b == 0 => return Err(by_zero()),
                _ => a.checked_rem(b),
            };
            value.map(Value::Uint).ok_or_else(overflow)
        }
        // Doubles divided by zero are an infinity, as in cel-go; only whole numbers fail.
        (Value::Double(a), Value::Double(b)) if operator != O::Modulo => {
            Ok(Value::Double(match operator {
                O::Add => a + b,
                O::Subtract => a - b,
                O::Multiply => a * b,
                _ => a / b,
            }))
        }
        (Value::Duration(a), Value::Duration(b)) if operator == O::Subtract => {
            a.checked_sub(b).map(Value::Duration).ok_or_else(overflow)
        }
        (Value::Timestamp(a), Value::Duration(b)) if operator == O::Subtract => {
            a.checked_sub(b).map(Value::Timestamp).map_err(|_| overflow())
        }
        (Value::Timestamp(a), Value::Timestamp(b)) if operator == O::Subtract => {
            Ok(Value::Duration(between(b, a)))
        }
        (a, b) => {
            let (a, b) = (a.type_name(), b.type_name());
            let words = operator.as_str();
            Err(Fault::Error(format!("`{words}` does not take ({a}, {b})")))
        }
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> SignedDuration {
    later.duration_since(earlier)
}
