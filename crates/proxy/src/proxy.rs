//! One request, top to bottom: its head, then the way of a read or of a write.

use std::{future::Future, io, net::IpAddr, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use attributes::AuditId;
use authn::{Certificates, Tokens};
use http::{Request, Response};
use judge::{Call, ClusterView, Judge, Remembered};
use memory::Memory;
use payload::Redactor;
use policy::Pack;
use review::Queue;
use status::Status;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use upstream::{ApiServer, Body, ControlClient, Namespaces};

use crate::{
    body::{self, Inbound},
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    forward::Forward,
    head::HeadReader,
    held::Holding,
    in_flight::{Bodies, RequestGuard},
    judging::Judging,
    known::KnownHolds,
    peer::Peer,
    read::{ReadRecord, Reads},
    recorder::Recorder,
    run::Runner,
    settings::Settings,
    tunnel::Tunnels,
    upgrade::Upgrade,
    write::Writes,
    write_record::WriteRecord,
};

/// What a proxy is made of; the binary picks each.
pub struct Parts {
    /// The API server as agents' requests reach it.
    pub api: ApiServer,
    /// The proxy's own client.
    pub own: ControlClient,
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
    /// What is remembered of earlier calls for a time.
    pub memory: Arc<dyn Memory>,
    /// Takes secrets out of what is stored.
    pub redactor: Redactor,
    /// Bounds and times.
    pub settings: Settings,
    /// Cancelled when the process should stop: waiting agents are told to come again.
    pub stopping: CancellationToken,
    /// Cancelled when no request is left: the recorder writes what it has and ends.
    pub stopped: CancellationToken,
}

/// The agents' requests and what becomes of them.
pub struct Proxy {
    heads: HeadReader,
    reads: Arc<Reads>,
    writes: Arc<Writes>,
    judging: Judging,
    stopping: CancellationToken,
    tasks: TaskTracker,
    bounds: Bounds,
}

impl Proxy {
    /// Puts the parts together. The returned future writes what need not be durable at once; it ends
    /// after `stopped`.
    ///
    /// # Errors
    /// Where the system has no more threads.
    pub fn new(parts: Parts) -> io::Result<(Arc<Self>, impl Future<Output = ()> + Send)> {
        let ledger = Arc::clone(parts.queue.ledger());
        let (tokens, namespaces) = (parts.tokens.clone(), parts.namespaces.clone());
        let (tasks, stopped) = (TaskTracker::new(), parts.stopped.clone());
        let (recorder, recording) =
            Recorder::new(ledger, tokens, namespaces, tasks.clone(), stopped);
        Ok((Arc::new(Self::of(parts, recorder, tasks, Judging::start()?)), recording))
    }

    fn of(parts: Parts, recorder: Recorder, tasks: TaskTracker, judging: Judging) -> Self {
        let judge = Arc::new(judge(&parts, &recorder));
        let bodies = Bodies::default();
        let forward = forward(&parts, &recorder, &tasks);
        let Parts { settings, queue, redactor, stopping, .. } = parts;
        let bounds = settings.bounds.clone();
        let credentials = Arc::new(Credentials::new(parts.certificates, parts.tokens));
        let runner = Runner {
            judge: Arc::clone(&judge),
            queue: Arc::clone(&queue),
            recorder: recorder.clone(),
            redactor: redactor.clone(),
            forward: forward.clone(),
        };
        let holding = Holding {
            runner: Arc::new(runner),
            queue: Arc::clone(&queue),
            recorder: recorder.clone(),
            redactor: redactor.clone(),
            tasks: tasks.clone(),
            stopping: stopping.clone(),
            settings,
        };
        let reads = Reads {
            api: parts.api,
            judge: Arc::clone(&judge),
            queue: Arc::clone(&queue),
            credentials: Arc::clone(&credentials),
            recorder: recorder.clone(),
            redactor: redactor.clone(),
            bodies: bodies.clone(),
            bounds: bounds.clone(),
            tunnels: Arc::clone(&forward.tunnels),
        };
        let writes = Writes {
            judge,
            queue,
            credentials: Arc::clone(&credentials),
            recorder: recorder.clone(),
            redactor: redactor.clone(),
            forward,
            holding: Arc::new(holding),
            bodies,
            bounds: bounds.clone(),
            tasks: tasks.clone(),
        };
        let heads = HeadReader { credentials, recorder, redactor, bounds: bounds.clone() };
        let (reads, writes) = (Arc::new(reads), Arc::new(writes));
        Self { heads, reads, writes, judging, stopping, tasks, bounds }
    }

    /// What a client may take.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether an address sends more than it may of what nobody stands behind.
    pub(crate) fn is_flooded_by(&self, address: IpAddr) -> bool {
        self.heads.recorder.is_flooded_by(address)
    }

    /// Cancelled when no more connections are taken.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Waits until nothing that was sent upstream is still without its answer.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers one request. Never fails: what goes wrong is a `Status` for the agent and an entry. The
    /// record begins before anything is waited for: a client that has left by then is never waited for.
    pub(crate) fn serve(
        self: Arc<Self>,
        peer: &Peer,
        request: Request<Inbound>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let received = self.receive(peer, request);
        async move {
            match received {
                Received::Refused(answer) => answer,
                Received::Read(record, body) => record.answer(body).await,
                Received::Stream(record, upgrade, body) => {
                    self.stream(*record, upgrade, body).await
                }
                Received::Write(write) => self.write(*write).await,
            }
        }
    }

    /// Reads the head of a request, and begins its record.
    fn receive(&self, peer: &Peer, mut request: Request<Inbound>) -> Received {
        let received = Instant::now();
        let audit_id = AuditId::new(uuid::Uuid::now_v7().to_string());
        let refuse = |error: &ProxyError| {
            self.heads.refuse(peer.address, received, &audit_id, &request, error)
        };
        let (call, in_flight) = match self.heads.read(peer, received, &audit_id, &request) {
            Ok(read) => read,
            Err(error) => return Received::Refused(refuse(&error)),
        };
        let max = self.bounds.requests_per_agent_max;
        let Some(guard) = in_flight.take(max) else {
            return Received::Refused(refuse(&ProxyError::TooManyRequests { max }));
        };
        if call.attributes.is_read() {
            let streams = call.attributes.streams();
            let upgrade = streams.then(|| Upgrade::of(&mut request)).flatten();
            let record = Box::new(Arc::clone(&self.reads).begin(call, guard));
            return match upgrade {
                Some(upgrade) => Received::Stream(record, Box::new(upgrade), request.into_body()),
                None => Received::Read(record, request.into_body()),
            };
        }
        // Only connects upgrade: the API server ignores an upgrade that a DELETE asks for.
        let upgrade = match call.attributes.is_connect() {
            true => Upgrade::of(&mut request),
            false => None,
        };
        let record = self.writes.begin(&call);
        let body = request.into_body();
        Received::Write(Box::new(ReceivedWrite { call, guard, record, upgrade, body }))
    }

    /// A watch or a log on a WebSocket: a read if the API server itself answers it. Whoever else does may make
    /// anything of the connection.
    async fn stream(
        &self,
        record: ReadRecord,
        upgrade: Box<Upgrade>,
        body: Inbound,
    ) -> Response<Body> {
        if record.is_answered_by_api_server().await {
            return record.listen(&upgrade, body).await;
        }
        // INVARIANT: the call is only taken when the record is published, at the end.
        let Some((call, guard)) = record.into_connect() else {
            return body::status_response(&Status::from(&ProxyError::Broken));
        };
        let record = self.writes.begin(&call);
        self.write(ReceivedWrite { call, guard, record, upgrade: Some(*upgrade), body }).await
    }

    async fn write(&self, write: ReceivedWrite) -> Response<Body> {
        let ReceivedWrite { call, guard, record, upgrade, body } = write;
        let (writes, audit_id) = (Arc::clone(&self.writes), call.audit_id.clone());
        let judged = self.judging.handle().spawn(async move {
            let _guard = guard;
            writes.write(call, record, upgrade, body).await
        });
        // Judging ends when the agent leaves; sending runs as a task of its own and does not.
        AbortOnDropHandle::new(judged).await.unwrap_or_else(|error| {
            tracing::error!(%error, auditID = %audit_id, "agent-shield failed while it judged a write");
            body::status_response(&Status::from(&ProxyError::Broken))
        })
    }
}

/// A request whose head has been read, and whose record has begun.
enum Received {
    /// It was refused, and is recorded.
    Refused(Response<Body>),
    Read(Box<ReadRecord>, Inbound),
    /// A read that asks for a WebSocket.
    Stream(Box<ReadRecord>, Box<Upgrade>, Inbound),
    Write(Box<ReceivedWrite>),
}

struct ReceivedWrite {
    call: Call,
    guard: RequestGuard,
    record: Arc<WriteRecord>,
    upgrade: Option<Upgrade>,
    body: Inbound,
}

/// What judges, asking as agents and as the proxy.
fn judge(parts: &Parts, recorder: &Recorder) -> Judge {
    let view = ClusterView::new(
        parts.api.clone(),
        parts.own.clone(),
        parts.namespaces.clone(),
        Arc::new(recorder.clone()),
        parts.redactor.clone(),
    );
    let remembered = Remembered::new(Arc::clone(&parts.memory), Arc::clone(parts.queue.ledger()));
    let settings = judge::Settings {
        count_time_max: parts.settings.count_time_max,
        judge_time_max: parts.settings.judge_time_max,
        facts_bytes_per_agent_max: parts.settings.bounds.facts_bytes_per_agent_max,
        pod_networks: parts.settings.pod_networks.clone(),
    };
    let (queue, redactor) = (Arc::clone(&parts.queue), parts.redactor.clone());
    let known = Arc::new(KnownHolds { queue, redactor: redactor.clone() });
    Judge::new(view, remembered, Arc::clone(&parts.policies), (redactor, known), &settings)
}

/// What sends, and carries tunnels until they end.
fn forward(parts: &Parts, recorder: &Recorder, tasks: &TaskTracker) -> Forward {
    let settings = &parts.settings;
    let tunnels = Tunnels {
        api: parts.api.clone(),
        recorder: recorder.clone(),
        queue: Arc::clone(&parts.queue),
        tasks: tasks.clone(),
        stopping: parts.stopping.clone(),
        write_time_max: settings.write_time_max,
        session_time_max: settings.session_time_max,
    };
    Forward {
        api: parts.api.clone(),
        tunnels: Arc::new(tunnels),
        write_time_max: settings.write_time_max,
    }
}
