//! What a change takes of memory while it waits to be written, in bytes, roughly.

use hold::{Hold, Insertion, Preview};
use ledger::Entry;

/// Of entries.
pub(super) fn entries(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::weight).sum()
}

/// Of a hold that is to wait, with all that it shows.
pub(super) fn insertion(insertion: &Insertion) -> usize {
    let shown = &insertion.shown;
    let parts = [
        shown.payload.len(),
        preview(&shown.preview),
        hold(&insertion.hold),
        entries(&insertion.entries),
    ];
    parts.iter().sum()
}

/// Of what was seen.
pub(super) fn preview(of: &Preview) -> usize {
    let text = |it: &Option<String>| it.as_ref().map_or(0, String::len);
    let changes = of.changes.iter().map(|it| it.path.len() + text(&it.old) + text(&it.new));
    let targets = of.targets.iter().map(|it| it.name.len() + it.uid.len());
    let notes = of.notes.iter().map(String::len);
    changes.chain(targets).chain(notes).sum()
}

/// Of its summary.
fn hold(hold: &Hold) -> usize {
    let of = hold.summary();
    size_of::<Hold>() + of.reason.len() + of.effects.len() * EFFECT_BYTES
}

/// One effect, as it mostly is.
const EFFECT_BYTES: usize = 512;
