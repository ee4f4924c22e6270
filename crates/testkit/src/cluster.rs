//! A cluster: etcd, kube-apiserver with an audit log, kube-controller-manager, kube-scheduler, and
//! kwok with three nodes whose pods run.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};

use crate::{pki, testbed::Testbed, watchdog::Watchdog};

/// What the Endpoints of the API server say: an address that no machine has (RFC 5737), so that one of this
/// machine can be a pod's.
pub(crate) const ADVERTISED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const READY_TIME_MAX: Duration = Duration::from_secs(120);

/// A running cluster.
pub struct Cluster {
    dir: PathBuf,
    server: String,
    testbed_dir: PathBuf,
    watchdog: Option<Watchdog>,
}

/// Which nodes a cluster starts with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Nodes {
    /// None, and no kwok that would take over those that a test makes.
    None,
    /// `n1` to `n3`, whose pods run.
    Three,
}

/// An agent's identity: a ServiceAccount with a token.
pub struct Agent {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// Its bearer token, valid for an hour.
    pub token: String,
    /// A kubeconfig that points at the API server itself.
    pub kubeconfig: PathBuf,
}

impl Cluster {
    /// Starts a cluster that ends with this process.
    ///
    /// # Errors
    /// Where it does not become ready; the message has the last words of who failed.
    pub fn start_attached(testbed: &Testbed, nodes: Nodes) -> Result<Self> {
        let watchdog = Watchdog::start("agent-shield-cluster-")?;
        let dir = watchdog.dir().to_owned();
        Self::start(dir, testbed, nodes, Some(watchdog))
    }

    /// Starts a cluster that runs until [`Cluster::stop`], in a folder of the caller's.
    ///
    /// # Errors
    /// As [`Cluster::start_attached`], and where one runs there already.
    pub fn start_detached(dir: &Path, testbed: &Testbed) -> Result<Self> {
        if dir.join("pids").exists() && living(dir)?.is_empty() {
            // The machine was restarted since.
            fs::remove_dir_all(dir)?;
        }
        if dir.join("pids").exists() {
            bail!(
                "a cluster runs in {} already: `cargo xtask cluster down` stops it",
                dir.display()
            );
        }
        fs::create_dir_all(dir)?;
        Self::start(fs::canonicalize(dir)?, testbed, Nodes::Three, None)
    }

    /// A cluster that was started before.
    ///
    /// # Errors
    /// Where none runs there.
    pub fn running(dir: PathBuf) -> Result<Self> {
        let read = |name: &str| {
            fs::read_to_string(dir.join(name))
                .with_context(|| format!("no cluster runs in {}", dir.display()))
        };
        let (server, testbed_dir) = (read("server")?, PathBuf::from(read("testbed")?));
        Ok(Self { dir, server, testbed_dir, watchdog: None })
    }

