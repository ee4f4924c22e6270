//! Upgraded connections: judged and held like any call, and spliced only after upstream's 101.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use attributes::Attributes;
use hold::Permit;
use http::{HeaderValue, Response, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ledger::{Outcome, Stage};
use review::Queue;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{ApiServer, Body, Outgoing, SendError, Upgrading};

use crate::{
    body,
    error::ProxyError,
    guarded::{self, Guard, Guarded},
    inbound::InboundWrite,
    recorder::Recorder,
    upgrade::Upgrade,
};

/// How long one side may go on once the other has ended.
const LINGER_TIME_MAX: Duration = Duration::from_secs(3);
/// How long the agent's side may take to switch once it was answered 101.
const SWITCH_TIME_MAX: Duration = Duration::from_secs(10);

/// What came of asking upstream.
pub(crate) enum Asked {
    /// What the agent is answered with, and the session that begins with it.
    Open(Response<Body>, Box<Session>),
    /// Any other answer.
    Answered(Response<Body>),
}

/// The two ends of a tunnel.
pub(crate) struct Session {
    client: OnUpgrade,
    upstream: Upgraded,
    guard: Option<Guard>,
}

/// How a session ended.
pub(crate) struct Carried {
    /// For the record.
    pub(crate) note: String,
    /// Bytes to the agent.
    pub(crate) bytes: u64,
}

impl Session {
    /// Carries bytes both ways until one side ends, or `cut` says why it must.
    pub(crate) async fn carry(self, cut: impl Future<Output = &'static str>) -> Carried {
        let Self { client, upstream, guard } = self;
        let opened = Instant::now();
        let (up, down) = (Arc::default(), Arc::default());
        let one_ended = Arc::new(Notify::new());
        let switched = tokio::time::timeout(SWITCH_TIME_MAX, client).await;
        let ended = match switched {
            Ok(Ok(client)) => {
                let client = Guarded::new(TokioIo::new(client), guard);
                let mut client = Metered::new(client, &up, &one_ended);
                let mut upstream = Metered::new(TokioIo::new(upstream), &down, &one_ended);
                let ended = tokio::select! {
                    copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => match copied {
                        Ok(_) => "ended".to_owned(),
                        Err(error) if is_end(&error) => "ended".to_owned(),
                        Err(error) => match guarded::refusal(&error) {
                            Some(why) => format!("was cut: {why}"),
                            None => "broke off".to_owned(),
                        },
                    },
                    // Neither WebSocket nor SPDY works over half a connection.
                    () = async {
                        one_ended.notified().await;
                        tokio::time::sleep(LINGER_TIME_MAX).await;
                    } => "ended".to_owned(),
                    why = cut => format!("was cut: {why}"),
                };
                format!("{ended}{}", client.stream.opened())
            }
            Ok(Err(_)) | Err(_) => "never began: the agent had gone".to_owned(),
        };
        let (up, down) = (up.load(Ordering::Relaxed), down.load(Ordering::Relaxed));
        let seconds = opened.elapsed().as_secs_f32();
        let note = format!(
            "the session {ended} after {seconds:.1} s: {up} bytes from the agent, {down} bytes to it"
        );
        Carried { note, bytes: down }
    }
}

/// Opens tunnels, and carries them until they end.
pub(crate) struct Tunnels {
    pub(crate) api: ApiServer,
    pub(crate) recorder: Recorder,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) write_time_max: Duration,
    /// A session is cut after so long.
    pub(crate) session_time_max: Duration,
}

impl Tunnels {
    /// Asks upstream for the upgrade, spending the right to do so.
    pub(crate) async fn ask(
        &self,
        permit: Permit,
        attributes: &Attributes,
        upgrade: &Upgrade,
        mut outgoing: Outgoing,
    ) -> Result<Asked, SendError> {
        outgoing.headers.extend(upgrade.headers.clone());
        let asked = self.api.upgrade(permit, outgoing);
        let time_max = self.write_time_max;
        let upgrading = match tokio::time::timeout(time_max, asked).await {
            Ok(upgrading) => upgrading?,
            Err(elapsed) => return Err(SendError::Unknown(Box::new(elapsed))),
        };
        let (head, upstream) = match upgrading {
            Upgrading::Open(head, upstream) => (head, upstream),
            Upgrading::Refused(answer) if answer.status().is_redirection() => {
                // A redirect would lead the agent's credential, or its tunnel, somewhere else.
                let status = status::Status::from(&ProxyError::Redirect);
                return Ok(Asked::Answered(body::status_response(&status)));
            }
            Upgrading::Refused(answer) => return Ok(Asked::Answered(answer)),
        };
        let Ok(guard) = guarded::of(attributes, &head.headers) else {
            let why = "the API server agreed on a protocol whose ports cannot be read";
            return Err(SendError::Unknown(why.into()));
        };
        let Some(client) = upgrade.take() else {
            return Err(SendError::Unknown("the agent's side was upgraded already".into()));
        };
        let mut answer = Response::new(body::full(""));
        *answer.status_mut() = head.status;
        let to = head.headers.get(header::UPGRADE).cloned();
        *answer.headers_mut() = attributes::headers::downstream_headers(head.headers);
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Some(to) = to {
            answer.headers_mut().insert(header::UPGRADE, to);
        }
        Ok(Asked::Open(answer, Box::new(Session { client, upstream, guard })))
    }

    /// Carries the session of a write, until its agent is frozen or its time is over.
    pub(crate) async fn run(self: &Arc<Self>, session: Session, write: &Arc<InboundWrite>) {
        let mut started = write.call.entry(Stage::ResponseStarted);
        started.response = Some(write.call.response(101, Outcome::Answered, 0));
        self.recorder.append_outcome(started).await;
        let (tunnels, write) = (Arc::clone(self), Arc::clone(write));
        self.tasks.spawn(async move {
            let carried = session.carry(async {
                tokio::select! {
                    why = tunnels.over() => why,
                    _ = tunnels.queue.until_frozen(&write.user.username) => "the agent was frozen",
                }
            });
            let Carried { note, bytes } = carried.await;
            let Some(mut entry) = write.record.end(101, Outcome::Answered, bytes) else { return };
            entry.note = Some(note);
            tunnels.recorder.append_outcome(entry).await;
        });
    }

    /// Carries the session of a read; `ended` records it.
    pub(crate) fn listen(
        self: &Arc<Self>,
        session: Session,
        ended: impl FnOnce(Carried) + Send + 'static,
    ) {
        let tunnels = Arc::clone(self);
        self.tasks.spawn(async move { ended(session.carry(tunnels.over()).await) });
    }

    /// Waits until any session has to end, and says why.
    async fn over(&self) -> &'static str {
        tokio::select! {
            () = tokio::time::sleep(self.session_time_max) => "its time was over",
            () = self.stopping.cancelled() => "agent-shield stopped",
        }
    }
}

/// Many clients end TLS without saying so.
fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | NotConnected)
}

/// A stream that counts what is read from it, and takes a connection that just goes for its end:
/// what came before is still to be written to the other side.
struct Metered<S> {
    stream: S,
    read: Arc<AtomicU64>,
    ended: Arc<Notify>,
}

impl<S> Metered<S> {
    fn new(stream: S, read: &Arc<AtomicU64>, ended: &Arc<Notify>) -> Self {
        Self { stream, read: Arc::clone(read), ended: Arc::clone(ended) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len().saturating_sub(before);
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        if polled.is_ready() && count == 0 {
            self.ended.notify_one();
        }
        match polled {
            Poll::Ready(Err(error)) if is_end(&error) => Poll::Ready(Ok(())),
            polled => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
