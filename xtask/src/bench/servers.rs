//! What is measured: each as a process of its own, in a group that ends with this one.

use std::{
    fs::{self, File},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{Watchdog, pki};

use super::tools;

const READY_TIME_MAX: Duration = Duration::from_secs(20);

/// A folder with keys and certificates, and what runs in it.
pub(super) struct Place {
    watchdog: Watchdog,
}

/// One process that answers HTTPS.
pub(super) struct Server {
    pub(super) name: &'static str,
    /// `https://127.0.0.1:PORT`.
    pub(super) url: String,
    pub(super) pid: u32,
    /// The data directory of an agent-shield.
    pub(super) data_dir: Option<PathBuf>,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    pub(super) fn new() -> Result<Self> {
        let watchdog = Watchdog::start("agent-shield-bench-")?;
        let dir = watchdog.dir();
        pki::make(dir)?;
        let pem = |name: &str| fs::read_to_string(dir.join(name));
        fs::write(dir.join("server.pem"), pem("server.crt")? + &pem("server.key")?)?;
        Ok(Self { watchdog })
    }

    pub(super) fn dir(&self) -> &Path {
        self.watchdog.dir()
    }

    /// The certificate authority by which agents know a server.
    pub(super) fn ca(&self, server: &Server) -> PathBuf {
        server.data_dir.as_deref().unwrap_or(self.dir()).join("ca.crt")
    }

    pub(super) fn stand_in(&self) -> Result<Server> {
        let [port] = testkit::free_ports()?;
        let mut command = Command::new(std::env::current_exe()?);
        let address = format!("127.0.0.1:{port}");
        command.args(["stand-in", "--listen", &address, "--dir"]).arg(self.dir());
        self.start("direct", port, command, None)
    }

    pub(super) fn nginx(&self, upstream: &Server) -> Result<Server> {
        let port = self.config("nginx.conf", include_str!("templates/nginx.conf"), upstream)?;
        let mut command = Command::new(tools::program("nginx")?);
        command.arg("-p").arg(self.dir()).arg("-c").arg(self.dir().join("nginx.conf"));
        self.start("nginx", port, command, None)
    }

    pub(super) fn haproxy(&self, upstream: &Server) -> Result<Server> {
        let port = self.config("haproxy.cfg", include_str!("templates/haproxy.cfg"), upstream)?;
        let mut command = Command::new(tools::program("haproxy")?);
        command.arg("-db").arg("-f").arg(self.dir().join("haproxy.cfg"));
        self.start("haproxy", port, command, None)
    }

    /// agent-shield as it ships, with everything on, on a data directory of its own; `more` are
    /// further arguments.
    pub(super) fn shield(&self, upstream: &Server, more: &[&str]) -> Result<Server> {
        let kubeconfig = self.dir().join("shield.kubeconfig");
        let cluster = json!({
            "server": upstream.url, "certificate-authority": self.dir().join("ca.crt"),
        });
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": "agent-shield"}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        });
        fs::write(&kubeconfig, config.to_string())?;
        let [port, review] = testkit::free_ports()?;
        let data_dir = self.dir().join(format!("shield-{port}"));
        let mut command = Command::new(testkit::binary());
        command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--review-listen", &format!("127.0.0.1:{review}")])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .arg("--data-dir")
            .arg(&data_dir)
            .args(more);
        self.start("agent-shield", port, command, Some(data_dir))
    }

    /// Fills in a template, and gives the port that it will listen on.
    fn config(&self, file: &str, template: &str, upstream: &Server) -> Result<u16> {
        let [port] = testkit::free_ports()?;
        let upstream = upstream.url.rsplit(':').next().unwrap_or_default();
        let text = template
            .replace("{dir}", &self.dir().display().to_string())
            .replace("{port}", &port.to_string())
            .replace("{upstream}", upstream);
        fs::write(self.dir().join(file), text)?;
        Ok(port)
    }

    fn start(
        &self,
        name: &'static str,
        port: u16,
        mut command: Command,
        data_dir: Option<PathBuf>,
    ) -> Result<Server> {
        let log = self.dir().join(format!("{name}-{port}.log"));
        let output = File::create(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(self.watchdog.group())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let started = Instant::now();
        // agent-shield listens before it is ready, and says so in a file.
        let is_ready = || {
            data_dir.as_ref().is_none_or(|dir| dir.join("endpoints.json").exists())
                && TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        while !is_ready() {
            let ended = child.try_wait()?;
            if ended.is_some() || started.elapsed() > READY_TIME_MAX {
                let _ = child.kill();
                let said = fs::read_to_string(&log)?;
                let how = ended.map_or("is not ready".to_owned(), |it| format!("ended: {it}"));
                bail!("{name} {how}; it said:\n{}", said.trim_end());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let url = format!("https://127.0.0.1:{port}");
        Ok(Server { name, url, pid: child.id(), data_dir, child })
    }
}

/// A JSON answer of the stand-in, asked directly.
pub(super) fn ask(server: &Server, ca: &Path, target: &str) -> Result<Value> {
    let answer = testkit::http::request(&server.url, ca, "GET", target, &[], b"")
        .with_context(|| format!("{} does not answer", server.name))?;
    Ok(answer.json())
}
