//! What a write would do, and what policy says of it.
//!
//! The answer comes from the API server itself: its dry run of the agent's own bytes as the agent,
//! against the live object. What cannot be previewed counts as the worst.

use std::sync::Arc;

use attributes::Attributes;
use bytes::Bytes;
use effects::{Change, Effect, EffectKind, Route};
use hold::{ChangeRecord, Preview, Target};
use http::StatusCode;
use ledger::{
    Action, ClassRecord, DecisionRecord, EffectRecord, Entry, FactsRecord, Identity, Outcome,
    RequestRecord, ShadowRecord, Stage,
};
use payload::MediaType;
use policy::{Decision, Input, Objects, Pack, Pair, Verdict};
use serde_json::Value;
use upstream::{Probe, ProbeAnswer};

use crate::{
    Proxy,
    call::{Call, Write},
    deletes,
    error::ProxyError,
    facts::{Basis, Moment},
    reach, scale, window,
};

/// A request made once more: an object that changes between its two readings is read again.
const SNAPSHOT_TRIES: usize = 3;
/// Differences that are stored for reviewers, and the length of each side.
const CHANGES_MAX: usize = 300;
const VALUE_CHARS_MAX: usize = 4_096;
/// Of a refusal that is stored as a reason: it may repeat what the agent sent.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// What came of judging.
pub(crate) enum Judged {
    /// The API server's own dry run refuses: that is the agent's answer, and nobody is asked.
    Answered(ProbeAnswer),
    /// Policy has an answer.
    Decided(Box<Judgement>),
}

/// Effects, how they were learned, and what policy says of them.
pub(crate) struct Judgement {
    pub(crate) effects: Vec<Effect>,
    pub(crate) preview: Preview,
    pub(crate) verdict: Verdict,
    /// What it was made from, until it is recorded.
    pub(crate) facts: Option<Box<FactsRecord>>,
    /// Digest of the policies that said so.
    policy: String,
}

impl Judgement {
    /// As it is recorded.
    pub(crate) fn decision(&self, action: Action) -> DecisionRecord {
        decision(action, &self.verdict, &self.policy)
    }

    /// What it would do, as it is recorded.
    pub(crate) fn effect_records(&self) -> Vec<EffectRecord> {
        self.effects.iter().map(Into::into).collect()
    }
}

fn decision(action: Action, verdict: &Verdict, policy: &str) -> DecisionRecord {
    let shadow = verdict.shadow.iter().map(|it| ShadowRecord {
        rule: it.rule.to_string(),
        action: match it.decision {
            Decision::Allow => Action::Allow,
            Decision::Hold => Action::Hold,
            Decision::Deny => Action::Deny,
        },
        reason: it.reason.clone(),
        exception: it.exception.clone(),
    });
    DecisionRecord {
        rules: verdict.rules(),
        policy: policy.to_owned(),
        shadow: shadow.collect(),
        ..DecisionRecord::of(action, verdict.reason())
    }
}

/// What was seen of the cluster.
#[derive(Default)]
pub(crate) struct Seen {
    effects: Vec<Effect>,
    changes: Vec<Change>,
    pub(crate) live: Option<Value>,
    /// As it would be.
    pub(crate) new: Option<Value>,
    /// Both without their secrets, where they were compared.
    pub(crate) compared: Option<Box<[Option<Value>; 2]>>,
    /// Of a collection, each object.
    pub(crate) items: Option<Vec<Value>>,
    /// Why the objects are not known, where they are not.
    pub(crate) unknown: Option<String>,
    targets: Vec<Target>,
    notes: Vec<String>,
}

impl Seen {
    /// The objects that a delete takes.
    fn gone(&self) -> impl Iterator<Item = &Value> {
        self.live.iter().chain(self.items.iter().flatten())
    }

    fn objects(&self) -> Objects<'_> {
        match (&self.unknown, &self.items) {
            (Some(why), _) => Objects::Unknown(why.clone()),
            (None, None) => {
                Objects::Known(vec![Pair { old: self.live.as_ref(), new: self.new.as_ref() }])
            }
            (None, Some(items)) => {
                let pairs = items.iter().map(|item| Pair { old: Some(item), new: None });
                Objects::Known(pairs.collect())
            }
        }
    }
}

/// A preview that ended in an answer, or in what was seen.
enum Previewed {
    Answered(ProbeAnswer),
    Seen(Seen),
}

