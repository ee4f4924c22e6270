//! Starts the parts, in the one order that works, and ends them.
//!
//! Each step takes what the one before made. Where nothing else says so, the order is: rights are
//! checked before anything rests on them; the queue has recovered before anybody can reach it; both
//! sockets are bound before there is a certificate, as it names their addresses; policies are in force
//! before the first agent is answered; and `endpoints.json` is written when both listeners answer.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use audit::Tagger;
use authn::{Authority, Certificates, Tokens};
use memory::Memory;
use payload::Redactor;
use policy::Pack;
use policy_source::PolicySource;
use proxy::{Bounds, Listener, Parts, Proxy};
use review::Queue;
use store::Stores;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    args::ServeArgs,
    background::Background,
    cluster::Cluster,
    descriptors::Descriptors,
    identity::{Identity, digest_key, private_dir},
    listeners::{Endpoints, Listeners},
    log::log_to_stderr,
};
use crate::connection::Connection;

/// Everything has ended so long after SIGTERM: a Kubernetes pod has 30 s, scripts are promised 10.
const STOP_TIME_MAX: Duration = Duration::from_secs(8);

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn serve(args: ServeArgs, connection: &Connection) -> Result<()> {
    log_to_stderr(&args.log_format);
    let dir = private_dir(&args.data_dir)?;
    let key = digest_key(&dir, args.digest_key.as_deref())?;
    let tagger = Tagger::new(&key);
    let cluster = Cluster::connect(&args, connection, Descriptors::take()?, tagger.clone()).await?;
    let stores = store::open(&dir)?; // The one line that picks where holds and the ledger are kept.
    let background = Background::default();

    cluster.follow_credential(&background).await;
    let missing_rights = cluster.check_rights(args.policy_objects).await?;
    let namespaces = cluster.follow_namespaces(&stores.memory, &background).await;
    let queue = open_queue(&args, &stores, &cluster, &background).await?;
    let listeners = Listeners::bind(args.listen, args.review_listen).await?;
    let identity = Identity::load(&dir, &args, &listeners.addresses)?;
    let (tokens, certificates) = follow_credentials(&args, &cluster, &background).await?;
    let InForce { policies, rules, digest } =
        follow_policies(&args, &cluster, &dir, &background).await?;

    let (addresses, holding) = (listeners.addresses, policy_source::holding(&policies.load()));
    let (url, own_namespace) = (cluster.url.clone(), cluster.own_namespace.clone());
    let redactor = Redactor::new(&key);
    let own = cluster.own.clone();
    let posture = api::Posture {
        started_at: jiff::Timestamp::now(),
        version: env!("CARGO_PKG_VERSION"),
        data_dir: dir.clone(),
        policies: Arc::clone(&policies),
        policy_objects: args.policy_objects,
        certificate_expires: identity.expires(),
    };
    let reviews = api::Api { queue, tokens, certificates, namespaces, own, tagger, posture };
    let service =
        Service::new(&args, cluster, &reviews, stores.memory, policies, redactor, background)?;
    service.listen(listeners, identity, reviews)?;
    let Endpoints { agent, review } = Endpoints::publish(&dir, addresses)?;
    tracing::info!(
        agent, review, cluster = %url, dataDir = %dir.display(), identity = "passThrough",
        ownNamespace = own_namespace, policy = digest, rules, missingRights = missing_rights,
        "ready: {holding}, reads pass; what agents' tokens do at the API server itself is \
         not seen here: only a network policy keeps agents from going there"
    );

    stop_signal().await?;
    service.stop().await;
    Ok(())
}

/// The queue over the store, with what the last process left in it.
async fn open_queue(
    args: &ServeArgs,
    stores: &Stores,
    cluster: &Cluster,
    background: &Background,
) -> Result<Arc<Queue>> {
    let settings = review::Settings {
        deadline: args.hold_deadline,
        grant_time: args.grant_time,
        denial_time: args.denial_time,
        reviewers_allowed: args.allow_reviewer.iter().cloned().collect(),
    };
    let Stores { holds, freezes, ledger, .. } = stores.clone();
    let keeping = store::keep_facts(Arc::clone(&ledger), args.keep_facts);
    let queue = Queue::new(holds, freezes, ledger, cluster.own.clone(), settings);
    let queue = Arc::new(queue);
    let lost = queue.recover().await?;
    if lost > 0 {
        tracing::warn!(
            holds = lost,
            "requests were being sent when the last process ended: their outcome is unknown"
        );
    }
    let running = Arc::clone(&queue);
    background.follow(async move { running.run().await });
    background.follow(keeping);
    Ok(queue)
}