    /// Stops a detached cluster and removes its folder.
    ///
    /// # Errors
    /// Where none runs there.
    pub fn stop(dir: &Path) -> Result<()> {
        for signal in ["-TERM", "-KILL"] {
            for pid in living(dir)?.iter().rev() {
                let _ = Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status();
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        fs::remove_dir_all(dir)?;
        Ok(())
    }

    fn start(
        dir: PathBuf,
        testbed: &Testbed,
        nodes: Nodes,
        watchdog: Option<Watchdog>,
    ) -> Result<Self> {
        let program = testbed.program("controlplane");
        let testbed_dir = program.parent().unwrap_or(Path::new("/")).to_owned();
        pki::make(&dir)?;
        let [etcd, peer, api, kubelet, forward] = free_ports()?;
        let server = format!("https://127.0.0.1:{api}");
        fs::write(dir.join("server"), &server)?;
        fs::write(dir.join("testbed"), testbed_dir.as_os_str().as_encoded_bytes())?;
        let cluster = Self { dir, server, testbed_dir, watchdog };
        let d = cluster.dir.display().to_string();
        let etcd_url = format!("http://127.0.0.1:{etcd}");
        fs::write(cluster.dir.join("etcd-address"), format!("127.0.0.1:{etcd}"))?;
        let peer_url = format!("http://127.0.0.1:{peer}");
        cluster.spawn(
            "etcd",
            &[
                "etcd",
                "--data-dir",
                &format!("{d}/etcd"),
                "--unsafe-no-fsync",
                "--listen-client-urls",
                &etcd_url,
                "--advertise-client-urls",
                &etcd_url,
                "--listen-peer-urls",
                &peer_url,
                "--initial-advertise-peer-urls",
                &peer_url,
                "--initial-cluster",
                &format!("default={peer_url}"),
                "--log-level",
                "error",
            ],
        )?;
        fs::write(cluster.dir.join("audit.yaml"), AUDIT_POLICY)?;
        cluster.spawn(
            "kube-apiserver",
            &[
                "kube-apiserver",
                "--etcd-servers",
                &etcd_url,
                "--secure-port",
                &api.to_string(),
                "--bind-address",
                "127.0.0.1",
                "--advertise-address",
                &ADVERTISED.to_string(),
                "--cert-dir",
                &d,
                "--tls-cert-file",
                &format!("{d}/server.crt"),
                "--tls-private-key-file",
                &format!("{d}/server.key"),
                "--client-ca-file",
                &format!("{d}/ca.crt"),
                "--service-account-key-file",
                &format!("{d}/sa.pub"),
                "--service-account-signing-key-file",
                &format!("{d}/sa.key"),
                "--service-account-issuer",
                "https://kubernetes.default.svc",
                "--authorization-mode",
                "RBAC",
                "--service-cluster-ip-range",
                "10.0.0.0/24",
                "--allow-privileged=true",
                "--audit-log-path",
                &format!("{d}/audit.log"),
                "--audit-policy-file",
                &format!("{d}/audit.yaml"),
                "--audit-log-mode",
                "blocking",
                "--audit-log-maxsize",
                "1000",
            ],
        )?;
        let user = json!({
            "client-certificate": format!("{d}/admin.crt"), "client-key": format!("{d}/admin.key"),
        });
        cluster.write_kubeconfig(&cluster.kubeconfig(), &cluster.server, &cluster.ca(), &user)?;
        cluster.until_ready("the API server is ready", "kube-apiserver", || {
            cluster.kubectl_says(&["get", "--raw", "/readyz"]).is_some_and(|it| it == "ok")
        })?;
        let admin = cluster.kubeconfig().display().to_string();
        cluster.spawn(
            "kube-controller-manager",
            &[
                "kube-controller-manager",
                "--kubeconfig",
                &admin,
                "--service-account-private-key-file",
                &format!("{d}/sa.key"),
                "--root-ca-file",
                &format!("{d}/ca.crt"),
                "--use-service-account-credentials=true",
                "--cluster-signing-cert-file",
                &format!("{d}/ca.crt"),
                "--cluster-signing-key-file",
                &format!("{d}/ca.key"),
                "--leader-elect=false",
                // It deletes by name what it took for a pod of a node that is gone, a minute later:
                // by then tests have made another node and another pod of these names.
                "--controllers=*,-pod-garbage-collector-controller",
                "--secure-port",
                "0",
            ],
        )?;
        cluster.spawn(
            "kube-scheduler",
            &[
                "kube-scheduler",
                "--kubeconfig",
                &admin,
                "--leader-elect=false",
                "--secure-port",
                "0",
            ],
        )?;
        cluster.until_ready(
            "there is a default ServiceAccount",
            "kube-controller-manager",
            || cluster.kubectl_says(&["get", "serviceaccount", "default", "-o", "name"]).is_some(),
        )?;
        if nodes == Nodes::None {
            return Ok(cluster);
        }
        cluster.start_kwok(testbed, kubelet, forward)?;
        cluster.until_ready("three nodes are ready", "kwok", || {
            let nodes = cluster.kubectl_says(&["get", "nodes", "--no-headers"]);
            let ready = |it: &str| it.split_whitespace().nth(1) == Some("Ready");
            nodes.is_some_and(|it| it.lines().filter(|line| ready(line)).count() == 3)
        })?;
        Ok(cluster)
    }

    fn start_kwok(&self, testbed: &Testbed, port: u16, forward: u16) -> Result<()> {
        let d = self.dir.display();
        fs::write(self.dir.join("forward-port"), forward.to_string())?;
        let mut log = String::new();
        for line in 1..=30 {
            log.push_str(&format!("2026-01-01T00:00:00.000000000Z stdout F line {line}\n"));
        }
        fs::write(self.dir.join("pod.log"), log)?;
        fs::write(self.dir.join("attached.log"), "")?;
        let config =
            KWOK_CONFIG.replace("{dir}", &d.to_string()).replace("{port}", &forward.to_string());
        fs::write(self.dir.join("kwok.yaml"), config)?;
        let address = format!("127.0.0.1:{port}");
        let mut args = vec![
            "--kubeconfig".to_owned(),
            self.kubeconfig().display().to_string(),
            "--manage-all-nodes".to_owned(),
            "--node-ip".to_owned(),
            "127.0.0.1".to_owned(),
            "--node-name".to_owned(),
            "localhost".to_owned(),
            "--node-port".to_owned(),
            port.to_string(),
            "--server-address".to_owned(),
            address,
            "--tls-cert-file".to_owned(),
            format!("{d}/server.crt"),
            "--tls-private-key-file".to_owned(),
            format!("{d}/server.key"),
            "-c".to_owned(),
            format!("{d}/kwok.yaml"),
        ];
        let mut stages: Vec<PathBuf> =
            fs::read_dir(testbed.stages())?.map(|it| Ok(it?.path())).collect::<Result<_>>()?;
        stages.sort();
        for stage in stages {
            args.extend(["-c".to_owned(), stage.display().to_string()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.spawn_program("kwok", &testbed.program("kwok"), &args)?;
        let node = |name: &str| {
            json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {
                    "name": name,
                    "annotations": {"kwok.x-k8s.io/node": "fake"},
                    "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
                },
            })
        };
        let nodes = ["n1", "n2", "n3"].map(node);
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}))
    }

