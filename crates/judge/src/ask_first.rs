//! Agents may ask first: which rules are about them, and whether a call would wait for a person.
//!
//! The API server's answers to access reviews say what RBAC allows, and pass unchanged. Beside a yes, a
//! warning says what agent-shield would do with such a call, as far as the call's attributes tell. It
//! says nothing about calls that RBAC refuses: rules reveal how namespaces are classed.

use std::time::Duration;

use attributes::{Attributes, RULES_PATH};
use effects::{Builtin, Route};
use http::{HeaderMap, Method};
use policy::{Decision, Input, Objects};
use serde_json::Value;
use upstream::Access;

use crate::{access::call_for, call::Write, judge::Judge, judgement::Judged};

/// A dry run's answer waits so long for what is said beside it.
const TRY_TIME_MAX: Duration = Duration::from_secs(2);

impl Judge {
    /// What agent-shield would do with the call that a write only asks about or tries.
    pub async fn forewarning(&self, write: &Write) -> Option<String> {
        if write.is_dry_run {
            return self.tried(write).await;
        }
        let a = write.attributes();
        if a.api_group != "authorization.k8s.io" || a.verb != "create" {
            return None;
        }
        match a.resource.as_str() {
            "selfsubjectaccessreviews" => match asked_about(write) {
                // The review's own answer can be about another call: it believes any namespace that a
                // review gives a Namespace, and treats every path as a non-resource URL.
                Some(call) if self.view.may(&write.user, &call).await != Some(true) => None,
                Some(call) if !call.method.is_empty() => self.foreseen(write, &call).await,
                _ => Some(format!("whether it would be held could not be read; see {RULES_PATH}")),
            },
            "selfsubjectrulesreviews" => Some(format!(
                "a person may have to approve some of these calls first; see {RULES_PATH}"
            )),
            _ => None,
        }
    }

    /// What the rules say of a dry run, were it none.
    async fn tried(&self, write: &Write) -> Option<String> {
        let judged = tokio::time::timeout(TRY_TIME_MAX, self.judge_as_real(write)).await;
        let Judged::Decided(judgement) = judged.ok()?? else { return None };
        let (verdict, reason) = (&judgement.verdict, judgement.verdict.reason());
        let rules = verdict.rules().join(", ");
        match verdict.decision() {
            Decision::Deny => Some(format!("without dryRun, this is denied ({rules}): {reason}")),
            Decision::Hold => Some(format!(
                "without dryRun, this waits for a person's approval ({rules}): {reason}"
            )),
            Decision::Allow => None,
        }
    }

    async fn foreseen(&self, write: &Write, asked: &Attributes) -> Option<String> {
        let pack = self.policies();
        let (class, _) = self.view.class_of(asked).await;
        let plan = pack.amend(asked, self.planned(asked, false).await.plan);
        let now = jiff::Timestamp::now();
        let verdict = match plan.route {
            Route::Read => pack.decide_read(asked, &write.user, &class, now),
            _ => pack.decide(&Input {
                attributes: asked,
                user: &write.user,
                class: &class,
                is_write: plan.route.stores(),
                effects: &plan.effects,
                objects: Objects::Later,
                changes: &[],
                earlier: &[],
                redact: &Value::clone,
                now,
            }),
        };
        let (call, rules) = (describe_call(asked), verdict.rules().join(", "));
        match verdict.decision() {
            Decision::Deny => Some(format!("`{call}` is denied here ({rules})")),
            Decision::Hold => Some(format!("`{call}` waits for a person's approval ({rules})")),
            Decision::Allow if pack.asks_about(&plan, asked, &class) => {
                Some(format!("`{call}` may wait for a person's approval, by what it changes"))
            }
            Decision::Allow => None,
        }
    }
}

/// As one would ask: `delete deployments.apps in payments`.
fn describe_call(asked: &Attributes) -> String {
    if !asked.is_resource_request {
        return format!("{} {}", asked.verb, asked.path);
    }
    let mut words = format!("{} {}", asked.verb, asked.resource);
    let parts = [
        (".", &asked.api_group),
        ("/", &asked.subresource),
        (" ", &asked.name),
        (" in ", &asked.namespace),
    ];
    for (before, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
        words.push_str(before);
        words.push_str(part);
    }
    words
}

/// The call that a SelfSubjectAccessReview asks about, as if it were made.
fn asked_about(write: &Write) -> Option<Attributes> {
    let review = payload::read(write.media, &write.body).ok()?;
    let text =
        |path: &str| review.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_resource = |field: &str| text(&format!("/spec/resourceAttributes/{field}"));
    let mut access = Access {
        verb: of_resource("verb"),
        group: of_resource("group"),
        resource: of_resource("resource"),
        subresource: of_resource("subresource"),
        namespace: of_resource("namespace"),
        name: of_resource("name"),
    };
    if access.resource.is_empty() {
        let verb = text("/spec/nonResourceAttributes/verb").to_ascii_uppercase();
        let method = Method::from_bytes(verb.as_bytes()).ok()?;
        let path = text("/spec/nonResourceAttributes/path");
        return attributes::read(&method, &path, &HeaderMap::new()).ok();
    }
    // kubectl asks in its context's namespace, whatever the resource. The real call would have no
    // namespace, except for an existing Namespace, which is in itself (k8s.io/apiserver,
    // `RequestInfoFactory`).
    if Builtin::find(&access.group, &access.resource).is_some_and(|it| !it.is_namespaced) {
        let in_itself = access.resource == "namespaces"
            && (access.verb != "create" || !access.subresource.is_empty());
        access.namespace = if in_itself { access.name.clone() } else { String::new() };
    }
    let mut call = call_for(&access);
    let version = of_resource("version");
    if !matches!(version.as_str(), "" | "*") {
        call.api_version = version;
    }
    Some(call)
}
