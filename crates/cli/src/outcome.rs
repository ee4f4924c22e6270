//! What became of an approval: waited for, told in words, and as an exit code.

use std::time::{Duration, Instant};

use anyhow::Result;
use api::body::{HoldDetail, HoldSummary};
use jiff::Timestamp;
use text::Escaped;

use crate::{
    client::Client,
    exit::{self, Outcome},
    holds::{FROZEN, fetch},
    printers, program, spinner,
};

/// An approved request that has not ended by then is left to itself.
const WAIT_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(300);
/// Differences that are named after a drift.
const NEWS_MAX: usize = 8;

impl Outcome {
    /// It ran.
    const RAN: u8 = 0;
    /// The API server refused it, or nobody knows whether it ran.
    const FAILED: u8 = 1;
    /// It would do something else by now, or somebody else decided.
    const CHANGED: u8 = 6;
    /// Somebody else must approve it too.
    const NEEDED: u8 = 9;
    /// It has not run yet.
    const NOT_YET: u8 = 10;

    /// An approval that was not taken.
    pub(crate) fn refused(error: &anyhow::Error) -> Self {
        Self { text: format!("{error:#}"), code: exit::number(error) }
    }

    /// An approval that was taken, of which nobody learned what came.
    pub(crate) fn untold(error: &anyhow::Error) -> Self {
        let text = format!("approved; what became of it is not known here: {error:#}");
        Self { text, code: Self::NOT_YET }
    }

    /// Whether it is no failure: the approval stands, and something else is waited for.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.code, Self::NEEDED | Self::NOT_YET)
    }
}

/// Waits until an approved hold has ended, for a bounded time.
pub(crate) async fn follow(client: &Client, approved: HoldDetail) -> Result<HoldDetail> {
    let id = approved.summary.id.clone();
    spinner::during(format!("waiting for what becomes of {id}"), async {
        let (began, mut hold) = (Instant::now(), approved);
        while is_under_way(&hold.summary) && began.elapsed() < WAIT_MAX {
            tokio::time::sleep(LOOK_AGAIN).await;
            hold = fetch(client, &id).await?;
        }
        Ok(hold)
    })
    .await
}

fn is_under_way(hold: &HoldSummary) -> bool {
    match hold.state.as_str() {
        // Whoever is not there sends nothing.
        "approved" => hold.waiting > 0,
        state => state == "running",
    }
}

/// What became of a hold whose approval was taken; `before` is as the reviewer saw it.
pub(crate) fn of(before: &HoldDetail, now: &HoldDetail) -> Outcome {
    let (hold, program) = (&now.summary, program::name());
    let id = Escaped::line(&hold.id);
    let (code, text) = match (hold.state.as_str(), hold.code) {
        ("done", Some(101)) => (Outcome::RAN, "approved: the session is open".to_owned()),
        ("done", Some(code @ 0..400)) => {
            (Outcome::RAN, format!("approved, and it ran: the API server answered {code}"))
        }
        ("done", code) => {
            let code = code.unwrap_or_default();
            (Outcome::FAILED, format!("approved, but the API server refused it: {code}"))
        }
        ("pending", _) if hold.drifts > before.summary.drifts => {
            let news = news(before, now).join("\n  ");
            let text = format!(
                "it did not run: it would do something else by now, and waits for a new decision\n  \
                 {news}\nsee `{program} show {id}`"
            );
            (Outcome::CHANGED, text)
        }
        ("pending", _) => {
            let missing = Escaped::line(&hold.missing);
            (Outcome::NEEDED, format!("your approval is recorded; still needed: {missing}"))
        }
        ("approved", _) if hold.frozen.is_some() => (Outcome::NOT_YET, FROZEN.to_owned()),
        ("approved", _) if hold.waiting == 0 => {
            let text = "approved; the agent has gone: its next identical request runs, once";
            (Outcome::NOT_YET, text.to_owned())
        }
        ("approved" | "running", _) => {
            let text = format!("approved; it has not ended yet: `{program} show {id}` tells of it");
            (Outcome::NOT_YET, text)
        }
        ("unknown", _) => {
            let text = "approved and sent, but no answer came: look at the object before anybody asks again";
            (Outcome::FAILED, text.to_owned())
        }
        _ => (Outcome::CHANGED, format!("it did not run: {}", lost(hold))),
    };
    Outcome { text, code }
}

/// What became of several holds, each by its id: a line for each, and the code of the worst.
pub(crate) fn joined(mut outcomes: Vec<(String, Outcome)>) -> Outcome {
    if outcomes.len() == 1
        && let Some((_, outcome)) = outcomes.pop()
    {
        return outcome;
    }
    // What nobody need do anything about last.
    let badness = |code: u8| match code {
        Outcome::FAILED => 0,
        Outcome::CHANGED => 2,
        Outcome::NEEDED => 3,
        Outcome::NOT_YET => 4,
        Outcome::RAN => 5,
        _ => 1,
    };
    let codes = outcomes.iter().map(|(_, it)| it.code);
    let code = codes.min_by_key(|it| badness(*it)).unwrap_or(Outcome::RAN);
    let lines = outcomes.iter().map(|(id, it)| format!("{}: {}", Escaped::line(id), it.text));
    Outcome { text: lines.collect::<Vec<_>>().join("\n"), code }
}