    fn spawn(&self, name: &str, args: &[&str]) -> Result<()> {
        self.spawn_program(name, &self.program("controlplane"), args)
    }

    fn spawn_program(&self, name: &str, program: &Path, args: &[&str]) -> Result<()> {
        let log = File::create(self.dir.join(format!("{name}.log")))?;
        let child = Command::new(program)
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(self.process_group())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut pids = File::options().create(true).append(true).open(self.dir.join("pids"))?;
        writeln!(pids, "{}", child.id())?;
        Ok(())
    }

    /// The process group in which things end together with this process; 0 makes a new one.
    pub(crate) fn process_group(&self) -> i32 {
        self.watchdog.as_ref().map_or(0, Watchdog::group)
    }

    fn until_ready(&self, what: &str, who: &str, ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        while !ready() {
            if started.elapsed() > READY_TIME_MAX {
                let log = fs::read_to_string(self.dir.join(format!("{who}.log")))?;
                let last: Vec<&str> = log.lines().rev().take(15).collect();
                bail!("waited in vain until {what}; {who} says:\n{}", last.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where kwok forwards every port of every pod to; nobody listens there yet.
    ///
    /// # Panics
    /// Where the cluster has no nodes.
    pub fn forward_port(&self) -> u16 {
        let port = fs::read_to_string(self.dir.join("forward-port")).expect("a cluster with nodes");
        port.parse().expect("a port")
    }

    /// Lets every container say something to whoever is attached to it: kwok shows what comes while
    /// somebody is, for as long as they are.
    ///
    /// # Errors
    /// Where the cluster has no nodes.
    pub fn say_attached(&self, line: &str) -> Result<()> {
        let mut log = File::options().append(true).open(self.dir.join("attached.log"))?;
        Ok(writeln!(log, "2026-01-01T00:00:00.000000000Z stdout F {line}")?)
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Its CA, by which servers and clients are known.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Kubeconfig of an administrator in `system:masters`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// A built program: `kubectl`, `helm`, `requestinfo`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.testbed_dir.join(name)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Command {
        self.kubectl_as(&self.kubeconfig())
    }

    /// kubectl with a kubeconfig.
    pub fn kubectl_as(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(self.program("kubectl"));
        command.arg("--kubeconfig").arg(kubeconfig).env("HOME", &self.dir).stdin(Stdio::null());
        command
    }

    /// What kubectl prints as the administrator, where it succeeds.
    pub fn kubectl_says(&self, args: &[&str]) -> Option<String> {
        let output = self.kubectl().args(args).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    /// An object as the administrator sees it; `None` where there is none.
    pub fn get(&self, path: &str) -> Option<Value> {
        serde_json::from_str(&self.kubectl_says(&["get", "--raw", path])?).ok()
    }

    /// Applies objects as the administrator.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn apply(&self, objects: &Value) -> Result<()> {
        self.apply_text(&objects.to_string())
    }

    /// Applies YAML as the administrator.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn apply_text(&self, objects: &str) -> Result<()> {
        let mut child = self
            .kubectl()
            .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("kubectl has no standard input")?
            .write_all(objects.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("kubectl apply: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Makes etcd forget all before revision 2, which nobody needs any more: who asks for it is
    /// answered 410 from now on, as who asks too late is in an older cluster.
    ///
    /// # Errors
    /// Where etcd cannot be reached.
    pub fn forget_the_beginning(&self) -> Result<()> {
        let address = fs::read_to_string(self.dir.join("etcd-address"))?;
        let mut etcd = TcpStream::connect(&address)?;
        let body = r#"{"revision": "2"}"#;
        write!(
            etcd,
            "POST /v3/kv/compaction HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        // Forgotten already is as good.
        etcd.read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// A name that no other test uses.
    pub fn unique(&self, prefix: &str) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{}-{n}", std::process::id())
    }

    /// A ServiceAccount with these RBAC rules in each of the namespaces (a Role and RoleBinding of
    /// its own in each), and a token of an hour.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub fn agent(
        &self,
        home: &str,
        name: &str,
        namespaces: &[&str],
        rules: &Value,
    ) -> Result<Agent> {
        let mut items = vec![json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": home},
        })];
        for namespace in namespaces {
            let metadata = json!({"name": format!("{home}-{name}"), "namespace": namespace});
            items.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": metadata, "rules": rules,
            }));
            items.push(binding("RoleBinding", &metadata, "Role", home, name));
        }
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        self.token(home, name)
    }

    /// A ServiceAccount with these RBAC rules over the whole cluster.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub fn cluster_agent(&self, home: &str, name: &str, rules: &Value) -> Result<Agent> {
        let metadata = json!({"name": format!("{home}-{name}")});
        let items = [
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": home},
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": metadata, "rules": rules,
            }),
            binding("ClusterRoleBinding", &metadata, "ClusterRole", home, name),
        ];
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        self.token(home, name)
    }

    /// Kubeconfig of a ServiceAccount whose token lies in a file of its own.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn token_file_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let file = |ending: &str| self.dir.join(self.unique(&format!("{name}-{ending}")));
        let (token, kubeconfig) = (file("token"), file("kubeconfig"));
        fs::write(&token, self.bare_token(namespace, name)?)?;
        let user = json!({"tokenFile": token});
        self.write_kubeconfig(&kubeconfig, &self.server, &self.ca(), &user)?;
        Ok(kubeconfig)
    }

    /// Host and port of the API server.
    pub fn host_and_port(&self) -> (&str, &str) {
        let authority = self.server.trim_start_matches("https://");
        authority.split_once(':').unwrap_or((authority, "443"))
    }

    /// A token of a ServiceAccount, valid for an hour.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn bare_token(&self, namespace: &str, name: &str) -> Result<String> {
        self.kubectl_says(&["-n", namespace, "create", "token", name, "--duration", "1h"])
            .with_context(|| format!("no token for {namespace}/{name}"))
    }

    fn token(&self, namespace: &str, name: &str) -> Result<Agent> {
        let token = self.bare_token(namespace, name)?;
        let kubeconfig = self.dir.join(format!("{namespace}-{name}.kubeconfig"));
        self.write_kubeconfig(&kubeconfig, &self.server, &self.ca(), &json!({"token": token}))?;
        let username = format!("system:serviceaccount:{namespace}:{name}");
        Ok(Agent { username, token, kubeconfig })
    }

    /// Kubeconfig of a person with a client certificate of the cluster.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn person(&self, name: &str, groups: &[&str]) -> Result<PathBuf> {
        let user = self.certified_user(name, groups)?;
        let kubeconfig = self.dir.join(format!("{}.kubeconfig", stem(name)));
        self.write_kubeconfig(&kubeconfig, &self.server, &self.ca(), &user)?;
        Ok(kubeconfig)
    }

    /// The user of such a kubeconfig, whose certificate and key are files.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn certified_user(&self, name: &str, groups: &[&str]) -> Result<Value> {
        let (certificate, key) = pki::sign(&self.dir, name, groups, &[])?;
        // Another test may read what there is of the same person: each certificate has files of its own.
        let own = self.unique(&stem(name));
        let file = |ending: &str| self.dir.join(format!("{own}.{ending}"));
        fs::write(file("crt"), certificate)?;
        fs::write(file("key"), key)?;
        Ok(json!({"client-certificate": file("crt"), "client-key": file("key")}))
    }

    /// A certificate and key (PEM) for a server of a test's own, signed by the cluster's CA.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn certificate(&self, name: &str, addresses: &[&str]) -> Result<(String, String)> {
        pki::sign(&self.dir, name, &[], addresses)
    }

    /// The TLS of a server of a test's own at an address, by such a certificate.
    ///
    /// # Panics
    /// Where there can be none.
    pub fn server_config(&self, name: &str, address: &str) -> ServerConfig {
        let (certificate, key) = self.certificate(name, &[address]).expect("a certificate");
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate and its key")
    }

    /// Writes a kubeconfig: JSON, which is YAML.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_kubeconfig(&self, to: &Path, server: &str, ca: &Path, user: &Value) -> Result<()> {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": ca}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        // Whole at once: somebody may read the one that was there.
        let new = to.with_extension(self.unique("new"));
        fs::write(&new, kubeconfig.to_string())?;
        fs::rename(&new, to)?;
        Ok(())
    }

    /// What the API server logged of the calls for which `keep` holds; complete stages only.
    pub fn audit_events(&self, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.audit_events_about("", keep)
    }

    /// The audit id of a call as the API server wrote it down: with its tag.
    pub fn raw_audit_id(&self, id: &str) -> Option<String> {
        let log = fs::read_to_string(self.dir.join("audit.log")).unwrap_or_default();
        let line = log.lines().find(|line| line.contains(id))?;
        let event: Value = serde_json::from_str(line).ok()?;
        event["auditID"].as_str().map(ToOwned::to_owned)
    }

    /// As [`Self::audit_events`], of lines that hold a text: the log of a whole run takes seconds to
    /// parse, and whoever waits asks often.
    pub fn audit_events_about(&self, text: &str, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
        let keep = |event: &Value| event["stage"] == "ResponseComplete" && keep(event);
        self.read_audit_log(0, text, keep).unwrap_or_default()
    }

    /// How much the API server has logged, in bytes.
    pub fn audit_mark(&self) -> u64 {
        fs::metadata(self.dir.join("audit.log")).map(|it| it.len()).unwrap_or(0)
    }

    /// What the API server logged since a mark, stages that are not complete too.
    ///
    /// # Panics
    /// Where there is no log.
    pub fn audit_since(&self, mark: u64, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.read_audit_log(mark, "", keep).expect("an audit log")
    }

    fn read_audit_log(
        &self,
        from: u64,
        text: &str,
        keep: impl Fn(&Value) -> bool,
    ) -> std::io::Result<Vec<Value>> {
        let mut file = File::open(self.dir.join("audit.log"))?;
        file.seek(SeekFrom::Start(from))?;
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        let lines = lines.filter(|line| line.contains(text));
        let events = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        Ok(events.map(without_tag).filter(keep).collect())
    }
}

