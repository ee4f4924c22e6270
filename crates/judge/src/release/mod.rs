//! Records of helm: which of them are bookkeeping of what is decided elsewhere.
//!
//! Helm writes down each revision of a release before it changes anything, and what came of it after.
//! What it changes is judged as such; holding its records too would ask a person three times, and a
//! denial would leave the release locked. But whoever comes next acts on a record: an upgrade deletes what
//! the deployed revision names and the next does not, and takes over its values; a rollback brings back
//! what a revision says; an uninstall runs its hooks. So a record passes where it adds nothing to that:
//!
//! - A new revision that names what the deployed one names, with its hooks, and with values that its
//!   objects show or that a revision had before. It is pending.
//! - A step of a revision that this agent wrote: it failed, or it is all there, which the objects show.
//!   Then the one before it is superseded.
//! - The delete of the records of a release of which nothing is left.
//!
//! Everything else is held as a tool's record, as is whatever is not understood.

mod live;
mod manifest;
mod record;
mod values;

use std::time::Duration;

use effects::{
    About, Effect, EffectKind,
    about::{Deleted, OldNew, Part, Propagation, ReleaseDoubt, Routine},
};
use live::LiveObjects;
use manifest::Document;
use record::Record;

use crate::{call::Write, left, remembered::Remembered, seen::Seen, view::ClusterView};

/// How the names of helm's records begin.
const NAME_PREFIX: &str = "sh.helm.release.v1.";
/// Looking at a release may take so long.
const TIME_MAX: Duration = Duration::from_secs(20);
/// So many revisions may come to nothing after the deployed one: each pushes an older one out of the
/// history that helm keeps.
const FAILED_MAX: i64 = 5;
/// Labels by which helm finds a record at its step.
const STEP_LABELS: [&str; 3] = ["createdAt", "modifiedAt", "status"];

/// Takes out of the effects what is bookkeeping of a release; says of the rest why it is not.
pub(crate) async fn weigh(
    view: &ClusterView,
    remembered: &Remembered,
    write: &Write,
    seen: &Seen,
    effects: &mut Vec<Effect>,
) {
    let a = write.attributes();
    let holds_records = matches!(a.resource.as_str(), "configmaps" | "secrets");
    // Only production asks about them.
    if !a.api_group.is_empty() || !holds_records || !write.class.production {
        return;
    }
    let look = ReleaseLook { view, remembered, write };
    if a.verb == "delete" {
        if is_plain_delete(effects) && within(look.is_gone(seen)).await.is_ok() {
            effects.iter_mut().for_each(mark_gone);
        }
        return;
    }
    let is_record = effects
        .iter()
        .any(|it| it.object.name.starts_with(NAME_PREFIX) && parts_of(it).iter().any(is_of_record));
    if !is_record || seen.unknown.is_some() {
        return;
    }
    match within(look.is_bookkeeping(seen)).await {
        Ok(()) => effects.retain_mut(is_more_than_bookkeeping),
        Err(doubt) => tell(effects, &doubt),
    }
}

async fn within(look: impl Future<Output = Result<(), ReleaseDoubt>>) -> Result<(), ReleaseDoubt> {
    tokio::time::timeout(TIME_MAX, look).await.unwrap_or(Err(ReleaseDoubt::Unseen))
}

fn parts_of(effect: &Effect) -> &[Part] {
    match &effect.about {
        About::Parts(parts) => &parts.parts,
        _ => &[],
    }
}

fn is_of_record(part: &Part) -> bool {
    matches!(part, Part::Record(_))
}

/// Takes out what every record of helm does: it is one, and it is written anew with each step.
fn is_more_than_bookkeeping(effect: &mut Effect) -> bool {
    let kind = effect.kind;
    let About::Parts(parts) = &mut effect.about else { return true };
    let is_step = |part: &Part| match part {
        Part::Label(it) | Part::Mark(it) => STEP_LABELS.contains(&it.as_str()),
        _ => false,
    };
    match kind {
        // A new record acts by what is in it alone.
        EffectKind::CreateActive => effect.kind = EffectKind::CreateInert,
        EffectKind::ChangeTrigger => parts.parts.retain(|it| !is_of_record(it) && !is_step(it)),
        EffectKind::LoseData => {
            parts.parts.retain(|it| !matches!(it, Part::DataOverwritten(key) if key == "release"));
        }
        _ => {}
    }
    parts.more > 0 || !parts.parts.is_empty()
}

