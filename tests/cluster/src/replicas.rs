//! Two proxies with their review APIs in this process, on one store: what replicas would be.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use audit::Tagger;
use authn::{Authority, Certificates, Tokens};
use effects::ClassConfig;
use kube::config::{KubeConfigOptions, Kubeconfig};
use payload::Redactor;
use policy::{Pack, Source};
use proxy::{Parts, Proxy};
use review::Queue;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use store::{Stores, shared::Shared};
use testkit::{Agent, Cluster, http, rbac_own, wait_until};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{ApiServer, CONNECTIONS_MAX, ControlClient, Namespaces};

use crate::{list, namespace};

/// Replicas share it: digests and audit ids of one must be known to the other.
const SHARED_KEY: [u8; 32] = [7; 32];

/// One proxy and one review API.
pub struct Replica {
    /// URL for agents.
    pub agent_url: String,
    /// URL for reviewers.
    pub review_url: String,
    ca: PathBuf,
}

/// Two replicas before one cluster, an agent that RBAC allows everything, and people.
pub struct Replicas {
    /// The cluster of this process.
    pub cluster: &'static Cluster,
    /// One of them.
    pub a: Replica,
    /// The other.
    pub b: Replica,
    /// Whom RBAC alone would not stop.
    pub agent: Agent,
    /// Kubeconfig of a person who may decide, and freeze.
    pub reviewer: PathBuf,
    /// A namespace in production.
    pub prod: String,
    /// A namespace declared non-production.
    pub dev: String,
    /// Carries both.
    _runtime: Runtime,
}

