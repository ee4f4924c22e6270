//! One request as it is carried through: what was read of it once, and never read again.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use attributes::{Attributes, AuditId, User};
use bytes::Bytes;
use effects::NamespaceClass;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use ledger::{
    Action, DecisionRecord, Entry, Identity, Outcome, RequestRecord, ResponseRecord, Stage,
};
use payload::{MediaType, Redactor};
use serde_json::Value;
use upstream::{Outgoing, RunAs};

use crate::{silence::Silence, weight::Weight};

/// Longest client-written text that is kept of a header.
const HEADER_TEXT_MAX: usize = 256;

/// Headers that are recorded.
const RECORDED: [HeaderName; 4] = [
    header::USER_AGENT,
    HeaderName::from_static("kubectl-command"),
    HeaderName::from_static("kubectl-session"),
    HeaderName::from_static("agent-shield-reason"),
];

/// Where an agent says why it asks, if its client sends no headers of its own.
const REASON_ANNOTATION: &str = "agent-shield.io/reason";

/// A request whose head has been read.
pub struct Call {
    /// The call's own id, which the API server's audit log has too.
    pub audit_id: AuditId,
    /// What is asked.
    pub attributes: Attributes,
    /// Headers that go upstream: neither hop-by-hop nor identity.
    pub headers: HeaderMap,
    /// In whose name it goes upstream.
    pub run_as: RunAs,
    /// The address that it came from.
    pub source: SocketAddr,
    /// When its head was read.
    pub received: Instant,
}

impl Call {
    /// The user, if it is known without asking the API server.
    pub fn known_user(&self) -> Option<User> {
        match &self.run_as {
            RunAs::Nobody => Some(User::anonymous()),
            RunAs::Impersonated(user) => Some(User::clone(user)),
            RunAs::Bearer(_) => None,
        }
    }

    /// The token by which the API server can be asked for the user.
    pub fn token(&self) -> Option<Arc<str>> {
        self.run_as.token().cloned()
    }

    fn header(&self, name: &HeaderName) -> String {
        let value = self.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).chars().take(HEADER_TEXT_MAX).collect()
    }

    /// The request, as it is recorded.
    pub fn record(&self, redactor: &Redactor) -> RequestRecord {
        self.record_of(self.attributes.clone(), redactor)
    }

    /// As [`Call::record`], for a call that has ended.
    pub fn into_record(mut self, redactor: &Redactor) -> RequestRecord {
        let attributes = std::mem::take(&mut self.attributes);
        self.record_of(attributes, redactor)
    }

    fn record_of(&self, attributes: Attributes, redactor: &Redactor) -> RequestRecord {
        let [user_agent, kubectl_command, kubectl_session, agent_reason] = RECORDED;
        let target = redactor.redact_target(&attributes.target);
        RequestRecord {
            user_agent: self.header(&user_agent),
            kubectl_command: self.header(&kubectl_command),
            kubectl_session: self.header(&kubectl_session),
            agent_reason: self.header(&agent_reason),
            source_ip: self.source.ip().to_string(),
            ..RequestRecord::of(attributes, target)
        }
    }

    /// Lets go of the head, and of the buffer that it was read into, but for what [`Call::record`] tells:
    /// a watch may stay for hours.
    pub fn let_go_of_head(&mut self) {
        let mut kept = HeaderMap::new();
        for name in RECORDED {
            let copied = self.headers.get(&name).map(|it| HeaderValue::from_bytes(it.as_bytes()));
            if let Some(Ok(value)) = copied {
                kept.insert(name, value);
            }
        }
        self.headers = kept;
    }

    /// An entry of this call, as of now.
    pub fn entry(&self, stage: Stage) -> Entry {
        Entry::new(Timestamp::now(), self.audit_id.as_str(), stage)
    }

    /// An answer, as it is recorded, with the time that it took.
    pub fn response(&self, code: u16, outcome: Outcome, bytes: u64) -> ResponseRecord {
        ResponseRecord {
            code,
            outcome,
            latency_micros: elapsed_micros(self.received),
            bytes,
            object: None,
        }
    }

    /// What is sent to the API server of a read.
    pub fn outgoing(&self, body: Bytes) -> Outgoing {
        let method =
            Method::from_bytes(self.attributes.method.as_bytes()).unwrap_or(Method::OPTIONS);
        Outgoing {
            method,
            target: self.attributes.target.clone(),
            headers: self.headers.clone(),
            run_as: self.run_as.clone(),
            username: None,
            body,
        }
    }
}

