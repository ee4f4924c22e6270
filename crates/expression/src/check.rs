//! A syntax tree -> a checked expression: every name is resolved, and what cannot work is a problem
//! with its place and, where there is one, what was probably meant.
//!
//! Types are as far as they are known: `object` is whatever the API server serves, and what is
//! selected of it is not known here.

use std::sync::Arc;

use regex::Regex;

use crate::{
    functions::{self, Function, regexes},
    node::{Kind, Literal, Macro, MacroKind, Node, Operator},
    parse::{
        CallExpr, EntryExpr, Ided, ListExpr, LiteralValue, MapExpr, Parsed, SelectExpr, Syntax,
        operators,
    },
    problem::{Problem, Span},
    types::{Fields, Schema, Type},
};

/// Nodes within nodes; evaluating recurses as deep.
const DEPTH_MAX: usize = 120;

pub(crate) struct Checked {
    pub(crate) root: Node,
    pub(crate) result: Type,
    pub(crate) reads: Vec<usize>,
}

/// A node with its type.
type Typed = (Node, Type);

pub(crate) fn check(parsed: &Parsed, schema: &Schema) -> Result<Checked, Vec<Problem>> {
    let mut checker = Checker {
        parsed,
        schema,
        locals: Vec::new(),
        reads: Vec::new(),
        problems: Vec::new(),
        depth: 0,
    };
    let (root, result) = checker.node(&parsed.root);
    let mut reads = checker.reads;
    reads.sort_unstable();
    reads.dedup();
    match checker.problems.is_empty() {
        true => Ok(Checked { root, result, reads }),
        false => Err(checker.problems),
    }
}

struct Checker<'p> {
    parsed: &'p Parsed,
    schema: &'p Schema,
    locals: Vec<(String, Type)>,
    reads: Vec<usize>,
    problems: Vec<Problem>,
    depth: usize,
}

const TYPE_NAMES: [(&str, &str); 12] = [
    ("int", "int"),
    ("uint", "uint"),
    ("double", "double"),
    ("bool", "bool"),
    ("string", "string"),
    ("bytes", "bytes"),
    ("list", "list"),
    ("map", "map"),
    ("null_type", "null_type"),
    ("type", "type"),
    ("optional_type", "optional_type"),
    ("dyn", "dyn"),
];