impl Replicas {
    /// Starts both on an empty store, with policies beside the default pack.
    ///
    /// # Panics
    /// Where they do not start.
    pub fn start(name: &str, policies: &[Value]) -> Self {
        // As the binary does; a test before this one may have.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cluster = testkit::cluster();
        let prod = cluster.unique(&format!("{name}-p"));
        let dev = cluster.unique(&format!("{name}-d"));
        cluster
            .apply(&list(&[namespace(&prod, "production"), namespace(&dev, "dev")]))
            .expect("namespaces");
        let all = json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ]);
        let agent = cluster.cluster_agent(&dev, "agent", &all).expect("an agent");
        let verbs = ["get", "list", "approve", "deny", "freeze"];
        let reviewer = cluster.reviewer_with(&format!("{name}-reviewer"), &verbs);
        cluster.apply_text(&rbac_own("agent-shield", &[])).expect("agent-shield's own rights");
        let own = cluster.token_file_kubeconfig("agent-shield", "agent-shield").expect("a token");
        let runtime = Runtime::new().expect("a runtime");
        let shared = Shared::default();
        let [a, b] = [shared.replica(), shared].map(|replica| {
            runtime.block_on(Replica::start(cluster, &own, replica.stores(), policies))
        });
        Self { cluster, a, b, agent, reviewer, prod, dev, _runtime: runtime }
    }

    /// One request of the agent through one of them.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn request(
        &self,
        through: &Replica,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> http::Answer {
        let authorization = format!("Bearer {}", self.agent.token);
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(body.map(|_| ("Content-Type", "application/json")));
        let body = body.map(Value::to_string).unwrap_or_default();
        http::request(&through.agent_url, &through.ca, method, target, &headers, body.as_bytes())
            .expect("an answer")
    }

    /// Holds as one of them lists them, by a state's name or `all`.
    ///
    /// # Panics
    /// Where it does not list them.
    pub fn holds(&self, at: &Replica, state: &str) -> Vec<Value> {
        let (code, text) = self.says(at, &["holds", "--state", state, "-o", "json"]);
        assert_eq!(code, Some(0), "{text}");
        let holds: Value = serde_json::from_str(&text).expect("JSON");
        holds["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits for the one hold of a state at one of them; `waiting` are the connections on both.
    ///
    /// # Panics
    /// Where there is none within half a minute.
    pub fn hold(&self, at: &Replica, state: &str, waiting: usize) -> Value {
        let what = format!("a hold is {state} and {waiting} wait on it");
        wait_until(Duration::from_secs(30), &what, || match self.holds(at, state).as_slice() {
            [hold] if hold["waiting"] == waiting => Some(hold.clone()),
            [] | [_] => None,
            holds => panic!("{} holds: {holds:?}", holds.len()),
        })
    }

    /// A reviewer's command at one of them: its exit code, and what it said.
    ///
    /// # Panics
    /// Where it cannot be run.
    pub fn says(&self, at: &Replica, args: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(testkit::binary())
            .args(["--server", &at.review_url, "--ca"])
            .arg(&at.ca)
            .arg("--kubeconfig")
            .arg(&self.reviewer)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("agent-shield");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Decides at one of them.
    ///
    /// # Panics
    /// Where that is not taken.
    pub fn decide(&self, at: &Replica, verb: &str, id: &str) {
        let mut args = vec![verb.to_owned(), id.to_owned(), "--reason=for the test".to_owned()];
        if verb == "approve" {
            let (_, shown) = self.says(at, &["show", id, "-o", "json"]);
            let shown: Value = serde_json::from_str(&shown).expect("a hold");
            let digest = shown["preview"]["digest"].as_str().unwrap_or_default();
            args.extend([format!("--digest={digest}"), "--no-wait".to_owned()]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, text) = self.says(at, &args);
        // Taken also where it has not run yet.
        assert!(matches!(code, Some(0 | 10)), "{verb} {id}: {text}");
    }

    /// A kubeconfig of the agent that points at one of them.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn kubeconfig(&self, through: &Replica) -> PathBuf {
        let path = self.cluster.dir().join(self.cluster.unique("replica"));
        let user = json!({"token": self.agent.token});
        let written = self.cluster.write_kubeconfig(&path, &through.agent_url, &through.ca, &user);
        written.expect("a kubeconfig");
        path
    }

    /// How often the API server did this for real.
    pub fn count_real(&self, verb: &str, target: &str) -> usize {
        let is_it = |event: &Value| {
            event["verb"] == verb
                && event["requestURI"]
                    .as_str()
                    .is_some_and(|it| it.split('?').next() == Some(target))
                && event["requestObject"]["dryRun"].is_null()
        };
        self.cluster.audit_events_about(target, is_it).len()
    }
}

impl Replica {
    async fn start(
        cluster: &'static Cluster,
        own: &Path,
        stores: Stores,
        policies: &[Value],
    ) -> Self {
        let kubeconfig = Kubeconfig::read_from(own).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let tagger = Tagger::new(&SHARED_KEY);
        let tasks = TaskTracker::new();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let config = config.expect("a configuration");
        let api =
            ApiServer::new(&config, CONNECTIONS_MAX, None, tagger.clone()).expect("the API server");
        let own = ControlClient::new(config).expect("a client");
        let classes = ClassConfig::default();
        let (namespaces, follow) =
            Namespaces::watch(own.clone(), classes, Arc::clone(&stores.memory));
        tasks.spawn(follow);
        assert!(namespaces.ready(Duration::from_secs(30)).await, "namespaces are listed");

        let Stores { holds, freezes, ledger, memory } = stores;
        let settings = review::Settings::default();
        let queue = Arc::new(Queue::new(holds, freezes, ledger, own.clone(), settings));
        queue.recover().await.expect("an empty store");
        let running = Arc::clone(&queue);
        tasks.spawn(async move { running.run().await });
        let certificates = Arc::new(Certificates::new(BTreeSet::new()));
        Authority::read(own.clone(), Arc::clone(&certificates)).await;
        let tokens = Tokens::new(own.clone()).expect("randomness");
        let (stopping, stopped) = (CancellationToken::new(), CancellationToken::new());
        let policies = Arc::new(ArcSwap::from_pointee(pack(policies)));
        let posture = api::Posture {
            started_at: jiff::Timestamp::now(),
            version: "0",
            data_dir: cluster.dir().to_owned(),
            policies: Arc::clone(&policies),
            policy_objects: false,
            certificate_expires: None,
        };
        let (proxy, recording) = Proxy::new(Parts {
            api,
            own: own.clone(),
            tokens: tokens.clone(),
            certificates: Arc::clone(&certificates),
            namespaces: namespaces.clone(),
            policies: Arc::clone(&policies),
            queue: Arc::clone(&queue),
            memory,
            redactor: Redactor::new(&SHARED_KEY),
            settings: proxy::Settings::default(),
            stopping: stopping.clone(),
            stopped,
        })
        .expect("threads");
        tasks.spawn(recording);
        let listeners = [bind().await, bind().await];
        let urls = listeners
            .each_ref()
            .map(|it| format!("https://{}", it.local_addr().expect("an address")));
        let [agents, reviewers] = listeners;
        let (agents_tls, reviewers_tls) = tls(cluster);
        let listener = proxy::Listener { tcp: agents, tls: agents_tls };
        tasks.spawn(proxy::serve(proxy, listener));
        let bounds = connections::Bounds {
            connections_max: 64,
            connections_per_client_max: 64,
            handshakes_per_client_max: 64,
            refusals_max: 8,
        };
        let listener = api::Listener { tcp: reviewers, tls: reviewers_tls, bounds };
        let reviews = api::Api { queue, tokens, certificates, namespaces, own, tagger, posture };
        tasks.spawn(api::serve(reviews, listener, stopping));
        let [agent_url, review_url] = urls;
        Self { agent_url, review_url, ca: cluster.ca() }
    }
}

async fn bind() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port")
}

/// The default pack and these.
fn pack(policies: &[Value]) -> Pack {
    let source = |policy: &Value| Source { name: "p.yaml".into(), text: policy.to_string() };
    let sources: Vec<Source> = policies.iter().map(source).collect();
    let compiled = policy::compile(&sources, jiff::Timestamp::now());
    compiled.unwrap_or_else(|issues| panic!("{issues:?}")).pack
}

/// For agents and for reviewers, with a certificate of the cluster's CA.
fn tls(cluster: &Cluster) -> (Arc<ServerConfig>, Arc<ServerConfig>) {
    let name = cluster.unique("replica");
    let (certificate, key) = cluster.certificate(&name, &["127.0.0.1"]).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let mut agents = ServerConfig::builder()
        .with_client_cert_verifier(authn::asking())
        .with_single_cert(chain.clone(), key.clone_key())
        .expect("a certificate and its key");
    agents.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let reviewers = api::tls_config(chain, key).expect("a certificate and its key");
    (Arc::new(agents), Arc::new(reviewers))
}
