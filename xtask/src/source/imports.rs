//! Which file of a crate imports which: by `use`, and by every path in code, attributes and
//! macros. A path counts for the file that defines what it names, whatever re-exports it goes
//! through. Declaring a module and re-exporting what stands below it imports nothing.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, ImplItem, Item, ItemUse, Macro, Meta, Path,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{
    files::{Package, SourceFile, TestCode},
    modules::{Modules, Target, is_reexport, leaves},
};

/// One file imports another, both by their place in [`Package::files`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Import {
    /// The file that imports.
    pub(crate) from: usize,
    /// The file that defines what is imported.
    pub(crate) to: usize,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The path as it is written there.
    pub(crate) path: String,
}

/// All imports between the files of `package`, in the order of its files and lines.
pub(crate) fn imports(package: &Package) -> Vec<Import> {
    let mut modules = Modules::of(&package.files);
    let mut found = Vec::new();
    for (file, source) in package.files.iter().enumerate() {
        let mut reader = Reader::new(source, file, &mut modules);
        reader.visit_file(&source.syntax);
        let paths = reader.paths;
        for written in paths {
            written.resolve(&modules, &mut found);
        }
    }
    found.dedup();
    found
}

/// A path as it was found in the sources.
struct Written {
    module: usize,
    path: Vec<String>,
    line: usize,
    is_reexport: bool,
}

impl Written {
    fn resolve(self, modules: &Modules, found: &mut Vec<Import>) {
        let from = modules.get(self.module).file;
        let targets = match self.path.as_slice() {
            // A lone name is what a `use` brought, which counts already, or a local variable.
            [name] => modules.resolve_brought(self.module, name),
            path => modules.resolve(self.module, path),
        };
        for target in targets {
            // Naming a module imports nothing: the paths that go through it do.
            let Target::ItemOf(module) = target else { continue };
            let to = modules.get(module).file;
            let is_own = self.is_reexport && modules.is_below(target, self.module);
            if to != from && !is_own {
                found.push(Import { from, to, line: self.line, path: self.path.join("::") });
            }
        }
    }
}

/// Collects the paths of one file.
struct Reader<'a> {
    modules: &'a mut Modules,
    file: usize,
    names: Vec<String>,
    module: usize,
    depth: usize,
    paths: Vec<Written>,
}

impl<'a> Reader<'a> {
    fn new(source: &SourceFile, file: usize, modules: &'a mut Modules) -> Self {
        let module = modules.find(file, &source.module).unwrap_or_default();
        let names = source.module.clone();
        Self { modules, file, names, module, depth: 0, paths: Vec::new() }
    }

    fn push(&mut self, path: Vec<String>, line: usize, is_reexport: bool) {
        self.paths.push(Written { module: self.module, path, line, is_reexport });
    }

