//! The functions that expressions call: CEL's own, and those that Kubernetes adds.
//!
//! One table says of each overload what it takes and gives; the checker and the evaluator both read
//! it. Whatever makes or walks something large counts it against the budget first.

mod formats;
mod ip;
mod lists;
mod overload;
mod quantity;
pub(crate) mod regexes;
mod standard;
mod strings;
mod table;
mod time;
mod url;
mod version;

pub(crate) use overload::{Call, Function};
pub(crate) use strings::show;
pub(crate) use table::{exists, names, overloads};
