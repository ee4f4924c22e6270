//! The programs of a cluster, built once from the Go modules in `testbed/` and kept outside the
//! checkout, in a folder named by a digest of what they are made of.

use std::{
    env, fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const KUBERNETES: &str = "v1.37.2";

/// One program: its module's folder, what is built there, and the name of the result.
struct Part {
    module: &'static str,
    package: &'static str,
    program: &'static str,
    takes: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        module: "controlplane",
        package: ".",
        program: "controlplane",
        takes: "five minutes or more when nothing is cached",
    },
    Part {
        module: "kwok",
        package: "sigs.k8s.io/kwok/cmd/kwok",
        program: "kwok",
        takes: "two minutes or more when nothing is cached",
    },
    Part {
        module: "helm",
        package: "helm.sh/helm/v4/cmd/helm",
        program: "helm",
        takes: "a minute or more when nothing is cached",
    },
    Part { module: "requestinfo", package: ".", program: "requestinfo", takes: "half a minute" },
];

/// Stage files of kwok that make pods and nodes live; they are read from its module.
const STAGES: [&str; 3] = ["pod/fast", "node/fast", "node/heartbeat"];

/// The folder of built programs.
#[derive(Clone, Debug)]
pub struct Testbed {
    dir: PathBuf,
}

impl Testbed {
    /// The path of a program: `controlplane`, `kubectl`, `kwok`, `helm`, `requestinfo`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Folder with kwok's stage files.
    pub fn stages(&self) -> PathBuf {
        self.dir.join("stages")
    }
}

/// Where everything is kept that outlives a checkout: `AGENT_SHIELD_CACHE`, or
/// `~/.cache/agent-shield`.
pub fn cache_dir() -> PathBuf {
    let var = |name: &str| env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    var("AGENT_SHIELD_CACHE").unwrap_or_else(|| {
        var("XDG_CACHE_HOME")
            .or_else(|| var("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir)
            .join("agent-shield")
    })
}

/// Builds what is missing; returns at once where all is there.
///
/// # Errors
/// Where there is no Go, or a build fails; the message says which and shows its last words.
pub fn build() -> Result<Testbed> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testbed");
    let go = go_version()?;
    let root = cache_dir().join("testbed");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let dir = root.join(key(&source, &go)?);
    let testbed = Testbed { dir };
    if testbed.dir.join("complete").exists() {
        return Ok(testbed);
    }
    // Two builders at once would each take all the machine for the same result.
    let lock = fs::File::create(root.join("lock"))?;
    lock.lock()?;
    if testbed.dir.join("complete").exists() {
        return Ok(testbed);
    }
    fs::create_dir_all(&testbed.dir)?;
    for part in &PARTS {
        build_part(&source, &testbed, part)?;
    }
    let kubectl = testbed.program("kubectl");
    if !kubectl.exists() {
        std::os::unix::fs::symlink("controlplane", kubectl)?;
    }
    copy_stages(&source, &testbed)?;
    fs::write(testbed.dir.join("complete"), "")?;
    Ok(testbed)
}

fn build_part(source: &Path, testbed: &Testbed, part: &Part) -> Result<()> {
    let out = testbed.program(part.program);
    if out.exists() {
        return Ok(());
    }
    let partial = out.with_extension("partial");
    let log = out.with_extension("log");
    let number = KUBERNETES.trim_start_matches("v1.").split('.').next().unwrap_or_default();
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion={KUBERNETES} -X {version}.gitMajor=1 \
         -X {version}.gitMinor={number}"
    );
    let mut child = Command::new("go")
        .args(["build", "-trimpath", "-ldflags", &flags, "-o"])
        .arg(&partial)
        .arg(part.package)
        .current_dir(source.join(part.module))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .spawn()
        .context("cannot start go")?;
    let started = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let mut told = Instant::now();
    eprintln!("testbed: building {} ({})", part.program, part.takes);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let seconds = started.elapsed().as_secs();
        if terminal {
            eprint!("\rtestbed: {} {seconds} s ", part.program);
            let _ = std::io::stderr().flush();
        } else if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            eprintln!("testbed: {} is being built for {seconds} s", part.program);
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    if !status.success() {
        let words = fs::read_to_string(&log).unwrap_or_default();
        let last: Vec<&str> = words.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("building {} failed:\n{}", part.program, last.join("\n"));
    }
    fs::rename(&partial, &out)?;
    let _ = fs::remove_file(log);
    let seconds = started.elapsed().as_secs();
    eprintln!("{}testbed: {} built in {seconds} s", if terminal { "\r" } else { "" }, part.program);
    Ok(())
}

fn copy_stages(source: &Path, testbed: &Testbed) -> Result<()> {
    let listed = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"])
        .current_dir(source.join("kwok"))
        .output()
        .context("cannot start go")?;
    let module = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
    fs::create_dir_all(testbed.stages())?;
    for stage in STAGES {
        let dir = module.join("kustomize/stage").join(stage);
        let files = fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        for file in files {
            let file = file?.path();
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".yaml") && name != "kustomization.yaml" {
                let to = testbed.stages().join(format!("{}-{name}", stage.replace('/', "-")));
                fs::write(to, fs::read(&file)?)?;
            }
        }
    }
    Ok(())
}

fn go_version() -> Result<String> {
    let Ok(output) = Command::new("go").args(["env", "GOVERSION"]).output() else {
        bail!("Go is needed to build the control plane for tests: install Go 1.26 or later");
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let minor: Option<u32> =
        version.strip_prefix("go1.").and_then(|it| it.split('.').next()?.parse().ok());
    match minor {
        Some(minor) if minor >= 26 => Ok(version),
        _ => bail!(
            "Go 1.26 or later is needed to build the control plane for tests, not `{version}`"
        ),
    }
}

/// A digest of every file that a program is made of, of Go itself and of how it is built.
fn key(source: &Path, go: &str) -> Result<String> {
    let mut digest = Sha256::new();
    digest.update(format!("1 {go} {KUBERNETES} {}\n", env::consts::ARCH));
    for part in &PARTS {
        let dir = source.join(part.module);
        let mut files: Vec<PathBuf> = fs::read_dir(&dir)
            .with_context(|| format!("cannot read {}", dir.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        for file in files.into_iter().filter(|file| file.is_file()) {
            digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            digest.update(fs::read(&file)?);
        }
    }
    let digest = hex::encode(digest.finalize());
    Ok(digest.chars().take(16).collect())
}
