//! Conditions that are true of effects like one that was seen: for exceptions that are suggested, and for
//! files that compared sentences.

use effects::{
    About, Effect,
    about::{Count, Deleted, Deletion, Part, Propagation},
};
use thiserror::Error;

use crate::effect_fields::group_resource;

/// Why no condition says all that an effect does.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Unbounded {
    /// The object has no name that comes again.
    #[error("the object has a new name each time")]
    NewName,
    /// Counts are not known, or the earlier calls are others each time.
    #[error("how far it goes is not known")]
    NotCounted,
    /// The options of a delete are not known.
    #[error("what else the delete does is not known")]
    OptionsUnknown,
    /// What it does is in no field.
    #[error("no field says all that it does")]
    NoField,
}

/// A condition, with `it` as the effect's variable, that is true of effects of this kind on this very
/// object that do the same or less.
///
/// # Errors
/// [`Unbounded`] where no condition says that.
pub fn same_or_less(it: &str, effect: &Effect) -> Result<String, Unbounded> {
    let object = &effect.object;
    if object.name.is_empty() {
        return Err(Unbounded::NewName);
    }
    let mut parts = vec![
        format!("{it}.kind == {}", literal(effect.kind.as_str())),
        format!(
            "{it}.groupResource == {}",
            literal(&group_resource(&object.api_group, &object.resource))
        ),
        format!("{it}.namespace == {}", literal(&object.namespace)),
        format!("{it}.name == {}", literal(&object.name)),
    ];
    parts.extend(about(it, effect)?);
    Ok(parts.join(" && "))
}

/// What is the same of what is known of the effect, or less.
pub(crate) fn about(it: &str, effect: &Effect) -> Result<Vec<String>, Unbounded> {
    match &effect.about {
        About::Nothing => Ok(Vec::new()),
        About::Count(count) => counted(it, count),
        About::Deletion(deletion) => deleted(it, deletion),
        // A safe restart is one whatever else it is called.
        About::Parts(parts) if parts.more == 0 && parts.parts == [Part::Rolls] => Ok(Vec::new()),
        About::PodsGone(_) => Err(Unbounded::NotCounted),
        _ => Err(Unbounded::NoField),
    }
}

/// As far as was seen, or less far.
fn counted(it: &str, count: &Count) -> Result<Vec<String>, Unbounded> {
    let (old, new) = count.sizes().ok_or(Unbounded::NotCounted)?;
    let counted = format!("{it}.counted == {}", literal(count.counted.as_str()));
    let within = match new < old {
        true => format!("{it}.old <= {old} && {it}.new >= {new}"),
        false => format!("{it}.old >= {old} && {it}.new <= {new}"),
    };
    Ok(vec![counted, format!("has({it}.new)"), within])
}

fn deleted(it: &str, deletion: &Deletion) -> Result<Vec<String>, Unbounded> {
    let mut parts = match &deletion.what {
        Deleted::Secret(kind) => vec![format!("{it}.?secretType.orValue('') == {}", literal(kind))],
        Deleted::BoundVolume(claim) => {
            vec![format!("{it}.?claimNamespace.orValue('') == {}", literal(claim))]
        }
        Deleted::Workload(replicas) => vec![format!("{it}.?replicas.orValue(-1) == {replicas}")],
        Deleted::Replaced(replaced) => vec![
            format!("{it}.owner.uid == {}", literal(&replaced.owner.uid)),
            format!("{it}.readyOthers >= {}", replaced.ready),
        ],
        Deleted::Evicted => Vec::new(),
        // Of another type, bound or with replicas it is another delete.
        Deleted::Named => ["secretType", "claimNamespace", "replicas", "owner"]
            .map(|field| format!("!has({it}.{field})"))
            .to_vec(),
        Deleted::Matching
        | Deleted::Finalized
        | Deleted::ClaimsOf(_)
        | Deleted::Custom
        | Deleted::Expires(_)
        | Deleted::History(_) => return Err(Unbounded::NoField),
    };
    parts.push(match deletion.propagation {
        Some(Propagation::Unknown | Propagation::Unreadable) => {
            return Err(Unbounded::OptionsUnknown);
        }
        Some(propagation) => {
            format!("{it}.?propagationPolicy.orValue('') == '{}'", propagation.as_str())
        }
        None => format!("!has({it}.propagationPolicy)"),
    });
    parts.push(match deletion.grace_seconds {
        Some(seconds) => format!("{it}.?gracePeriodSeconds.orValue(-1) == {seconds}"),
        None => format!("!has({it}.gracePeriodSeconds)"),
    });
    Ok(parts)
}

/// A string literal of CEL, in ASCII: names are an agent's, and must not end it.
pub fn literal(text: &str) -> String {
    let mut literal = String::from("'");
    for char in text.chars() {
        match char {
            '\'' | '\\' => literal.extend(['\\', char]),
            ' '..='~' => literal.push(char),
            other => literal.push_str(&format!("\\U{:08x}", u32::from(other))),
        }
    }
    literal.push('\'');
    literal
}