/// What a dry run's answer means.
enum DryRun {
    Answered(ProbeAnswer),
    Would(Option<Value>),
    Nothing(String),
}

/// The live object, as far as somebody may see it.
enum Live {
    Is(Value),
    IsNot,
    Hidden(String),
}

impl Proxy {
    /// Judges a write. Asking changes nothing in the cluster.
    pub(crate) async fn judge(&self, write: &Write) -> Judged {
        // One set for the whole judgement, whoever swaps it meanwhile.
        let pack = self.policies.load_full();
        let attributes = write.attributes();
        let plan = effects::plan(attributes, write.is_dry_run);
        // Reviews and dry runs store nothing, so that rules about writes do not ask about them.
        let is_write = plan.route.stores();
        let (first, moment) = self.decide(&pack, write, is_write, &plan.effects, None);
        if first.decision == Decision::Deny {
            return Judged::Decided(Box::new(Judgement {
                effects: plan.effects,
                preview: Preview::default(),
                verdict: first,
                facts: Some(self.facts(write, &moment, None)),
                policy: pack.digest().to_owned(),
            }));
        }
        // What nobody asks about is not looked at, unless a reviewer wants to see it.
        let asks = pack.asks_about(&plan, attributes, &write.class);
        let looks = plan.route.is_looked_at(asks, first.decision == Decision::Hold);
        let previewed = match plan.route {
            _ if !looks => Previewed::Seen(Seen::default()),
            Route::Review | Route::DryRun => Previewed::Seen(Seen::default()),
            Route::Read | Route::Blind if attributes.is_connect() => self.connect(write).await,
            Route::Blind if is_custom_scale(attributes) => self.custom_scale(write).await,
            Route::Read | Route::Blind => self.blind(write, "").await,
            Route::Ordinary | Route::Preview => self.preview_change(write).await,
            Route::PreviewDelete => self.preview_delete(write).await,
            Route::PreviewCollection => self.preview_collection(write).await,
        };
        let mut seen = match previewed {
            // Whoever reaches for what guards the cluster is shown to a person, also where the API server
            // would refuse it now.
            Previewed::Answered(answer) if guards(write, &answer) => {
                let code = answer.status.as_u16();
                let why = format!("the API server would answer {code} now");
                Seen {
                    effects: effects::of_refused(attributes, &why),
                    unknown: Some(why.clone()),
                    notes: vec![why],
                    ..Seen::default()
                }
            }
            Previewed::Answered(answer) => return Judged::Answered(answer),
            Previewed::Seen(seen) => seen,
        };
        let mut effects = more_than_said(plan.effects, std::mem::take(&mut seen.effects));
        deletes::say_how(write, seen.gone(), &mut effects);
        let powers = self.weigh_accounts(&mut effects).await;
        self.add_up(&mut effects).await;
        let (verdict, moment) = self.decide(&pack, write, is_write, &effects, Some(&seen));
        powers.tell(&mut effects);
        let facts = Some(self.facts(write, &moment, looks.then_some(&mut seen)));
        let preview = self.shown(write, &effects, seen, &verdict).await;
        let policy = pack.digest().to_owned();
        Judged::Decided(Box::new(Judgement { effects, preview, verdict, facts, policy }))
    }

    /// `seen` is what was seen of the cluster; nothing as long as nobody has looked.
    fn decide(
        &self,
        pack: &Pack,
        write: &Write,
        is_write: bool,
        effects: &[Effect],
        seen: Option<&Seen>,
    ) -> (Verdict, Moment) {
        let now = jiff::Timestamp::now();
        let username = write.user.username.as_str();
        let (earlier, window) = match pack.needs_window() {
            true => {
                let earlier = self.window.of(username, now);
                let window = window::record(&earlier);
                (earlier, window)
            }
            false => (Vec::new(), self.window.record_of(username, now)),
        };
        let verdict = pack.decide(&Input {
            attributes: write.attributes(),
            user: &write.user,
            class: &write.class,
            is_write,
            effects,
            objects: seen.map_or(Objects::Later, Seen::objects),
            changes: seen.map(|seen| seen.changes.as_slice()).unwrap_or_default(),
            earlier: &earlier,
            redact: &|object| self.redacted(write, object),
            now,
        });
        (verdict, Moment { at: now, window })
    }

    /// A copy without secrets.
    pub(crate) fn redacted(&self, write: &Write, object: &Value) -> Value {
        let mut object = object.clone();
        self.redactor.redact_object(&write.attributes().resource, &mut object);
        object
    }

