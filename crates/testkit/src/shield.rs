//! A running agent-shield in front of a cluster.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Agent, Cluster, http, wait_until};

/// What agent-shield has of its own to reach the cluster.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A kubeconfig.
    Kubeconfig(PathBuf),
    /// The files that a pod has of its ServiceAccount.
    InCluster(PathBuf),
}

/// The real binary, on free ports, with a data directory of its own.
pub struct Shield {
    cluster: &'static Cluster,
    credential: Credential,
    data_dir: PathBuf,
    args: Vec<String>,
    /// Its limit of open files, if it is another than the test's.
    open_files: Option<u32>,
    child: Child,
    /// URL for agents.
    pub agent_url: String,
    /// URL for reviewers.
    pub review_url: String,
}

impl Shield {
    /// Starts it with the rights that `agent-shield rbac own` prints, and further arguments.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn start(cluster: &'static Cluster, args: &[&str]) -> Self {
        Self::start_as(cluster, Self::own_credential(cluster), args)
    }

    /// A credential with the rights that `agent-shield rbac own` prints.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn own_credential(cluster: &'static Cluster) -> Credential {
        // By cluster: a process may have more than one.
        static OWN: Mutex<BTreeMap<PathBuf, PathBuf>> = Mutex::new(BTreeMap::new());
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let kubeconfig = own.entry(cluster.dir().to_owned()).or_insert_with(|| {
            cluster.apply_text(&rbac_own("agent-shield", &[])).expect("agent-shield's own rights");
            cluster.token_file_kubeconfig("agent-shield", "agent-shield").expect("a token")
        });
        Credential::Kubeconfig(kubeconfig.clone())
    }

    /// Starts it with a credential of the caller's.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn start_as(cluster: &'static Cluster, credential: Credential, args: &[&str]) -> Self {
        Self::start_within(cluster, credential, None, args)
    }

    /// Starts it with a limit of open files.
    ///
    /// # Panics
    /// Where it does not become ready.
    pub fn start_within(
        cluster: &'static Cluster,
        credential: Credential,
        open_files: Option<u32>,
        args: &[&str],
    ) -> Self {
        let data_dir = cluster.dir().join(cluster.unique("shield"));
        fs::create_dir_all(&data_dir).expect("a data directory");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let listen = ["127.0.0.1:0".to_owned(), "127.0.0.1:0".to_owned()];
        let (child, urls) = run(cluster, &credential, &data_dir, &listen, open_files, &args);
        let [agent_url, review_url] = urls;
        Self { cluster, credential, data_dir, args, open_files, child, agent_url, review_url }
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The CA that it is known by.
    pub fn ca(&self) -> PathBuf {
        self.data_dir.join("ca.crt")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data_dir.join("stderr.log")).unwrap_or_default()
    }

    /// What it tells of its policies (`policy status`); null while it has told nothing.
    pub fn policy_status(&self) -> Value {
        let text = fs::read(self.data_dir.join("policy.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash would.
    pub fn kill9(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    /// Asks it to end, and waits.
    ///
    /// # Panics
    /// Where it does not within 10 s, as scripts are promised.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        wait_until(Duration::from_secs(10), "agent-shield has stopped", || {
            self.child.try_wait().expect("a process to wait for")
        })
    }

    /// Starts it again on the same data directory and the same ports.
    pub fn restart(&mut self) {
        let listen = [&self.agent_url, &self.review_url].map(|url| url.replace("https://", ""));
        let (cluster, credential) = (self.cluster, &self.credential);
        let (child, _) =
            run(cluster, credential, &self.data_dir, &listen, self.open_files, &self.args);
        self.child = child;
    }

    /// A kubeconfig of an agent that points here, made by the binary itself.
    ///
    /// # Panics
    /// Where the command fails.
    pub fn kubeconfig(&self, agent: &Agent) -> PathBuf {
        let out = self.data_dir.join(agent.kubeconfig.file_name().unwrap_or_default());
        let status = Command::new(binary())
            .args(["agent", "kubeconfig", "--server", &self.agent_url, "--kubeconfig"])
            .arg(&agent.kubeconfig)
            .arg("--ca")
            .arg(self.ca())
            .arg("--out")
            .arg(&out)
            .status()
            .expect("agent-shield");
        assert!(status.success(), "agent-shield agent kubeconfig");
        out
    }

    /// One raw request as an agent.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn request(
        &self,
        agent: &Agent,
        method: &str,
        target: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> http::Answer {
        let authorization = format!("Bearer {}", agent.token);
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(content_type.map(|it| ("Content-Type", it)));
        http::request(&self.agent_url, &self.ca(), method, target, &headers, body)
            .expect("an answer")
    }

    /// `agent-shield` as a reviewer.
    pub fn cli(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(binary());
        command
            .args(["--server", &self.review_url, "--ca"])
            .arg(self.ca())
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// `agent-shield` as an operator, who finds agent-shield by its data directory.
    pub fn operator(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(binary());
        command
            .env("AGENT_SHIELD_DATA_DIR", &self.data_dir)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .stdin(Stdio::null());
        command
    }

    /// What a reviewer's command prints as JSON.
    ///
    /// # Panics
    /// Where the command fails.
    pub fn cli_json(&self, kubeconfig: &Path, args: &[&str]) -> Value {
        let output = self.cli(kubeconfig).args(args).args(["-o", "json"]).output().expect("a CLI");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "agent-shield {args:?}: {error}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Decides in a reviewer's name, who approves what `show` shows them now and does not wait for what
    /// becomes of it.
    ///
    /// # Errors
    /// What the command says where the decision is not taken.
    ///
    /// # Panics
    /// Where the hold cannot be shown.
    pub fn decide(
        &self,
        kubeconfig: &Path,
        verb: &str,
        id: &str,
        reason: &str,
    ) -> Result<(), String> {
        let output = self.decision(kubeconfig, verb, id, reason).output().expect("a CLI");
        match output.status.code() {
            // It is taken also where others must decide too, or it has not run yet.
            Some(0 | 9 | 10) => Ok(()),
            _ => Err(format!("{verb} {id}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// The command of [`Shield::decide`].
    ///
    /// # Panics
    /// Where the hold cannot be shown.
    pub fn decision(&self, kubeconfig: &Path, verb: &str, id: &str, reason: &str) -> Command {
        let mut command = self.cli(kubeconfig);
        command.args([verb, id, "--reason", reason]);
        if verb == "approve" {
            let digest = self.cli_json(kubeconfig, &["show", id])["preview"]["digest"].clone();
            command.args(["--no-wait", "--digest", digest.as_str().unwrap_or_default()]);
        }
        command
    }

    /// Waits for the one open hold that `is` accepts.
    ///
    /// # Panics
    /// Where there is none within half a minute.
    pub fn hold(&self, reviewer: &Path, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(Duration::from_secs(30), &format!("{what} is held"), || {
            let holds = self.cli_json(reviewer, &["holds"]);
            holds["items"].as_array()?.iter().find(|hold| is(hold)).cloned()
        })
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- agent-shield said:\n{}", self.log());
        }
    }
}

fn run(
    cluster: &Cluster,
    credential: &Credential,
    data_dir: &Path,
    listen: &[String; 2],
    open_files: Option<u32>,
    args: &[String],
) -> (Child, [String; 2]) {
    let endpoints = data_dir.join("endpoints.json");
    let _ = fs::remove_file(&endpoints);
    let log =
        File::options().create(true).append(true).open(data_dir.join("stderr.log")).expect("a log");
    let [agents, reviewers] = listen;
    let mut command = match open_files {
        None => Command::new(binary()),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]).arg(binary());
            shell
        }
    };
    command.args(["serve", "--listen", agents, "--review-listen", reviewers]);
    match credential {
        Credential::Kubeconfig(file) => command.arg("--kubeconfig").arg(file),
        Credential::InCluster(dir) => {
            let (host, port) = cluster.host_and_port();
            command
                .env("KUBERNETES_SERVICE_HOST", host)
                .env("KUBERNETES_SERVICE_PORT", port)
                .arg("--service-account-dir")
                .arg(dir)
        }
    };
    let mut child = command
        .arg("--data-dir")
        .arg(data_dir)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(cluster.process_group())
        .spawn()
        .expect("agent-shield");
    let urls = wait_until(Duration::from_secs(30), "agent-shield is ready", || {
        if let Ok(Some(status)) = child.try_wait() {
            let log = fs::read_to_string(data_dir.join("stderr.log")).unwrap_or_default();
            panic!("agent-shield ended with {status}:\n{log}");
        }
        let endpoints: Value = serde_json::from_slice(&fs::read(&endpoints).ok()?).ok()?;
        Some(["agent", "review"].map(|it| endpoints[it].as_str().unwrap_or_default().to_owned()))
    });
    (child, urls)
}

/// Users and groups of client certificates in whose name the tests' agent-shield may act.
const CERTIFICATE_USERS: [&str; 1] = ["certificate-bot"];
const CERTIFICATE_GROUPS: [&str; 1] = ["certificate-bots"];

/// What `agent-shield rbac own` prints for a ServiceAccount, with further arguments.
///
/// # Panics
/// Where the command fails.
pub fn rbac_own(name: &str, more: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.args(["rbac", "own", "--service-account", name]).args(more);
    for user in CERTIFICATE_USERS {
        command.args(["--certificate-user", user]);
    }
    for group in CERTIFICATE_GROUPS {
        command.args(["--certificate-group", group]);
    }
    let output = command.output().expect("agent-shield");
    assert!(output.status.success(), "rbac own: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The binary under test: `AGENT_SHIELD_BIN`, or the one that lies beside this test.
///
/// # Panics
/// Where it is not built.
pub fn binary() -> PathBuf {
    if let Some(binary) = env::var_os("AGENT_SHIELD_BIN") {
        return PathBuf::from(binary);
    }
    // Tests lie in target/debug/deps, xtask in target/debug.
    let program = env::current_exe().expect("a program");
    let binary = program.ancestors().skip(1).take(2).map(|dir| dir.join("agent-shield"));
    binary.into_iter().find(|it| it.is_file()).expect("target/debug/agent-shield: build it first")
}

/// Reviewers in tests: a ClusterRole for some verbs on holds, bound to a person.
///
/// # Panics
/// Where the API server refuses.
pub(crate) fn bind_reviewer(cluster: &Cluster, name: &str, verbs: &[&str]) {
    let role = format!("reviewer-{name}");
    let items = json!([
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": role},
            "rules": [{
                "apiGroups": ["agent-shield.io"], "resources": ["holds"], "verbs": verbs,
            }],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role,
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}],
        },
    ]);
    cluster
        .apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))
        .expect("a reviewer's rights");
}

impl Cluster {
    /// Kubeconfig of a person who may review everything.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn reviewer(&self, name: &str) -> PathBuf {
        self.reviewer_with(name, &["get", "list", "approve", "deny"])
    }

    /// Kubeconfig of a person who has these verbs on holds.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub fn reviewer_with(&self, name: &str, verbs: &[&str]) -> PathBuf {
        bind_reviewer(self, name, verbs);
        self.person(name, &[]).expect("a person")
    }
}
