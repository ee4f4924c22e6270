//! What garbage collection takes after a delete: dependants by owner reference, and theirs.

use std::collections::{BTreeMap, BTreeSet};

use effects::Effect;
use hold::UNCOUNTED;
use serde_json::Value;

use super::{Impact, ImpactCount, LIST_MAX, bound, counted, listed::Listed, place, text};
use crate::deletes;

impl ImpactCount<'_> {
    pub(super) async fn of_owners(
        &self,
        deletes: &[&Effect],
        live: Option<&Value>,
        to: &mut Impact,
    ) {
        let owners: BTreeSet<String> =
            deletes.iter().map(|it| it.object.uid.clone()).filter(|it| !it.is_empty()).collect();
        let Some(first) = deletes.first().filter(|_| !owners.is_empty()) else { return };
        let options = deletes::options(self.write);
        if options.is_ok_and(|it| deletes::orphans(&it, self.write.attributes(), live)) {
            to.notes.push("what it owns is left behind, without an owner".to_owned());
            return;
        }
        let Some(kinds) = self.kinds().await else {
            to.bound.push(UNCOUNTED.to_string());
            to.notes.push("what it owns could not be counted: the API server's discovery did not answer in time".to_owned());
            return;
        };
        let namespace = first.object.namespace.as_str();
        let listed = match namespace {
            // A cluster-scoped owner can own objects in any namespace.
            "" => self.list(kinds, None).await,
            namespace => {
                let inside = kinds.into_iter().filter(|it| it.is_namespaced).collect();
                self.list(inside, Some(namespace)).await
            }
        };
        let taken = taken(&listed, owners);
        for it in &listed {
            let found = taken.get(&it.kind.collection(None)).map(Vec::as_slice).unwrap_or_default();
            to.bound.extend(bound::lines(it, found.iter().copied()));
            if !found.is_empty() {
                let names: Vec<String> = found.iter().map(|it| place(it)).collect();
                to.goes_with.push(counted(&it.kind.resource, &names));
            }
        }
        let cut: Vec<String> =
            listed.iter().filter(|it| it.more > 0).map(|it| it.kind.resource.clone()).collect();
        if !cut.is_empty() {
            to.notes.push(format!(
                "of these only the first {LIST_MAX} were looked at: {}",
                super::some(&cut)
            ));
        }
        self.note_all_unseen(&listed, to);
    }

    fn note_all_unseen(&self, listed: &[Listed], to: &mut Impact) {
        let unseen: Vec<String> = listed
            .iter()
            .filter(|it| it.items.is_none())
            .map(|it| it.kind.resource.clone())
            .collect();
        if !unseen.is_empty() {
            let why = self.unseen(&unseen);
            to.notes.push(format!("what of these it may own is unknown: {why}"));
        }
    }
}

/// What goes, by the collection that it is in: an object goes once all its owners do. Each owner
/// reference is followed once, as an agent decides how long a chain of them is.
fn taken(listed: &[Listed], gone: BTreeSet<String>) -> BTreeMap<String, Vec<&Value>> {
    let owned: Vec<(String, &Value, BTreeSet<&str>)> = listed
        .iter()
        .flat_map(|it| {
            let collection = it.kind.collection(None);
            it.items.iter().flatten().map(move |item| (collection.clone(), item, owners_of(item)))
        })
        .filter(|(_, _, owners)| !owners.is_empty())
        .collect();
    let mut waiting: Vec<usize> = owned.iter().map(|(_, _, owners)| owners.len()).collect();
    let mut of_owner: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, (_, _, owners)) in owned.iter().enumerate() {
        owners.iter().for_each(|owner| of_owner.entry(owner).or_default().push(index));
    }
    let mut gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    let mut taken: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    while let Some(owner) = gone.pop() {
        for index in of_owner.remove(owner).into_iter().flatten() {
            let (Some(left), Some((collection, item, _))) =
                (waiting.get_mut(index), owned.get(index))
            else {
                continue;
            };
            *left = left.saturating_sub(1);
            if *left == 0 {
                gone.extend(text(item, "/metadata/uid"));
                taken.entry(collection.clone()).or_default().push(item);
            }
        }
    }
    taken
}

/// The uids of an object's owners; one without a uid never goes.
fn owners_of(item: &Value) -> BTreeSet<&str> {
    let owners = item.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let uids = owners.into_iter().flatten().map(|owner| text(owner, "/uid").unwrap_or_default());
    uids.collect()
}
