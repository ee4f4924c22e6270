//! What a create, update or patch changes: the live object and the server's dry run, compared.

use effects::{Known, Unknown, describe};
use payload::MediaType;
use serde_json::Value;
use upstream::Probe;

use super::unseen::Previewer;
use crate::{
    dry_run::{self, DryRun},
    recreated_namespace,
    seen::{Live, Previewed, Seen},
    selected,
};

/// A request made once more: an object that changes between its two readings is read again.
const SNAPSHOT_TRIES: usize = 3;

/// What the object is and what it would be.
enum Snapshot {
    /// Both readings.
    Of(Live, Value),
    /// There is nothing to compare.
    Nothing(Box<Seen>),
}

impl Previewer<'_> {
    /// Compares both readings of one snapshot, by `resourceVersion`.
    pub(crate) async fn change(&self) -> Previewed {
        for is_last in (1..=SNAPSHOT_TRIES).map(|attempt| attempt == SNAPSHOT_TRIES) {
            let (live, new) = match self.snapshot().await? {
                Snapshot::Of(live, new) => (live, new),
                Snapshot::Nothing(seen) => return Ok(*seen),
            };
            if is_last || is_of_one_version(&live, &new) {
                return Ok(self.changed(live, new).await);
            }
        }
        // Unreachable, as the last try returns; the strict answer stands here all the same.
        self.unknown_because(Unknown::KeepsChanging).await
    }

    async fn snapshot(&self) -> Result<Snapshot, Box<upstream::ProbeAnswer>> {
        let (write, view) = (self.write, self.view);
        let attributes = write.attributes();
        let probe = Probe::dry_run(attributes, write.content_type().cloned(), write.body.clone());
        let Some(probe) = probe else {
            return self.no_snapshot(Unknown::NoDryRun).await;
        };
        let (live, dry) = tokio::join!(view.live(write), dry_run::of_change(view, write, probe));
        let new = match dry {
            DryRun::Answered(answer) => {
                // The namespace is being deleted still: a 409 now, and a weaker namespace a moment later.
                let exists = answer.status == http::StatusCode::CONFLICT;
                let recreated =
                    recreated_namespace::effect_of(&view.namespaces, self.remembered, write, None)
                        .await;
                let Some(effect) = recreated.filter(|_| exists) else { return Err(answer) };
                return Ok(Snapshot::Nothing(Box::new(Seen {
                    unknown: Some(Unknown::NamespaceStillThere),
                    effects: vec![effect],
                    ..Seen::default()
                })));
            }
            DryRun::Nothing(why) => return self.no_snapshot(why).await,
            DryRun::Would(new) => new,
        };
        let answers_no_object = matches!(attributes.subresource.as_str(), "eviction" | "binding")
            || attributes.resource == "bindings";
        match (new, live) {
            (_, Live::Is(live)) if answers_no_object => {
                Ok(Snapshot::Nothing(Box::new(Seen { live: Some(live), ..Seen::default() })))
            }
            _ if answers_no_object => Ok(Snapshot::Nothing(Box::default())),
            (Some(new), live) => Ok(Snapshot::Of(live, new)),
            (None, _) => self.no_snapshot(Unknown::NotTheObject).await,
        }
    }

    async fn no_snapshot(&self, why: Unknown) -> Result<Snapshot, Box<upstream::ProbeAnswer>> {
        Ok(Snapshot::Nothing(Box::new(self.unknown_because(why).await?)))
    }

    /// The effects and differences between what is and what would be.
    async fn changed(&self, live: Live, new: Value) -> Seen {
        let attributes = self.write.attributes();
        let namespaces = &self.view.namespaces;
        let mut seen = Seen::default();
        tokio::task::yield_now().await;
        let is_torn = !is_of_one_version(&live, &new);
        let unknown = match &live {
            Live::Hidden(why) => Some(why.clone()),
            _ if is_torn => Some(Unknown::KeepsChanging),
            Live::Is(_) | Live::IsNot => None,
        };
        if let Some(why) = unknown {
            seen.notes.push(describe::reason(&why));
            seen.effects.push(effects::unknown(attributes, why.clone()));
            seen.unknown = Some(why);
        }
        // Compared with an invisible object, a change would look like a create.
        let old = match live {
            Live::Is(old) => Some(Some(old)),
            Live::IsNot => Some(None),
            Live::Hidden(_) => None,
        };
        if let Some(old) = &old {
            let known = Known::of(namespaces.config())
                .with_inert_keys(self.inert_keys)
                .with_applied_by(self.write.applied_by())
                .at(jiff::Timestamp::now());
            seen.effects.extend(effects::of_change(attributes, &known, old.as_ref(), &new));
            let gained = selected::gained(self.view, self.write, old.as_ref(), &new).await;
            seen.effects.extend(gained);
        }
        seen.effects.extend(
            recreated_namespace::effect_of(namespaces, self.remembered, self.write, Some(&new))
                .await,
        );
        if self.write.class.production && is_relative(self.write.media, &self.write.body) {
            seen.effects.push(effects::unknown(attributes, Unknown::RelativePatch));
        }
        seen.live = old.flatten();
        seen.new = Some(new);
        // A `Scale` shows neither claims nor a count of 0, and rules ask about both.
        if attributes.subresource == "scale" {
            seen.whole = self.whole().await;
            self.weigh_scale(&mut seen);
            seen.live.iter_mut().chain(&mut seen.new).for_each(with_count);
        }
        tokio::task::yield_now().await;
        self.compare(&mut seen);
        seen
    }

    /// The workload of a `/scale`; `None` where nobody may see it.
    async fn whole(&self) -> Option<Value> {
        let target = self.write.whole_target()?;
        let resource = self.write.attributes().resource.as_str();
        self.view.read_for_preview(self.write, resource, Probe::get(&target), &target).await
    }

    /// Whether a smaller StatefulSet takes its claims with it, and whose the count is after a server-side
    /// apply: neither does a `Scale` say.
    fn weigh_scale(&self, seen: &mut Seen) {
        let whole = seen.whole.as_ref();
        if let Some(workload) = whole {
            effects::of_scaled_workload(&mut seen.effects, workload);
        }
        if let Some(manager) = self.write.applied_by() {
            let applied = effects::of_applied_scale(self.write.attributes(), manager, whole);
            seen.effects.extend(applied);
        }
    }
}

