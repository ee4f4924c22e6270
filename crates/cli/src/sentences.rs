//! The sentence about a hold of the review API.

use api::body::{HoldSummary, PreviewBody};
use sentence::Subject;

/// Who wants to do what to which object, and what it costs; what goes with it where a preview says.
pub(crate) fn sentence(hold: &HoldSummary, preview: Option<&PreviewBody>) -> String {
    subject(hold, preview).sentence()
}

/// The same without who.
pub(crate) fn describe_request(hold: &HoldSummary) -> String {
    subject(hold, None).describe_request()
}

fn subject<'a>(hold: &'a HoldSummary, preview: Option<&'a PreviewBody>) -> Subject<'a> {
    Subject {
        username: &hold.user.username,
        request: &hold.request,
        effects: hold.effects.iter().map(Into::into).collect(),
        more_effects: hold.more_effects.clone(),
        goes_with: preview.map_or_else(Vec::new, |preview| {
            preview.goes_with.iter().cloned().map(Into::into).collect()
        }),
    }
}
