//! Finds and parses the files of each production crate, by following its `mod` declarations.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use syn::{Attribute, Item, ItemMod, Meta};

/// A crate that ships: its name, and its files, roots first.
pub(crate) struct Package {
    /// The package's name.
    pub(crate) name: String,
    /// Every file that is compiled without `cfg(test)`.
    pub(crate) files: Vec<SourceFile>,
}

/// One parsed file.
pub(crate) struct SourceFile {
    /// Where it is, from the root of the checkout.
    pub(crate) path: PathBuf,
    /// The modules that lead here from the root of the crate.
    pub(crate) module: Vec<String>,
    /// What it says.
    pub(crate) text: String,
    /// The same, parsed.
    pub(crate) syntax: syn::File,
}

/// Whether something is compiled for tests alone.
pub(crate) trait TestCode {
    /// Its attributes.
    fn attributes(&self) -> &[Attribute];

    /// Whether `#[cfg(test)]` or `#[test]` stands before it.
    fn is_test_code(&self) -> bool {
        self.attributes().iter().any(|attribute| match &attribute.meta {
            Meta::Path(path) => path.is_ident("test"),
            Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
            Meta::NameValue(_) => false,
        })
    }
}

impl TestCode for [Attribute] {
    fn attributes(&self) -> &[Attribute] {
        self
    }
}

impl TestCode for Item {
    fn attributes(&self) -> &[Attribute] {
        match self {
            Self::Const(item) => &item.attrs,
            Self::Enum(item) => &item.attrs,
            Self::Fn(item) => &item.attrs,
            Self::Impl(item) => &item.attrs,
            Self::Macro(item) => &item.attrs,
            Self::Mod(item) => &item.attrs,
            Self::Static(item) => &item.attrs,
            Self::Struct(item) => &item.attrs,
            Self::Trait(item) => &item.attrs,
            Self::Type(item) => &item.attrs,
            Self::Use(item) => &item.attrs,
            _ => &[],
        }
    }
}

/// The crates below `crates/` of the checkout at `root`, less those that only tests use.
///
/// # Errors
/// `cargo metadata` fails, or a file cannot be read or parsed.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .context("cannot start cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    // Cargo gives absolute paths; a relative root would never be their prefix.
    let root = fs::canonicalize(root)?;
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut files = Vec::new();
        for target in targets.filter(|target| ships(target)) {
            let path = Path::new(target["src_path"].as_str().unwrap_or_default());
            if path.starts_with(root.join("crates")) && name != "testkit" {
                read_module(&root, path, Vec::new(), &mut files)?;
            }
        }
        if !files.is_empty() {
            packages.push(Package { name: name.to_owned(), files });
        }
    }
    if packages.is_empty() {
        bail!("no crates found in {}", root.display());
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn ships(target: &Value) -> bool {
    let kinds = target["kind"].as_array().into_iter().flatten();
    kinds.filter_map(Value::as_str).any(|kind| kind == "lib" || kind == "bin")
}

/// Reads `path`, then the files of the modules that it declares.
fn read_module(
    root: &Path,
    path: &Path,
    module: Vec<String>,
    files: &mut Vec<SourceFile>,
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let syntax = syn::parse_file(&text).with_context(|| format!("parsing {}", path.display()))?;
    let folder = folder_of_children(path);
    let declared = declared(&syntax.items, &[]);
    let relative = path.strip_prefix(root).unwrap_or(path).to_owned();
    files.push(SourceFile { path: relative, module: module.clone(), text, syntax });
    for names in declared {
        let below: PathBuf = names.iter().collect();
        let flat = folder.join(&below).with_extension("rs");
        let nested = folder.join(&below).join("mod.rs");
        let path = if flat.is_file() { flat } else { nested };
        let module = module.iter().cloned().chain(names).collect();
        read_module(root, &path, module, files)?;
    }
    Ok(())
}

/// The modules declared with a file of their own, also inside modules that stand in this file.
fn declared(items: &[Item], within: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for item in items {
        let Item::Mod(ItemMod { ident, content, .. }) = item else { continue };
        if item.is_test_code() {
            continue;
        }
        let names: Vec<String> = within.iter().cloned().chain([ident.to_string()]).collect();
        match content {
            Some((_, items)) => found.extend(declared(items, &names)),
            None => found.push(names),
        }
    }
    found
}

fn folder_of_children(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(path);
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => folder.to_owned(),
        Some(stem) => folder.join(stem),
    }
}