fn without_dry_run(attributes: &Attributes) -> Option<Attributes> {
    let is_real = |key: &str| key != "dryRun";
    let mut real = attributes.clone();
    real.query.0.retain(|(key, _)| is_real(key));
    if let Some((path, query)) = attributes.target.split_once('?') {
        let written: Vec<&str> = query.split('&').collect();
        let read = &attributes.query.0;
        if written.len() != read.len() {
            return None;
        }
        let kept = written.iter().zip(read).filter(|(_, (key, _))| is_real(key));
        let kept: Vec<&str> = kept.map(|(written, _)| *written).collect();
        real.target =
            if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    }
    Some(real)
}

/// A request that may change something: its user is known and its body is here.
pub struct Write {
    /// What was read of its head.
    pub call: Call,
    /// Who sends it.
    pub user: User,
    /// The agent's own bytes.
    pub body: Bytes,
    /// What they say they are.
    pub media: MediaType,
    /// Whether the API server would store nothing of it.
    pub is_dry_run: bool,
    /// How its namespace is classed.
    pub class: NamespaceClass,
    /// How much is read to judge it.
    pub weight: Weight,
    /// Whether the API server left something unanswered that judging it needs.
    pub silence: Silence,
}

impl Write {
    /// A dry run as if it were none; `None` where that is not certain.
    pub(crate) fn as_real(&self) -> Option<Self> {
        let Call { audit_id, attributes, headers, run_as, source, received } = &self.call;
        let call = Call {
            audit_id: audit_id.clone(),
            attributes: without_dry_run(attributes)?,
            headers: headers.clone(),
            run_as: run_as.clone(),
            source: *source,
            received: *received,
        };
        Some(Self {
            call,
            user: self.user.clone(),
            body: self.body.clone(),
            media: self.media,
            is_dry_run: false,
            class: self.class.clone(),
            weight: Weight::default(),
            silence: Silence::since(None),
        })
    }

    /// What is sent to the API server.
    pub fn outgoing(&self, body: Bytes) -> Outgoing {
        Outgoing { username: Some(self.user.username.clone()), ..self.call.outgoing(body) }
    }

    /// What is asked.
    pub fn attributes(&self) -> &Attributes {
        &self.call.attributes
    }

    /// Its target without the query.
    pub(crate) fn path(&self) -> &str {
        self.attributes().target.split('?').next().unwrap_or_default()
    }

    /// The target that reads the object of a write; `None` where it names none yet.
    pub(crate) fn object_target(&self) -> Option<String> {
        let attributes = self.attributes();
        let path = self.path().trim_end_matches('/');
        match attributes.verb.as_str() {
            // A POST to a subresource concerns the object above it.
            "create" if attributes.subresource.is_empty() => None,
            _ if matches!(attributes.subresource.as_str(), "" | "scale") => Some(path.to_owned()),
            _ => Some(path.strip_suffix(&format!("/{}", attributes.subresource))?.to_owned()),
        }
    }

    /// The target of the object that a write is to, also where it is to a part of it.
    pub(crate) fn whole_target(&self) -> Option<String> {
        let target = self.object_target()?;
        match self.attributes().subresource.as_str() {
            "scale" => Some(target.strip_suffix("/scale")?.to_owned()),
            _ => Some(target),
        }
    }

    /// The target of the collection that the object of a write is in.
    pub(crate) fn collection_target(&self) -> Option<String> {
        let path = self.path().trim_end_matches('/');
        match self.attributes().verb.as_str() {
            "create" => Some(path.to_owned()),
            _ => self.whole_target()?.rsplit_once('/').map(|(it, _)| it.to_owned()),
        }
    }

    /// A copy of an object that it is about, without secrets.
    pub(crate) fn redacted(&self, redactor: &Redactor, object: &Value) -> Value {
        let mut object = object.clone();
        redactor.redact_object(&self.attributes().resource, &mut object);
        object
    }

    /// The manager of the fields, where it is a server-side apply.
    pub(crate) fn applied_by(&self) -> Option<&str> {
        let applies = matches!(self.media, MediaType::ApplyYaml | MediaType::ApplyCbor);
        applies.then(|| self.attributes().query.first("fieldManager").unwrap_or_default())
    }

