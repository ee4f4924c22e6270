//! One effect as it is stored.
//!
//! Entries that were written before effects were data hold a sentence and a count instead: these are
//! still read, and what decides is taken from them (`effects::about_of_sentence`).

use effects::{About, Effect, EffectKind, ObjectRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// One effect.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectRecord {
    /// `Delete`, `ScaleDown`, …: as `EffectKind::as_str` spells it.
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
    /// What else is known of it, as `effects::About` is written; missing in older entries.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub about: Value,
    /// What an older entry says in its place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What an older entry counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<(i64, i64)>,
}

/// A row that this version cannot read.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum EffectError {
    /// A kind that is no more, or is not known yet.
    #[error("there is no effect `{0}` any more")]
    Kind(String),
    /// Something is known of it that this version does not know.
    #[error(
        "what is known of an effect `{0}` was recorded in a form that this version does not know"
    )]
    About(String),
}

impl From<&Effect> for EffectRecord {
    fn from(effect: &Effect) -> Self {
        Self {
            kind: effect.kind.as_str().to_owned(),
            api_group: effect.object.api_group.clone(),
            resource: effect.object.resource.clone(),
            namespace: effect.object.namespace.clone(),
            name: effect.object.name.clone(),
            uid: effect.object.uid.clone(),
            about: serde_json::to_value(&effect.about).unwrap_or_default(),
            detail: String::new(),
            count: None,
        }
    }
}

impl EffectRecord {
    /// The effect.
    ///
    /// # Errors
    /// [`EffectError`] where another version wrote what this one cannot read.
    pub fn effect(&self) -> Result<Effect, EffectError> {
        let kind: EffectKind =
            self.kind.parse().map_err(|_| EffectError::Kind(self.kind.clone()))?;
        let object = self.object();
        let about = match &self.about {
            Value::Null => effects::about_of_sentence(kind, &object, &self.detail, self.count),
            about => {
                About::deserialize(about).map_err(|_| EffectError::About(self.kind.clone()))?
            }
        };
        Ok(Effect { kind, object, about })
    }

    /// What it is done to.
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            api_group: self.api_group.clone(),
            resource: self.resource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// What it does, in words: as it was written where the entry is an older one.
    pub fn sentence(&self) -> String {
        if self.about.is_null() && !self.detail.is_empty() {
            return self.detail.clone();
        }
        match self.effect() {
            Ok(effect) => effects::describe::detail(&effect),
            Err(_) if !self.detail.is_empty() => self.detail.clone(),
            Err(error) => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use effects::about::{Count, Counted};

    use super::*;

    #[test]
    fn is_read_back_as_it_was() {
        let count = Count::new(Counted::Replicas, Some(10), Some(4));
        let effect = Effect {
            kind: EffectKind::ScaleDown,
            object: ObjectRef { name: "web".into(), ..ObjectRef::default() },
            about: About::Count(count),
        };
        let record = EffectRecord::from(&effect);
        assert_eq!(record.effect(), Ok(effect));
        let text = serde_json::to_string(&record).unwrap_or_default();
        let want = r#"{"kind":"ScaleDown","resource":"","name":"web","about":{"count":{"counted":"replicas","old":10,"new":4}}}"#;
        assert_eq!(text, want);
    }

    #[test]
    fn an_older_entry_counts_and_keeps_its_words() {
        let older = r#"{"kind":"ScaleDown","resource":"deployments","name":"web","detail":"replicas 8 -> 4, 10 -> 4 in all: 10 -> 8 (call a)","count":[10,4]}"#;
        let record: EffectRecord = serde_json::from_str(older).unwrap_or_default();
        assert_eq!(record.effect().ok().and_then(|it| it.count()), Some((10, 4)));
        assert_eq!(record.sentence(), "replicas 8 -> 4, 10 -> 4 in all: 10 -> 8 (call a)");
        let unknown = EffectRecord { kind: "Explode".into(), ..EffectRecord::default() };
        assert_eq!(unknown.effect(), Err(EffectError::Kind("Explode".into())));
    }
}
