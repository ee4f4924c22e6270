//! What asks the cluster: as the agent, by probes that cannot change anything, and as the proxy.

use std::{sync::Arc, time::Instant};

use attributes::Attributes;
use effects::{
    NamespaceClass, Unknown,
    unknown::{Hidden, HiddenRead},
};
use http::{StatusCode, header};
use ledger::{Entry, Identity, Outcome, RequestRecord, ResponseRecord, Stage};
use payload::Redactor;
use serde_json::Value;
use upstream::{
    ApiServer, ControlClient, Namespaces, NoAnswer, Probe, ProbeAnswer, ProbeError, Served,
};

use crate::{
    accounts::Accounts,
    call::{Write, elapsed_micros},
    seen::Live,
};

/// Objects in one page of a list, and how many pages are read.
const PAGE_OBJECTS_MAX: usize = 500;
const PAGES_MAX: usize = 20;

/// Where probes are recorded: each is a request of the agent that the API server's audit log has too.
pub trait ProbeLog: Send + Sync {
    /// Appends the entry of one probe; nobody waits until it is written.
    fn append_probe(&self, entry: Entry);
}

/// The cluster, as far as an agent or the proxy may see it.
pub struct ClusterView {
    api: ApiServer,
    pub(crate) own: ControlClient,
    pub(crate) namespaces: Namespaces,
    pub(crate) accounts: Accounts,
    probes: Arc<dyn ProbeLog>,
    pub(crate) redactor: Redactor,
}

impl ClusterView {
    /// `api` asks as agents, `own` as the proxy; `redactor` takes secrets out of the records of probes.
    pub fn new(
        api: ApiServer,
        own: ControlClient,
        namespaces: Namespaces,
        probes: Arc<dyn ProbeLog>,
        redactor: Redactor,
    ) -> Self {
        let accounts = Accounts::new(own.clone(), namespaces.clone());
        Self { api, own, namespaces, accounts, probes, redactor }
    }

    /// The class of the namespace that a write is in; for a Namespace itself, its own. One that is
    /// being created has none yet, nor anything in it to protect. With how the API server did not answer,
    /// if it did not.
    pub async fn class_of(&self, attributes: &Attributes) -> (NamespaceClass, Option<NoAnswer>) {
        let (class, no_answer) = match attributes.namespace.as_str() {
            "" => (NamespaceClass::cluster_scoped(), None),
            name => self.namespaces.class(name).await,
        };
        // An apply makes it, as a create would, which is in no namespace.
        let kind = (attributes.api_group.as_str(), attributes.resource.as_str());
        if class.is_absent() && kind == ("", "namespaces") {
            return (NamespaceClass::cluster_scoped(), no_answer);
        }
        (class, no_answer)
    }

    /// Whether nobody but the API server answers a request; not known counts as no.
    pub async fn is_answered_by_api_server(&self, attributes: &Attributes) -> bool {
        let Attributes { api_group, api_version, .. } = attributes;
        match self.own.serves_itself(api_group, api_version).await {
            Ok(itself) => itself.unwrap_or(false),
            Err(error) => {
                tracing::warn!(%error, api_group, api_version, "nobody knows who serves this");
                false
            }
        }
    }

    /// Who answers for what Kubernetes does not serve itself; not known counts as another server.
    pub(crate) async fn served(&self, attributes: &Attributes) -> Served {
        let Attributes { api_group, api_version, resource, .. } = attributes;
        match self.own.served(api_group, api_version, resource).await {
            Ok(served) => served,
            Err(error) => {
                tracing::warn!(%error, api_group, resource, "nobody knows who serves this");
                Served::Elsewhere
            }
        }
    }

    /// Reads an object as the agent who sent a write.
    ///
    /// # Errors
    /// Why no whole answer came; an error status is an answer.
    pub async fn read_as_agent(
        &self,
        write: &Write,
        target: &str,
    ) -> Result<ProbeAnswer, ProbeError> {
        self.ask(write, Probe::get(target).at_most(write.weight.values_max()), false).await
    }

    /// Reads the object that a write is to: as the agent, then with the proxy's own rights, but
    /// never a Secret with those.
    pub(crate) async fn live(&self, write: &Write) -> Live {
        let Some(target) = write.object_target() else { return Live::IsNot };
        let read = match self.read_as_agent(write, &target).await {
            Ok(answer) if answer.status.is_success() => match answer.json {
                Some(object) => return Live::Is(object),
                None => HiddenRead::Unreadable,
            },
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Live::IsNot,
            Ok(answer) => HiddenRead::Refused(answer.status.as_u16()),
            Err(error) => {
                write.silence.hear(&error);
                HiddenRead::Unanswered(Unknown::bounded(&error.to_string()))
            }
        };
        // INVARIANT: the proxy's own rights never read a Secret.
        let is_secret = write.attributes().resource == "secrets";
        let hidden = Live::Hidden(Unknown::Hidden(Hidden { read, is_secret }));
        if is_secret || write.weight.is_exceeded() {
            return hidden;
        }
        match self.own.read(&target).await {
            Ok(object) => Live::Is(object),
            Err(_) => hidden,
        }
    }

