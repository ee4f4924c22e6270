//! Clients and what they need, installed once: outside the checkout, in a folder named by a digest of
//! what they are made of.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use testkit::testbed::cache_dir;

/// Commands that install something in the folder that they run in.
type Steps = &'static [&'static [&'static str]];

/// kubectl 1.20 as Debian 12 has it, without touching the system.
const KUBECTL_1_20: Steps = &[
    &["apt-get", "download", "kubernetes-client=1.20.5+really1.20.2-1.1+deb12u1"],
    &["sh", "-c", "dpkg -x kubernetes-client_*.deb . && rm kubernetes-client_*.deb"],
];
const PYTHON: Steps = &[
    &["python3", "-m", "venv", "venv"],
    &["venv/bin/pip", "install", "--quiet", "--no-deps", "-r", "requirements.txt"],
];
const JAVASCRIPT: Steps = &[&["npm", "ci", "--silent", "--no-audit", "--no-fund"]];
const JAVA: Steps = &[
    &["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
    &["javac", "-cp", "lib/*", "-d", "classes", "Client.java"],
];
const GO: Steps = &[&["go", "build", "-trimpath", "-o", "client", "."]];

/// Folder of kubectl 1.20, to be put on the `PATH`.
///
/// # Errors
/// Where the package cannot be had.
pub fn kubectl_1_20() -> Result<PathBuf> {
    Ok(installed("kubectl-1.20", KUBECTL_1_20)?.join("usr/bin"))
}

/// A program with the official Python client.
///
/// # Errors
/// Where there is no Python, or its packages cannot be had.
pub fn python() -> Result<Command> {
    let dir = installed("python", PYTHON)?;
    let mut command = Command::new(dir.join("venv/bin/python"));
    command.arg(dir.join("client.py"));
    Ok(command)
}

/// A program with the official JavaScript client.
///
/// # Errors
/// Where there is no Node.js, or its packages cannot be had.
pub fn javascript() -> Result<Command> {
    let mut command = Command::new("node");
    command.arg(installed("javascript", JAVASCRIPT)?.join("client.mjs"));
    Ok(command)
}

/// A program with the official Java client.
///
/// # Errors
/// Where there is no JDK or Maven, or what it needs cannot be had.
pub fn java() -> Result<Command> {
    Ok(java_in(&installed("java", JAVA)?))
}

/// A program with fabric8's Java client and the HTTP client that this factory makes.
///
/// # Errors
/// Where there is no JDK or Maven, or what it needs cannot be had.
pub fn fabric8(factory: &str) -> Result<Command> {
    let mut command = java_in(&installed("fabric8", JAVA)?);
    command.arg(factory);
    Ok(command)
}

/// A program with client-go and its informers.
///
/// # Errors
/// Where there is no Go, or it does not build.
pub fn go() -> Result<Command> {
    Ok(Command::new(installed("go", GO)?.join("client")))
}

fn java_in(dir: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(format!("{0}/classes:{0}/lib/*", dir.display())).arg("Client");
    command
}

/// What drives the MCP server of an npm package, from npm too, by calls on its standard input.
///
/// # Errors
/// Where there is no Node.js, or its packages cannot be had.
pub fn mcp(server: &str) -> Result<Command> {
    let dir = installed("mcp", JAVASCRIPT)?;
    let mut command = Command::new("node");
    command.arg(dir.join("drive.mjs")).arg(dir.join("node_modules/.bin").join(server));
    Ok(command)
}

/// The folder of one client: its sources, and what its steps made of them.
fn installed(name: &str, steps: Steps) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let files = files(&source)?;
    let root = cache_dir().join("clients");
    let dir = root.join(format!("{name}-{}", key(&files, steps)?));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let lock = fs::File::create(root.join(format!("{name}.lock")))?;
    lock.lock()?;
    if dir.join("complete").exists() {
        return Ok(dir);
    }
    eprintln!("clients: installing {name}");
    for file in &files {
        fs::copy(file, dir.join(file.file_name().unwrap_or_default()))?;
    }
    for step in steps {
        run(step, &dir).with_context(|| format!("installing {name}"))?;
    }
    fs::write(dir.join("complete"), "")?;
    Ok(dir)
}

fn run(step: &[&str], dir: &Path) -> Result<()> {
    let Some((program, args)) = step.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    // A path with a slash is one in the folder.
    if program.contains('/') {
        command = Command::new(dir.join(program));
    }
    let output = command.args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`{}` failed:\n{}", step.join(" "), String::from_utf8_lossy(&said));
    }
    Ok(())
}

/// The files of a client, by name; none where it has only steps.
fn files(source: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(source) else { return Ok(Vec::new()) };
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    files.retain(|file| file.is_file());
    Ok(files)
}

fn key(files: &[PathBuf], steps: Steps) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(format!("{steps:?} {}\n", env::consts::ARCH));
    for file in files {
        digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update(fs::read(file)?);
    }
    let digest = hex::encode(digest.finalize());
    Ok(digest.chars().take(16).collect())
}