impl Checker<'_> {
    fn node(&mut self, it: &Ided) -> Typed {
        self.depth += 1;
        let typed = if self.depth > DEPTH_MAX {
            // Said once: each node below would say it again.
            if self.depth == DEPTH_MAX + 1 {
                self.problem(it, format!("nests deeper than {DEPTH_MAX} levels"));
            }
            self.nothing(it)
        } else {
            self.shallow(it)
        };
        self.depth -= 1;
        typed
    }

    fn shallow(&mut self, it: &Ided) -> Typed {
        match &it.expr {
            Syntax::Literal(literal) => self.literal(it, literal),
            Syntax::Ident(name) => self.name(it, name),
            Syntax::Select(select) => self.select(it, select),
            Syntax::Call(call) => self.call(it, call),
            Syntax::List(list) => self.list(it, list),
            Syntax::Map(map) => self.map(it, map),
            Syntax::Struct(_) => {
                self.problem(it, "objects of a named type cannot be made here");
                self.nothing(it)
            }
            Syntax::Comprehension(_) | Syntax::Unspecified => {
                self.problem(it, "is not an expression");
                self.nothing(it)
            }
        }
    }

    fn literal(&mut self, it: &Ided, literal: &LiteralValue) -> Typed {
        let (literal, of) = match literal {
            LiteralValue::Null => (Literal::Null, Type::Null),
            LiteralValue::Boolean(it) => (Literal::Bool(*it.inner()), Type::Bool),
            LiteralValue::Int(it) => (Literal::Int(*it.inner()), Type::Int),
            LiteralValue::UInt(it) => (Literal::Uint(*it.inner()), Type::Uint),
            LiteralValue::Double(it) => (Literal::Double(*it.inner()), Type::Double),
            LiteralValue::String(it) => (Literal::Text(it.inner().into()), Type::Text),
            LiteralValue::Bytes(it) => (Literal::Bytes(it.inner().into()), Type::Bytes),
        };
        self.made(it, Kind::Literal(literal), of)
    }

    fn name(&mut self, it: &Ided, name: &str) -> Typed {
        // The innermost variable of that name, as a loop may hide one of a loop around it.
        if let Some(index) = self.locals.iter().rposition(|(local, _)| local == name) {
            let of = self.locals.get(index).map_or(Type::Dyn, |(_, of)| of.clone());
            return self.made(it, Kind::Local(index), of);
        }
        if let Some((index, of)) = self.schema.find(name) {
            let of = of.clone();
            self.reads.push(index);
            return self.made(it, Kind::Variable(index, name.into()), of);
        }
        if let Some((_, type_name)) = TYPE_NAMES.iter().find(|(written, _)| *written == name) {
            return self.made(it, Kind::Literal(Literal::Type(type_name)), Type::Type);
        }
        let variables = self.schema.variables.iter().map(|(it, _)| it.as_str());
        let known = variables.chain(self.locals.iter().map(|(it, _)| it.as_str()));
        let message = match name {
            "authorizer" => {
                "`authorizer` is not supported: what an agent may do is RBAC's".to_owned()
            }
            _ => format!("there is no variable `{name}`"),
        };
        let problem = Problem::new(self.parsed.span(it), message).meant(name, known);
        self.problems.push(problem);
        self.nothing(it)
    }

    fn select(&mut self, it: &Ided, select: &SelectExpr) -> Typed {
        if let Some(name) = qualified(it)
            && let Some(type_name) = qualified_type(&name)
        {
            return self.made(it, Kind::Literal(Literal::Type(type_name)), Type::Type);
        }
        let (of, of_type) = self.node(&select.operand);
        let field = self.field(it, &of_type, &select.field);
        // The field is resolved even under `has`, so that a misspelt one is a problem there too.
        let (of, name) = (Box::new(of), Arc::from(select.field.as_str()));
        match select.test {
            true => self.made(it, Kind::Has(of, name), Type::Bool),
            false => self.made(it, Kind::Select(of, name), field),
        }
    }

    /// The type of a field; a problem where it cannot be there.
    fn field(&mut self, it: &Ided, of: &Type, field: &str) -> Type {
        match of {
            Type::Dyn => Type::Dyn,
            Type::Map(values) => Type::clone(values),
            Type::Optional(inner) => {
                let inner = Type::clone(inner);
                match self.field(it, &inner, field) {
                    already @ Type::Optional(_) => already,
                    found => Type::optional(found),
                }
            }
            Type::Object(object) => match object.fields.get(field) {
                Some(of) => of.clone(),
                None => {
                    let problem = missing(self.parsed.span(it), object, field);
                    self.problems.push(problem);
                    Type::Dyn
                }
            },
            other => {
                let message = format!("{} has no fields, and so no `{field}`", other.describe());
                self.problem(it, message);
                Type::Dyn
            }
        }
    }

    fn call(&mut self, it: &Ided, call: &CallExpr) -> Typed {
        let name = call.func_name.as_str();
        if call.target.is_none()
            && let Some(typed) = self.operation(it, call)
        {
            return typed;
        }
        if let Some(target) = &call.target {
            if let Some(typed) = self.macro_call(it, target, name, &call.args) {
                return typed;
            }
            // `optional.of(x)`: a function whose name has a dot, unless the target is a value.
            if let Some(namespace) = qualified(target)
                && !self.is_value(&namespace)
                && functions::exists(&format!("{namespace}.{name}"), false)
            {
                return self.function(it, &format!("{namespace}.{name}"), None, &call.args);
            }
        }
        self.function(it, name, call.target.as_deref(), &call.args)
    }

    fn is_value(&self, name: &str) -> bool {
        let root = name.split('.').next().unwrap_or_default();
        self.locals.iter().any(|(it, _)| it == root) || self.schema.find(root).is_some()
    }

    /// What the parser writes as a call of a global function without a name.
    fn operation(&mut self, it: &Ided, call: &CallExpr) -> Option<Typed> {
        let typed = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [a, b]) => {
                let (a, b) = (self.condition(a), self.condition(b));
                self.made(it, Kind::And(a, b), Type::Bool)
            }
            (operators::LOGICAL_OR, [a, b]) => {
                let (a, b) = (self.condition(a), self.condition(b));
                self.made(it, Kind::Or(a, b), Type::Bool)
            }
            (operators::LOGICAL_NOT, [a]) => {
                let a = self.condition(a);
                self.made(it, Kind::Not(a), Type::Bool)
            }
            (operators::NEGATE, [a]) => {
                let (a, of) = self.node(a);
                self.made(it, Kind::Negate(Box::new(a)), of)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                let condition = *self.condition(condition);
                let ((yes, a), (no, b)) = (self.node(yes), self.node(no));
                let kind = Kind::Conditional(Box::new([condition, yes, no]));
                self.made(it, kind, a.join(&b))
            }
            (operators::INDEX, [of, key]) => {
                let ((of, of_type), (key, _)) = (self.node(of), self.node(key));
                let element = self.element(it, &of_type);
                let element = match of_type {
                    Type::Optional(_) => Type::optional(element),
                    _ => element,
                };
                self.made(it, Kind::Index(Box::new(of), Box::new(key)), element)
            }
            (operators::OPT_INDEX, [of, key]) => {
                let ((of, of_type), (key, _)) = (self.node(of), self.node(key));
                let element = Type::optional(self.element(it, &of_type));
                self.made(it, Kind::OptionalIndex(Box::new(of), Box::new(key)), element)
            }
            (operators::OPT_SELECT, [of, field]) => {
                let (of, of_type) = self.node(of);
                let Syntax::Literal(LiteralValue::String(field)) = &field.expr else {
                    self.problem(it, "`.?` wants a field");
                    return Some(self.nothing(it));
                };
                let found = match self.field(it, &of_type, field.inner()) {
                    already @ Type::Optional(_) => already,
                    found => Type::optional(found),
                };
                self.made(it, Kind::OptionalSelect(Box::new(of), field.inner().into()), found)
            }
            (operators::HAS, [of]) => match &of.expr {
                Syntax::Select(select) => {
                    let test = SelectExpr { test: true, ..select.clone() };
                    self.select(it, &test)
                }
                _ => {
                    self.problem(it, "has(…) wants a field: has(object.spec)");
                    self.nothing(it)
                }
            },
            (name, [a, b]) => {
                let operator = binary(name)?;
                let ((a, a_type), (b, b_type)) = (self.node(a), self.node(b));
                let of = self.binary(it, operator, &a_type, &b_type);
                self.made(it, Kind::Binary(operator, Box::new(a), Box::new(b)), of)
            }
            _ => return None,
        };
        Some(typed)
    }

    fn binary(&mut self, it: &Ided, operator: Operator, a: &Type, b: &Type) -> Type {
        use Operator as O;
        let known = !a.is_dyn() && !b.is_dyn();
        let numbers = a.is_number() && b.is_number();
        let same = std::mem::discriminant(a) == std::mem::discriminant(b);
        let is_null = matches!(a, Type::Null) || matches!(b, Type::Null);
        let maps = |it: &Type| matches!(it, Type::Map(_) | Type::Object(_));
        let (fits, result) = match operator {
            O::Equal | O::NotEqual => {
                (same || numbers || is_null || (maps(a) && maps(b)), Type::Bool)
            }
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                let ordered = matches!(
                    a,
                    Type::Text | Type::Bytes | Type::Bool | Type::Duration | Type::Timestamp
                );
                (numbers || (same && ordered), Type::Bool)
            }
            O::In => {
                let holds = matches!(b, Type::List(_) | Type::Dyn) || maps(b);
                if !holds {
                    let words = b.describe();
                    self.problem(it, format!("nothing is `in` {words}: a list or a map is wanted"));
                }
                (true, Type::Bool)
            }
            O::Add => match (a, b) {
                (Type::Timestamp, Type::Duration) | (Type::Duration, Type::Timestamp) => {
                    (true, Type::Timestamp)
                }
                (Type::List(a), Type::List(b)) => (true, Type::list(Type::clone(a).join(b))),
                _ => (
                    same && (numbers || matches!(a, Type::Text | Type::Bytes | Type::Duration)),
                    a.clone(),
                ),
            },
            O::Subtract => match (a, b) {
                (Type::Timestamp, Type::Timestamp) => (true, Type::Duration),
                (Type::Timestamp, Type::Duration) => (true, Type::Timestamp),
                _ => (same && (numbers || matches!(a, Type::Duration)), a.clone()),
            },
            O::Multiply | O::Divide => (same && numbers, a.clone()),
            O::Modulo => (same && numbers && !matches!(a, Type::Double), a.clone()),
        };
        if known && !fits {
            let words = operator.as_str();
            let problem = format!("`{words}` does not take {} and {}", a.describe(), b.describe());
            self.problem(it, problem);
        }
        if known || result == Type::Bool { result } else { Type::Dyn }
    }

    /// The type of what is in a list, map or optional.
    fn element(&mut self, it: &Ided, of: &Type) -> Type {
        match of {
            Type::List(of) | Type::Map(of) => Type::clone(of),
            Type::Optional(inner) => {
                let inner = Type::clone(inner);
                self.element(it, &inner)
            }
            Type::Dyn | Type::Object(_) => Type::Dyn,
            other => {
                let words = other.describe();
                self.problem(it, format!("{words} has no elements"));
                Type::Dyn
            }
        }
    }

    fn condition(&mut self, it: &Ided) -> Box<Node> {
        let (node, of) = self.node(it);
        if !matches!(of, Type::Bool | Type::Dyn) {
            self.problem(it, format!("must be true or false, and is {}", of.describe()));
        }
        Box::new(node)
    }

    fn macro_call(&mut self, it: &Ided, range: &Ided, name: &str, args: &[Ided]) -> Option<Typed> {
        use MacroKind as M;
        let (kind, variables, filter, body): (_, &[Ided], Option<&Ided>, &Ided) = match (name, args)
        {
            ("all", [v @ .., body]) if matches!(v.len(), 1 | 2) => (M::All, v, None, body),
            ("exists", [v @ .., body]) if matches!(v.len(), 1 | 2) => (M::Exists, v, None, body),
            ("exists_one" | "existsOne", [v @ .., body]) if matches!(v.len(), 1 | 2) => {
                (M::ExistsOne, v, None, body)
            }
            ("filter", [v @ .., body]) if v.len() == 1 => (M::Filter, v, None, body),
            ("map", [v, body]) => (M::Map, std::slice::from_ref(v), None, body),
            ("map", [v, filter, body]) => (M::Map, std::slice::from_ref(v), Some(filter), body),
            ("transformList", [v @ .., body]) if v.len() == 2 => (M::Map, v, None, body),
            ("transformList", [v @ .., filter, body]) if v.len() == 2 => {
                (M::Map, v, Some(filter), body)
            }
            ("transformMap", [v @ .., body]) if v.len() == 2 => (M::TransformMap, v, None, body),
            ("transformMap", [v @ .., filter, body]) if v.len() == 2 => {
                (M::TransformMap, v, Some(filter), body)
            }
            ("optMap", [v, body]) => (M::OptMap, std::slice::from_ref(v), None, body),
            ("optFlatMap", [v, body]) => (M::OptFlatMap, std::slice::from_ref(v), None, body),
            _ => return None,
        };
        let (range, range_type) = self.node(range);
        let two = variables.len() == 2;
        let types = self.macro_variables(it, kind, &range_type, two);
        let depth = self.locals.len();
        for (variable, of) in variables.iter().zip(types) {
            let Syntax::Ident(name) = &variable.expr else {
                self.problem(variable, "a name for the variable is wanted here");
                continue;
            };
            self.locals.push((name.clone(), of));
        }
        let filter = filter.map(|it| *self.condition(it));
        let (body, of) = match kind {
            M::All | M::Exists | M::ExistsOne | M::Filter => (*self.condition(body), Type::Bool),
            _ => self.node(body),
        };
        // Variables of a loop end with its body.
        self.locals.truncate(depth);
        let result = match kind {
            M::All | M::Exists | M::ExistsOne => Type::Bool,
            M::Filter => match range_type {
                list @ Type::List(_) => list,
                _ => Type::list(Type::Dyn),
            },
            M::Map => Type::list(of),
            M::TransformMap => Type::map(of),
            M::OptMap => Type::optional(of),
            M::OptFlatMap => of,
        };
        let it_is = Macro { kind, range, two, filter, body };
        Some(self.made(it, Kind::Macro(Box::new(it_is)), result))
    }

    fn macro_variables(
        &mut self,
        it: &Ided,
        kind: MacroKind,
        range: &Type,
        two: bool,
    ) -> [Type; 2] {
        match (kind, range) {
            (MacroKind::OptMap | MacroKind::OptFlatMap, Type::Optional(inner)) => {
                [Type::clone(inner), Type::Dyn]
            }
            (_, Type::List(element)) if two => [Type::Int, Type::clone(element)],
            (_, Type::List(element)) => [Type::clone(element), Type::Dyn],
            (_, Type::Map(values)) => [Type::Dyn, Type::clone(values)],
            (_, Type::Dyn | Type::Object(_)) => [Type::Dyn, Type::Dyn],
            (_, other) => {
                let words = other.describe();
                self.problem(it, format!("{words} has no elements"));
                [Type::Dyn, Type::Dyn]
            }
        }
    }

    fn function(&mut self, it: &Ided, name: &str, target: Option<&Ided>, args: &[Ided]) -> Typed {
        let typed: Vec<Typed> = target.into_iter().chain(args).map(|it| self.node(it)).collect();
        let (nodes, types): (Vec<Node>, Vec<Type>) = typed.into_iter().unzip();
        let is_member = target.is_some();
        let named = functions::overloads(name, is_member);
        let Some((static_name, of_name)) = named else {
            let problem = |message: String| Problem::new(self.parsed.span(it), message);
            self.problems.push(match functions::exists(name, !is_member) {
                true if is_member => problem(format!("`{name}` is not a method: write {name}(…)")),
                true => problem(format!("`{name}` is a method: write x.{name}(…)")),
                false => problem(format!("there is no function `{name}`"))
                    .meant(name, functions::names()),
            });
            return self.nothing(it);
        };
        let fitting: Vec<&'static Function> =
            of_name.into_iter().filter(|it| it.may_take(&types)).collect();
        let result = match fitting.as_slice() {
            [] => {
                let types: Vec<&str> = types.iter().map(Type::describe).collect();
                let message = format!("`{name}` does not take ({})", types.join(", "));
                self.problem(it, message);
                Type::Dyn
            }
            // Which of them runs is known once there are values; until then the result is what they
            // share.
            [first, others @ ..] => {
                let of = first.result_of(&types);
                others.iter().fold(of, |of, other| of.join(&other.result_of(&types)))
            }
        };
        let regex = self.regex(it, name, &nodes);
        self.made(it, Kind::Call(static_name, fitting, nodes, regex), result)
    }

    /// A regular expression that stands in the text is compiled once.
    fn regex(&mut self, it: &Ided, name: &str, nodes: &[Node]) -> Option<Arc<Regex>> {
        let (true, Some(pattern)) = (regexes::TAKE_PATTERNS.contains(&name), nodes.get(1)) else {
            return None;
        };
        // A pattern that is computed is compiled at each call, and paid for there.
        let Kind::Literal(Literal::Text(pattern)) = &pattern.kind else { return None };
        match regexes::compile(pattern) {
            Ok(regex) => Some(Arc::new(regex)),
            Err(why) => {
                self.problem(it, why);
                None
            }
        }
    }

    fn list(&mut self, it: &Ided, list: &ListExpr) -> Typed {
        let mut of = None;
        let mut items = Vec::new();
        for (index, element) in list.elements.iter().enumerate() {
            let is_optional = list.optional_indices.contains(&index);
            let (node, element) = self.node(element);
            let element = match (element, is_optional) {
                (Type::Optional(inner), true) => Type::clone(&inner),
                (element, _) => element,
            };
            of = Some(of.map_or(element.clone(), |of: Type| of.join(&element)));
            items.push((node, is_optional));
        }
        self.made(it, Kind::List(items), Type::list(of.unwrap_or(Type::Dyn)))
    }

    fn map(&mut self, it: &Ided, map: &MapExpr) -> Typed {
        let mut of = None;
        let mut entries = Vec::new();
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            let ((key, _), (value, value_type)) = (self.node(&entry.key), self.node(&entry.value));
            of = Some(of.map_or(value_type.clone(), |of: Type| of.join(&value_type)));
            entries.push((key, value, entry.optional));
        }
        self.made(it, Kind::Map(entries), Type::map(of.unwrap_or(Type::Dyn)))
    }

    fn made(&self, it: &Ided, kind: Kind, of: Type) -> Typed {
        (Node { span: self.span(it), kind }, of)
    }

    fn span(&self, it: &Ided) -> Span {
        self.parsed.span(it)
    }

    /// In place of what could not be understood.
    fn nothing(&self, it: &Ided) -> Typed {
        self.made(it, Kind::Literal(Literal::Null), Type::Dyn)
    }

    fn problem(&mut self, it: &Ided, message: impl Into<String>) {
        self.problems.push(Problem::new(self.parsed.span(it), message));
    }
}

/// `a.b.c`, of names alone.
fn qualified(it: &Ided) -> Option<String> {
    match &it.expr {
        Syntax::Ident(name) => Some(name.clone()),
        Syntax::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}

fn qualified_type(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 8] = [
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "kubernetes.Quantity",
        "net.IP",
        "net.CIDR",
        "kubernetes.URL",
        "kubernetes.Semver",
        "kubernetes.NamedFormat",
    ];
    NAMES.into_iter().find(|it| *it == name)
}

fn binary(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Modulo,
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::IN => Operator::In,
        _ => return None,
    })
}

/// A field that an object does not have.
fn missing(span: Span, object: &Fields, field: &str) -> Problem {
    if let Some(successor) = object.retired.get(field) {
        return Problem::retired(span, &object.name, field, successor);
    }
    let message = format!("{} has no field `{field}`", object.name);
    Problem::new(span, message).meant(field, object.fields.keys().map(String::as_str))
}
