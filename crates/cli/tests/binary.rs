//! The built binary, by its names: what shells and kubectl see of it.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

const BINARY: &str = env!("CARGO_BIN_EXE_agent-shield");

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Output {
    let output = Command::new(program.as_ref()).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn stdout(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    String::from_utf8(run(program, arguments).stdout).expect("text")
}

#[test]
fn a_link_makes_it_a_plugin_of_kubectl() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugin = dir.path().join("kubectl-shield");
    symlink(BINARY, &plugin).expect("a link");
    let help = stdout(&plugin, &["--help"]);
    assert!(help.contains("Usage: kubectl shield "), "{help}");
    assert!(help.contains("\n  kubectl shield holds"), "{help}");
    let help = stdout(&plugin, &["holds", "--help"]);
    assert!(help.contains("Usage: kubectl shield holds"), "{help}");
    assert!(!help.contains("agent-shield holds"), "{help}");

    let completes = dir.path().join("kubectl_complete-shield");
    symlink(BINARY, &completes).expect("a link");
    let words = stdout(&completes, &["ti"]);
    assert!(words.starts_with("timeline\t") && words.ends_with(":4\n"), "{words}");
}

#[test]
fn every_shell_gets_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(BINARY, &["completion", shell]);
        assert!(script.contains("approve") && script.contains("timeline"), "{shell}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("completion.bash");
    std::fs::write(&script, stdout(BINARY, &["completion", "bash"])).expect("it is written");
    let path = script.to_str().expect("a path");
    run("bash", &["-n", path]);
}

#[test]
fn manual_pages_are_printed_or_written() {
    assert!(stdout(BINARY, &["man"]).contains(".TH agent-shield 1"));
    let dir = tempfile::tempdir().expect("a directory");
    run(BINARY, &["man", "--dir", dir.path().to_str().expect("a path")]);
    assert!(dir.path().join("agent-shield-approve.1").exists());
}
