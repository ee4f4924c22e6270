//! Holds that are decided together: those of one command.

use anyhow::Result;
use api::body::{HoldDetail, HoldSummary, List};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    client::{Client, ClientError},
    holds::fetch,
    printers, program,
    sentences::sentence,
    urls::query,
};

/// What waits of the command that a hold is of, in the order in which it was asked: one agent's requests of
/// one kubectl session. That a request is of a session is the agent's own word, so it groups what is shown
/// and decides nothing.
pub(crate) async fn of_command(client: &Client, hold: HoldDetail) -> Result<Vec<HoldDetail>> {
    let session = hold.summary.request.kubectl_session.clone();
    if session.is_empty() {
        return Ok(vec![hold]);
    }
    let user = Some(hold.summary.user.username.clone());
    let query = query(&[("state", Some("pending".to_owned())), ("user", user)]);
    let mut rows: Vec<HoldSummary> =
        client.get::<List<HoldSummary>>(&format!("/v1/holds{query}")).await?.items;
    rows.retain(|it| it.request.kubectl_session == session);
    rows.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    let mut holds = Vec::new();
    for row in rows {
        holds.push(fetch(client, &row.id).await?);
    }
    if holds.is_empty() {
        let message = "nothing of this command waits any more".to_owned();
        return Err(ClientError::Answered { code: 409, message, hint: None }.into());
    }
    Ok(holds)
}

/// Digest of all that is shown of them: another hold, or other content of one, is another digest.
pub(crate) fn digest(holds: &[HoldDetail]) -> String {
    let rows = holds.iter().map(|it| format!("{} {}\n", it.summary.id, it.preview.digest));
    let digest = Sha256::digest(rows.collect::<String>());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What else waits of the command that a hold is of, and where it is shown.
pub(crate) fn others(id: &str, holds: &[HoldDetail]) -> String {
    if holds.len() < 2 {
        return String::new();
    }
    let rows: String = holds.iter().map(|it| format!("\n  {}", row(it))).collect();
    let (program, count) = (program::name(), holds.len());
    format!(
        "\n{count} requests of this command wait; `{program} show --all-of {id}` shows all of them:{rows}"
    )
}

/// All that waits of a command, each as `show` shows it, and how to decide on all of it: the digest is of what
/// stands above it.
pub(crate) fn page(
    id: &str,
    holds: &[HoldDetail],
    now: Timestamp,
    columns: Option<usize>,
) -> String {
    let pages = holds.iter().map(|it| printers::hold(it, now, columns));
    let pages: Vec<String> = pages.collect();
    let (program, count, digest) = (program::name(), holds.len(), digest(holds));
    let rows: Vec<String> = holds.iter().map(row).collect();
    format!(
        "{count} requests of this command wait:\n  {}\n\n{}\n\nAll {count} of them:\n  \
         {program} approve --all-of {id} --digest {digest} --reason '…'\n  \
         {program} deny --all-of {id} --reason '…'",
        rows.join("\n  "),
        pages.join("\n\n")
    )
}

/// One hold in a line.
pub(crate) fn row(hold: &HoldDetail) -> String {
    let id = text::Escaped::line(&hold.summary.id);
    format!("{id}  {}", sentence(&hold.summary, Some(&hold.preview)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printers::tests::{at, detail};

    #[test]
    fn a_digest_is_of_every_row_as_it_is_shown() {
        let (one, mut other) = (detail(), detail());
        other.summary.id = "k2mq7xzw".into();
        let both = digest(&[one.clone(), other.clone()]);
        assert_eq!(both.len(), 64);
        assert_ne!(both, digest(std::slice::from_ref(&one)));
        other.preview.digest = "6".into();
        assert_ne!(both, digest(&[one.clone(), other.clone()]));
        assert_eq!(others("k3mq7xzw", std::slice::from_ref(&one)), "");
        let rows = [one, other];
        let told = others("k3mq7xzw", &rows);
        assert!(told.contains("2 requests of this command wait;"), "{told}");
        assert!(told.contains("k2mq7xzw  ServiceAccount agents/triage wants"), "{told}");
        // Nobody approves by a line what they have not seen whole.
        assert!(!told.contains("--digest"), "{told}");
        let page = page("k3mq7xzw", &rows, at(42), None);
        assert!(page.contains(&format!("approve --all-of k3mq7xzw --digest {}", digest(&rows))));
        assert_eq!(page.matches("/spec/replicas").count(), 2, "{page}");
    }
}
