//! How far a write reaches beyond its own object: what goes with a delete, who uses what goes, which
//! pods a node loses, what keeps up a pod that goes.
//!
//! Counted as the agent sees it, then with the proxy's own rights (never Secrets), within
//! `Settings::count_time_max`. What could not be counted is said, never left out. An approval binds to
//! what somebody put there, and not to what comes and goes by itself (`bound`).

mod bound;
mod dependents;
mod kinds;
mod listed;
mod node;
mod pods;
mod users;

use std::time::Duration;

use effects::{Effect, EffectKind};
use hold::GoesWith;
#[cfg(doc)]
use hold::Preview;
use serde_json::Value;
use text::plain;
use tokio::time::Instant;
use upstream::Probe;

use crate::{call::Write, view::ClusterView};

const NAMES_MAX: usize = 8;
/// Objects of one kind that are looked at; of more the API server tells the number.
const LIST_MAX: usize = 500;

/// Counting within a time, for one write.
struct ImpactCount<'a> {
    view: &'a ClusterView,
    write: &'a Write,
    until: Instant,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Impact {
    pub(crate) goes_with: Vec<GoesWith>,
    pub(crate) notes: Vec<String>,
    /// Each object that must not become more: [`Preview::sealed`].
    pub(crate) bound: Vec<String>,
    /// Not all of it was counted in time.
    pub(crate) is_late: bool,
}

/// Counts what goes with a write that is held.
pub(crate) async fn goes_with(
    view: &ClusterView,
    within: Duration,
    write: &Write,
    effects: &[Effect],
    live: Option<&Value>,
) -> Impact {
    let count = ImpactCount::new(view, within, write);
    let mut impact = Impact::default();
    count.of_deletes(effects, live, &mut impact).await;
    count.of_pods(effects, live, &mut impact).await;
    count.of_nodes(effects, live, &mut impact).await;
    count.of_uses(effects, &mut impact).await;
    impact.is_late = count.is_late();
    impact
}

/// Counts only what a delete takes with its object.
pub(crate) async fn taken(
    view: &ClusterView,
    within: Duration,
    write: &Write,
    effects: &[Effect],
    live: Option<&Value>,
) -> Impact {
    let count = ImpactCount::new(view, within, write);
    let mut impact = Impact::default();
    count.of_deletes(effects, live, &mut impact).await;
    impact.is_late = count.is_late();
    impact
}

impl<'a> ImpactCount<'a> {
    fn new(view: &'a ClusterView, within: Duration, write: &'a Write) -> Self {
        let now = Instant::now();
        Self { view, write, until: now.checked_add(within).unwrap_or(now) }
    }
}

impl ImpactCount<'_> {
    async fn of_deletes(&self, effects: &[Effect], live: Option<&Value>, to: &mut Impact) {
        let deletes: Vec<&Effect> = effects
            .iter()
            .filter(|it| matches!(it.kind, EffectKind::Delete | EffectKind::ReplacePod))
            .collect();
        let namespace = deletes.iter().map(|it| &it.object).find(|it| it.resource == "namespaces");
        match namespace {
            Some(namespace) => self.in_namespace(&namespace.name, to).await,
            None if !deletes.is_empty() => self.of_owners(&deletes, live, to).await,
            None => {}
        }
    }

    /// Reads as the agent, then with the proxy's own rights; `None` where neither may, or in time.
    async fn read(&self, resource: &str, probe: Probe, target: &str) -> Option<Value> {
        // Late is the same as invisible: a hold must not wait for a count.
        let read = self.view.read_for_preview(self.write, resource, probe, target);
        tokio::time::timeout_at(self.until, read).await.ok().flatten()
    }

    /// Whole objects of a collection.
    async fn whole(&self, resource: &str, collection: &str, query: &str) -> Option<Vec<Value>> {
        Some(self.whole_page(resource, collection, query).await?.0)
    }

    /// The same, and whether these are all.
    async fn whole_page(
        &self,
        resource: &str,
        collection: &str,
        query: &str,
    ) -> Option<(Vec<Value>, bool)> {
        let target = format!("{collection}?limit={LIST_MAX}{query}");
        let mut list = self.read(resource, Probe::get(&target), &target).await?;
        let is_all = text(&list, "/metadata/continue").unwrap_or_default().is_empty();
        Some((upstream::take_items(&mut list)?, is_all))
    }

    /// Why nobody could tell of these resources, and what right would show them.
    fn unseen(&self, resources: &[String]) -> String {
        let names = some(resources);
        if self.is_late() {
            return format!("not all was read in time ({names})");
        }
        let secrets = match resources.iter().any(|it| it == "secrets") {
            true => "; Secrets only where the agent has it, as agent-shield never reads them",
            false => "",
        };
        format!(
            "neither the agent nor agent-shield could list {names} (the right to `list` them, granted to either of \
             the two, shows them{secrets}; a reviewer's own rights do not count)"
        )
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// `namespace/name`, or the name of what is in none.
fn place(object: &Value) -> String {
    match (text(object, "/metadata/namespace"), text(object, "/metadata/name")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (None, Some(name)) => name.to_owned(),
        _ => String::new(),
    }
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

fn counted(resource: &str, names: &[String]) -> GoesWith {
    GoesWith {
        resource: resource.to_owned(),
        count: Some(names.len() as u64),
        names: names.iter().take(NAMES_MAX).cloned().collect(),
    }
}

/// `a, b and 3 more`.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|it| plain(it)).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
