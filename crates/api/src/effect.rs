//! One effect as reviewers get it: its fields, and the sentence that is made of them.

use ledger::EffectRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One effect.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectBody {
    /// `Delete`, `ScaleDown`, …
    pub kind: String,
    /// Empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Empty where none is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What it does, in words: for people, and for nothing else.
    pub detail: String,
    /// What is known of it, as fields; missing for what an earlier version recorded.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub about: Value,
    /// A count before and after, where the kind has one and both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<(i64, i64)>,
}

impl From<&EffectRecord> for EffectBody {
    fn from(record: &EffectRecord) -> Self {
        Self {
            kind: record.kind.clone(),
            api_group: record.api_group.clone(),
            resource: record.resource.clone(),
            namespace: record.namespace.clone(),
            name: record.name.clone(),
            uid: record.uid.clone(),
            detail: record.sentence(),
            about: record.about.clone(),
            count: record.effect().ok().and_then(|effect| effect.count()),
        }
    }
}

impl From<&EffectBody> for EffectRecord {
    fn from(body: &EffectBody) -> Self {
        Self {
            kind: body.kind.clone(),
            api_group: body.api_group.clone(),
            resource: body.resource.clone(),
            namespace: body.namespace.clone(),
            name: body.name.clone(),
            uid: body.uid.clone(),
            about: body.about.clone(),
            detail: body.detail.clone(),
            count: body.count,
        }
    }
}
