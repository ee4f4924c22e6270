//! `agent-shield serve`: picks the parts, starts both doors, and ends in order.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use authn::{Certificates, Tokens};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use clap::Args;
use effects::ClassConfig;
use hold::Holds;
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use ledger::Ledger;
use payload::Redactor;
use policy_source::PolicySource;
use proxy::{Bounds, Listener, Parts, Proxy};
use review::Queue;
use store::sqlite::Sqlite;
use text::duration;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{ApiServer, Namespaces, Own, POLICY_RIGHTS, PolicyObjects, RIGHTS, Right};

use crate::{
    bounds::BoundsArgs,
    connection::{Connection, certificates},
    data_dir::default_data_dir,
    tls,
};

/// Everything has ended so long after SIGTERM: a Kubernetes pod has 30 s, scripts are promised 10.
const STOP_TIME_MAX: Duration = Duration::from_secs(8);
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Facts are looked for that are not kept any longer.
const DROP_EVERY: Duration = Duration::from_secs(60);
/// Between one lot of them and the next.
const DROP_MORE_AFTER: Duration = Duration::from_millis(100);
const TRUST_EVERY: Duration = Duration::from_secs(60);
const WATCH_TIME_MAX: Duration = Duration::from_secs(5);

/// Start the proxy: agents connect to --listen, reviewers to --review-listen.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield serve
  agent-shield serve --kubeconfig ~/.kube/config --listen 0.0.0.0:8443 --tls-san shield.example.com
  agent-shield serve --tls-cert tls.crt --tls-key tls.key --hold-deadline 15m

