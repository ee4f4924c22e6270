//! No file may import, directly or through others, a file that imports it: then each can be read
//! and changed after those below it. Declarations and re-exports of a parent do not count.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail};

use crate::source::{Import, Package, imports, packages};

/// Files of one crate that reach each other by imports.
pub(crate) struct Circle {
    /// The crate.
    pub(crate) package: String,
    /// The files, and for each pair of them the first line that imports.
    pub(crate) lines: Vec<String>,
    /// How many files.
    pub(crate) len: usize,
}

/// Refuses circles in the checkout at `root`.
///
/// # Errors
/// There are some, each told with its files and imports; or the sources cannot be read.
pub(super) fn check(root: &Path) -> Result<()> {
    println!("check: circles of files");
    let circles = find(root)?;
    for circle in &circles {
        println!("{}: {} files import each other:", circle.package, circle.len);
        circle.lines.iter().for_each(|line| println!("  {line}"));
    }
    match circles.len() {
        0 => Ok(()),
        n => bail!("{n} circles: move what both sides need into a file below them"),
    }
}

/// All circles of the production crates in the checkout at `root`.
///
/// # Errors
/// The sources cannot be read or parsed.
pub(crate) fn find(root: &Path) -> Result<Vec<Circle>> {
    Ok(packages(root)?.iter().flat_map(circles).collect())
}

fn circles(package: &Package) -> Vec<Circle> {
    let imports = imports(package);
    let reached = reached(package.files.len(), &imports);
    let mut done = vec![false; package.files.len()];
    let mut found = Vec::new();
    for start in 0..package.files.len() {
        let members: Vec<usize> = (0..package.files.len())
            .filter(|&other| reached[start][other] && reached[other][start])
            .collect();
        // Every file of a circle also reaches itself.
        if members.is_empty() || done[start] {
            continue;
        }
        members.iter().for_each(|&member| done[member] = true);
        let lines = told(package, &imports, &members);
        found.push(Circle { package: package.name.clone(), lines, len: members.len() });
    }
    found
}

/// Which file reaches which over any number of imports. Crates are small enough for the cube.
fn reached(files: usize, imports: &[Import]) -> Vec<Vec<bool>> {
    let mut reached = vec![vec![false; files]; files];
    for import in imports {
        reached[import.from][import.to] = true;
    }
    for via in 0..files {
        let onward = reached[via].clone();
        for row in reached.iter_mut().filter(|row| row[via]) {
            row.iter_mut().zip(&onward).for_each(|(to, onward)| *to |= onward);
        }
    }
    reached
}

fn told(package: &Package, imports: &[Import], members: &[usize]) -> Vec<String> {
    let path = |file: usize| package.files[file].path.display();
    let mut first: BTreeMap<(usize, usize), &Import> = BTreeMap::new();
    for import in imports {
        if members.contains(&import.from) && members.contains(&import.to) {
            first.entry((import.from, import.to)).or_insert(import);
        }
    }
    first
        .values()
        .map(|import| {
            let Import { from, to, line, path: written } = import;
            format!("{}:{line} imports {} ({written})", path(*from), path(*to))
        })
        .collect()
}