    /// Paths in tokens that are not parsed: what stands in macros and attributes.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.flush(&mut path, line);
                    }
                    (colons, line) = (0, ident.span().start().line);
                    path.push(ident.to_string());
                }
                TokenTree::Group(group) => {
                    self.flush(&mut path, line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Literal(literal) => {
                    self.flush(&mut path, line);
                    colons = 0;
                    self.quoted(&literal.to_string(), literal.span().start().line);
                }
                TokenTree::Punct(_) => {
                    self.flush(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.flush(&mut path, line);
    }

    fn flush(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        // A lone lower-case word in tokens is a variable or a key far more often than a function.
        let is_type = |name: &String| name.starts_with(char::is_uppercase);
        if path.len() > 1 || path.first().is_some_and(is_type) {
            self.push(path, line, false);
        }
    }

    /// `#[serde(with = "crate::time")]` names a path in a string.
    fn quoted(&mut self, literal: &str, line: usize) {
        let text = literal.trim_matches('"');
        let is_path = text.contains("::")
            && text.chars().all(|letter| letter.is_alphanumeric() || "_:".contains(letter));
        if is_path {
            self.push(text.split("::").map(str::to_owned).collect(), line, false);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if item.is_test_code() {
            return;
        }
        let Item::Mod(inner) = item else {
            self.depth += usize::from(matches!(item, Item::Fn(_) | Item::Impl(_)));
            visit::visit_item(self, item);
            self.depth -= usize::from(matches!(item, Item::Fn(_) | Item::Impl(_)));
            return;
        };
        if inner.content.is_none() {
            return;
        }
        let outer = self.module;
        self.names.push(inner.ident.to_string());
        self.module = self.modules.find(self.file, &self.names).unwrap_or(outer);
        visit::visit_item(self, item);
        self.names.pop();
        self.module = outer;
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let is_test = matches!(item, ImplItem::Fn(function) if function.attrs.is_test_code());
        if !is_test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if self.depth > 0 {
            self.modules.bring_in(self.module, item);
        }
        for leaf in leaves(item) {
            // A glob brings names: each one counts where it is used.
            if leaf.name.is_some() && leaf.path.len() > 1 {
                self.push(leaf.path, item.span().start().line, is_reexport(item));
            }
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.push(names, path.span().start().line, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !attribute.path().is_ident("doc") {
            match &attribute.meta {
                Meta::List(list) => self.tokens(list.tokens.clone()),
                meta => visit::visit_meta(self, meta),
            }
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Which file imports which, of files given as the module's path and its text.
    fn imports_of(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(module, text)| SourceFile {
                path: PathBuf::from(module),
                module: module.split("::").filter(|it| !it.is_empty()).map(str::to_owned).collect(),
                text: (*text).to_owned(),
                syntax: syn::parse_file(text).expect("a file that parses"),
            })
            .collect();
        let package = Package { name: "sample".to_owned(), files };
        let name = |file: usize| package.files[file].path.display().to_string();
        imports(&package)
            .iter()
            .map(|it| format!("{}:{} -> {}", name(it.from), it.line, name(it.to)))
            .collect()
    }

    const A: (&str, &str) = ("a", "pub struct A; pub enum E { One } pub fn f() {}");

    #[test]
    fn finds_every_way_to_name_another_file() {
        let table = [
            ("use", "use crate::a::A;", true),
            ("use of many", "use crate::{a::{self, A as B}, b};", true),
            ("use through a re-export", "use crate::A;", true),
            ("use of the parent's import", "use super::E;", true),
            ("path in a type", "struct S(crate::a::A);", true),
            ("path in a body", "fn g() { crate::a::f() }", true),
            ("path through a module", "use crate::a; fn g() { a::f() }", true),
            ("import in a body", "fn g() { use crate::a; a::f() }", true),
            ("variant", "fn g() { let e = crate::a::E::One; }", true),
            ("glob", "use crate::a::*; fn g(a: A) {}", true),
            ("macro", "fn g() { println!(\"{}\", crate::a::f()) }", true),
            ("attribute", "#[serde(with = \"crate::a::f\")] struct S;", true),
            ("bound", "fn g<T: Into<crate::a::A>>(t: T) {}", true),
            ("module that is not used", "use crate::a;", false),
            ("glob that is not used", "use crate::a::*; fn g(b: B) {}", false),
            ("another crate's", "use a::A;", false),
            ("another crate's, said so", "use ::a::A;", false),
            ("comment", "/// See [`crate::a::A`].\nstruct S;", false),
            ("test", "#[cfg(test)] mod tests { use crate::a::A; }", false),
            ("test of a function", "#[cfg(test)] use crate::a::A;", false),
            ("variable of a module's name", "fn g(a: u8) -> u8 { a }", false),
        ];
        let root = ("", "mod a; mod b; pub use a::A; pub(crate) use a::E;");
        for (what, text, is_import) in table {
            let found = imports_of(&[root, A, ("b", text)]);
            assert_eq!(found.iter().any(|it| it.ends_with("-> a")), is_import, "{what}: {found:?}");
            assert!(found.iter().all(|it| it.starts_with("b:")), "{what}: {found:?}");
        }
    }

    #[test]
    fn a_parent_that_uses_its_child_imports_it() {
        let child = ("a", "use super::Of; pub struct A(Of);");
        let used = ("", "mod a;\npub use a::A;\npub struct Of;\nfn f(a: A) {}");
        assert_eq!(imports_of(&[used, child]), [":4 -> a", "a:1 -> ", "a:1 -> "][..2]);
        let declared = ("", "mod a;\npub use a::A;\npub struct Of;");
        assert_eq!(imports_of(&[declared, child]), ["a:1 -> "]);
    }

    #[test]
    fn goes_through_chains_and_nested_modules() {
        let files = [
            ("", "mod a; mod b; pub use b::inner::A;"),
            A,
            ("b", "pub mod inner { pub use crate::a::A; }"),
            ("c", "use crate::A;"),
        ];
        assert_eq!(imports_of(&files), ["b:1 -> a", "c:1 -> a"]);
    }
}
