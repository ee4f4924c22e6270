//! Every command in the docs runs, page by page, against a real cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cluster::{deployment, list, namespace};
use serde_json::json;
use testkit::Cluster;

/// Blocks that are not run, by page.
const SKIPPED: [(&str, usize); 3] =
    [("README.md", 2), ("CONTRIBUTING.md", 2), ("docs/performance.md", 1)];

/// Waits in a page's shell, for conditions and with a bound.
const PRELUDE: &str = r#"
until_ready() { for _ in $(seq 600); do [ -e "$HOME/.local/share/agent-shield/endpoints.json" ] && return; sleep 0.1; done; echo "agent-shield is not ready" >&2; exit 1; }
until_held() { for _ in $(seq 300); do [ -n "$(agent-shield holds -o name)" ] && return; sleep 0.1; done; echo "nothing is held" >&2; exit 1; }
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// The pages, in the order in which somebody new reads them.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("CONTRIBUTING.md")];
    for dir in ["docs", "docs/guide"] {
        let files = fs::read_dir(root().join(dir)).expect("docs");
        let mut files: Vec<PathBuf> = files
            .map(|file| PathBuf::from(dir).join(file.expect("a file").file_name()))
            .filter(|file| file.extension().is_some_and(|it| it == "md"))
            .collect();
        files.sort();
        pages.extend(files);
    }
    pages
}

/// A page as a script, and how many blocks it says to skip.
fn script(text: &str) -> (String, usize) {
    let (mut script, mut skipped) = (PRELUDE.to_owned(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let block = block.join("\n");
        match info.split_once(' ').unwrap_or((info, "")) {
            ("sh", "") => script.push_str(&format!("{block}\n")),
            ("sh", "background") => {
                script.push_str(&format!("{{\n{block}\n}} &\n"));
                let wait =
                    if block.contains("agent-shield serve") { "until_ready" } else { "until_held" };
                script.push_str(&format!("{wait}\n"));
            }
            ("sh", why) if why.starts_with("skip=\"") => skipped += 1,
            ("text" | "yaml" | "json", "") => {}
            (language, info) => panic!("a block of an unknown kind: `{language} {info}`"),
        }
    }
    (script, skipped)
}

fn prepare(cluster: &Cluster) {
    let mut payments = namespace("payments", "production");
    payments["metadata"]["labels"] = json!({"team": "payments"});
    let objects = [payments, namespace("dev", "dev"), deployment("payments", "web", 2)];
    cluster.apply(&list(&objects)).expect("objects");
}

fn run(cluster: &Cluster, page: &Path, script: &str) {
    let home = cluster.dir().join(cluster.unique("docs"));
    fs::create_dir_all(home.join(".kube")).expect("a home");
    fs::copy(cluster.kubeconfig(), home.join(".kube/config")).expect("a kubeconfig");
    let programs = [
        testkit::binary().parent().map(Path::to_owned),
        cluster.program("kubectl").parent().map(Path::to_owned),
    ];
    let mut path: Vec<String> =
        programs.into_iter().flatten().map(|it| it.display().to_string()).collect();
    path.push(std::env::var("PATH").unwrap_or_default());
    // A file, not a pipe: what a page leaves running would keep a pipe open.
    let said = home.join("said");
    let file = fs::File::create(&said).expect("a file");
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", "180", "bash", "-eu", "-o", "pipefail", "-c", script])
        .current_dir(&home)
        .env("HOME", &home)
        .env("PATH", path.join(":"))
        .env("AUDIT_LOG", cluster.dir().join("audit.log"))
        .env("AGENT_SHIELD_LISTEN", "127.0.0.1:0")
        .env("AGENT_SHIELD_REVIEW_LISTEN", "127.0.0.1:0")
        .env_remove("KUBECONFIG")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a file"))
        .stderr(file)
        .spawn()
        .expect("bash");
    let status = child.wait().expect("its end");
    // `timeout` leads a process group of its own.
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let said = String::from_utf8_lossy(&fs::read(said).expect("what it said")).into_owned();
    let last: Vec<&str> = said.lines().rev().take(40).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    assert!(status.success(), "{}: {status}\n{}", page.display(), last.join("\n"));
}

#[test]
fn every_command_in_the_docs_runs() {
    let cluster = testkit::cluster();
    let mut ran = 0;
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).expect("a page");
        let (script, skipped) = script(&text);
        let may_skip =
            SKIPPED.iter().find(|(name, _)| Path::new(name) == page).map_or(0, |(_, count)| *count);
        assert_eq!(skipped, may_skip, "{}: blocks that are not run", page.display());
        if script.len() > PRELUDE.len() {
            prepare(cluster);
            run(cluster, &page, &script);
            ran += 1;
        }
    }
    assert!(ran >= 6, "{ran} pages have commands");
}

/// `agent-shield …` in running text names commands and flags that exist.
#[test]
fn every_command_that_is_mentioned_exists() {
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).expect("a page");
        for (number, line) in text.lines().enumerate() {
            for code in line.split('`').skip(1).step_by(2) {
                let Some(rest) = code.strip_prefix("agent-shield ") else { continue };
                let words: Vec<&str> = rest.split_whitespace().collect();
                let is_name = |word: &&str| {
                    word.starts_with(|c: char| c.is_ascii_lowercase())
                        && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                };
                let names: Vec<&str> = words.iter().copied().filter(is_name).collect();
                let deepest = if matches!(
                    names.first(),
                    Some(&("agent" | "agents" | "context" | "rbac" | "policy"))
                ) {
                    2
                } else {
                    1
                };
                let command = &names[..names.len().min(deepest)];
                let output = Command::new(testkit::binary())
                    .args(command)
                    .arg("--help")
                    .output()
                    .expect("agent-shield");
                let help = String::from_utf8_lossy(&output.stdout).into_owned();
                let place = format!("{}:{}: `{code}`", page.display(), number + 1);
                assert!(output.status.success(), "{place}");
                for flag in words.iter().filter(|it| it.starts_with("--")) {
                    let flag = flag.split('=').next().unwrap_or(flag);
                    assert!(help.contains(flag), "{place}: no {flag}");
                }
            }
        }
    }
}
