//! How the reviewer's commands look: versions, colours, and what is longer than the screen.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use cluster::{Scene, deployment};
use serde_json::Value;
use testkit::terminal::terminal;

fn stdout(command: &mut Command) -> String {
    let output = command.output().expect("a CLI");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_version_is_that_of_both_sides() {
    let scene = Scene::new("version");
    let text = stdout(scene.shield.cli(&scene.reviewer).arg("version"));
    let url = &scene.shield.review_url;
    assert!(text.starts_with("client  ") && text.contains(&format!(" at {url}")), "{text}");
    let versions = scene.shield.cli_json(&scene.reviewer, &["version"]);
    assert_eq!(versions["client"]["version"], versions["server"]["version"]);
    // An agent is told nothing by the server.
    let versions = scene.shield.cli_json(&scene.agent.kubeconfig, &["version"]);
    assert!(versions["server"]["version"].is_null(), "{versions}");
    assert!(versions["server"]["error"].is_string(), "{versions}");
    let text = stdout(scene.shield.cli(&scene.reviewer).args(["version", "--client"]));
    assert!(!text.contains("server"), "{text}");
    // A server that does not answer is no failure.
    let mut nowhere = Command::new(testkit::binary());
    nowhere.args(["--server", "https://127.0.0.1:1", "--ca"]).arg(scene.shield.ca());
    nowhere.arg("--kubeconfig").arg(&scene.reviewer).args(["version", "-o", "json"]);
    let versions: Value = serde_json::from_str(&stdout(&mut nowhere)).expect("JSON");
    let error = versions["server"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("cannot reach"), "{versions}");
}

/// The id in the first row of a table.
fn id_of(table: &str) -> String {
    let row = table.lines().nth(1).unwrap_or_default();
    row.split_whitespace().next().unwrap_or_default().to_owned()
}

/// What a command prints on a terminal of eight rows, whose pager writes into a file.
fn on_terminal(scene: &Scene, args: &[&str], pager: &Path) -> String {
    let (mut master, slave) = terminal(8, 80);
    let mut command = scene.shield.cli(&scene.reviewer);
    command
        .args(args)
        .env("PAGER", format!("cat > {}", pager.display()))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::from(slave.try_clone().expect("a terminal")))
        .stdout(Stdio::from(slave))
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("a CLI");
    drop(command);
    let mut said = Vec::new();
    // The other side closes with an error where nobody holds the terminal any more.
    let _ = master.read_to_end(&mut said);
    assert!(child.wait().expect("its end").success());
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn what_is_longer_than_the_screen_is_paged_and_severities_have_colours() {
    let scene = Scene::new("look");
    let file = scene.shield.data_dir().join("paged");
    let long = ["namespaces"];
    let on_screen = on_terminal(&scene, &long, &file);
    let paged = fs::read_to_string(&file).expect("the pager ran");
    assert!(paged.contains("kube-system") && paged.contains(&scene.prod), "{paged}");
    assert!(!on_screen.contains("kube-system"), "{on_screen}");
    fs::remove_file(&file).expect("a file");

    // Not where it fits, where it is not wanted, or where nobody leafs.
    let on_screen = on_terminal(&scene, &["--no-pager", "namespaces"], &file);
    assert!(on_screen.contains("kube-system"), "{on_screen}");
    on_terminal(&scene, &["frozen"], &file);
    let mut piped = scene.shield.cli(&scene.reviewer);
    let text = stdout(piped.arg("namespaces").env("PAGER", format!("cat > {}", file.display())));
    assert!(text.contains("kube-system"), "{text}");
    assert!(!file.exists(), "it was paged");

    scene.cluster.apply(&deployment(&scene.prod, "web", 3)).expect("a Deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web?timeout=1s", scene.prod);
    let answer = scene.shield.request(&scene.agent, "DELETE", &target, None, b"");
    assert_eq!(answer.held_or_status(), 429, "{}", answer.text());
    let plain = stdout(scene.shield.cli(&scene.reviewer).args(["holds"]));
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let mut none = scene.shield.cli(&scene.reviewer);
    let none = stdout(none.args(["holds", "--state", "expired", "-n", &scene.prod]));
    let want = format!("No hold is expired in namespace {}. 1 hold waits beside", scene.prod);
    assert!(none.starts_with(&want), "{none}");
    let mut all = scene.shield.cli(&scene.reviewer);
    let output = all.args(["approve", "--all-of", &id_of(&plain)]).output().expect("a CLI");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("show --all-of {}`", id_of(&plain))), "{text}");
    let mut always = scene.shield.cli(&scene.reviewer);
    let coloured = stdout(always.args(["--color", "always", "holds"]).env("NO_COLOR", "1"));
    assert!(coloured.contains('\u{1b}'), "{coloured}");
    assert!(on_terminal(&scene, &["holds"], &file).contains('\u{1b}'));
    assert!(!on_terminal(&scene, &["--color", "never", "holds"], &file).contains('\u{1b}'));
}