Without --kubeconfig the in-cluster ServiceAccount is used if there is one, then KUBECONFIG, then
~/.kube/config. The first start makes a CA in the data directory; give its ca.crt to agents
(`agent-shield agent create` and `agent kubeconfig` write it into a kubeconfig).")]
pub(crate) struct ServeArgs {
    /// Where holds, the ledger, the CA and endpoints.json are kept (made with mode 0700).
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = default_data_dir())]
    data_dir: PathBuf,
    /// Address for agents; port 0 picks a free one, which then stands in endpoints.json.
    #[arg(
        long,
        value_name = "ADDR",
        env = "AGENT_SHIELD_LISTEN",
        default_value = "127.0.0.1:8443"
    )]
    listen: SocketAddr,
    /// Address for reviewers.
    #[arg(
        long,
        value_name = "ADDR",
        env = "AGENT_SHIELD_REVIEW_LISTEN",
        default_value = "127.0.0.1:8444"
    )]
    review_listen: SocketAddr,
    /// Policy file, or directory of `*.yaml`; watched, and swapped whole when it changes.
    /// Without settings that say otherwise, the default pack is in force beside it.
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Also follow the policies that are objects of the cluster (`agent-shield policy crds`); each is
    /// told in its status whether it is in force.
    #[arg(long)]
    policy_objects: bool,
    /// Certificate chain (PEM) to show instead of a made one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Further names or addresses for the made certificate.
    #[arg(long, value_name = "NAME")]
    tls_san: Vec<String>,
    /// Undecided for so long, a hold is denied as expired.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    hold_deadline: Duration,
    /// How long a connection stays open on a hold before its client is asked to come again.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    hold_open: Duration,
    /// How long counting what goes with a held write may take; what is not counted by then is said.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    count_within: Duration,
    /// How long an approval waits for its request, when the agent has gone meanwhile.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    grant_time: Duration,
    /// An exec, attach or port-forward is cut after so long.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    session_time: Duration,
    /// How long is kept, for `policy replay`, what writes were judged by. Entries of the ledger always are.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration::parse)]
    keep_facts: Duration,
    /// A ServiceAccount (system:serviceaccount:NAMESPACE:NAME) that may review all the same.
    #[arg(long, value_name = "USERNAME")]
    allow_reviewer: Vec<String>,
    /// A `system:` user or group that an agent's client certificate may carry all the same.
    #[arg(long, value_name = "NAME")]
    allow_system_certificate: Vec<String>,
    /// The namespace that agent-shield runs in; it is always protected. In a pod its own, elsewhere
    /// agent-shield by default.
    #[arg(long, value_name = "NAME")]
    own_namespace: Option<String>,
    /// Where a pod finds its ServiceAccount: the files token, ca.crt and namespace.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount"
    )]
    service_account_dir: PathBuf,
    /// Log as text or as JSON lines.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    log_format: String,
    #[command(flatten)]
    bounds: BoundsArgs,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn serve(args: ServeArgs, connection: &Connection) -> Result<()> {
    log_to_stderr(&args.log_format);
    let dir = tls::private_dir(&args.data_dir)?;
    let (config, pod_namespace) = kube_config(connection, &args.service_account_dir).await?;
    let own_namespace = args.own_namespace.clone().or(pod_namespace);
    let own_namespace = own_namespace.unwrap_or_else(|| "agent-shield".to_owned());
    let cluster = config.cluster_url.clone();
    let api = ApiServer::new(&config)?;
    let own = Own::new(config).context("the proxy's own credential cannot be used")?;
    let store = Sqlite::open(&dir)?;
    let holds: Arc<dyn Holds> = Arc::new(store.clone());
    let ledger: Arc<dyn Ledger> = Arc::new(store.clone());

    let rights: Vec<Right> = match args.policy_objects {
        true => RIGHTS.into_iter().chain(POLICY_RIGHTS).collect(),
        false => RIGHTS.to_vec(),
    };
    let missing = own.missing(&rights).await.with_context(|| {
        format!("cannot reach the API server at {cluster}: check the address and credential in the kubeconfig")
    })?;
    for right in &missing {
        tracing::warn!(right = right.words(), "the proxy lacks a right: {}", right.without);
    }
    if !missing.is_empty() {
        let flag = if args.policy_objects { " --policy-objects" } else { "" };
        tracing::warn!("`agent-shield rbac own{flag} | kubectl apply -f -` grants what it needs");
    }
    let class_config =
        ClassConfig { own_namespace: own_namespace.clone(), ..ClassConfig::default() };
    let (namespaces, follow) = Namespaces::watch(own.clone(), class_config);
    let background = TaskTracker::new();
    let stopping = CancellationToken::new();
    let stopped = CancellationToken::new();
    background.spawn(until(stopped.clone(), follow));
    if !namespaces.ready(WATCH_TIME_MAX).await {
        tracing::warn!("namespaces could not be listed; each is looked up when it is written to");
    }

    let settings = review::Settings {
        deadline: args.hold_deadline,
        grant_time: args.grant_time,
        reviewers_allowed: args.allow_reviewer.iter().cloned().collect::<BTreeSet<_>>(),
    };
    let queue = Arc::new(Queue::new(holds, ledger, own.clone(), settings));
    let lost = queue.recover().await?;
    if lost > 0 {
        tracing::warn!(
            holds = lost,
            "requests were being sent when the last process ended: their outcome is unknown"
        );
    }
    background.spawn(until(stopped.clone(), expire(Arc::clone(&queue))));
    background.spawn(until(stopped.clone(), drop_facts(store, args.keep_facts)));

    let agents = bind(args.listen).await?;
    let reviewers = bind(args.review_listen).await?;
    let addresses = [agents.local_addr()?, reviewers.local_addr()?];
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => tls::given(&dir, certificate, key)?,
        _ => tls::made(&dir, &tls::names(&addresses.map(|it| it.ip()), &args.tls_san))?,
    };
    let system_allowed = args.allow_system_certificate.iter().cloned().collect();
    let certificates = Arc::new(Certificates::new(system_allowed));
    let trusted = trust(&own, &certificates, String::new()).await;
    background.spawn(until(
        stopped.clone(),
        keep_trusting(own.clone(), Arc::clone(&certificates), trusted),
    ));
    let tokens = Tokens::new(own.clone()).context("this system has no randomness")?;
    let objects = match args.policy_objects {
        true => Some(policy_objects(&own, &background, &stopped).await?),
        false => None,
    };
    let source = PolicySource::new(args.policy.clone(), objects, own.clone());
    let (policies, following) = policy_source::start(source, &own_namespace, &dir).await?;
    let (rules, digest) = (following.rules(), policies.load().digest().to_owned());
    background.spawn(until(stopped.clone(), following.follow()));
    let (proxy, recording) = Proxy::new(Parts {
        api,
        own: own.clone(),
        tokens: tokens.clone(),
        certificates: Arc::clone(&certificates),
        namespaces: namespaces.clone(),
        policies,
        queue: Arc::clone(&queue),
        redactor: Redactor::new(&key(&dir.join("digest.key"))?),
        settings: proxy::Settings {
            bounds: Bounds::from(&args.bounds),
            open_time_max: args.hold_open,
            count_time_max: args.count_within,
            session_time_max: args.session_time,
            ..proxy::Settings::default()
        },
        stopping: stopping.clone(),
        stopped: stopped.clone(),
    });
    let recording = background.spawn(recording);

    let doors = TaskTracker::new();
    let listener = Listener { tcp: agents, tls: Arc::new(agents_tls(identity.clone())?) };
    let serving = proxy::serve(Arc::clone(&proxy), listener);
    doors.spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "agents are not served any more");
        }
    });
    let listener = api::Listener {
        tcp: reviewers,
        tls: Arc::new(api::tls_config(identity.chain, identity.key)?),
    };
    doors.spawn(api::serve(
        api::Api { queue: Arc::clone(&queue), tokens, certificates, namespaces },
        listener,
        stopping.clone(),
    ));
    doors.close();

    let [agent, review] = addresses.map(|address| format!("https://{}", reachable(address)));
    let endpoints = serde_json::json!({ "agent": agent, "review": review });
    tls::write_private(&dir.join("endpoints.json"), format!("{endpoints}\n").as_bytes(), 0o600)?;
    tracing::info!(
        agent, review, cluster = %cluster, dataDir = %dir.display(), identity = "passThrough",
        ownNamespace = own_namespace, policy = digest, rules, missingRights = missing.len(),
        "ready: writes are judged, reads pass; what agents' tokens do at the API server itself is \
         not seen here: only a network policy keeps agents from going there"
    );

    stop_signal().await?;
    tracing::info!("stopping: agents that wait are asked to come again");
    stopping.cancel();
    // Watches never end by themselves; what was sent upstream is waited for, they are not.
    let ended = tokio::time::timeout(STOP_TIME_MAX, async {
        let doors_closed = tokio::time::timeout(STOP_TIME_MAX / 2, doors.wait());
        let (_, ()) = tokio::join!(doors_closed, proxy.drained());
    });
    if ended.await.is_err() {
        tracing::warn!("a request is still without its answer: its outcome will be unknown");
    }
    stopped.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(1), recording).await;
    tracing::info!("stopped");
    Ok(())
}

