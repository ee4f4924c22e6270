//! An expression as it is evaluated: names are resolved, functions are chosen, places are kept.

use std::sync::Arc;

use regex::Regex;

use crate::{functions::Function, problem::Span};

/// One node, and where it stands in the text.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

impl Node {
    /// Writes how the text names what this selects; `_` stands for what it calls otherwise.
    pub(crate) fn path(&self, path: &mut String) {
        match &self.kind {
            Kind::Select(of, field) | Kind::OptionalSelect(of, field) => {
                of.path(path);
                path.push('.');
                path.push_str(field);
            }
            Kind::Index(of, _) | Kind::OptionalIndex(of, _) => {
                of.path(path);
                path.push_str("[_]");
            }
            Kind::Call("orValue", _, arguments, _) => {
                arguments.iter().take(1).for_each(|it| it.path(path));
            }
            Kind::Variable(_, name) => path.push_str(name),
            _ => path.push('_'),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    /// A variable of the schema, and its name.
    Variable(usize, Arc<str>),
    /// A variable of a macro, by its place from the outermost.
    Local(usize),
    /// `a.b`; of an optional, the optional field.
    Select(Box<Node>, Arc<str>),
    /// `has(a.b)`.
    Has(Box<Node>, Arc<str>),
    /// `a.?b`.
    OptionalSelect(Box<Node>, Arc<str>),
    /// `a[b]`.
    Index(Box<Node>, Box<Node>),
    /// `a[?b]`.
    OptionalIndex(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Conditional(Box<[Node; 3]>),
    Binary(Operator, Box<Node>, Box<Node>),
    /// The first overload whose arguments fit is called; a member's target is its first argument.
    Call(&'static str, Vec<&'static Function>, Vec<Node>, Option<Arc<Regex>>),
    /// An element after `?` is left out where it is missing.
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    Macro(Box<Macro>),
}

#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Type(&'static str),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

/// A loop over a list or map, or over what an optional holds.
#[derive(Clone, Debug)]
pub(crate) struct Macro {
    pub(crate) kind: MacroKind,
    pub(crate) range: Node,
    /// Whether it has two variables: index and element, or key and value.
    pub(crate) two: bool,
    /// Of `map` and `transform…` with a filter, the filter.
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformMap,
    OptMap,
    OptFlatMap,
}
