//! What a reviewer asks of one hold: to read it, to approve it, to deny it.

use anyhow::Result;
use api::body::{Approval, Denied, HoldDetail, HoldSummary, Reason};
use jiff::Timestamp;
use text::Escaped;

use crate::{client::Client, moment, urls::segment};

/// Approves what was on the screen: `digest` is of the preview that was read. Answers with the hold as it
/// is then.
pub(crate) async fn approve(
    client: &Client,
    id: &str,
    reason: String,
    digest: String,
) -> Result<HoldDetail> {
    let path = format!("/v1/holds/{}/approve", segment(id));
    client.post(&path, &Approval { reason, digest }).await
}

/// What an approval means of an agent that was frozen at the same moment.
pub(crate) const FROZEN: &str =
    "approved; its agent is frozen by now: nothing of it runs before somebody thaws it";

/// What an approval means, where nobody waits for what becomes of it.
pub(crate) fn taken(hold: &HoldSummary) -> String {
    match (hold.missing.as_str(), hold.waiting) {
        ("", _) if hold.frozen.is_some() => FROZEN.to_owned(),
        ("", 0) => "approved; the agent has gone: its next identical request runs, once".to_owned(),
        ("", _) => {
            "approved; the agent waits: its request runs if it would still do the same".to_owned()
        }
        (missing, _) => {
            format!("your approval is recorded; still needed: {}", Escaped::line(missing))
        }
    }
}

/// What a reviewer should look at first has the smallest: the worst, then the nearest deadline.
pub(crate) fn urgency(hold: &HoldSummary) -> (usize, Timestamp, String) {
    const WORST_FIRST: [&str; 4] = ["critical", "high", "medium", "low"];
    let severity = WORST_FIRST.iter().position(|it| *it == hold.severity);
    (severity.unwrap_or(0), hold.deadline, hold.id.clone())
}

/// Denies a hold. Answers with what becomes of the request.
pub(crate) async fn deny(client: &Client, id: &str, reason: String) -> Result<String> {
    let path = format!("/v1/holds/{}/deny", segment(id));
    let denied: Denied = client.post(&path, &Reason { reason }).await?;
    let mut text = format!("denied{}", stands(&denied.hold.summary));
    if !denied.twins.is_empty() {
        let twins: Vec<_> = denied.twins.iter().map(|it| Escaped::line(it).to_string()).collect();
        text.push_str(&format!("\ndenied with it, as they ask for the same: {}", twins.join(", ")));
    }
    Ok(text)
}

/// Until when a denial stands, as the end of a sentence.
pub(crate) fn stands(hold: &HoldSummary) -> String {
    let until = |it: Timestamp| format!("; the same stays denied until {}", moment::shown(it));
    hold.binds_until.map(until).unwrap_or_default()
}

/// One hold with all that is known of it.
pub(crate) async fn fetch(client: &Client, id: &str) -> Result<HoldDetail> {
    client.get(&format!("/v1/holds/{}", segment(id))).await
}
