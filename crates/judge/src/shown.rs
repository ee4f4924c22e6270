//! What a reviewer is shown of a write, and the digest that an approval binds to.

use std::collections::BTreeSet;

use effects::{Change, Effect};
use hold::Preview;
use payload::Redactor;
use serde_json::Value;

use crate::{
    call::Write,
    differences::{Differences, differences},
    impact::Impact,
    seen::Seen,
};

/// The preview of what was seen, without what goes with it, and what it would run: that is added where it is shown.
pub(crate) fn preview(redactor: &Redactor, effects: &[Effect], seen: Seen) -> Preview {
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
    let preview = Preview {
        uid,
        resource_version,
        effects: effects.iter().map(Into::into).collect(),
        changes,
        targets: seen.targets,
        notes: seen.notes,
        cut,
        ..Preview::default()
    };
    preview.sealed(redactor, redactor.digest(&input), Vec::new())
}

/// The same with what goes with it.
pub(crate) fn with_impact(redactor: &Redactor, preview: Preview, impact: Impact) -> Preview {
    let (core, mut notes) = (preview.core.clone(), preview.notes.clone());
    notes.extend(impact.notes);
    let preview = Preview { goes_with: impact.goes_with, notes, ..preview };
    preview.sealed(redactor, core, impact.bound)
}

/// What a write asks for, point by point: a keyed digest of each.
pub(crate) fn asked(
    redactor: &Redactor,
    write: &Write,
    effects: &[Effect],
    changes: &[Change],
) -> BTreeSet<String> {
    let points = effects::asked(effects, changes, &words(write));
    points.iter().map(|it| redactor.digest(it.as_bytes())).collect()
}

/// What a write says itself: the command that it runs, or its body, however that is written down.
fn words(write: &Write) -> String {
    let a = write.attributes();
    if a.is_connect() {
        let says = |key: &str| matches!(key, "command" | "container" | "ports");
        let words: Vec<_> = a.query.0.iter().filter(|(key, _)| says(key)).collect();
        // One session is a GET of a WebSocket or a POST of SPDY; only a proxy passes its method on.
        let method = Some(&a.method).filter(|_| a.subresource == "proxy");
        return serde_json::json!([method, a.parts, words]).to_string();
    }
    payload::read(write.media, &write.body).map_or_else(
        |_| String::from_utf8_lossy(&write.body).into_owned(),
        |it| effects::canonical(&it),
    )
}
