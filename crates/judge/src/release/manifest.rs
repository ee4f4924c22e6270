//! What a release's manifest names, where every reader of it finds the same objects: helm itself splits
//! it in one way to delete, and Kubernetes' client in another to apply.

use std::collections::BTreeSet;

use payload::MediaType;
use serde_json::Value;

/// Objects of one release that are looked at.
const DOCUMENTS_MAX: usize = 200;
/// Line breaks of YAML 1.1 that are none for who splits at `\n`, and a mark that is none of either.
const OTHER_BREAKS: [char; 5] = ['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'];

/// One object of a manifest.
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty where it is that of the release.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) text: String,
}

impl Document {
    /// Which object it is, whatever the version.
    pub(super) fn identity(&self) -> [&str; 4] {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        [group, &self.kind, &self.namespace, &self.name]
    }

    /// As people name it.
    pub(super) fn title(&self) -> String {
        match self.namespace.as_str() {
            "" => format!("{} {}", self.kind, self.name),
            namespace => format!("{} {namespace}/{}", self.kind, self.name),
        }
    }

    fn of(text: &str, release_namespace: &str) -> Option<Option<Self>> {
        let value = payload::read(MediaType::Yaml, text.as_bytes()).ok()?;
        if value.is_null() {
            return Some(None); // Comments alone.
        }
        let metadata = value.get("metadata")?.as_object()?;
        let string = |it: Option<&Value>| it.and_then(Value::as_str).map(str::to_owned);
        let namespace = match metadata.get("namespace") {
            None => String::new(),
            some => string(some).filter(|it| it != release_namespace).unwrap_or_default(),
        };
        let is_text = metadata.get("namespace").is_none_or(Value::is_string);
        // A list stands for its items, and a made-up name for none.
        if value.get("items").is_some() || metadata.contains_key("generateName") || !is_text {
            return None;
        }
        let api_version = string(value.get("apiVersion")).filter(|it| is_plain(it))?;
        let kind = string(value.get("kind")).filter(|it| is_plain(it))?;
        let name = string(metadata.get("name")).filter(|it| is_plain(it))?;
        if !namespace.is_empty() && !is_plain(&namespace) {
            return None;
        }
        let text = text.to_owned();
        Some(Some(Self { api_version, kind, namespace, name, value, text }))
    }
}

/// As stands in a path and means nothing there.
fn is_plain(text: &str) -> bool {
    let is_known = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'/' | b':');
    !text.is_empty() && text.bytes().all(is_known) && !text.contains("..")
}

/// Every object of a manifest; `None` where it can be split or read in two ways.
pub(super) fn documents(manifest: &str, release_namespace: &str) -> Option<Vec<Document>> {
    // A key of this name is another map's content for some readers.
    if manifest.contains(OTHER_BREAKS) || manifest.contains("<<") {
        return None;
    }
    let mut texts = vec![String::new()];
    for line in manifest.split_inclusive('\n') {
        match line.trim_end_matches('\n') {
            "---" => texts.push(String::new()),
            other if ["---", "...", "%"].iter().any(|it| other.starts_with(it)) => return None,
            _ => texts.last_mut()?.push_str(line),
        }
    }
    let (before, texts) = texts.split_first()?;
    if !before.trim().is_empty() || texts.len() > DOCUMENTS_MAX {
        return None;
    }
    let read = texts.iter().map(|it| Document::of(it, release_namespace));
    let documents: Vec<Document> =
        read.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    let named: BTreeSet<[&str; 4]> = documents.iter().map(Document::identity).collect();
    (named.len() == documents.len()).then_some(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_objects_that_every_reader_finds() {
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
        let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n";
        let other = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\n";
        let of = |manifest: String| {
            documents(&manifest, "shop")
                .map(|all| all.iter().map(Document::title).collect::<Vec<_>>().join(", "))
        };
        let table = [
            (String::new(), Some("")),
            (format!("---\n# Source: a\n{map}---\n# nothing\n"), Some("ConfigMap a")),
            (format!("---\n{map}---\n{web}"), Some("ConfigMap a, Deployment web")),
            (format!("---\n{other}"), Some("Secret b/a")),
            (map.to_owned(), None),
            (format!("---\n{map}---\n{map}"), None),
            (format!("---\n{map}--- # more\n{web}"), None),
            (format!("---\n{map}---x\n{web}"), None),
            (format!("---\n{map}...\n{web}"), None),
            (format!("---\n{map}data:\n  x: |\n    a\r---\n"), None),
            (format!("---\n{map}\u{2028}---\n"), None),
            (format!("---\n%YAML 1.1\n{map}"), None),
            (format!("---\n{map}kind: Secret\n"), None),
            ("---\napiVersion: v1\nkind: List\nmetadata: {name: a}\nitems: []\n".into(), None),
            ("---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a}\n".into(), None),
            ("---\napiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n".into(), None),
            ("---\napiVersion: v1\nkind: Pod\nmetadata: {name: ../x}\n".into(), None),
            ("---\napiVersion: v1\nkind: Pod\nmetadata: {<<: {name: x}, name: a}\n".into(), None),
        ];
        for (manifest, want) in table {
            assert_eq!(of(manifest.clone()).as_deref(), want, "{manifest}");
        }
    }
}
