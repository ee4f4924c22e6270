//! An expression, from its text to its value.

use crate::{
    budget::Budget,
    check,
    error::EvalError,
    eval::{self, Scope},
    node::Node,
    parse,
    problem::{Problem, Span},
    types::{Schema, Type},
    value::Value,
};

/// An expression that passed its checks.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Node,
    result: Type,
    reads: Vec<usize>,
    source: String,
}

impl Expression {
    /// Parses and checks an expression against the variables that it may name.
    ///
    /// # Errors
    /// Every [`Problem`] that was found, each with its place in `source`.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let parsed = parse::parse(source).map_err(|problem| vec![problem])?;
        let checked = check::check(&parsed, schema)?;
        Ok(Self {
            root: checked.root,
            result: checked.result,
            reads: checked.reads,
            source: source.to_owned(),
        })
    }

    /// As [`Expression::compile`], and the result is true or false.
    ///
    /// # Errors
    /// As there; also where the result has another type.
    pub fn condition(source: &str, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let expression = Self::compile(source, schema)?;
        match expression.result {
            Type::Bool | Type::Dyn => Ok(expression),
            _ => {
                let message =
                    format!("must be true or false, and is {}", expression.result.describe());
                Err(vec![Problem::new(Span::default(), message)])
            }
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it evaluates to, as far as that is known.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// How the text names what it selects, as `object.metadata.name`; `None` where it makes up a value of its own.
    pub(crate) fn selected(&self) -> Option<String> {
        let mut path = String::new();
        self.root.path(&mut path);
        (!path.starts_with('_')).then_some(path)
    }

    /// Whether it looks at this variable of its schema.
    pub fn reads(&self, variable: usize) -> bool {
        self.reads.contains(&variable)
    }

    /// Its value.
    ///
    /// # Errors
    /// [`EvalError`] where it has none, or where the budget is spent.
    pub fn evaluate<'a>(
        &'a self,
        scope: &dyn Scope<'a>,
        budget: &Budget,
    ) -> Result<Value<'a>, EvalError> {
        eval::evaluate(&self.root, scope, budget)
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// As [`Expression::evaluate`]; also where the value is neither true nor false.
    pub fn is_true<'a>(
        &'a self,
        scope: &dyn Scope<'a>,
        budget: &Budget,
    ) -> Result<bool, EvalError> {
        match self.evaluate(scope, budget)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(EvalError::new(format!("is {}, not true or false", other.type_name()))),
        }
    }
}