    /// The policies, where any of them asks about this read.
    pub(crate) fn asked_about_read(&self, attributes: &Attributes) -> Option<Arc<Pack>> {
        let pack = self.policies.load();
        pack.asks_about_read(attributes).then(|| Arc::clone(&pack))
    }

    /// Whether policy lets a read pass, what it said, and how the namespace is classed.
    pub(crate) async fn judge_read(
        &self,
        pack: &Pack,
        call: &Call,
    ) -> Result<(DecisionRecord, ClassRecord), ProxyError> {
        let user = self.user_of(call).await?;
        let class = self.class_of(&call.attributes).await;
        let verdict = pack.decide_read(&call.attributes, &user, &class, jiff::Timestamp::now());
        let action = match verdict.decision {
            Decision::Allow => Action::Allow,
            Decision::Hold | Decision::Deny => Action::Deny,
        };
        let decision = decision(action, &verdict, pack.digest());
        let class = ClassRecord::from(&class);
        match action {
            Action::Allow => Ok((decision, class)),
            _ => Err(ProxyError::Denied {
                words: self.denial(&user, &call.attributes, &verdict).await,
                decision: Box::new(decision),
                basis: Box::new(Basis { class: Some(class), ..Basis::default() }),
            }),
        }
    }

    /// What cannot or must not be previewed. Discovery and RBAC are asked on the agent's behalf, so
    /// that nobody is asked to approve what the API server would refuse.
    async fn blind(&self, write: &Write, why: &str) -> Previewed {
        let attributes = write.attributes();
        if let Some(words) = self.refusal(&write.user, attributes).await {
            return Previewed::Answered(forbidden(words));
        }
        if let Some(refusal) = self.unserved(write).await {
            return Previewed::Answered(refusal);
        }
        let note = match why {
            "" => "this kind of request has no preview".to_owned(),
            why => why.to_owned(),
        };
        Previewed::Seen(Seen { unknown: Some(note.clone()), notes: vec![note], ..Seen::default() })
    }

    /// A way into a pod is as powerful as the pod (DEFAULTS Q7); what is not known of it is the worst.
    async fn connect(&self, write: &Write) -> Previewed {
        let mut seen = match self.blind(write, "").await {
            Previewed::Seen(seen) => seen,
            answered => return answered,
        };
        let attributes = write.attributes();
        let (namespace, name) = (&attributes.namespace, &attributes.name);
        let pod = match attributes.resource.as_str() {
            "pods" => {
                // `[scheme:]name[:port]`: a name that is not the pod's finds no pod, and is held.
                let target = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                self.read_for_preview(write, "pods", Probe::get(&target), &target).await
            }
            _ => None,
        };
        seen.effects = match &pod {
            Some(pod) => effects::of_entered(attributes, pod),
            None => vec![Effect {
                kind: EffectKind::Borrow,
                object: effects::object_of(attributes),
                detail: "takes whatever the other end may do, which is not known".to_owned(),
                count: None,
            }],
        };
        if pod.is_some() {
            seen.unknown = None;
        }
        seen.live = pod;
        Previewed::Seen(seen)
    }

    /// A custom resource's count, which its own words tell: an aggregated API might take a dry run
    /// for real.
    async fn custom_scale(&self, write: &Write) -> Previewed {
        let note = "what is said of the count is read from the request, not from a dry run";
        let mut seen = match self.blind(write, note).await {
            Previewed::Seen(seen) => seen,
            answered => return answered,
        };
        let attributes = write.attributes();
        let live = match self.live(write).await {
            Live::Is(live) => Some(live),
            Live::IsNot | Live::Hidden(_) => None,
        };
        let old = live.as_ref().map(scale::count);
        let is_update = attributes.verb == "update";
        let new = scale::said(write.media, is_update, &write.body, old.unwrap_or(0));
        seen.effects.extend(effects::of_said_scale(attributes, old, new));
        Previewed::Seen(seen)
    }

    /// Whether a smaller StatefulSet takes its claims with it, which its `Scale` does not say.
    async fn weigh_claims(&self, write: &Write, effects: &mut Vec<Effect>) {
        let path = write.attributes().target.split('?').next().unwrap_or_default();
        let main = path.trim_end_matches('/').strip_suffix("/scale");
        let (true, Some(main)) = (effects.iter().any(|it| it.kind == EffectKind::LoseData), main)
        else {
            return;
        };
        let resource = write.attributes().resource.as_str();
        if let Some(workload) = self.read_for_preview(write, resource, Probe::get(main), main).await
        {
            effects::of_scaled_workload(effects, &workload);
        }
    }

