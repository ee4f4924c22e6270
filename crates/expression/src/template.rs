//! A sentence with expressions in it: `{{effect.name}} would be deleted`.

use crate::{
    budget::Budget,
    error::EvalError,
    eval::Scope,
    expression::Expression,
    functions,
    problem::{Problem, Span},
    types::Schema,
};

/// Longest part that one expression adds; what an agent wrote may be long.
const PART_CHARS_MAX: usize = 200;

/// Text and expressions in turn.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Parses a template; what stands between `{{` and `}}` is an expression.
    ///
    /// # Errors
    /// Every [`Problem`] of its expressions, placed in the whole text.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, Vec<Problem>> {
        let (mut parts, mut problems) = (Vec::new(), Vec::new());
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("{{") {
            let start = source.len() - after.len();
            let at = u32::try_from(start).unwrap_or(u32::MAX);
            parts.push(Part::Text(before.to_owned()));
            let Some((inside, after)) = after.split_once("}}") else {
                let span = Span { start: at.saturating_sub(2), end: at };
                problems.push(Problem::new(span, "`{{` without its `}}`"));
                rest = "";
                break;
            };
            match Expression::compile(inside, schema) {
                Ok(expression) => parts.push(Part::Expression(expression)),
                Err(found) => problems.extend(found.into_iter().map(|mut problem| {
                    // The expression counts from its own start, its author from that of the
                    // sentence.
                    problem.span.start += at;
                    problem.span.end += at;
                    problem
                })),
            }
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        if problems.is_empty() { Ok(Self { parts }) } else { Err(problems) }
    }

    /// Whether any of its expressions looks at this variable.
    pub fn reads(&self, variable: usize) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Expression(it) if it.reads(variable)))
    }

    /// The sentence. What an expression only selects is said as `say` has it, given its path in the text, as
    /// `object.metadata.name`, and its value; what it makes up is its author's own words.
    ///
    /// # Errors
    /// [`EvalError`] of the first expression that has no value.
    pub fn render<'a>(
        &'a self,
        scope: &dyn Scope<'a>,
        budget: &Budget,
        say: impl Fn(&str, &str) -> String,
    ) -> Result<String, EvalError> {
        let mut sentence = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => sentence.push_str(text),
                Part::Expression(expression) => {
                    let value = expression.evaluate(scope, budget)?;
                    let mut text = String::new();
                    functions::show(&value, budget, &mut text)?;
                    // By part, so that what one value adds cannot push the rest of the sentence out
                    // of sight.
                    let is_long = text.chars().count() > PART_CHARS_MAX;
                    let kept: String = text.chars().take(PART_CHARS_MAX).collect();
                    match expression.selected() {
                        Some(path) => sentence.push_str(&say(&path, &kept)),
                        None => sentence.push_str(&kept),
                    }
                    if is_long {
                        sentence.push('…');
                    }
                }
            }
        }
        Ok(sentence)
    }
}