/// Processes of a detached cluster that run: since the machine was restarted, their numbers may be others'.
fn living(dir: &Path) -> Result<Vec<String>> {
    let read = |name: &str| {
        fs::read_to_string(dir.join(name))
            .with_context(|| format!("no cluster runs in {}", dir.display()))
    };
    let (pids, testbed) = (read("pids")?, read("testbed")?);
    let is_ours = |pid: &&str| {
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(&testbed))
    };
    Ok(pids.lines().filter(is_ours).map(str::to_owned).collect())
}

/// By the id that agent-shield records, without the tag that it sends with it.
fn without_tag(mut event: Value) -> Value {
    let id = event["auditID"].as_str().map(|it| audit::tag_apart(it).0.to_owned());
    event["auditID"] = id.into();
    event
}

/// How the files of a person are called.
fn stem(person: &str) -> String {
    format!("person-{}", person.replace(':', "-"))
}

fn binding(kind: &str, metadata: &Value, role: &str, home: &str, name: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata,
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": metadata["name"],
        },
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
    })
}

/// Ports that were free a moment ago.
///
/// # Errors
/// Where there are none.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held at once, so that no two are the same.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| Ok(TcpListener::bind("127.0.0.1:0")?)).collect::<Result<_>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// Bodies of writes, so that a dry run in a body can be told from a real one; never a Secret's own.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  verbs: [delete, deletecollection]
- level: Metadata
  resources:
  - {group: '', resources: [secrets, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
- level: Request
  verbs: [create, update, patch]
- level: Metadata
";

const KWOK_CONFIG: &str = "\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterExec
metadata: {name: all}
spec: {execs: [{local: {}}]}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata: {name: all}
spec: {forwards: [{target: {port: {port}, address: 127.0.0.1}}]}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterAttach
metadata: {name: all}
spec: {attaches: [{logsFile: {dir}/attached.log}]}
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata: {name: all}
spec: {logs: [{logsFile: {dir}/pod.log, follow: true}]}
";

#[cfg(test)]
mod tests {
    use super::*;

    /// After a restart of the machine, a number is another process's.
    #[test]
    fn only_what_the_cluster_started_is_stopped() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut other = Command::new("sleep").arg("60").spawn().expect("another process");
        for (name, text) in [("pids", other.id().to_string()), ("testbed", "/testbed".to_owned())] {
            fs::write(dir.path().join(name), text).expect("a file");
        }
        Cluster::stop(dir.path()).expect("stopped");
        assert!(other.try_wait().expect("a child").is_none(), "another's process was stopped");
        assert!(!dir.path().exists());
        other.kill().expect("it ends");
        other.wait().expect("it ended");
    }
}