    async fn preview_change(&self, write: &Write) -> Previewed {
        let attributes = write.attributes();
        let mut seen = Seen::default();
        let answers_no_object = matches!(attributes.subresource.as_str(), "eviction" | "binding")
            || attributes.resource == "bindings";
        for attempt in 1.. {
            let probe =
                Probe::dry_run(attributes, write.content_type().cloned(), write.body.clone());
            let Some(probe) = probe else {
                return self.blind_unknown(write, "this request has no dry run").await;
            };
            let (live, dry) = tokio::join!(self.live(write), self.dry_run(write, probe));
            let new = match dry {
                DryRun::Answered(answer) => {
                    // It comes before the delete that it belongs to.
                    let Some(twin) = self.of_untimely_twin(write, &answer) else {
                        return Previewed::Answered(answer);
                    };
                    seen.unknown = Some("there is such a namespace still".to_owned());
                    seen.effects.push(twin);
                    return Previewed::Seen(seen);
                }
                DryRun::Nothing(why) => return self.blind_unknown(write, &why).await,
                DryRun::Would(new) => new,
            };
            if answers_no_object {
                if let Live::Is(live) = live {
                    seen.live = Some(live);
                }
                return Previewed::Seen(seen);
            }
            let Some(new) = new else {
                let why = "the API server's dry run did not answer with an object";
                return self.blind_unknown(write, why).await;
            };
            let old = match live {
                Live::Is(old) => Some(old),
                Live::IsNot => None,
                Live::Hidden(why) => {
                    seen.unknown = Some(why.clone());
                    seen.effects.push(effects::unknown(attributes, &why));
                    seen.notes.push(why);
                    None
                }
            };
            let hidden = !seen.notes.is_empty();
            if let Some(old) = &old
                && version(old) != version(&new)
            {
                if attempt < SNAPSHOT_TRIES {
                    continue;
                }
                let why = "the object kept changing while it was looked at";
                seen.unknown = Some(why.to_owned());
                seen.effects.push(effects::unknown(attributes, why));
                seen.notes.push(why.to_owned());
            }
            if !hidden || old.is_some() {
                let found =
                    effects::of_change(attributes, self.namespaces.config(), old.as_ref(), &new);
                seen.effects.extend(found);
            }
            seen.effects.extend(self.of_twin(write, Some(&new)));
            if write.class.production && is_relative(write.media, &write.body) {
                let why = "a JSON patch that copies or moves within the object can mean something \
                           else by the time it is sent";
                seen.effects.push(effects::unknown(attributes, why));
            }
            seen.live = old;
            seen.new = Some(new);
            if attributes.subresource == "scale" {
                self.weigh_claims(write, &mut seen.effects).await;
                seen.live.iter_mut().chain(&mut seen.new).for_each(with_count);
            }
            self.compare(write, &mut seen);
            break;
        }
        Previewed::Seen(seen)
    }

    async fn preview_delete(&self, write: &Write) -> Previewed {
        let attributes = write.attributes();
        let live = self.live(write).await;
        let mut seen = match self.dry_run_of_delete(write).await {
            Ok(DryRun::Answered(answer)) => return Previewed::Answered(answer),
            Ok(DryRun::Would(_)) => Seen::default(),
            Ok(DryRun::Nothing(why)) | Err(why) => match self.blind(write, &why).await {
                Previewed::Answered(answer) => return Previewed::Answered(answer),
                Previewed::Seen(seen) => seen,
            },
        };
        match live {
            Live::Is(object) => {
                let replaced = match attributes.resource.as_str() {
                    "pods" => self.pod_replaced(write, &object).await,
                    _ => None,
                };
                seen.effects = replaced.unwrap_or_else(|| {
                    effects::of_delete(attributes, std::slice::from_ref(&object))
                });
                seen.unknown = None;
                seen.live = Some(object);
                self.compare(write, &mut seen);
            }
            Live::IsNot => seen.notes.push("there is no such object now".to_owned()),
            Live::Hidden(why) => {
                seen.unknown = Some(why.clone());
                seen.notes.push(why);
            }
        }
        Previewed::Seen(seen)
    }

