//! Documents -> a [`Pack`](crate::Pack), or everything that is wrong with them.
//!
//! [`documents`] is the order of it all: read every file, then compile policies, settings and
//! exceptions, then look at the set as a whole. What the others share is [`compiler::Compiler`].

mod compiler;
mod constraints;
mod documents;
mod exceptions;
mod file;
mod places;
mod policies;
mod read;
mod rules;
mod settings;
mod whole_set;

pub use documents::{Compiled, Documents, compile};
