//! CONTRIBUTING.md lists what only `cargo xtask test --full` runs: the tests that are ignored
//! otherwise, and those that do more with `AGENT_SHIELD_FULL`.

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use crate::root;

    const SECTION: &str = "### Only with --full";

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for file in fs::read_dir(dir).expect("a directory") {
            let path = file.expect("a file").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.push(path);
            }
        }
    }

    /// `file` for one that asks for the variable, `file: name` for an ignored test.
    fn in_sources() -> BTreeSet<String> {
        let mut files = Vec::new();
        ["crates", "tests", "fuzz"].iter().for_each(|dir| sources(&root().join(dir), &mut files));
        let mut found = BTreeSet::new();
        for path in files {
            let text = fs::read_to_string(&path).expect("a source file");
            let name = path.strip_prefix(root()).expect("a file of ours").display().to_string();
            if text.lines().any(|line| line.contains("(\"AGENT_SHIELD_FULL\")")) {
                found.insert(name.clone());
            }
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line.starts_with("#[ignore") {
                    let test = lines.find_map(|line| line.strip_prefix("fn ")).expect("a test");
                    let test = test.split('(').next().expect("a name");
                    found.insert(format!("{name}: {test}"));
                }
            }
        }
        found
    }

    /// The same, of lines like ``- `file`: what more it does`` and ``- `file`: `name`, why``.
    fn in_contributing() -> BTreeSet<String> {
        let text = fs::read_to_string(root().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
        let (_, section) = text.split_once(SECTION).expect("the section");
        let section = section.split("\n#").next().expect("its text");
        let mut found = BTreeSet::new();
        for item in section.split("\n- ").skip(1) {
            let mut code = item.split('`').skip(1).step_by(2);
            let file = code.next().expect("a file");
            let tests: Vec<&str> = code.collect();
            match tests.as_slice() {
                [] => found.extend([file.to_owned()]),
                tests => found.extend(tests.iter().map(|test| format!("{file}: {test}"))),
            }
        }
        found
    }

    #[test]
    fn contributing_lists_what_only_full_runs() {
        assert_eq!(in_contributing(), in_sources());
    }
}