    async fn preview_collection(&self, write: &Write) -> Previewed {
        let attributes = write.attributes();
        let mut seen = Seen::default();
        match self.dry_run_of_delete(write).await {
            Ok(DryRun::Answered(answer)) => return Previewed::Answered(answer),
            Ok(DryRun::Would(Some(mut list))) => {
                let items = list.get_mut("items").and_then(Value::as_array_mut);
                let Some(items) = items.map(std::mem::take) else {
                    return self.blind_unknown(write, "what matches could not be listed").await;
                };
                seen.effects = effects::of_delete(attributes, &items);
                seen.targets = items.iter().map(target).collect();
                seen.targets.sort();
                if items.is_empty() {
                    seen.notes.push("nothing matches now".to_owned());
                }
                seen.items = Some(items);
            }
            Ok(DryRun::Would(None)) => {
                return self.blind_unknown(write, "what matches could not be listed").await;
            }
            Ok(DryRun::Nothing(why)) | Err(why) => return self.blind_unknown(write, &why).await,
        }
        seen.notes.push("a collection cannot be pinned: what is deleted is compared after".into());
        Previewed::Seen(seen)
    }

    async fn blind_unknown(&self, write: &Write, why: &str) -> Previewed {
        match self.blind(write, why).await {
            Previewed::Seen(mut seen) => {
                seen.effects.push(effects::unknown(write.attributes(), why));
                Previewed::Seen(seen)
            }
            answered => answered,
        }
    }

    async fn dry_run_of_delete(&self, write: &Write) -> Result<DryRun, String> {
        let attributes = write.attributes();
        let options = deletes::options(write)?;
        if options.is_unsafe() {
            return Err("it deletes also what cannot be read, past finalizers and admission".into());
        }
        let probe = Probe::dry_run_delete(attributes, &options)
            .ok_or("this request has no dry run".to_owned())?;
        Ok(self.dry_run(write, probe).await)
    }

    async fn dry_run(&self, write: &Write, probe: Probe) -> DryRun {
        let answer = match self.ask(write, probe, true).await {
            Ok(answer) => answer,
            Err(why) => return DryRun::Nothing(why),
        };
        let attributes = write.attributes();
        let eviction = attributes.subresource == "eviction";
        let message = || message_of(answer.json.as_ref());
        match answer.status.as_u16() {
            200..=299 => DryRun::Would(answer.json),
            400 if message().to_lowercase().contains("dry") => {
                DryRun::Nothing(format!("no dry run: {}", message()))
            }
            400 | 401 | 403 | 404 | 409 | 422 => DryRun::Answered(answer),
            429 if eviction => DryRun::Answered(answer),
            code => DryRun::Nothing(format!("the dry run was answered {code}: {}", message())),
        }
    }

