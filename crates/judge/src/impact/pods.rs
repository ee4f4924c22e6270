//! What it costs that pods go, by an eviction, a delete or with their node: who keeps them up, whether others of
//! the same owner are ready, and what their disruption budgets say now.

use std::collections::{BTreeMap, BTreeSet};

use effects::{Effect, EffectKind};
use serde_json::Value;
use text::plain;

use super::{Impact, ImpactCount, place, some, text};
use crate::{budget, pod};

/// Pods and budgets, as far as they could be read.
pub(super) struct Around {
    /// The pods of each namespace, and whether these are all.
    pods: BTreeMap<String, Option<(Vec<Value>, bool)>>,
    budgets: Option<Vec<Value>>,
}

impl Around {
    fn pods(&self, namespace: &str) -> Option<&(Vec<Value>, bool)> {
        self.pods.get(namespace)?.as_ref()
    }
}

impl ImpactCount<'_> {
    /// What is around the pods that an eviction or a delete takes.
    pub(super) async fn of_pods(&self, effects: &[Effect], live: Option<&Value>, to: &mut Impact) {
        let gone: Vec<&Effect> = effects.iter().filter(|it| is_pod_that_goes(it)).collect();
        let Some(first) = gone.first() else { return };
        let namespace = first.object.namespace.as_str();
        let names: BTreeSet<&str> = gone.iter().map(|it| it.object.name.as_str()).collect();
        let budgets = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
        let around = self.around(&BTreeSet::from([namespace]), &budgets).await;
        let is_named =
            |it: &&Value| text(it, "/metadata/name").is_some_and(|it| names.contains(it));
        let listed = around.pods(namespace).map_or(&[][..], |(pods, _)| pods.as_slice());
        let mut leaving: Vec<&Value> = listed.iter().filter(is_named).collect();
        if leaving.is_empty() {
            leaving.extend(live.filter(is_named));
        }
        match (names.len(), leaving.as_slice()) {
            (1, [pod]) => self.note_one(pod, first.kind, &around, to),
            (1, _) => to.notes.push(format!(
                "whether anything keeps it up, and a disruption budget stands for it, is unknown: {}",
                self.unseen(&["pods".to_owned()])
            )),
            (all, found) => {
                if found.len() < all {
                    let unfound = all.saturating_sub(found.len());
                    to.notes.push(format!("of {unfound} of the pods it is unknown what keeps them up"));
                }
                self.note_alone(found, &around, to);
                self.note_blocked(found, &around, to);
            }
        }
    }

    /// Reads the pods of these namespaces, and the budgets of a collection.
    pub(super) async fn around(&self, namespaces: &BTreeSet<&str>, budgets: &str) -> Around {
        let mut pods = BTreeMap::new();
        let budgets = self.whole("poddisruptionbudgets", budgets, "").await;
        for namespace in namespaces {
            if !self.is_late() {
                let collection = format!("/api/v1/namespaces/{namespace}/pods");
                pods.insert(
                    (*namespace).to_owned(),
                    self.whole_page("pods", &collection, "").await,
                );
            }
        }
        Around { pods, budgets }
    }

    fn note_one(&self, pod: &Value, kind: EffectKind, around: &Around, to: &mut Impact) {
        to.notes.push(self.kept_up(pod, around));
        let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
        let Some(budgets) = &around.budgets else {
            to.notes.push(format!(
                "whether a disruption budget stands for it is unknown: {}",
                self.unseen(&["poddisruptionbudgets".to_owned()])
            ));
            return;
        };
        let own = budget::own(budgets, pod);
        let names: Vec<String> =
            own.iter().filter_map(|it| text(it, "/metadata/name")).map(str::to_owned).collect();
        if names.is_empty() {
            to.notes.push("no disruption budget stands for it".to_owned());
            return;
        }
        let past = if kind == EffectKind::Evict { "" } else { "; a delete does not ask it" };
        to.notes.push(match around.pods(namespace) {
            None => format!(
                "disruption budget {} stands for it; whether it lets it go now is unknown: {}",
                some(&names),
                self.unseen(&["pods".to_owned()])
            ),
            Some((pods, _)) if budget::lets_go(budgets, pods, pod) => {
                format!("disruption budget {} lets it go now", some(&names))
            }
            Some(_) => format!("disruption budget {} does not let it go now{past}", some(&names)),
        });
    }

    /// Who keeps a pod up, and how many others of the same owner are ready.
    fn kept_up(&self, pod: &Value, around: &Around) -> String {
        let Some(owner) = pod::controller(pod) else {
            return "nothing keeps it up: it does not come again by itself".to_owned();
        };
        let word = |path| plain(text(owner, path).unwrap_or_default());
        let kept = format!("{} {} keeps it up", word("/kind"), word("/name"));
        let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
        let Some((pods, is_all)) = around.pods(namespace) else {
            let why = self.unseen(&["pods".to_owned()]);
            return format!("{kept}; how many of its other pods are ready is unknown: {why}");
        };
        let ready = pods.iter().filter(|it| stays_beside(it, pod, &[pod])).count();
        let least = if *is_all { "" } else { "at least " };
        let are = if ready == 1 { "is" } else { "are" };
        format!("{kept}; {least}{ready} of its other pods {are} ready")
    }

    /// Pods whose controller has no other one that is ready elsewhere.
    pub(super) fn note_alone(&self, leaving: &[&Value], around: &Around, to: &mut Impact) {
        let (mut alone, mut unknown) = (Vec::new(), Vec::new());
        for pod in leaving {
            let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
            match around.pods(namespace) {
                Some((all, _)) if all.iter().any(|it| stays_beside(it, pod, leaving)) => {}
                Some((_, true)) => alone.push(place(pod)),
                // Of more than are looked at, another one may be.
                Some((_, false)) | None => unknown.push(place(pod)),
            }
        }
        if !alone.is_empty() {
            to.notes
                .push(format!("pods without another that is ready elsewhere: {}", some(&alone)));
        }
        if !unknown.is_empty() {
            to.notes.push(format!("not known whether there is another of: {}", some(&unknown)));
        }
    }

    /// Pods that no eviction takes now: their disruption budget has nothing left.
    pub(super) fn note_blocked(&self, leaving: &[&Value], around: &Around, to: &mut Impact) {
        let Some(budgets) = &around.budgets else {
            to.notes.push(format!(
                "whether disruption budgets hold pods back is unknown: {}",
                self.unseen(&["poddisruptionbudgets".to_owned()])
            ));
            return;
        };
        let is_held_back = |pod: &&&Value| {
            let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
            let pods = around.pods(namespace).map_or(&[][..], |(pods, _)| pods.as_slice());
            !budget::lets_go(budgets, pods, pod)
        };
        let blocked: Vec<String> =
            leaving.iter().filter(is_held_back).map(|pod| place(pod)).collect();
        if !blocked.is_empty() {
            to.notes.push(format!("pods that a disruption budget holds back: {}", some(&blocked)));
        }
    }
}

fn is_pod_that_goes(effect: &Effect) -> bool {
    let object = &effect.object;
    matches!(effect.kind, EffectKind::Evict | EffectKind::Delete | EffectKind::ReplacePod)
        && (object.api_group.as_str(), object.resource.as_str()) == ("", "pods")
        && !object.name.is_empty()
}

/// Whether a pod of the same owner as another serves, and is not one of those that go.
fn stays_beside(other: &Value, pod: &Value, leaving: &[&Value]) -> bool {
    let uid = |it: &Value| text(it, "/metadata/uid").map(str::to_owned);
    owner(other).is_some()
        && owner(other) == owner(pod)
        && pod::stays_ready(other)
        && leaving.iter().all(|it| uid(it) != uid(other))
}

fn owner(pod: &Value) -> Option<&str> {
    text(pod::controller(pod)?, "/uid")
}
