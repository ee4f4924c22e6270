//! The modules of one crate and what each name in them stands for, so that a path can be followed
//! through imports and re-exports to the module that defines its end.

use std::collections::HashMap;

use syn::{Item, ItemUse, UseTree, Visibility};

use super::files::{SourceFile, TestCode};

/// More steps than any honest chain of re-exports has; a longer one is a loop of glob imports.
const STEPS_MAX: usize = 32;

/// All modules of a crate; the first is its root.
pub(super) struct Modules {
    all: Vec<Module>,
}

/// One module.
pub(super) struct Module {
    /// The file that it stands in.
    pub(super) file: usize,
    path: Vec<String>,
    names: HashMap<String, Vec<Name>>,
    globs: Vec<Vec<String>>,
}

/// What a name in a module stands for.
enum Name {
    Module(usize),
    Item,
    Import { path: Vec<String>, is_reexport: bool },
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// To this module itself.
    Module(usize),
    /// To an item that this module defines.
    ItemOf(usize),
}

/// One leaf of a `use`: the path, and the name that it gets here; no name for a glob.
pub(super) struct Leaf {
    /// The path, segment by segment; the first is empty after a leading `::`.
    pub(super) path: Vec<String>,
    /// The name that it gets.
    pub(super) name: Option<String>,
}

impl Modules {
    /// Reads the declarations of all `files` of one crate, roots before what they declare.
    pub(super) fn of(files: &[SourceFile]) -> Self {
        let mut modules = Self { all: Vec::new() };
        for (file, source) in files.iter().enumerate() {
            modules.add(file, source.module.clone(), &source.syntax.items);
        }
        modules.declare_children();
        modules
    }

    fn add(&mut self, file: usize, path: Vec<String>, items: &[Item]) {
        let mut module =
            Module { file, path: path.clone(), names: HashMap::new(), globs: Vec::new() };
        for item in items.iter().filter(|item| !item.is_test_code()) {
            module.declare(item);
        }
        self.all.push(module);
        for item in items.iter().filter(|item| !item.is_test_code()) {
            if let Item::Mod(inner) = item
                && let Some((_, items)) = &inner.content
            {
                let path = path.iter().cloned().chain([inner.ident.to_string()]).collect();
                self.add(file, path, items);
            }
        }
    }

    /// Names each module in its parent, once all are known.
    fn declare_children(&mut self) {
        let children: Vec<(usize, usize)> =
            (0..self.all.len()).filter_map(|child| Some((self.parent(child)?, child))).collect();
        for (parent, child) in children {
            let name = self.all[child].path.last().cloned().unwrap_or_default();
            self.all[parent].names.entry(name).or_default().push(Name::Module(child));
        }
    }

    /// The module of these names in the same binary or library as `near`.
    pub(super) fn find(&self, file: usize, path: &[String]) -> Option<usize> {
        let of_file = |module: &Module| module.file == file && module.path == path;
        self.all.iter().position(of_file)
    }

    pub(super) fn get(&self, module: usize) -> &Module {
        &self.all[module]
    }

    /// Adds a name that an import inside a function brings, unless the module has it already.
    pub(super) fn bring_in(&mut self, module: usize, item: &ItemUse) {
        for leaf in leaves(item) {
            if let Some(name) = leaf.name {
                let import = Name::Import { path: leaf.path, is_reexport: false };
                self.all[module].names.entry(name).or_insert_with(|| vec![import]);
            }
        }
    }

    /// Where `path`, written in `module`, leads: nowhere for what is not of this crate.
    pub(super) fn resolve(&self, module: usize, path: &[String]) -> Vec<Target> {
        self.follow(module, path, STEPS_MAX)
    }

    /// Where a single name in `module` leads, if a glob or a re-export brings it; other imports
    /// and the module's own items are no import of their own.
    pub(super) fn resolve_brought(&self, module: usize, name: &str) -> Vec<Target> {
        match self.all[module].names.get(name) {
            None => self.through_globs(module, name, STEPS_MAX),
            Some(names) => names
                .iter()
                .filter_map(|name| match name {
                    Name::Import { path, is_reexport: true } => Some(self.resolve(module, path)),
                    _ => None,
                })
                .flatten()
                .collect(),
        }
    }

    /// Whether `target` lies in `module` or below it.
    pub(super) fn is_below(&self, target: Target, module: usize) -> bool {
        let (Target::Module(at) | Target::ItemOf(at)) = target;
        self.all[at].path.starts_with(&self.all[module].path)
    }

