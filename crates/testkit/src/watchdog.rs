//! A folder and a process group that end with this process, also when it is killed.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result};

/// Ends everything in its process group once nobody holds the other end of its standard input.
const SCRIPT: &str =
    r#"trap "" TERM INT HUP; cat > /dev/null; kill -TERM 0; sleep 0.5; rm -rf "$0"; kill -KILL 0"#;

/// Lives as long as the value, or this process.
pub struct Watchdog {
    dir: PathBuf,
    group: i32,
    _pipe: ChildStdin,
    _child: Child,
}

impl Watchdog {
    /// A new folder and a new group.
    ///
    /// # Errors
    /// Where either cannot be made.
    pub fn start(prefix: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir()?.keep();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take().context("the watchdog has no standard input")?;
        let group = i32::try_from(child.id())?;
        Ok(Self { dir, group, _pipe: pipe, _child: child })
    }

    /// The folder, removed at the end.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// For `process_group` of whatever should end with it.
    pub fn group(&self) -> i32 {
        self.group
    }
}
