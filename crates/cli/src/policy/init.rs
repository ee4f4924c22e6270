//! `policy init`: a first policy that does something, with the test that shows it.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::output::print;

const POLICY: &str = include_str!("../../../../policies/cookbook/no-latest-tag.yaml");
const TEST: &str = include_str!("../../../../policies/cookbook/no-latest-tag.test.yaml");

pub(crate) fn run(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, text) in [("no-latest-tag.yaml", POLICY), ("no-latest-tag.test.yaml", TEST)] {
        let path = dir.join(name);
        if path.exists() {
            bail!("{} exists already: give another directory, or remove it", path.display());
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print(&format!("wrote {}", path.display()))?;
    }
    let dir = dir.display();
    print(&format!("next: agent-shield policy test {dir}, then agent-shield serve --policy {dir}"))
}
