//! What cannot or must not be previewed.

use std::collections::BTreeSet;

use bytes::Bytes;
use effects::{Cidr, Unknown};
use http::{HeaderMap, StatusCode};
use payload::Redactor;
use upstream::{ProbeAnswer, Served};

use crate::{
    call::Write,
    discovery,
    remembered::Remembered,
    seen::{Previewed, Seen},
    view::ClusterView,
};

/// Previews one write.
pub(crate) struct Previewer<'a> {
    pub(crate) view: &'a ClusterView,
    pub(crate) remembered: &'a Remembered,
    pub(crate) redactor: &'a Redactor,
    pub(crate) write: &'a Write,
    /// Who answers for it, where that has been asked.
    pub(crate) served: Option<&'a Served>,
    /// Labels and annotations that nothing in the cluster acts on.
    pub(crate) inert_keys: &'a BTreeSet<String>,
    /// Where pods have their addresses, besides what the nodes say.
    pub(crate) pod_networks: &'a [Cidr],
}

impl Previewer<'_> {
    /// Of a kind of request that has no preview.
    pub(crate) async fn blind(&self) -> Previewed {
        let seen = self.blind_because(Unknown::NoPreview).await?;
        match self.absence().await {
            Some(answer) => Err(Box::new(answer)),
            None => Ok(seen),
        }
    }

    /// Asks RBAC and discovery on the agent's behalf, so that no reviewer is asked to approve what the API
    /// server would refuse.
    pub(super) async fn blind_because(&self, why: Unknown) -> Previewed {
        if let Some(words) = self.view.refusal(&self.write.user, self.write.attributes()).await {
            return Err(Box::new(forbidden(words)));
        }
        if let Some(refusal) = discovery::refusal(self.view, self.write, self.served).await {
            return Err(Box::new(refusal));
        }
        Ok(Seen::nothing(why))
    }

    /// What a read of the object answers, where its agent sees that there is none. Of another server's objects
    /// [`discovery::refusal`] has asked.
    pub(super) async fn absence(&self) -> Option<ProbeAnswer> {
        let a = self.write.attributes();
        let is_elsewhere = self.served == Some(&Served::Elsewhere);
        let makes_it =
            self.write.applied_by().is_some() || !matches!(a.verb.as_str(), "patch" | "delete");
        let is_asked = a.subresource.is_empty() && (makes_it || is_elsewhere);
        if !a.is_resource_request || a.name.is_empty() || a.subresource == "proxy" || is_asked {
            return None;
        }
        let target = self.write.object_target()?;
        let answer = self.view.read_as_agent(self.write, &target).await.ok()?;
        (answer.status == StatusCode::NOT_FOUND).then_some(answer)
    }

    /// As [`Previewer::blind_because`], where not knowing is an effect of its own.
    pub(super) async fn unknown_because(&self, why: Unknown) -> Previewed {
        let mut seen = self.blind_because(why.clone()).await?;
        seen.effects.push(effects::unknown(self.write.attributes(), why));
        Ok(seen)
    }

    /// How the object would differ, secrets taken out.
    pub(super) fn compare(&self, seen: &mut Seen) {
        let redact = |object| self.write.redacted(self.redactor, object);
        let (old, new) = (seen.live.as_ref().map(redact), seen.new.as_ref().map(redact));
        let diff = effects::diff(old.as_ref(), new.as_ref());
        seen.changes = effects::normalised(self.write.attributes(), diff);
        seen.compared = Some(Box::new([old, new]));
    }
}

/// An answer of 403 in the API server's own words, for requests that have no dry run.
fn forbidden(words: String) -> ProbeAnswer {
    let json = status::Status::failure(403, "Forbidden").message(words).to_json();
    ProbeAnswer {
        status: StatusCode::FORBIDDEN,
        headers: HeaderMap::new(),
        bytes: Bytes::from(json.to_string()),
        json: Some(json),
    }
}
