//! Leases: whoever holds one does the work of an operator, and nobody else does. Renewing one is a chore.
//! Taking one that is somebody's, giving up another's, or holding one for years stops the operator.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::about::{LeaseChange, LeaseStep};

/// A lease for longer than this is no lock that anybody waits for.
const SECONDS_MAX: i64 = 600;
/// By so much the clocks of two machines may differ.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(60);

/// Fields that every renewal writes, and that are judged here together.
pub(crate) const FIELDS: [&str; 5] = [
    "/spec/acquireTime",
    "/spec/holderIdentity",
    "/spec/leaseDurationSeconds",
    "/spec/leaseTransitions",
    "/spec/renewTime",
];

/// What becomes of a lease; `None` where its holder only renews it.
pub(crate) fn of(old: Option<&Value>, new: &Value, now: Option<Timestamp>) -> Option<LeaseChange> {
    let (was, is) = (old.map(Lease::of).unwrap_or_default(), Lease::of(new));
    let step = step(&was, &is, old.is_some(), now)?;
    Some(LeaseChange {
        old: was.holder.to_owned(),
        new: is.holder.to_owned(),
        seconds: is.seconds,
        step,
    })
}

fn step(
    was: &Lease<'_>,
    is: &Lease<'_>,
    is_there: bool,
    now: Option<Timestamp>,
) -> Option<LeaseStep> {
    let ahead = |(renewed, now): (Timestamp, _)| renewed.duration_since(now) > SKEW_MAX;
    let is_ahead = is.renewed != was.renewed && is.renewed.zip(now).is_some_and(ahead);
    if is_ahead || (is.seconds > SECONDS_MAX && is.seconds > was.seconds) {
        return Some(LeaseStep::TooLong);
    }
    if was.holder == is.holder && is_there {
        // A time that goes back ends it for whoever reads the clock, and so does one long past.
        let goes_back = was.renewed.is_some() && is.renewed < was.renewed;
        let ends = is.renewed != was.renewed && is.is_long_past(now);
        // A shorter one runs out before its holder comes to renew it.
        let shrinks = !was.holder.is_empty() && is.seconds < was.seconds;
        return (goes_back || ends || shrinks).then_some(LeaseStep::Ended);
    }
    Some(match (was.holder, is.holder) {
        ("", _) => LeaseStep::Taken,
        (_, "") => LeaseStep::Released,
        _ if was.has_run_out(now) => LeaseStep::Taken,
        _ => LeaseStep::TakenFromHolder,
    })
}

#[derive(Default)]
struct Lease<'a> {
    holder: &'a str,
    seconds: i64,
    renewed: Option<Timestamp>,
}

impl<'a> Lease<'a> {
    fn of(object: &'a Value) -> Self {
        let text = |path| object.pointer(path).and_then(Value::as_str);
        let seconds = object.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64);
        Self {
            holder: text("/spec/holderIdentity").unwrap_or_default(),
            seconds: seconds.unwrap_or_default(),
            renewed: text("/spec/renewTime").and_then(|it| it.parse().ok()),
        }
    }

    /// Whether no clock that is nearly right can take it for one that somebody renews.
    fn is_long_past(&self, now: Option<Timestamp>) -> bool {
        let seconds = SignedDuration::from_secs(self.seconds.max(0)).max(SKEW_MAX);
        self.renewed.zip(now).is_some_and(|(renewed, now)| now.duration_since(renewed) > seconds)
    }

    /// Whether its time is over; one that says nothing of a time may be somebody's still.
    fn has_run_out(&self, now: Option<Timestamp>) -> bool {
        self.renewed.zip(now).is_some_and(|(renewed, now)| {
            now.duration_since(renewed) > SignedDuration::from_secs(self.seconds.max(0))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn knows_a_chore_from_a_lock_that_is_taken() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let lease = |holder: &str, seconds: i64, renewed: &str| {
            json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds,
                "renewTime": renewed}})
        };
        let (fresh, past) = ("2026-01-01T11:59:55.000000Z", "2026-01-01T11:00:00.000000Z");
        let (just, ahead) = ("2026-01-01T12:00:00.000000Z", "2094-01-01T12:00:00.000000Z");
        let late = "2026-01-01T11:59:30.000000Z";
        let held = || Some(lease("a", 15, fresh));
        let table = [
            (held(), lease("a", 15, just), None),
            (held(), lease("a", 15, past), Some(LeaseStep::Ended)),
            (held(), lease("a", 2_147_483_647, just), Some(LeaseStep::TooLong)),
            (held(), lease("a", 15, ahead), Some(LeaseStep::TooLong)),
            (Some(lease("a", 3_600, fresh)), lease("a", 3_600, just), None),
            (held(), lease("a", 1, fresh), Some(LeaseStep::Ended)),
            (
                held(),
                json!({"spec": {"holderIdentity": "a", "renewTime": just}}),
                Some(LeaseStep::Ended),
            ),
            (Some(lease("", 15, fresh)), lease("", 1, fresh), None),
            (held(), lease("b", 15, just), Some(LeaseStep::TakenFromHolder)),
            (held(), lease("", 1, just), Some(LeaseStep::Released)),
            (Some(lease("a", 15, past)), lease("b", 15, just), Some(LeaseStep::Taken)),
            (
                Some(json!({"spec": {"holderIdentity": "a"}})),
                lease("b", 15, just),
                Some(LeaseStep::TakenFromHolder),
            ),
            (
                Some(json!({"spec": {"holderIdentity": "a"}})),
                lease("a", 15, past),
                Some(LeaseStep::Ended),
            ),
            (Some(json!({"spec": {"holderIdentity": "a"}})), lease("a", 15, late), None),
            (Some(lease("", 1, fresh)), lease("b", 15, just), Some(LeaseStep::Taken)),
            (None, lease("b", 15, just), Some(LeaseStep::Taken)),
            (None, lease("b", 86_400, just), Some(LeaseStep::TooLong)),
        ];
        for (row, (old, new, want)) in table.into_iter().enumerate() {
            let found = of(old.as_ref(), &new, Some(now)).map(|it| it.step);
            assert_eq!(found, want, "row {row}");
        }
    }
}