    /// Reads for a preview: as the agent, then with the proxy's own rights, but never Secrets with
    /// those. `None` where neither may see it.
    pub(crate) async fn read_for_preview(
        &self,
        write: &Write,
        resource: &str,
        probe: Probe,
        target: &str,
    ) -> Option<Value> {
        let hidden = match self.ask(write, probe, false).await {
            Ok(answer) if answer.status.is_success() => return answer.json,
            Ok(answer) => answer.status.to_string(),
            Err(error) => error.to_string(),
        };
        if resource == "secrets" {
            tracing::debug!(target, %hidden, "the agent does not see Secrets");
            return None;
        }
        let seen = self.own.read(target).await;
        seen.inspect_err(|error| tracing::debug!(target, %hidden, %error, "nobody sees it")).ok()
    }

    /// Every object of a collection, page by page, as [`ClusterView::read_for_preview`] reads it; `None`
    /// where not all of them can be seen. `query` is what stands behind the bound of a page.
    pub(crate) async fn all(
        &self,
        write: &Write,
        resource: &str,
        collection: &str,
        query: &str,
    ) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        let mut next = String::new();
        for _ in 0..PAGES_MAX {
            let target = format!("{collection}?limit={PAGE_OBJECTS_MAX}&{query}{next}");
            let mut list =
                self.read_for_preview(write, resource, Probe::get(&target), &target).await?;
            all.extend(upstream::take_items(&mut list)?);
            match list.pointer("/metadata/continue").and_then(Value::as_str) {
                None | Some("") => return Some(all),
                Some(token) if is_base64_url(token) => next = format!("&continue={token}"),
                Some(_) => return None,
            }
        }
        None
    }

    /// One probe, recorded as one.
    pub(crate) async fn ask(
        &self,
        write: &Write,
        probe: Probe,
        is_dry_run: bool,
    ) -> Result<ProbeAnswer, ProbeError> {
        let audit_id = uuid::Uuid::now_v7().to_string();
        let user_agent = write.call.headers.get(header::USER_AGENT).cloned();
        // The API server's audit log has the probe under the agent's name: the ledger must explain it.
        let mut record = ProbeRecord {
            probes: self.probes.as_ref(),
            started: Instant::now(),
            entry: Some(self.entry_of_probe(write, &audit_id, is_dry_run)),
        };
        let (run_as, username) = (write.call.run_as.clone(), write.user.username.clone());
        let answer = self.api.probe(run_as, username, user_agent, &audit_id, probe).await;
        match &answer {
            Ok(answer) => {
                let (code, bytes) = (answer.status.as_u16(), answer.bytes.len() as u64);
                record.end(code, Outcome::Answered, bytes);
            }
            Err(error) => {
                if matches!(error, ProbeError::TooMany(_)) {
                    write.weight.exceed();
                }
                record.end(0, Outcome::Unknown, 0);
            }
        }
        answer
    }

    fn entry_of_probe(&self, write: &Write, audit_id: &str, is_dry_run: bool) -> Entry {
        let verb = if is_dry_run { write.attributes().verb.clone() } else { "get".to_owned() };
        Entry {
            user: Some(Identity::from(&write.user)),
            probe_of: Some(write.call.audit_id.to_string()),
            request: Some(RequestRecord {
                dry_run: is_dry_run,
                verb,
                ..write.call.record(&self.redactor)
            }),
            ..Entry::new(jiff::Timestamp::now(), audit_id, Stage::ResponseComplete)
        }
    }
}

/// As continue tokens are (k8s.io/apiserver, `EncodeContinue`): nothing in it means anything in a query.
fn is_base64_url(token: &str) -> bool {
    token.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'='))
}

/// The record of a probe that is under way: also of one whose write is given up meanwhile.
struct ProbeRecord<'a> {
    probes: &'a dyn ProbeLog,
    started: Instant,
    /// Taken when it has ended.
    entry: Option<Entry>,
}

impl ProbeRecord<'_> {
    fn end(&mut self, code: u16, outcome: Outcome, bytes: u64) {
        let Some(mut entry) = self.entry.take() else { return };
        entry.time = jiff::Timestamp::now();
        let latency_micros = elapsed_micros(self.started);
        entry.response =
            Some(ResponseRecord { code, outcome, latency_micros, bytes, object: None });
        self.probes.append_probe(entry);
    }
}

impl Drop for ProbeRecord<'_> {
    fn drop(&mut self) {
        self.end(0, Outcome::ClientGone, 0);
    }
}