/// Who tokens and client certificates belong to.
async fn follow_credentials(
    args: &ServeArgs,
    cluster: &Cluster,
    background: &Background,
) -> Result<(Tokens, Arc<Certificates>)> {
    let system_allowed = args.allow_system_certificate.iter().cloned().collect();
    let certificates = Arc::new(Certificates::new(system_allowed));
    let authority = Authority::read(cluster.own.clone(), Arc::clone(&certificates)).await;
    background.follow(authority.follow());
    let tokens = Tokens::new(cluster.own.clone()).context("this system gives no random numbers")?;
    Ok((tokens, certificates))
}

/// The policies that are in force, and as they were at the start.
struct InForce {
    policies: Arc<ArcSwap<Pack>>,
    rules: usize,
    digest: String,
}

async fn follow_policies(
    args: &ServeArgs,
    cluster: &Cluster,
    dir: &Path,
    background: &Background,
) -> Result<InForce> {
    let objects = match args.policy_objects {
        true => Some(cluster.follow_policies(background).await?),
        false => None,
    };
    let source = PolicySource::new(args.policy.clone(), objects, cluster.own.clone());
    let (policies, follower) = policy_source::start(source, &cluster.own_namespace, dir).await?;
    let (rules, digest) = (follower.rules(), policies.load().digest().to_owned());
    background.follow(follower.follow());
    Ok(InForce { policies, rules, digest })
}

/// What answers agents and reviewers, until it is stopped.
struct Service {
    proxy: Arc<Proxy>,
    /// What reviewers' connections may take.
    reviewers: connections::Bounds,
    recording: JoinHandle<()>,
    background: Background,
    /// Nothing new is taken.
    stopping: CancellationToken,
    doors: TaskTracker,
}

impl Service {
    fn new(
        args: &ServeArgs,
        cluster: Cluster,
        reviews: &api::Api,
        memory: Arc<dyn Memory>,
        policies: Arc<ArcSwap<Pack>>,
        redactor: Redactor,
        background: Background,
    ) -> Result<Self> {
        let stopping = CancellationToken::new();
        let reviewers = cluster.descriptors.bound_reviewers();
        let (proxy, recording) = Proxy::new(Parts {
            api: cluster.api,
            own: cluster.own,
            tokens: reviews.tokens.clone(),
            certificates: Arc::clone(&reviews.certificates),
            namespaces: reviews.namespaces.clone(),
            policies,
            queue: Arc::clone(&reviews.queue),
            memory,
            redactor,
            settings: proxy::Settings {
                bounds: cluster.descriptors.bound_agents(Bounds::from(&args.bounds)),
                open_time_max: args.hold_open,
                count_time_max: args.count_within,
                pod_networks: args.pod_network.clone(),
                session_time_max: args.session_time,
                ..proxy::Settings::default()
            },
            stopping: stopping.clone(),
            stopped: background.stopped.clone(),
        })
        .context("this system has no more threads")?;
        let recording = background.spawn(recording);
        Ok(Self { proxy, reviewers, recording, background, stopping, doors: TaskTracker::new() })
    }

    /// Answers on both sockets from now on.
    fn listen(&self, listeners: Listeners, identity: Identity, reviews: api::Api) -> Result<()> {
        let listener = Listener { tcp: listeners.agents, tls: Arc::new(identity.for_agents()?) };
        let serving = proxy::serve(Arc::clone(&self.proxy), listener);
        self.doors.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "agents are not served any more");
            }
        });
        let listener = api::Listener {
            tcp: listeners.reviewers,
            tls: Arc::new(identity.for_reviewers()?),
            bounds: self.reviewers,
        };
        self.doors.spawn(api::serve(reviews, listener, self.stopping.clone()));
        self.doors.close();
        Ok(())
    }

    /// Takes nothing new, waits for what was sent to the API server, and lets the record be written.
    async fn stop(self) {
        tracing::info!("stopping: agents that wait are asked to come again");
        self.stopping.cancel();
        // Watches never end by themselves; what was sent upstream is waited for, they are not.
        let ended = tokio::time::timeout(STOP_TIME_MAX, async {
            let doors_closed = tokio::time::timeout(STOP_TIME_MAX / 2, self.doors.wait());
            let (_, ()) = tokio::join!(doors_closed, self.proxy.drained());
        });
        if ended.await.is_err() {
            tracing::warn!("a request is still without its answer: its outcome will be unknown");
        }
        self.background.stopped.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.recording).await;
        tracing::info!("stopped");
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
