//! What the shape of the sources is, in numbers that can be compared over time: sizes of files and
//! functions, comments inside functions, circles of files, what is public and undocumented.
//! Only code that ships counts, and none of it under `#[cfg(test)]`.

use std::path::Path;

use anyhow::Result;
use syn::{
    Attribute, Block, ImplItem, ImplItemFn, Item, ItemFn, Signature, TraitItemFn, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::{
    check::circles,
    source::{Package, SourceFile, TestCode, packages},
};

/// A function of more lines than this should have been two.
const LONG: usize = 70;

/// Prints the measures of the checkout at `root`.
///
/// # Errors
/// The sources cannot be read or parsed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let packages = packages(root)?;
    let files: Vec<&SourceFile> = packages.iter().flat_map(|package| &package.files).collect();
    let mut counts = Counts::default();
    files.iter().for_each(|file| counts.add(file));
    let circles = circles::find(root)?;
    let in_circles: usize = circles.iter().map(|circle| circle.len).sum();

    println!("crates              {}", packages.len());
    println!("files               {}, {} lines", files.len(), counts.lines());
    println!("lines per file      {}", spread(&counts.files));
    println!("functions           {}", counts.functions.len());
    println!("lines per function  {}", spread(&counts.functions));
    println!("functions over {LONG}   {}", counts.long.len());
    println!(
        "comments            {} in functions: {:.1} per 100 lines of code there, {:.1} of all code",
        counts.comments,
        per_hundred(counts.comments, counts.code_in_functions),
        per_hundred(counts.comments, counts.code)
    );
    println!("circles             {}, of {in_circles} files", circles.len());
    println!("lines of cli        {}", lines_of(&packages, "agent-shield"));
    println!("undocumented        {} of {} public items", counts.undocumented, counts.public);
    counts.long.sort_by_key(|it| std::cmp::Reverse(it.0));
    for (lines, name) in counts.long {
        println!("  {lines:>4} {name}");
    }
    Ok(())
}

fn lines_of(packages: &[Package], name: &str) -> usize {
    let of_name = packages.iter().filter(|package| package.name == name);
    of_name.flat_map(|package| &package.files).map(|file| file.text.lines().count()).sum()
}

fn per_hundred(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

/// Whether a line is nothing but a comment, documentation included.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

fn is_code(line: &str) -> bool {
    !is_comment(line) && !line.trim().is_empty()
}

/// Median, 95th percentile and largest.
fn spread(numbers: &[usize]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let at = |percent: usize| sorted.get(sorted.len() * percent / 100).copied().unwrap_or(0);
    let max = sorted.last().copied().unwrap_or(0);
    format!("median {}, p95 {}, max {max}", at(50), at(95))
}

#[derive(Default)]
struct Counts {
    /// Lines of each file, its tests left out.
    files: Vec<usize>,
    /// Lines of each function, from its signature to its end.
    functions: Vec<usize>,
    /// Functions over [`LONG`] lines, and where they are.
    long: Vec<(usize, String)>,
    /// Lines in functions that are comments, or end in one.
    comments: usize,
    /// Lines in functions that are code.
    code_in_functions: usize,
    /// All lines that are code.
    code: usize,
    public: usize,
    undocumented: usize,
}

impl Counts {
    fn lines(&self) -> usize {
        self.files.iter().sum()
    }

    fn add(&mut self, file: &SourceFile) {
        let lines: Vec<&str> = file.text.lines().collect();
        let of_tests = |item: &Item| item.span().start().line - 1..item.span().end().line;
        let tests = file.syntax.items.iter().filter(|item| item.is_test_code()).map(of_tests);
        let mut shipped = lines.clone();
        // From the end, as each one moves the lines after it.
        tests.rev().for_each(|range| drop(shipped.drain(range)));
        self.files.push(shipped.len());
        self.code += shipped.iter().filter(|line| is_code(line)).count();
        let place = file.path.display().to_string();
        let mut reader = Reader { counts: self, lines, place, depth: 0 };
        reader.visit_file(&file.syntax);
    }
}

struct Reader<'a> {
    counts: &'a mut Counts,
    lines: Vec<&'a str>,
    place: String,
    /// In how many functions this stands: inner ones are lines of the outer one already.
    depth: usize,
}

impl Reader<'_> {
    fn function(&mut self, signature: &Signature, block: &Block) {
        let (start, end) = (signature.span().start().line, block.span().end().line);
        let length = end - start + 1;
        self.counts.functions.push(length);
        if length > LONG {
            let place = format!("{} ({}:{start})", signature.ident, self.place);
            self.counts.long.push((length, place));
        }
        if self.depth == 0 {
            let body = block.span().start().line..end.saturating_sub(1);
            for line in self.lines.get(body).unwrap_or_default() {
                let is_comment = is_comment(line) || line.contains("; // ");
                self.counts.comments += usize::from(is_comment);
                self.counts.code_in_functions += usize::from(is_code(line));
            }
        }
    }

    fn documented(&mut self, visibility: &Visibility, attributes: &[Attribute]) {
        if matches!(visibility, Visibility::Public(_)) {
            let is_documented = attributes.iter().any(|it| it.path().is_ident("doc"));
            self.counts.public += 1;
            self.counts.undocumented += usize::from(!is_documented);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if item.is_test_code() {
            return;
        }
        match item {
            Item::Const(it) => self.documented(&it.vis, &it.attrs),
            Item::Enum(it) => self.documented(&it.vis, &it.attrs),
            Item::Fn(it) => self.documented(&it.vis, &it.attrs),
            Item::Static(it) => self.documented(&it.vis, &it.attrs),
            Item::Struct(it) => self.documented(&it.vis, &it.attrs),
            Item::Trait(it) => self.documented(&it.vis, &it.attrs),
            Item::Type(it) => self.documented(&it.vis, &it.attrs),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if let ImplItem::Fn(function) = item {
            if function.attrs.is_test_code() {
                return;
            }
            self.documented(&function.vis, &function.attrs);
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
        self.depth += 1;
        visit::visit_item_fn(self, item);
        self.depth -= 1;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        self.depth += 1;
        visit::visit_impl_item_fn(self, item);
        self.depth -= 1;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        self.depth += 1;
        visit::visit_trait_item_fn(self, item);
        self.depth -= 1;
    }
}
