//! How many tests each test binary has, as it is committed: whoever takes one away, or lets it be
//! ignored, says so in a commit, as a suite that does not run looks like one that passes.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const HEAD: &str = "\
# Of each test binary, how many tests `cargo xtask test` passes and how many it ignores.
# `cargo xtask test --accept-counts` writes it anew. Where a number of passed tests falls or one of
# ignored tests rises, the commit says where each test went.
";

/// Whose tests cargo did not name.
const UNKNOWN: &str = "unknown";

/// What one binary said at its end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Count {
    /// Tests that passed.
    pub(super) passed: u64,
    /// Tests that failed.
    pub(super) failed: u64,
    /// Tests that did not run.
    pub(super) ignored: u64,
}

/// By binary: `package target`, as in `cluster crash`; unit tests are `unit`, those in docs `doc`.
pub(super) type Counts = BTreeMap<String, Count>;

/// Reads what cargo and the test binaries print, line by line.
pub(super) struct Reader {
    names: HashMap<PathBuf, String>,
    root: PathBuf,
    current: Option<String>,
    /// What was read so far.
    pub(super) counts: Counts,
}

impl Reader {
    /// Asks cargo for the test binaries of the checkout at `root`, which it builds if need be.
    ///
    /// # Errors
    /// They do not build.
    pub(super) fn new(root: &Path) -> Result<Self> {
        let output = Command::new("cargo")
            .args(["test", "--workspace", "--no-run", "--message-format", "json"])
            .current_dir(root)
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            bail!("the tests do not build: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut names = HashMap::new();
        for line in output.stdout.split(|byte| *byte == b'\n') {
            names.extend(serde_json::from_slice(line).ok().and_then(|line| binary(&line)));
        }
        Ok(Self::of(names, root))
    }

    fn of(names: HashMap<PathBuf, String>, root: &Path) -> Self {
        let counts = names.values().map(|name| (name.clone(), Count::default())).collect();
        Self { names, root: root.to_owned(), current: None, counts }
    }

    /// Takes one line of the output.
    pub(super) fn read(&mut self, line: &str) {
        if let Some(name) = self.started(line) {
            self.current = Some(name);
        } else if let Some(count) = counted(line) {
            // Doc-tests count twice under one name: those built together, and those that must not build.
            let name = self.current.clone().unwrap_or_else(|| UNKNOWN.to_owned());
            let sum = self.counts.entry(name).or_default();
            sum.passed += count.passed;
            sum.failed += count.failed;
            sum.ignored += count.ignored;
        }
    }

    /// Of `Running tests/crash.rs (target/debug/deps/crash-0123)` and `Doc-tests hold`.
    fn started(&self, line: &str) -> Option<String> {
        let line = line.trim_start();
        if let Some(package) = line.strip_prefix("Doc-tests ") {
            return Some(format!("{package} doc"));
        }
        let (_, path) = line.strip_prefix("Running ")?.rsplit_once(" (")?;
        let path = path.strip_suffix(')')?;
        let name = self.names.get(&self.root.join(path)).cloned();
        Some(name.unwrap_or_else(|| UNKNOWN.to_owned()))
    }

    /// All of them together.
    pub(super) fn sum(&self) -> Count {
        self.counts.values().fold(Count::default(), |sum, count| Count {
            passed: sum.passed + count.passed,
            failed: sum.failed + count.failed,
            ignored: sum.ignored + count.ignored,
        })
    }
}

/// Where a test binary is and what it is called, of one message of cargo's.
fn binary(message: &Value) -> Option<(PathBuf, String)> {
    let path = message["executable"].as_str()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let target = &message["target"];
    let kinds = target["kind"].as_array().into_iter().flatten();
    let is_test = kinds.filter_map(Value::as_str).any(|kind| kind == "test");
    let name = if is_test { target["name"].as_str()? } else { "unit" };
    // A library and a binary of one package each have unit tests: they count together.
    Some((PathBuf::from(path), format!("{} {name}", package(message)?)))
}

/// The name of a package, of `path+file:///…/crates/cli#agent-shield@0.1.0` or `…/crates/hold#0.1.0`.
fn package(message: &Value) -> Option<&str> {
    let (path, after) = message["package_id"].as_str()?.rsplit_once('#')?;
    match after.split_once('@') {
        Some((name, _)) => Some(name),
        None => path.rsplit('/').next(),
    }
}

/// Of `test result: ok. 7 passed; 0 failed; 1 ignored; …`.
fn counted(line: &str) -> Option<Count> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |what: &str| -> Option<u64> {
        let before = rest.split(what).next()?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    let [passed, failed, ignored] = [" passed", " failed", " ignored"].map(number);
    Some(Count { passed: passed?, failed: failed?, ignored: ignored? })
}

/// What is less than was committed, a line for each; `full` runs ignored tests too.
///
/// # Errors
/// The committed counts cannot be read.
pub(super) fn missing(file: &Path, found: &Counts, full: bool) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(compared(&parsed(&text)?, found, full))
}

