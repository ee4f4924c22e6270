//! The production sources of this workspace, as the checks and measures read them: which packages
//! there are, their files, and what each file imports. Code under `#[cfg(test)]` is left out.

mod files;
mod imports;
mod modules;

pub(crate) use files::{Package, SourceFile, TestCode, packages};
pub(crate) use imports::{Import, imports};
