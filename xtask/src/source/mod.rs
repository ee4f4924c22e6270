//! The production sources of this workspace, as the checks and measures read them: which packages
//! there are, their files, what each file imports, and what it tells people. Code under
//! `#[cfg(test)]` is left out.

mod files;
mod imports;
mod messages;
mod modules;

pub(crate) use files::{Package, SourceFile, TestCode, packages};
pub(crate) use imports::{Import, imports};
pub(crate) use messages::messages;