/// Whether the dry run started at the object that was read; always where none was.
fn is_of_one_version(live: &Live, new: &Value) -> bool {
    match live {
        Live::Is(old) => version(old) == version(new),
        Live::IsNot | Live::Hidden(_) => true,
    }
}

fn version(object: &Value) -> Option<&str> {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
}

/// A count of nothing is left out on the wire, and means 0: rules should find it all the same.
fn with_count(scale: &mut Value) {
    let Some(scale) = scale.as_object_mut() else { return };
    let spec = scale.entry("spec").or_insert_with(|| serde_json::json!({}));
    if let Some(spec) = spec.as_object_mut() {
        spec.entry("replicas").or_insert_with(|| serde_json::json!(0));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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

    #[test]
    fn compares_readings_of_one_version_only() {
        let at = |version: &str| json!({"metadata": {"resourceVersion": version}});
        let table = [
            (Live::Is(at("1")), at("1"), true),
            (Live::Is(at("1")), at("2"), false),
            (Live::Is(at("1")), json!({}), false),
            (Live::Is(json!({})), json!({}), true),
            (Live::IsNot, at("1"), true),
            (Live::Hidden(Unknown::NoPreview), at("1"), true),
        ];
        for (row, (live, new, want)) in table.into_iter().enumerate() {
            assert_eq!(is_of_one_version(&live, &new), want, "row {row}");
        }
    }

    #[test]
    fn a_count_that_is_left_out_is_nothing() {
        let table = [
            (json!({}), json!({"spec": {"replicas": 0}})),
            (json!({"spec": {}}), json!({"spec": {"replicas": 0}})),
            (json!({"spec": {"replicas": 3}}), json!({"spec": {"replicas": 3}})),
        ];
        for (mut scale, want) in table {
            with_count(&mut scale);
            assert_eq!(scale, want);
        }
    }
}
