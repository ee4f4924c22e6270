//! What a reviewer is shown of a write, and the digest that an approval binds to.

use effects::Effect;
use hold::Preview;
use payload::Redactor;
use serde_json::Value;

use crate::{
    differences::{Differences, differences},
    impact::Impact,
    seen::Seen,
};

/// The preview of what was seen, and of what goes with it.
pub(crate) fn preview(
    redactor: &Redactor,
    effects: &[Effect],
    seen: Seen,
    impact: Impact,
) -> Preview {
    let text = |path: &str| {
        let found = seen.live.as_ref().and_then(|live| live.pointer(path));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (uid, resource_version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
    // INVARIANT: an approval binds to effects, differences, and the identity of every object, also of those
    // that go with it and do not come and go by themselves.
    let mut input = effects::digest_input(effects, &seen.changes, &uid);
    for target in &seen.targets {
        input.extend_from_slice(target.uid.as_bytes());
        input.push(0);
    }
    let Differences { changes, cut } = differences(seen.changes, effects);
    let mut notes = seen.notes;
    notes.extend(impact.notes);
    let preview = Preview {
        uid,
        resource_version,
        effects: effects.iter().map(Into::into).collect(),
        changes,
        targets: seen.targets,
        goes_with: impact.goes_with,
        notes,
        cut,
        ..Preview::default()
    };
    preview.sealed(redactor, redactor.digest(&input), impact.bound)
}
