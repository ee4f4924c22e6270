//! The data plane: one request from the agent's TLS connection to the API server and back.
//!
//! Reads go through at once. A write waits for its user, is judged by what it would do, is
//! recorded durably, and then leaves, is held or is refused. Nothing is decided on one reading of a
//! request and sent on another: [`attributes::read`] reads the target once, and the same bytes go
//! upstream. The only ways to send are a [`hold::Permit`] and a [`upstream::Probe`].

mod answers;
mod body;
mod bounds;
mod clients;
mod error;
mod held;
mod in_flight;
mod inbound;
mod listener;
mod own_rules;
mod preconditions;
mod read;
mod recorder;
mod serve;
mod timeouts;
mod tunnel;
mod warning;
mod workers;

use std::{future::Future, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use authn::{Certificates, Tokens};
pub use bounds::Bounds;
use in_flight::{Bodies, RequestsInFlight};
use judge::{ClusterView, Judge, Memory};
pub use listener::{Listener, serve};
use payload::Redactor;
use policy::Pack;
use recorder::Recorder;
use review::Queue;
use tokio::{runtime::Handle, sync::Mutex};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{ApiServer, Namespaces, Own};

/// Bounds and times that a deployment sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What each client and all of them may take.
    pub bounds: Bounds,
    /// How long a connection stays open on a hold before its client is asked to come again.
    pub open_time_max: Duration,
    /// How long a hold may be late for counting what goes with it.
    pub count_time_max: Duration,
    /// How long a client is asked to wait when the proxy stops.
    pub restart_time: Duration,
    /// After so long without an answer, the outcome of a write is unknown.
    pub write_time_max: Duration,
    /// An exec, attach or port-forward is cut after so long.
    pub session_time_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            open_time_max: Duration::from_secs(10 * 60),
            count_time_max: Duration::from_secs(1),
            restart_time: Duration::from_secs(5),
            // The API server's own --request-timeout is 60 s.
            write_time_max: Duration::from_secs(75),
            session_time_max: Duration::from_secs(60 * 60),
        }
    }
}

/// Everything that one request meets on its way.
pub struct Proxy {
    api: ApiServer,
    tokens: Tokens,
    certificates: Arc<Certificates>,
    judge: Judge,
    queue: Arc<Queue>,
    recorder: Recorder,
    redactor: Redactor,
    answers: answers::Answers,
    enqueueing: Mutex<()>,
    in_flight: RequestsInFlight,
    bodies: Bodies,
    /// Where writes are judged: not on the threads that carry connections.
    home: Handle,
    stopping: CancellationToken,
    tasks: TaskTracker,
    settings: Settings,
}

/// What a proxy is made of; the binary picks each.
pub struct Parts {
    /// The API server as agents' requests reach it.
    pub api: ApiServer,
    /// The proxy's own client.
    pub own: Own,
    /// Who agents' tokens are.
    pub tokens: Tokens,
    /// Who agents' client certificates are.
    pub certificates: Arc<Certificates>,
    /// How namespaces are classed.
    pub namespaces: Namespaces,
    /// The rules; whoever swaps them swaps all of them at once.
    pub policies: Arc<ArcSwap<Pack>>,
    /// The queue of holds, and through it the ledger.
    pub queue: Arc<Queue>,
    /// Takes secrets out of what is stored.
    pub redactor: Redactor,
    /// Bounds and times.
    pub settings: Settings,
    /// Cancelled when the process should stop: waiting agents are told to come again.
    pub stopping: CancellationToken,
    /// Cancelled when no request is left: the recorder writes what it has and ends.
    pub stopped: CancellationToken,
}

impl Proxy {
    /// Puts the parts together, on the runtime that writes will be judged on. The returned future writes what need not be durable at once; it
    /// ends after `stopped`.
    pub fn new(parts: Parts) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let ledger = Arc::clone(parts.queue.ledger());
        let (recorder, recording) = Recorder::new(
            Arc::clone(&ledger),
            parts.tokens.clone(),
            parts.namespaces.clone(),
            parts.stopped,
        );
        let view = ClusterView::new(
            parts.api.clone(),
            parts.own,
            parts.namespaces,
            Arc::new(recorder.clone()),
            parts.redactor.clone(),
        );
        let settings = judge::Settings {
            count_time_max: parts.settings.count_time_max,
            facts_bytes_per_agent_max: parts.settings.bounds.facts_bytes_per_agent_max,
        };
        let redactor = parts.redactor.clone();
        let judge = Judge::new(view, Memory::new(ledger), parts.policies, redactor, &settings);
        let proxy = Self {
            api: parts.api,
            tokens: parts.tokens,
            certificates: parts.certificates,
            judge,
            queue: parts.queue,
            recorder,
            redactor: parts.redactor,
            answers: answers::Answers::default(),
            enqueueing: Mutex::default(),
            in_flight: RequestsInFlight::default(),
            bodies: Bodies::default(),
            home: Handle::current(),
            stopping: parts.stopping,
            tasks: TaskTracker::new(),
            settings: parts.settings,
        };
        (Arc::new(proxy), recording)
    }

    /// Waits until nothing that was sent upstream is still without its answer.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
