//! The API server's dry run of the agent's own bytes, and what its answers mean.

use effects::Unknown;
use serde_json::Value;
use upstream::{Probe, ProbeAnswer};

use crate::{call::Write, deletes, view::ClusterView};

/// What a dry run's answer means.
pub(crate) enum DryRun {
    /// The API server refuses: that is the agent's answer.
    Answered(Box<ProbeAnswer>),
    /// It would run, and answer this.
    Would(Option<Value>),
    /// It tells nothing, and why.
    Nothing(Unknown),
}

/// Sends a write's dry run.
pub(crate) async fn of_change(view: &ClusterView, write: &Write, probe: Probe) -> DryRun {
    let answer = match view.ask(write, probe.at_most(write.weight.values_max()), true).await {
        Ok(answer) => answer,
        Err(error) => {
            write.silence.hear(&error);
            return DryRun::Nothing(Unknown::Unanswered(Unknown::bounded(&error.to_string())));
        }
    };
    let message = message_of(answer.json.as_ref());
    let kept = || kept(view, write, message);
    match answer.status.as_u16() {
        200..=299 => DryRun::Would(answer.json),
        // A refusal of dry runs as such says nothing about the write.
        400 if message.to_lowercase().contains("dry") => {
            DryRun::Nothing(Unknown::DryRunRefused(kept()))
        }
        // Nobody approves what cannot run: an answer of the API server answers, that of a webhook which is
        // down too.
        400..=599 => DryRun::Answered(Box::new(answer)),
        code => DryRun::Nothing(Unknown::DryRunFailed(code, kept())),
    }
}

/// As [`of_change`], of a delete by its own options.
pub(crate) async fn of_delete(view: &ClusterView, write: &Write) -> DryRun {
    match probe_of_delete(write) {
        Ok(probe) => of_change(view, write, probe).await,
        Err(why) => DryRun::Nothing(why),
    }
}

fn probe_of_delete(write: &Write) -> Result<Probe, Unknown> {
    let options = deletes::options(write)
        .map_err(|error| Unknown::OptionsUnreadable(Unknown::bounded(&error.to_string())))?;
    if options.is_unsafe() {
        return Err(Unknown::UnsafeDelete);
    }
    let probe = Probe::dry_run_delete(write.attributes(), &options);
    probe.ok_or(Unknown::NoDryRun)
}

/// What a `Status` says.
fn message_of(status: Option<&Value>) -> &str {
    status.and_then(|it| it.get("message")).and_then(Value::as_str).unwrap_or_default()
}

/// As far as it is kept: servers and webhooks quote what they refuse.
fn kept(view: &ClusterView, write: &Write, said: &str) -> String {
    let body = match write.body.is_empty() {
        true => Some(Value::Null),
        false => payload::read(write.media, &write.body).ok(),
    };
    let resource = &write.attributes().resource;
    Unknown::bounded(&view.redactor.redact_said(resource, body.as_ref(), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_of_a_refusal_than_a_reason_takes() {
        let status = serde_json::json!({"message": "no dry run"});
        let long = format!("strict decoding error: unknown field \"dry{}\"", "é".repeat(100_000));
        assert_eq!(Unknown::bounded(&long).chars().count(), 1_000);
        assert_eq!(message_of(Some(&status)), "no dry run");
        assert_eq!(message_of(None), "");
    }
}
