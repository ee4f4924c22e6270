//! `policy test`: cases beside policies.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ::policy::{Pack, Source, case::PolicyTest, compile};
use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use policy_source::files;
use text::Escaped;

use crate::output::print;

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Test files (`*.test.yaml`), and directories of them.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Also write a JUnit report.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A case, and what was wrong with it.
struct Ran {
    file: String,
    name: String,
    wrong: Vec<String>,
}

pub(super) fn run(args: &TestArgs) -> Result<()> {
    let mut ran = Vec::new();
    for file in files::listed(&args.paths, files::is_test)? {
        ran.extend(run_file(&file)?);
    }
    if ran.is_empty() {
        bail!("there are no cases: put them into files whose names end in .test.yaml");
    }
    for it in &ran {
        let mark = if it.wrong.is_empty() { "ok    " } else { "FAILED" };
        print(Escaped::line(&format!("{mark} {}: {}", it.file, it.name)).as_str())?;
        for wrong in &it.wrong {
            print(Escaped::line(&format!("       {wrong}")).as_str())?;
        }
    }
    if let Some(path) = &args.junit {
        fs::write(path, junit(&ran)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let failed = ran.iter().filter(|it| !it.wrong.is_empty()).count();
    print(&format!("{} cases, {failed} failed", ran.len()))?;
    match failed {
        0 => Ok(()),
        _ => bail!("policies say something else than their tests expect"),
    }
}

fn run_file(path: &Path) -> Result<Vec<Ran>> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    let test: PolicyTest =
        serde_saphyr::from_str(&text).with_context(|| format!("{file} is not a test"))?;
    let pack = pack(path, &test)?;
    let ran = |case: &::policy::case::Case| Ran {
        file: file.clone(),
        name: case.name.value.clone(),
        wrong: case.differs(&pack).unwrap_or_else(|why| vec![why]),
    };
    Ok(test.spec.cases.iter().map(ran).collect())
}

/// The policies that a test names, and no built-in ones but those that it names.
fn pack(path: &Path, test: &PolicyTest) -> Result<Pack> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let named = match test.spec.policies.as_slice() {
        [] => {
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            vec![dir.join(name.replace(".test.", "."))]
        }
        names => names.iter().map(|name| dir.join(name)).collect(),
    };
    let mut sources = files::read(&named)?;
    sources.push(Source {
        name: "settings of the test".to_owned(),
        text: format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\nmetadata: {{name: of-the-test}}\nspec: {{packs: [{}]}}\n",
            test.spec.packs.join(", ")
        ),
    });
    // Before anything expires: a test is of what a policy says, whenever it runs.
    match compile(&sources, Timestamp::UNIX_EPOCH) {
        Ok(compiled) => Ok(compiled.pack),
        Err(issues) => {
            let words: Vec<String> = issues.iter().map(ToString::to_string).collect();
            bail!("{}", words.join("\n"))
        }
    }
}

fn junit(ran: &[Ran]) -> String {
    let escape = |text: &str| {
        let text = Escaped::line(text).to_string();
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let failed = ran.iter().filter(|it| !it.wrong.is_empty()).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"policies\" tests=\"{}\" failures=\"{failed}\">\n",
        ran.len()
    );
    for it in ran {
        let (file, name) = (escape(&it.file), escape(&it.name));
        xml.push_str(&format!("  <testcase classname=\"{file}\" name=\"{name}\">"));
        for wrong in &it.wrong {
            xml.push_str(&format!("<failure message=\"{}\"/>", escape(wrong)));
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}