/// Writes what there is as what is expected from now on. The tests are built and listed, not run.
///
/// # Errors
/// They do not build, or the file cannot be written.
pub(super) fn accept(file: &Path, root: &Path) -> Result<()> {
    let (all, ignored) = (listed(root, &[])?, listed(root, &["--ignored"])?);
    let mut counts = Counts::new();
    for (name, all) in all {
        let ignored = ignored.get(&name).copied().unwrap_or_default();
        let passed = all.saturating_sub(ignored);
        counts.insert(name, Count { passed, failed: 0, ignored });
    }
    fs::write(file, written(&counts)).with_context(|| file.display().to_string())
}

/// How many tests each binary lists.
fn listed(root: &Path, more: &[&str]) -> Result<BTreeMap<String, u64>> {
    let mut reader = Reader::new(root)?;
    let (output, writer) = io::pipe()?;
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--no-fail-fast", "--", "--list"])
        .args(more)
        .current_dir(root)
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().context("cannot start cargo")?;
    drop(command);
    let mut counts = BTreeMap::new();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(name) = reader.started(&line) {
            reader.current = Some(name);
        } else if let Some((tests, _)) = line.split_once(" tests, ").or(line.split_once(" test, "))
            && let (Some(name), Ok(tests)) = (&reader.current, tests.parse::<u64>())
        {
            *counts.entry(name.clone()).or_default() += tests;
        }
    }
    if !child.wait()?.success() {
        bail!("the tests cannot be listed");
    }
    Ok(counts)
}

fn compared(expected: &Counts, found: &Counts, full: bool) -> Vec<String> {
    let mut missing = Vec::new();
    for (name, want) in expected {
        let Some(count) = found.get(name) else {
            missing.push(format!("{name}: did not run, and has {} tests", want.passed));
            continue;
        };
        let passed = if full { want.passed + want.ignored } else { want.passed };
        if count.passed < passed {
            missing.push(format!("{name}: {} passed, {passed} are expected", count.passed));
        }
        if count.ignored > want.ignored {
            let (ignored, want) = (count.ignored, want.ignored);
            missing.push(format!("{name}: {ignored} are ignored, {want} may be"));
        }
    }
    // What nobody expects could vanish unseen later on.
    for (name, count) in found {
        if count.passed > 0 && !expected.contains_key(name) {
            missing.push(format!("{name}: is not listed"));
        }
    }
    missing
}

fn parsed(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [package, target, passed, ignored] = words.as_slice() else {
            bail!("expected-counts: `{line}` is not `package target passed ignored`");
        };
        let count = Count { passed: passed.parse()?, failed: 0, ignored: ignored.parse()? };
        counts.insert(format!("{package} {target}"), count);
    }
    Ok(counts)
}