fn tell(effects: &mut [Effect], doubt: &ReleaseDoubt) {
    for effect in effects.iter_mut().filter(|it| it.kind == EffectKind::ChangeTrigger) {
        if let About::Parts(parts) = &mut effect.about {
            parts.parts.push(Part::Release(doubt.clone()));
        }
    }
}

/// One object, with all that it owns and the time that it takes.
fn is_plain_delete(effects: &[Effect]) -> bool {
    let [Effect { about: About::Deletion(deletion), object, .. }] = effects else { return false };
    object.name.starts_with(NAME_PREFIX)
        && matches!(deletion.what, Deleted::Named | Deleted::Secret(_))
        && deletion.propagation == Some(Propagation::Background)
        && deletion.grace_seconds.is_none()
}

fn mark_gone(effect: &mut Effect) {
    if let About::Deletion(deletion) = &mut effect.about {
        deletion.routine = Some(Routine::ReleaseGone);
    }
}

/// Looks at a release for one write to a record of it.
struct ReleaseLook<'a> {
    view: &'a ClusterView,
    remembered: &'a Remembered,
    write: &'a Write,
}

impl ReleaseLook<'_> {
    async fn is_bookkeeping(&self, seen: &Seen) -> Result<(), ReleaseDoubt> {
        let resource = &self.write.attributes().resource;
        let read = |object| Record::of(resource, object).ok_or(ReleaseDoubt::Unreadable);
        let new = read(seen.new.as_ref().ok_or(ReleaseDoubt::Unseen)?)?;
        match &seen.live {
            None => self.is_next(&new).await,
            Some(live) => self.is_step(&read(live)?, &new).await,
        }
    }

    /// Whether a new record begins a revision that names nothing new.
    async fn is_next(&self, new: &Record) -> Result<(), ReleaseDoubt> {
        let records = self.records(&new.name).await?;
        let (Some(last), Some(deployed)) = (records.last(), deployed(&records)) else {
            return Err(ReleaseDoubt::NothingDeployed);
        };
        let is_begun = matches!(new.status.as_str(), "pending-upgrade" | "pending-rollback");
        if !is_begun || last.is_pending() || Some(new.version) != last.version.checked_add(1) {
            return Err(ReleaseDoubt::OutOfTurn);
        }
        let failed = last.version.saturating_sub(deployed.version);
        if failed >= FAILED_MAX {
            return Err(ReleaseDoubt::Failed(u32::try_from(failed).unwrap_or(u32::MAX)));
        }
        let objects = new.other_objects(deployed);
        if !objects.is_empty() {
            return Err(ReleaseDoubt::Objects(objects));
        }
        // What a revision was that somebody has let through, it may be again.
        if records.iter().any(|it| it.was_deployed() && new.repeats(it)) {
            return Ok(());
        }
        if new.labels != deployed.labels || !new.applies_as(deployed) {
            return Err(ReleaseDoubt::Content);
        }
        if !new.acts_as(deployed) {
            return Err(ReleaseDoubt::Hooks);
        }
        match new.hidden_values(deployed) {
            hidden if hidden.is_empty() => Ok(()),
            hidden => Err(ReleaseDoubt::Values(hidden)),
        }
    }

    /// Whether a record goes on by a step that somebody has decided on.
    async fn is_step(&self, old: &Record, new: &Record) -> Result<(), ReleaseDoubt> {
        if !new.is_same_revision(old) {
            return Err(ReleaseDoubt::Content);
        }
        if new.says_the_same(old) {
            return Ok(());
        }
        if (old.status.as_str(), new.status.as_str()) == ("deployed", "superseded") {
            return self.is_superseded(old).await;
        }
        let goes_on = match (old.is_pending(), old.status.as_str(), new.status.as_str()) {
            // How its hooks went, or what is said of it.
            (_, before, after) if before == after => true,
            (true, _, "failed" | "deployed") => true,
            // As an install that failed takes itself back.
            (true, _, "uninstalling") | (_, "failed", "uninstalling") => {
                !self.records(&new.name).await?.iter().any(Record::was_deployed)
            }
            _ => false,
        };
        let is_all_there = old.is_pending() && new.status == "deployed";
        match goes_on {
            false => {
                let (old, new) = (old.status.clone(), new.status.clone());
                Err(ReleaseDoubt::Step(OldNew { old, new }))
            }
            true if !self.is_own(old).await? => Err(ReleaseDoubt::Others),
            true if is_all_there => self.are_live(&new.documents).await,
            true => Ok(()),
        }
    }

    /// Whether the revision that this agent began after it is all there.
    async fn is_superseded(&self, old: &Record) -> Result<(), ReleaseDoubt> {
        let records = self.records(&old.name).await?;
        let next = records.last().filter(|it| it.version > old.version && it.is_pending());
        let next = next.ok_or(ReleaseDoubt::OutOfTurn)?;
        if !self.is_own(next).await? {
            return Err(ReleaseDoubt::Others);
        }
        self.are_live(&next.documents).await
    }

    async fn are_live(&self, documents: &[Document]) -> Result<(), ReleaseDoubt> {
        LiveObjects::new(self.view, self.write).are(documents).await
    }

    /// Whether nothing is left of the release of a record that goes.
    async fn is_gone(&self, seen: &Seen) -> Result<(), ReleaseDoubt> {
        let live = seen.live.as_ref().ok_or(ReleaseDoubt::Unseen)?;
        let resource = &self.write.attributes().resource;
        let record = Record::of(resource, live).ok_or(ReleaseDoubt::Unreadable)?;
        let records = self.records(&record.name).await?;
        let last = records.last().ok_or(ReleaseDoubt::Unseen)?;
        if !matches!(last.status.as_str(), "uninstalled" | "uninstalling") {
            return Err(ReleaseDoubt::OutOfTurn);
        }
        let mut objects = LiveObjects::new(self.view, self.write);
        // Of each revision, as the last might name fewer than there are.
        for record in &records {
            objects.are_gone(&record.documents).await?;
        }
        Ok(())
    }

    async fn is_own(&self, record: &Record) -> Result<bool, ReleaseDoubt> {
        let (remembered, redactor) = (self.remembered, &self.view.redactor);
        let own = left::is_as_left(remembered, redactor, self.write, &record.object).await;
        own.map_err(|error| {
            tracing::warn!(%error, "the ledger cannot tell whose record of a release it is");
            ReleaseDoubt::Unseen
        })
    }

    /// All records of a release, the oldest first.
    async fn records(&self, release: &str) -> Result<Vec<Record>, ReleaseDoubt> {
        let a = self.write.attributes();
        let is_name = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.');
        if !release.bytes().all(is_name) {
            return Err(ReleaseDoubt::Unreadable);
        }
        let collection = format!("/api/v1/namespaces/{}/{}", a.namespace, a.resource);
        let query = format!("labelSelector=owner%3Dhelm%2Cname%3D{release}");
        let found = self.view.all(self.write, &a.resource, &collection, &query).await;
        let found = found.ok_or(ReleaseDoubt::Unseen)?;
        let records = found.iter().map(|it| Record::of(&a.resource, it));
        let mut records: Vec<Record> =
            records.collect::<Option<_>>().ok_or(ReleaseDoubt::Unreadable)?;
        records.sort_by_key(|it| it.version);
        Ok(records)
    }
}

/// The revision that helm takes for what is there.
fn deployed(records: &[Record]) -> Option<&Record> {
    records.iter().rfind(|it| it.status == "deployed")
}