/// Who was first, where a decision came too late.
pub(crate) fn lost(hold: &HoldSummary) -> String {
    printers::standing(hold, Timestamp::now())
}

/// What it would do now and did not before.
fn news(before: &HoldDetail, now: &HoldDetail) -> Vec<String> {
    let said = |effect: &&api::body::EffectBody| {
        before.summary.effects.iter().all(|it| it.detail != effect.detail)
    };
    let effects = now.summary.effects.iter().filter(said).map(|it| it.detail.clone());
    let seen = |change: &&api::body::ChangeBody| {
        let is_same = |it: &api::body::ChangeBody| {
            (&it.path, &it.old, &it.new, &it.diff)
                == (&change.path, &change.old, &change.new, &change.diff)
        };
        !before.preview.changes.iter().any(is_same)
    };
    let side = |it: &Option<String>| it.clone().unwrap_or_else(|| "nothing".to_owned());
    let changes = now.preview.changes.iter().filter(seen).map(|it| match it.diff {
        Some(_) => format!("{}: other lines differ", it.path),
        None => format!("{}: {} → {}", it.path, side(&it.old), side(&it.new)),
    });
    let goes_with = (now.preview.goes_with != before.preview.goes_with)
        .then(|| "other objects go with it".to_owned());
    let mut news: Vec<String> = effects.chain(changes).chain(goes_with).collect();
    if news.is_empty() {
        news.push("the object itself is another one, or has changed".to_owned());
    }
    let more = news.len().saturating_sub(NEWS_MAX);
    news.truncate(NEWS_MAX);
    if more > 0 {
        news.push(format!("and {more} more"));
    }
    news.iter().map(|it| Escaped::line(it).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printers::tests::detail;

    #[test]
    fn tells_what_became_of_it() {
        type Row = (&'static str, Option<u16>, usize, u32, u8, &'static str);
        let table: [Row; 11] = [
            ("done", Some(200), 0, 0, 0, "it ran: the API server answered 200"),
            ("done", Some(101), 0, 0, 0, "the session is open"),
            ("done", Some(409), 0, 0, 1, "the API server refused it: 409"),
            ("pending", None, 1, 1, 6, "it would do something else by now"),
            ("pending", None, 1, 0, 9, "still needed: 1 approval"),
            ("approved", None, 0, 0, 10, "the agent has gone"),
            ("approved", None, 1, 0, 10, "it has not ended yet"),
            ("running", None, 1, 0, 10, "it has not ended yet"),
            ("unknown", None, 0, 0, 1, "no answer came"),
            ("denied", None, 0, 0, 6, "it did not run: Denied"),
            ("expired", None, 0, 0, 6, "it did not run: Expired"),
        ];
        let before = detail();
        for (state, answered, waiting, drifts, code, says) in table {
            let mut now = detail();
            let summary = &mut now.summary;
            (summary.state, summary.code) = (state.into(), answered);
            (summary.waiting, summary.drifts) = (waiting, drifts);
            let outcome = of(&before, &now);
            assert_eq!(outcome.code, code, "{state}: {outcome}");
            assert!(outcome.text.contains(says), "{state}: {outcome}");
        }
    }

    #[test]
    fn of_several_the_worst_counts() {
        let of = |codes: &[u8]| {
            let outcomes = codes.iter().enumerate().map(|(n, code)| {
                (format!("h{n}"), Outcome { text: format!("it is {code}"), code: *code })
            });
            joined(outcomes.collect())
        };
        let table: [(&[u8], u8, &str); 5] = [
            (&[0], 0, "it is 0"),
            (&[0, 0], 0, "h0: it is 0\nh1: it is 0"),
            (&[0, 10, 9], 9, "h0: it is 0\nh1: it is 10\nh2: it is 9"),
            (&[10, 6, 1], 1, "h0: it is 10\nh1: it is 6\nh2: it is 1"),
            (&[0, 6, 4], 4, "h0: it is 0\nh1: it is 6\nh2: it is 4"),
        ];
        for (codes, code, text) in table {
            let outcome = of(codes);
            assert_eq!((outcome.code, outcome.text.as_str()), (code, text));
        }
    }

    #[test]
    fn names_what_is_new_after_a_drift() {
        let (before, mut now) = (detail(), detail());
        assert_eq!(news(&before, &now), ["the object itself is another one, or has changed"]);
        now.preview.changes[0].new = Some("1\u{202e}".into());
        now.summary.effects[0].detail = "deletes more".into();
        assert_eq!(news(&before, &now), ["deletes more", "/spec/replicas: 10 → 1\\u{202e}"]);
        now.preview.changes[1].diff = Some("@@ -1,1 +1,1 @@\n-a\n+c\n".into());
        assert_eq!(
            news(&before, &now).last().map(String::as_str),
            Some("/data/run.sh: other lines differ")
        );
    }
}