fn written(counts: &Counts) -> String {
    let mut text = HEAD.to_owned();
    let lines = counts.iter().filter(|(_, count)| count.passed + count.ignored > 0);
    for (name, count) in lines {
        let _ = writeln!(text, "{name} {} {}", count.passed, count.ignored);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64, u64)]) -> Counts {
        let count = |passed, ignored| Count { passed, failed: 0, ignored };
        of.iter()
            .map(|(name, passed, ignored)| ((*name).to_owned(), count(*passed, *ignored)))
            .collect()
    }

    #[test]
    fn reads_what_cargo_prints() {
        let root = Path::new("/checkout");
        let names = [
            ("/checkout/target/debug/deps/crash-01", "cluster crash"),
            ("/checkout/target/debug/deps/hold-02", "hold unit"),
            ("/checkout/target/debug/deps/gone-03", "cluster gone"),
        ];
        let names = names.map(|(path, name)| (PathBuf::from(path), name.to_owned()));
        let mut reader = Reader::of(names.into(), root);
        let output = "   Compiling hold v0.1.0
     Running tests/crash.rs (target/debug/deps/crash-01)
test a_hold_survives ... ok
test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out
     Running unittests src/lib.rs (target/debug/deps/hold-02)
test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
   Doc-tests hold
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out
     Running unittests src/lib.rs (target/debug/deps/nobodys-04)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        output.lines().for_each(|line| reader.read(line));
        let mut want = counts(&[
            ("cluster crash", 12, 1),
            ("cluster gone", 0, 0),
            ("hold doc", 5, 0),
            ("hold unit", 40, 0),
            ("unknown", 1, 0),
        ]);
        want.entry("cluster crash".to_owned()).or_default().failed = 3;
        assert_eq!(reader.counts, want);
        assert_eq!(reader.sum(), Count { passed: 58, failed: 3, ignored: 1 });
    }

    #[test]
    fn tells_what_is_less_than_was_committed() {
        let committed = [("cluster crash", 12, 1), ("hold unit", 40, 0)];
        let expected = parsed(&written(&counts(&committed))).expect("counts");
        assert_eq!(expected, counts(&committed));
        type Found<'a> = &'a [(&'a str, u64, u64)];
        let table: [(&str, Found<'_>, &[&str]); 7] = [
            ("the same", &committed, &[]),
            ("more", &[("cluster crash", 13, 0), ("hold unit", 40, 0)], &[]),
            (
                "fewer",
                &[("cluster crash", 11, 1), ("hold unit", 40, 0)],
                &["cluster crash: 11 passed, 12 are expected"],
            ),
            (
                "ignored",
                &[("cluster crash", 12, 2), ("hold unit", 40, 0)],
                &["cluster crash: 2 are ignored, 1 may be"],
            ),
            (
                "no binary",
                &[("hold unit", 40, 0)],
                &["cluster crash: did not run, and has 12 tests"],
            ),
            (
                "a binary without a test",
                &[("cluster crash", 0, 0), ("hold unit", 40, 0)],
                &["cluster crash: 0 passed, 12 are expected"],
            ),
            (
                "not committed",
                &[("cluster crash", 12, 1), ("hold unit", 40, 0), ("hold law", 1, 0)],
                &["hold law: is not listed"],
            ),
        ];
        for (what, found, want) in table {
            assert_eq!(compared(&expected, &counts(found), false), want, "{what}");
        }
        let full = counts(&[("cluster crash", 13, 0), ("hold unit", 40, 0)]);
        assert!(compared(&expected, &full, true).is_empty());
        let want = ["cluster crash: 12 passed, 13 are expected"];
        assert_eq!(compared(&expected, &expected, true), want);
    }

    #[test]
    fn names_packages_as_cargo_does() {
        for (id, want) in [
            ("path+file:///home/x/crates/cli#agent-shield@0.1.0", "agent-shield"),
            ("path+file:///home/x/crates/hold#0.1.0", "hold"),
        ] {
            assert_eq!(package(&serde_json::json!({"package_id": id})), Some(want));
        }
    }
}
