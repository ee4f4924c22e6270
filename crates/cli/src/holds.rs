//! What a reviewer asks of one hold: to read it, to approve it, to deny it.

use anyhow::Result;
use api::body::{Approval, HoldDetail, HoldSummary, Reason};
use jiff::Timestamp;
use text::Escaped;

use crate::{client::Client, urls::segment};

/// Approves what was on the screen: `digest` is of the preview that was read. Answers with what
/// becomes of the request.
pub(crate) async fn approve(
    client: &Client,
    id: &str,
    reason: String,
    digest: String,
) -> Result<String> {
    let path = format!("/v1/holds/{}/approve", segment(id));
    let decided: HoldDetail = client.post(&path, &Approval { reason, digest }).await?;
    let HoldSummary { missing, waiting, .. } = &decided.summary;
    Ok(match (missing.as_str(), waiting) {
        ("", 0) => "approved; the agent has gone: its next identical request runs, once".to_owned(),
        ("", _) => "approved; the agent waits: its request runs now".to_owned(),
        (missing, _) => {
            format!("your approval is recorded; still needed: {}", Escaped::line(missing))
        }
    })
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
    let _: HoldDetail = client.post(&path, &Reason { reason }).await?;
    Ok("denied; the same effect stays denied for 10 minutes".to_owned())
}

/// One hold with all that is known of it.
pub(crate) async fn fetch(client: &Client, id: &str) -> Result<HoldDetail> {
    client.get(&format!("/v1/holds/{}", segment(id))).await
}