    /// Its `Content-Type`.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.call.headers.get(header::CONTENT_TYPE)
    }

    /// The record with what only a write has.
    pub fn record(&self, redactor: &Redactor) -> RequestRecord {
        let record = self.call.record(redactor);
        RequestRecord {
            agent_reason: match record.agent_reason.as_str() {
                "" => self.annotated_reason(),
                reason => reason.to_owned(),
            },
            dry_run: self.is_dry_run,
            body_bytes: self.body.len() as u64,
            body_digest: match self.body.is_empty() {
                true => String::new(),
                false => redactor.digest(&self.body),
            },
            ..record
        }
    }

    /// Why the agent asks, by an annotation of what it sends.
    fn annotated_reason(&self) -> String {
        let is_there =
            std::str::from_utf8(&self.body).is_ok_and(|it| it.contains(REASON_ANNOTATION));
        let body = is_there.then(|| payload::read(self.media, &self.body).ok()).flatten();
        let annotations = body.as_ref().and_then(|it| it.pointer("/metadata/annotations"));
        let reason = annotations.and_then(|it| it.get(REASON_ANNOTATION)).and_then(Value::as_str);
        reason.unwrap_or_default().chars().take(HEADER_TEXT_MAX).collect()
    }

    /// The entry that is durable before the request leaves.
    pub fn received(&self, redactor: &Redactor, decision: DecisionRecord) -> Entry {
        Entry {
            user: Some(Identity::from(&self.user)),
            request: Some(self.record(redactor)),
            decision: Some(decision),
            ..self.call.entry(Stage::RequestReceived)
        }
    }

    /// The request itself, byte for byte.
    pub fn request(&self) -> hold::Request<'_> {
        hold::Request {
            attributes: self.attributes(),
            user: &self.user,
            media: self.media,
            body: &self.body,
        }
    }
}

/// How long ago a moment was, in microseconds.
pub fn elapsed_micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A decision without rules: made by the proxy itself.
pub fn decided(action: Action, reason: impl ToString) -> DecisionRecord {
    DecisionRecord::of(action, reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(method: &str, target: &str, body: &'static str) -> Write {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let call = Call {
            audit_id: AuditId::new("a".to_owned()),
            attributes: attributes::read(&method, target, &HeaderMap::new()).expect("attributes"),
            headers: HeaderMap::new(),
            run_as: RunAs::Nobody,
            source: SocketAddr::from(([127, 0, 0, 1], 1)),
            received: Instant::now(),
        };
        Write {
            call,
            user: User { username: "bot".into(), ..User::default() },
            body: Bytes::from_static(body.as_bytes()),
            media: MediaType::Json,
            is_dry_run: false,
            class: NamespaceClass::cluster_scoped(),
            weight: Weight::default(),
            silence: Silence::default(),
        }
    }

    #[test]
    fn knows_where_its_object_is_read() {
        let pod = "/api/v1/namespaces/shop/pods/web";
        let scale = "/apis/apps/v1/namespaces/shop/deployments/web/scale";
        let table = [
            ("POST", "/api/v1/namespaces/shop/pods".to_owned(), None),
            ("DELETE", format!("{pod}?dryRun=All"), Some(pod)),
            ("PATCH", format!("{pod}/status"), Some(pod)),
            ("POST", format!("{pod}/eviction"), Some(pod)),
            ("PUT", scale.to_owned(), Some(scale)),
        ];
        for (method, target, want) in table {
            let found = write(method, &target, "{}").object_target();
            assert_eq!(found.as_deref(), want, "{method} {target}");
        }
    }

    #[test]
    fn a_retry_is_the_same_request_and_nothing_else_is() {
        let redactor = Redactor::new(b"key");
        let (pod, body) = ("/api/v1/namespaces/shop/pods/web", "{}");
        let first = write("PUT", pod, body).request().digest(&redactor);
        let table = [
            ("PUT", pod.to_owned(), body, true),
            ("PUT", format!("{pod}?timeout=5s&pretty=true"), body, true),
            ("PUT", format!("{pod}?dryRun=All"), body, false),
            ("PUT", format!("{pod}2"), body, false),
            ("PATCH", pod.to_owned(), body, false),
            ("PUT", pod.to_owned(), "{ }", false),
        ];
        for (method, target, body, want) in table {
            let digest = write(method, &target, body).request().digest(&redactor);
            assert_eq!(digest == first, want, "{method} {target} {body}");
        }
        let mut by_another = write("PUT", pod, body);
        by_another.user.username = "other".into();
        assert_ne!(by_another.request().digest(&redactor), first);
        let mut grouped = write("PUT", pod, body);
        grouped.user.groups = vec!["a".into(), "b".into()];
        let digest = grouped.request().digest(&redactor);
        grouped.user.groups.reverse();
        assert_eq!(grouped.request().digest(&redactor), digest, "groups have no order");
        assert_ne!(digest, first);
    }
}
