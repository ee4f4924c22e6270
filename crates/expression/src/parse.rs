//! Text -> syntax tree: the only module that names the `cel` crate.
//!
//! Macros are left as the calls they are written as, so that a problem within one has its place, and
//! so that a loop is a loop here and not a fold that copies its list at every step.
//!
//! Of `cel` only the grammar is used: its evaluator (0.15) still has neither a limit of cost nor a
//! checker of types, and an expression of an unknown author needs both (cel-rust issue 56).

use std::thread;

use cel::common::ast::{Expr, IdedExpr, SourceInfo};

use crate::problem::{Problem, Span};

/// Longest text of one expression, in bytes: longer ones take the parser too long.
pub const TEXT_BYTES_MAX: usize = 4 << 10;

/// The parser recurses for each level of nesting, a debug build with large frames.
const STACK_BYTES: usize = 32 << 20;
/// Levels of nesting.
const DEPTH_MAX: u16 = 64;

pub(crate) use cel::common::ast::{
    CallExpr, EntryExpr, Expr as Syntax, IdedExpr as Ided, ListExpr, LiteralValue, MapExpr,
    SelectExpr, operators,
};

/// A syntax tree, with the places of its nodes.
pub(crate) struct Parsed {
    pub(crate) root: IdedExpr,
    places: SourceInfo,
}

impl Parsed {
    pub(crate) fn span(&self, node: &IdedExpr) -> Span {
        let (start, end) = self.places.offset_for(node.id).unwrap_or_default();
        // The parser gives the last byte, and the place of an operator for its operation.
        Span { start, end: end.saturating_add(1) }
    }
}

pub(crate) fn parse(source: &str) -> Result<Parsed, Problem> {
    let nowhere = |words: String| Problem::new(Span::default(), words);
    if source.len() > TEXT_BYTES_MAX {
        let length = source.len();
        return Err(nowhere(format!("is {length} bytes long; at most {TEXT_BYTES_MAX} are read")));
    }
    if source.trim().is_empty() {
        return Err(nowhere("is empty".to_owned()));
    }
    // A stack that overflows ends the whole process, so the parser gets one that its depth cannot
    // fill.
    let parsing = thread::scope(|scope| {
        let on_its_own = thread::Builder::new().stack_size(STACK_BYTES);
        let parsing = on_its_own.spawn_scoped(scope, || parse_here(source))?;
        parsing.join().map_err(|_| std::io::Error::other("the parser gave up"))
    });
    parsing.map_err(|error| nowhere(format!("cannot be parsed: {error}")))?
}

fn parse_here(source: &str) -> Result<Parsed, Problem> {
    let parser = cel::Env::default().parser().max_recursion_depth(DEPTH_MAX);
    let parsed = parser.enable_ident_escape_syntax(true).parse_with_source_info(source);
    match parsed {
        Ok((root, _)) if matches!(root.expr, Expr::Unspecified) => {
            Err(Problem::new(Span::default(), "is not an expression"))
        }
        Ok((root, places)) => Ok(Parsed { root, places }),
        Err(errors) => {
            // Errors after the first are mostly its consequences.
            let Some(first) = errors.errors.into_iter().next() else {
                return Err(Problem::new(Span::default(), "is not an expression"));
            };
            Err(Problem::new(span_of(source, first.pos), plain(&first.msg)))
        }
    }
}

/// The parser counts lines from 1, and columns in characters from 1 or 0.
fn span_of(source: &str, (line, column): (isize, isize)) -> Span {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let text = source.split('\n').nth(line).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let within = text.char_indices().nth(column).map_or(text.len(), |(at, _)| at);
    let at = u32::try_from(start + within).unwrap_or(u32::MAX);
    Span { start: at, end: at }
}

/// The grammar tool's list of every token that could have stood there helps nobody.
fn plain(message: &str) -> String {
    if message.contains("Recursion limit") {
        return format!("nests deeper than {DEPTH_MAX} levels");
    }
    let message = message.split(" expecting ").next().unwrap_or(message);
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    message.trim_end().replace("'<EOF>'", "the end").replace("<EOF>", "the end")
}
