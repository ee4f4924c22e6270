//! Whether the effect that a hold names is the effect of its row.

use serde_json::Value;

use crate::{Row, run::Failure};

/// What may be said of a row's effect, or of one row: the kinds of `effects::EffectKind` by name. A write that
/// takes two steps (owners first, the delete by garbage collection) is named by its first.
const NAMES: &[(&str, &[&str])] = &[
    ("admission.tamper", &["GrantAccess", "Delete"]),
    ("apiext.tamper", &["GrantAccess", "Delete"]),
    ("approval.integrity", &["*"]),
    ("controlplane.dos", &["GrantAccess", "Delete", "CreateActive", "Unknown"]),
    ("credential", &["MintCredential", "GrantAccess"]),
    ("data.overwrite", &["LoseData"]),
    ("delete", &["Delete", "ChangeOwners", "ChangeFinalizers", "ChangeSpec", "CreateActive"]),
    // By the next apply's hand, or by what does not find it any more.
    (
        "delete.other",
        &["Delete", "ChangeOwners", "ChangeFinalizers", "ChangeSpec", "ChangeTrigger"],
    ),
    ("delete.pvc", &["Delete", "LoseData", "ChangeOwners", "ChangeFinalizers"]),
    ("detector.trap", &["Delete", "ScaleDown"]),
    ("evidence", &["Delete"]),
    ("exec", &["RunCode", "ProxyToNode", "ProxyToApiServer", "Unknown"]),
    ("identity.borrow", &["Borrow"]),
    ("identity.spoof", &["Delete", "ScaleDown"]),
    ("node.cordon", &["Cordon", "Taint"]),
    ("node.delete", &["Delete"]),
    (
        "node.drain",
        &[
            "Evict",
            "Taint",
            "TakeLease",
            "Delete",
            "ChangeTrigger",
            "ChangeSpec",
            "Borrow",
            "GrantAccess",
            "ChangeTemplate",
            "CreateActive",
        ],
    ),
    ("operator.cascade", &["WriteActing", "WriteCustom", "Delete", "ChangeTrigger", "Unknown"]),
    (
        "outage.traffic",
        &["ChangeSpec", "Delete", "ChangeTrigger", "Borrow", "CreateActive", "WriteActing"],
    ),
    ("lease", &["TakeLease"]),
    ("ownership", &["TakeFields"]),
    (
        "protect.tamper",
        &[
            "Unprotect",
            "ChangeTrigger",
            "Delete",
            "CreateActive",
            "LoseData",
            "AddData",
            "WriteActing",
            "GrantAccess",
        ],
    ),
    ("protected.touch", &["*"]),
    ("rbac.escalate", &["GrantAccess"]),
    (
        "rollout.image",
        &["ChangeImage", "ChangeTemplate", "ChangeTrigger", "ChangeSpec", "CreateActive"],
    ),
    ("rollout.limits", &["ChangeResources", "ChangeSpec", "CreateActive"]),
    ("rollout.spec", &["ChangeTemplate", "ChangeSpec", "GrantAccess"]),
    ("scale", &["ScaleDown", "ScaleUp", "ChangeSpec", "Delete", "CreateActive", "ChangeTrigger"]),
    // DaemonSets have no count: where they run is the template's to say.
    ("G15", &["ChangeTemplate"]),
    ("smuggling", &["Delete"]),
    ("storage", &["LoseData", "ChangeSpec", "ChangeTrigger", "Delete", "Borrow"]),
];

/// Checks what a hold says. `true`: it is held only because it could not be looked at, which is counted.
pub(crate) fn check(row: &Row, hold: &Value) -> Result<bool, Failure> {
    let effects = hold["effects"].as_array().cloned().unwrap_or_default();
    let kinds: Vec<&str> = effects.iter().filter_map(|it| it["kind"].as_str()).collect();
    let family = row.effect.split('.').next().unwrap_or_default();
    let of = |name: &str| NAMES.iter().find(|(effect, _)| *effect == name);
    let Some((_, names)) = of(&row.id).or_else(|| of(&row.effect)).or_else(|| of(family)) else {
        return Err(Failure::Wrong(format!("no name is known for {}", row.effect)));
    };
    if names.contains(&"*") || kinds.iter().any(|kind| names.contains(kind)) {
        return Ok(false);
    }
    match kinds.as_slice() {
        ["Unknown", ..] => Ok(true),
        _ => Err(Failure::Wrong(format!("held, and named {kinds:?} and not {names:?}"))),
    }
}
