//! The built binary, by its names: what shells and kubectl see of it.

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context, Result};

const BINARY: &str = env!("CARGO_BIN_EXE_agent-shield");

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> Result<Output> {
    let output = Command::new(program.as_ref()).args(arguments).output()?;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn stdout(program: impl AsRef<Path>, arguments: &[&str]) -> Result<String> {
    Ok(String::from_utf8(run(program, arguments)?.stdout)?)
}

#[test]
fn a_link_makes_it_a_plugin_of_kubectl() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let plugin = dir.path().join("kubectl-shield");
    symlink(BINARY, &plugin)?;
    let help = stdout(&plugin, &["--help"])?;
    assert!(help.contains("Usage: kubectl shield "), "{help}");
    assert!(help.contains("\n  kubectl shield holds"), "{help}");
    let help = stdout(&plugin, &["holds", "--help"])?;
    assert!(help.contains("Usage: kubectl shield holds"), "{help}");
    assert!(!help.contains("agent-shield holds"), "{help}");

    let completes = dir.path().join("kubectl_complete-shield");
    symlink(BINARY, &completes)?;
    let words = stdout(&completes, &["ti"])?;
    assert!(words.starts_with("timeline\t") && words.ends_with(":4\n"), "{words}");
    Ok(())
}

#[test]
fn every_shell_gets_a_script() -> Result<()> {
    for (shell, registers) in [
        ("bash", "-F _clap_complete_agent_shield agent-shield"),
        ("zsh", "#compdef agent-shield"),
        ("fish", "--command agent-shield"),
        ("elvish", "set edit:completion:arg-completer[agent-shield]"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName agent-shield"),
    ] {
        let script = stdout(BINARY, &["completion", shell])?;
        assert!(script.contains(registers), "{shell} without `{registers}`");
    }
    for (typed, offers) in [
        (&[""][..], "timeline"),
        (&["appro"], "approve"),
        (&["policy", ""], "suggest-exceptions"),
        (&["agent", ""], "kubeconfig"),
    ] {
        let words = [&["--", "agent-shield"], typed].concat();
        let asked = Command::new(BINARY).args(&words).env("AGENT_SHIELD_COMPLETE", "fish").output();
        let offered = String::from_utf8(asked?.stdout)?;
        let has = offered.lines().any(|it| it.split('\t').next() == Some(offers));
        assert!(has, "{words:?} without `{offers}`: {offered}");
    }
    let dir = tempfile::tempdir()?;
    let script = dir.path().join("completion.bash");
    std::fs::write(&script, stdout(BINARY, &["completion", "bash"])?)?;
    let path = script.to_str().context("a path")?;
    run("bash", &["-n", path])?;
    Ok(())
}

#[test]
fn manual_pages_are_printed_or_written() -> Result<()> {
    assert!(stdout(BINARY, &["man"])?.contains(".TH agent-shield 1"));
    let dir = tempfile::tempdir()?;
    run(BINARY, &["man", "--dir", dir.path().to_str().context("a path")?])?;
    assert!(dir.path().join("agent-shield-approve.1").exists());
    Ok(())
}