/// The policies of the cluster, all of them listed once.
async fn policy_objects(
    own: &Own,
    background: &TaskTracker,
    stopped: &CancellationToken,
) -> Result<PolicyObjects> {
    let (objects, follow) = PolicyObjects::watch(own.clone()).await?;
    background.spawn(until(stopped.clone(), follow));
    if !objects.ready(WATCH_TIME_MAX).await {
        bail!(
            "the policies of the cluster could not be listed: nothing starts on half of what somebody wrote"
        );
    }
    Ok(objects)
}

fn log_to_stderr(format: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AGENT_SHIELD_LOG")
        .unwrap_or_else(|_| "info,kube=warn".into());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        "json" => builder.json().flatten_event(true).init(),
        _ => builder.init(),
    }
}

/// The ServiceAccount of the pod that this runs in, and the pod's namespace; `None` outside of a
/// cluster. The token is read again as it rotates.
fn in_cluster(dir: &Path) -> Result<Option<(kube::Config, Option<String>)>> {
    let from = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let (Some(host), Some(port)) =
        (from("KUBERNETES_SERVICE_HOST"), from("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(None);
    };
    let token = dir.join("token");
    if !token.is_file() {
        bail!(
            "this runs in a pod (KUBERNETES_SERVICE_HOST is set), and there is no {}: set automountServiceAccountToken, or give --kubeconfig or --service-account-dir",
            token.display()
        );
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("https://{host}:{port}");
    let mut config = kube::Config::new(url.parse().with_context(|| format!("{url} is not a URL"))?);
    let ca = dir.join("ca.crt");
    config.root_cert = Some(certificates(&ca)?);
    config.root_cert_file = Some(ca);
    config.auth_info.token_file = Some(token.display().to_string());
    let namespace = fs::read_to_string(dir.join("namespace")).ok();
    Ok(Some((config, namespace.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()))))
}

/// The proxy's own way to the API server, and the namespace of its pod if it runs in one.
async fn kube_config(
    connection: &Connection,
    account: &Path,
) -> Result<(kube::Config, Option<String>)> {
    let options =
        KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let mut pod_namespace = None;
    let config = match &connection.kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("cannot use the kubeconfig {}", file.display()))?
        }
        None => match in_cluster(account)? {
            Some((config, namespace)) => {
                pod_namespace = namespace;
                config
            }
            None => kube::Config::from_kubeconfig(&options)
                .await
                .context("not in a pod, and no kubeconfig can be used: give --kubeconfig")?,
        },
    };
    if config.accept_invalid_certs {
        bail!(
            "the kubeconfig has insecure-skip-tls-verify: agents' tokens would go to whoever answers; give certificate-authority instead"
        );
    }
    Ok((config, pod_namespace))
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another agent-shield running there? Port 0 picks a free one")
    })
}