    fn follow(&self, module: usize, path: &[String], steps: usize) -> Vec<Target> {
        let Some((first, mut rest)) = path.split_first() else { return Vec::new() };
        let Some(steps) = steps.checked_sub(1) else { return Vec::new() };
        let mut at = match first.as_str() {
            "crate" => vec![Target::Module(self.root_of(module))],
            "self" => vec![Target::Module(module)],
            "super" => self.parent(module).map(Target::Module).into_iter().collect(),
            "" => Vec::new(),
            name => self.look_up(module, name, !rest.is_empty(), steps),
        };
        while let Some((segment, after)) = rest.split_first() {
            // What follows an item is its variant or its associated function.
            let Some(&Target::Module(inside)) =
                at.iter().find(|target| matches!(target, Target::Module(_)))
            else {
                return at;
            };
            at = match segment.as_str() {
                "super" => self.parent(inside).map(Target::Module).into_iter().collect(),
                "self" => vec![Target::Module(inside)],
                name => self.look_up(inside, name, !after.is_empty(), steps),
            };
            rest = after;
        }
        at
    }

    /// What `name` stands for in `module`. With `is_prefix` a module is meant, where there is one.
    fn look_up(&self, module: usize, name: &str, is_prefix: bool, steps: usize) -> Vec<Target> {
        let Some(names) = self.all[module].names.get(name) else {
            return self.through_globs(module, name, steps);
        };
        // `use scan::scan;` names a module and a function alike, and its own path the module.
        if is_prefix
            && let Some(child) = names.iter().find_map(|name| match name {
                Name::Module(child) => Some(*child),
                _ => None,
            })
        {
            return vec![Target::Module(child)];
        }
        let mut found = Vec::new();
        for name in names {
            match name {
                Name::Module(child) => found.push(Target::Module(*child)),
                Name::Item => found.push(Target::ItemOf(module)),
                Name::Import { path, .. } => found.extend(self.follow(module, path, steps)),
            }
        }
        found
    }

    fn through_globs(&self, module: usize, name: &str, steps: usize) -> Vec<Target> {
        let Some(steps) = steps.checked_sub(1) else { return Vec::new() };
        let mut found = Vec::new();
        for glob in &self.all[module].globs {
            for target in self.follow(module, glob, steps) {
                if let Target::Module(from) = target
                    && from != module
                {
                    found.extend(self.look_up(from, name, false, steps));
                }
            }
        }
        found
    }

    /// A package may have a library and a binary: the root is the last one before the module.
    fn root_of(&self, module: usize) -> usize {
        (0..=module).rev().find(|&at| self.all[at].path.is_empty()).unwrap_or_default()
    }

    fn parent(&self, module: usize) -> Option<usize> {
        let (_, above) = self.all[module].path.split_last()?;
        let root = self.root_of(module);
        let len = self.all[root + 1..].iter().take_while(|it| !it.path.is_empty()).count();
        (root..=root + len).find(|&at| self.all[at].path == above)
    }
}

impl Module {
    fn declare(&mut self, item: &Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(ident) => ident,
                None => return,
            },
            Item::Use(item) => return self.declare_use(item),
            _ => return,
        };
        self.names.entry(name.to_string()).or_default().push(Name::Item);
    }

    fn declare_use(&mut self, item: &ItemUse) {
        let is_reexport = is_reexport(item);
        for Leaf { path, name } in leaves(item) {
            match name {
                Some(name) => {
                    self.names.entry(name).or_default().push(Name::Import { path, is_reexport });
                }
                None => self.globs.push(path),
            }
        }
    }
}

/// Whether others may take the names from here.
pub(super) fn is_reexport(item: &ItemUse) -> bool {
    !matches!(item.vis, Visibility::Inherited)
}

/// Everything that one `use` names.
pub(super) fn leaves(item: &ItemUse) -> Vec<Leaf> {
    let start = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
    let mut found = Vec::new();
    walk(&item.tree, start, &mut found);
    found
}

fn walk(tree: &UseTree, mut path: Vec<String>, found: &mut Vec<Leaf>) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            walk(&inner.tree, path, found);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                walk(tree, path.clone(), found);
            }
        }
        UseTree::Glob(_) => found.push(Leaf { path, name: None }),
        UseTree::Name(name) if name.ident == "self" => {
            let name = path.last().cloned();
            found.push(Leaf { path, name });
        }
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            found.push(Leaf { path, name: Some(name.ident.to_string()) });
        }
        UseTree::Rename(rename) => {
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            found.push(Leaf { path, name: Some(rename.rename.to_string()) });
        }
    }
}
