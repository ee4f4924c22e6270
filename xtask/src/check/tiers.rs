//! Which crate may import which: arrows point from a larger tier to a smaller one.

use std::{collections::HashMap, process::Command};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::root;

/// The tier of each crate: it imports only from smaller numbers. A new arrow is a design change.
const TIERS: &[(&str, u8)] = &[
    ("status", 0),
    ("connections", 0),
    ("attributes", 0),
    ("payload", 0),
    ("expression", 0),
    ("text", 0),
    ("private-file", 0),
    ("frames", 0),
    ("effects", 1),
    ("policy", 2),
    ("ledger", 2),
    ("hold", 3),
    ("memory", 3),
    ("audit", 3),
    ("replay", 4),
    ("sentence", 4),
    ("upstream", 4),
    ("store", 4),
    ("authn", 5),
    ("review", 5),
    ("judge", 5),
    ("agents", 5),
    ("policy-source", 5),
    ("proxy", 6),
    ("api", 6),
    ("agent-shield", 7),
    ("testkit", 8),
    ("conformance", 9),
    ("cluster", 9),
    ("cases", 9),
    ("fuzz", 9),
    ("abuse", 9),
    ("clients", 10),
];

/// Refuses a crate without a tier, and one that imports from its own tier or a larger one.
///
/// # Errors
/// There is one, or cargo cannot say.
pub(super) fn check() -> Result<()> {
    println!("check: tiers");
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let tiers: HashMap<&str, u8> = TIERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if name == "xtask" {
            continue;
        }
        let Some(tier) = tiers.get(name) else {
            wrong.push(format!("`{name}` has no tier: give it one in xtask/src/check/tiers.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let is_test_only = dependency["kind"].as_str() == Some("dev");
            if let Some(other) = tiers.get(on)
                && other >= tier
                && !is_test_only
            {
                wrong.push(format!("`{name}` (tier {tier}) imports `{on}` (tier {other})"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("the arrows between crates point the wrong way:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}