    /// Reads the object that a write is to: as the agent, then with the proxy's own rights, but
    /// never a Secret with those.
    async fn live(&self, write: &Write) -> Live {
        let Some(target) = object_target(write) else { return Live::IsNot };
        let hidden = match self.ask(write, Probe::get(&target), false).await {
            Ok(answer) if answer.status.is_success() => match answer.json {
                Some(object) => return Live::Is(object),
                None => "the live object could not be read".to_owned(),
            },
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => return Live::IsNot,
            Ok(answer) => format!(
                "the live object is not visible to the agent (the read was answered {})",
                answer.status.as_u16()
            ),
            Err(why) => why,
        };
        if write.attributes().resource == "secrets" {
            return Live::Hidden(format!("{hidden}, and the proxy never reads Secrets"));
        }
        match self.own.read(&target).await {
            Ok(object) => Live::Is(object),
            Err(_) => Live::Hidden(format!("{hidden}, nor to the proxy")),
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
        match self.ask(write, probe, false).await {
            Ok(answer) if answer.status.is_success() => return answer.json,
            _ if resource == "secrets" => return None,
            _ => {}
        }
        self.own.read(target).await.ok()
    }

    /// One probe, recorded as one.
    pub(crate) async fn ask(
        &self,
        write: &Write,
        probe: Probe,
        dry: bool,
    ) -> Result<ProbeAnswer, String> {
        let audit_id = uuid::Uuid::new_v4().to_string();
        let user_agent = write.call.headers.get(http::header::USER_AGENT).cloned();
        let started = std::time::Instant::now();
        let answer = self.api.probe(write.call.run_as.clone(), user_agent, &audit_id, probe).await;
        let mut entry = Entry {
            user: Some(Identity::from(&write.user)),
            probe_of: Some(write.call.audit_id.to_string()),
            request: Some(RequestRecord {
                dry_run: dry,
                verb: if dry { write.attributes().verb.clone() } else { "get".to_owned() },
                ..write.call.record(&self.redactor)
            }),
            ..Entry::new(jiff::Timestamp::now(), &audit_id, Stage::ResponseComplete)
        };
        let (code, outcome) = match &answer {
            Ok(answer) => (answer.status.as_u16(), Outcome::Answered),
            Err(_) => (0, Outcome::Unknown),
        };
        let latency = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let bytes = answer.as_ref().map_or(0, |answer| answer.bytes.len() as u64);
        entry.response =
            Some(ledger::ResponseRecord { code, outcome, latency_micros: latency, bytes });
        self.recorder.soon(entry, None);
        answer.map_err(|error| error.to_string())
    }

    /// How the object would differ, secrets taken out.
    fn compare(&self, write: &Write, seen: &mut Seen) {
        let redact = |object: &Value| self.redacted(write, object);
        let (old, new) = (seen.live.as_ref().map(redact), seen.new.as_ref().map(redact));
        let diff = effects::diff(old.as_ref(), new.as_ref());
        seen.changes = effects::normalised(write.attributes(), diff);
        seen.compared = Some(Box::new([old, new]));
    }

    /// What the reviewer sees, and the digest that an approval binds to.
    async fn shown(
        &self,
        write: &Write,
        effects: &[Effect],
        mut seen: Seen,
        verdict: &Verdict,
    ) -> Preview {
        let text = |path: &str| {
            let found = seen.live.as_ref().and_then(|live| live.pointer(path));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (uid, resource_version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
        let mut input = effects::digest_input(effects, &seen.changes, &uid);
        for target in &seen.targets {
            input.extend_from_slice(target.uid.as_bytes());
            input.push(0);
        }
        let held = verdict.decision == Decision::Hold;
        let goes_with = match held {
            true => {
                reach::goes_with(self, write, effects, seen.live.as_ref(), &mut seen.notes).await
            }
            false => Vec::new(),
        };
        if seen.changes.len() > CHANGES_MAX {
            seen.notes.push(format!(
                "{} differences, of which the first {CHANGES_MAX} are shown",
                seen.changes.len()
            ));
        }
        let mut cut = false;
        let mut json = |value: Option<Value>| {
            value.map(|value| {
                let text = value.to_string();
                let short: String = text.chars().take(VALUE_CHARS_MAX).collect();
                cut |= short.len() < text.len();
                short
            })
        };
        let changes: Vec<ChangeRecord> = seen
            .changes
            .into_iter()
            .take(CHANGES_MAX)
            .map(|change| ChangeRecord {
                path: change.path,
                old: json(change.old),
                new: json(change.new),
            })
            .collect();
        if cut {
            seen.notes.push("long values are cut".to_owned());
        }
        Preview {
            digest: self.redactor.digest(&input),
            uid,
            resource_version,
            changes,
            targets: seen.targets,
            goes_with,
            notes: seen.notes,
        }
    }
}

/// What a `Status` says, as far as it is kept.
fn message_of(status: Option<&Value>) -> String {
    let message = status.and_then(|it| it.get("message")).and_then(Value::as_str);
    message.unwrap_or_default().chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Whether a write is to a protected namespace, or to what decides access, and would only fail for
/// what is there now: an object that is not, or a value that is not valid.
fn guards(write: &Write, answer: &ProbeAnswer) -> bool {
    let fails_now =
        matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY);
    // What nobody serves is the API server's to refuse.
    let is_object = answer.json.as_ref().is_some_and(|it| it.pointer("/details/kind").is_some());
    let a = write.attributes();
    fails_now && is_object && (write.class.protected || effects::decides_access(a))
}

/// What the URL says and what was seen: where the live object shows an effect, that is more than what
/// the URL says of it. Of what was seen nothing is left out.
fn more_than_said(said: Vec<Effect>, seen: Vec<Effect>) -> Vec<Effect> {
    let is_shown = |it: &Effect| {
        it.object.uid.is_empty()
            && seen.iter().any(|effect| {
                effect.kind == it.kind
                    || (effect.kind, it.kind) == (EffectKind::ReplacePod, EffectKind::Delete)
            })
    };
    let mut effects: Vec<Effect> = said.into_iter().filter(|it| !is_shown(it)).collect();
    effects.extend(seen);
    effects
}

fn is_custom_scale(a: &Attributes) -> bool {
    a.subresource == "scale"
        && matches!(a.verb.as_str(), "update" | "patch")
        && !effects::is_builtin(&a.api_group, &a.resource)
}

/// A count of nothing is left out on the wire, and means 0: rules should find it all the same.
fn with_count(scale: &mut Value) {
    let Some(scale) = scale.as_object_mut() else { return };
    let spec = scale.entry("spec").or_insert_with(|| serde_json::json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("replicas").or_insert_with(|| serde_json::json!(0));
    }
}

/// The target that reads the object of a write; `None` where it names none yet.
fn object_target(write: &Write) -> Option<String> {
    let attributes = write.attributes();
    let path = attributes.target.split('?').next().unwrap_or_default().trim_end_matches('/');
    match attributes.verb.as_str() {
        // A POST to a subresource is to the object it stands under.
        "create" if attributes.subresource.is_empty() => None,
        _ if matches!(attributes.subresource.as_str(), "" | "scale") => Some(path.to_owned()),
        _ => Some(path.strip_suffix(&format!("/{}", attributes.subresource))?.to_owned()),
    }
}

/// Whether a patch takes values from the live object: an agent that changes the source between the
/// dry run and the send would have another patch run than the one that was judged.
fn is_relative(media: MediaType, body: &[u8]) -> bool {
    let takes = |operation: &Value| {
        !matches!(
            operation.get("op").and_then(Value::as_str),
            Some("add" | "remove" | "replace" | "test")
        )
    };
    media == MediaType::JsonPatch
        && payload::read(media, body)
            .ok()
            .and_then(|patch| patch.as_array().map(|it| it.iter().any(takes)))
            .unwrap_or(true)
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
}

fn target(object: &Value) -> Target {
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Target { name: text("/metadata/name"), uid: text("/metadata/uid") }
}

/// An answer of 403 in the API server's own words, for requests that have no dry run.
fn forbidden(words: String) -> ProbeAnswer {
    let json = status::Status::failure(403, "Forbidden").message(words).to_json();
    ProbeAnswer {
        status: StatusCode::FORBIDDEN,
        headers: http::HeaderMap::new(),
        bytes: Bytes::from(json.to_string()),
        json: Some(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_of_a_refusal_than_a_reason_takes() {
        let status = |message: &str| serde_json::json!({"message": message});
        let long = format!("strict decoding error: unknown field \"dry{}\"", "é".repeat(100_000));
        assert_eq!(message_of(Some(&status(&long))).chars().count(), MESSAGE_CHARS_MAX);
        assert_eq!(message_of(Some(&status("no dry run"))), "no dry run");
        assert_eq!(message_of(None), "");
    }

    #[test]
    fn leaves_out_nothing_that_was_seen() {
        let effect = |kind, detail: &str| Effect {
            kind,
            object: effects::ObjectRef::default(),
            detail: detail.into(),
            count: None,
        };
        let said = vec![effect(EffectKind::Delete, "by the URL")];
        let two =
            || vec![effect(EffectKind::Borrow, "priority"), effect(EffectKind::Borrow, "account")];
        let details = |seen| {
            let all = more_than_said(said.clone(), seen);
            all.into_iter().map(|it| it.detail).collect::<Vec<_>>()
        };
        // An account that turns out to be harmless must not take the other power with it.
        assert_eq!(details(two()), ["by the URL", "priority", "account"]);
        assert_eq!(details(vec![effect(EffectKind::Delete, "live")]), ["live"]);
        assert_eq!(details(vec![effect(EffectKind::ReplacePod, "one")]), ["one"]);
    }

    #[test]
    fn knows_patches_that_take_values_from_the_object() {
        let table: [(MediaType, &[u8], bool); 5] = [
            (MediaType::JsonPatch, br#"[{"op":"replace","path":"/a","value":1}]"#, false),
            (MediaType::JsonPatch, br#"[{"op":"copy","from":"/a","path":"/b"}]"#, true),
            (MediaType::JsonPatch, br#"[{"op":"test"},{"op":"move"}]"#, true),
            (MediaType::JsonPatch, b"[{", true),
            (MediaType::MergePatch, b"{}", false),
        ];
        for (media, body, want) in table {
            assert_eq!(is_relative(media, body), want, "{}", String::from_utf8_lossy(body));
        }
    }
}