fn agents_tls(identity: tls::Identity) -> Result<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(authn::asking())
        .with_single_cert(identity.chain, identity.key)
        .context("the certificate and its key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The key of the digests that stand for secret values and bodies: made once, kept private.
fn key(path: &Path) -> Result<Vec<u8>> {
    if let Ok(key) = fs::read(path) {
        if key.len() != 32 {
            bail!(
                "{} is damaged: it must hold 32 bytes; restore it, or remove it and decide open holds again",
                path.display()
            );
        }
        return Ok(key);
    }
    let mut key = vec![0; 32];
    SystemRandom::new().fill(&mut key).context("this system has no randomness")?;
    tls::write_private(path, &key, 0o600)?;
    Ok(key)
}

fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(it) if it.ip().is_unspecified() => ([127, 0, 0, 1], it.port()).into(),
        SocketAddr::V6(it) if it.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, it.port()).into()
        }
        address => address,
    }
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn expire(queue: Arc<Queue>) {
    loop {
        queue.expire().await;
        tokio::time::sleep(EXPIRE_EVERY).await;
    }
}

/// Lets go of facts that are older than they are kept, a few at a time.
async fn drop_facts(store: Sqlite, kept: Duration) {
    loop {
        let more = match Timestamp::now().checked_sub(kept) {
            Ok(before) => store.drop_facts(before).await,
            Err(_) => return, // Longer than there was a time.
        };
        let wait = match more {
            Ok(true) => DROP_MORE_AFTER,
            Ok(false) => DROP_EVERY.min(kept),
            Err(error) => {
                tracing::warn!(%error, "facts that are not kept any longer could not be dropped");
                DROP_EVERY
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Trusts the cluster's client CA as it is now; returns it. What cannot be read changes nothing.
async fn trust(own: &Own, certificates: &Certificates, trusted: String) -> String {
    let failure = match own.client_ca().await {
        Ok(Some(pem)) if pem == trusted => return trusted,
        Ok(Some(pem)) => match certificates.trust(&pem) {
            Ok(()) => return pem,
            Err(error) => error,
        },
        Ok(None) => "extension-apiserver-authentication has no client-ca-file".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        error = failure,
        "the cluster's client CA cannot be read: {}",
        match trusted.is_empty() {
            true => "client certificates are refused",
            false => "the one that was read before stays in force",
        }
    );
    trusted
}

async fn keep_trusting(own: Own, certificates: Arc<Certificates>, mut trusted: String) {
    loop {
        tokio::time::sleep(TRUST_EVERY).await;
        trusted = trust(&own, &certificates, trusted).await;
    }
}

async fn stop_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
