//! `metav1.DeleteOptions`, from the body or the query, by the server's own rule: as soon as there
//! is a body, the query's options do not count (seen on 1.37.2).

use serde_json::{Map, Value, json};

use crate::{error::PayloadError, media_type::MediaType, protobuf, read::read};

/// What a delete asks for besides its object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeleteOptions {
    document: Map<String, Value>,
}

/// The fields of `metav1.DeleteOptions`; another one could mean anything.
const FIELDS: [&str; 9] = [
    "kind",
    "apiVersion",
    "gracePeriodSeconds",
    "preconditions",
    "orphanDependents",
    "propagationPolicy",
    "dryRun",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "metadata",
];

/// Reads the body of a delete; `None` where it is empty and the query counts.
///
/// # Errors
/// [`PayloadError`] for a body that is not plain `DeleteOptions` with known fields, in JSON or protobuf.
pub fn delete_options(
    media: MediaType,
    body: &[u8],
) -> Result<Option<DeleteOptions>, PayloadError> {
    if body.is_empty() {
        return Ok(None);
    }
    let read = match media {
        MediaType::Json | MediaType::Missing => read(media, body)?,
        MediaType::Protobuf => protobuf::read(body, Some("DeleteOptions"))?,
        _ => return Err(PayloadError::Opaque(media)),
    };
    checked(read).map(Some)
}

/// Reads the options that an eviction has for the delete of its pod; it mostly has none.
///
/// # Errors
/// [`PayloadError`] for a body that cannot be read, and as [`delete_options`].
pub fn eviction_options(media: MediaType, body: &[u8]) -> Result<DeleteOptions, PayloadError> {
    let mut eviction = read(media, body)?;
    match eviction.get_mut("deleteOptions").map(Value::take) {
        None | Some(Value::Null) => checked(json!({})),
        Some(options) => checked(options),
    }
}

fn checked(options: Value) -> Result<DeleteOptions, PayloadError> {
    let Value::Object(document) = options else {
        return Err(PayloadError::Unexpected("delete options must be a JSON object"));
    };
    let unexpected = |what| Err(PayloadError::Unexpected(what));
    if document.keys().any(|field| !FIELDS.contains(&field.as_str())) {
        return unexpected("it has a field that DeleteOptions does not have");
    }
    let text = |field: &str| document.get(field).map(|it| it.as_str().unwrap_or("?"));
    if !matches!(text("kind"), None | Some("" | "DeleteOptions")) {
        return unexpected("the kind is not DeleteOptions");
    }
    let dry_run = document.get("dryRun");
    if !dry_run.is_none_or(|it| it.is_null() || it.is_array()) {
        return unexpected("dryRun is not a list");
    }
    Ok(DeleteOptions { document })
}

impl DeleteOptions {
    /// The options that the API server takes from the query of a delete without a body.
    ///
    /// # Errors
    /// [`PayloadError`] where one of them is not of its type.
    pub fn from_query(pairs: &[(String, String)]) -> Result<Self, PayloadError> {
        let mut document = Map::new();
        for (key, value) in pairs {
            let value: Value = match key.as_str() {
                "gracePeriodSeconds" => {
                    let bad = "gracePeriodSeconds in the query is not a number";
                    value.parse::<i64>().map_err(|_| PayloadError::Unexpected(bad))?.into()
                }
                "propagationPolicy" => value.as_str().into(),
                "orphanDependents" | "ignoreStoreReadErrorWithClusterBreakingPotential" => {
                    // Go's conversion: everything but `false` and `0` is true.
                    (!matches!(value.to_ascii_lowercase().as_str(), "false" | "0")).into()
                }
                "dryRun" => json!([value]),
                "preconditions" => {
                    let bad = "preconditions in the query cannot be read";
                    return Err(PayloadError::Unexpected(bad));
                }
                _ => continue,
            };
            document.insert(key.clone(), value);
        }
        Ok(Self { document })
    }

    /// Whether the server would only pretend: exactly `All`.
    pub fn is_dry_run(&self) -> bool {
        self.document.get("dryRun") == Some(&json!(["All"]))
    }

    /// Whether an object that cannot be read goes without its finalizers, preconditions and admission
    /// (KEP-3926). The dry run of such a delete tells nothing.
    pub fn is_unsafe(&self) -> bool {
        let field = "ignoreStoreReadErrorWithClusterBreakingPotential";
        !matches!(self.document.get(field), None | Some(Value::Null | Value::Bool(false)))
    }

    /// What becomes of the object's dependants: `Orphan`, `Background`, `Foreground`, or nothing said.
    pub fn propagation(&self) -> Option<&str> {
        let orphans = self.document.get("orphanDependents").and_then(Value::as_bool);
        let old = orphans.map(|orphans| if orphans { "Orphan" } else { "Background" });
        self.document.get("propagationPolicy").and_then(Value::as_str).or(old)
    }

    /// How long the object may take to end, where the request says so.
    pub fn grace_seconds(&self) -> Option<i64> {
        self.document.get("gracePeriodSeconds").and_then(Value::as_i64)
    }

    /// The body of the same delete as a dry run.
    pub fn with_dry_run(&self) -> Vec<u8> {
        let mut document = self.typed();
        document.insert("dryRun".to_owned(), json!(["All"]));
        Value::Object(document).to_string().into_bytes()
    }

    /// The body of the same delete, for exactly this object and, where given, this version of it.
    ///
    /// # Errors
    /// [`PayloadError::Unexpected`] where the agent's own preconditions say something else.
    pub fn pinned(
        &self,
        uid: &str,
        resource_version: Option<&str>,
    ) -> Result<Vec<u8>, PayloadError> {
        let mut document = self.typed();
        let entry = document.entry("preconditions").or_insert_with(|| json!({}));
        if entry.is_null() {
            *entry = json!({});
        }
        let other = || PayloadError::Unexpected("the preconditions name another object");
        let preconditions = entry.as_object_mut().ok_or_else(other)?;
        for (field, value) in [("uid", Some(uid)), ("resourceVersion", resource_version)] {
            let Some(value) = value else { continue };
            let own = preconditions.entry(field).or_insert_with(|| json!(value));
            if own.as_str() != Some(value) {
                return Err(other());
            }
        }
        Ok(Value::Object(document).to_string().into_bytes())
    }

    fn typed(&self) -> Map<String, Value> {
        let mut document = self.document.clone();
        document.insert("kind".to_owned(), json!("DeleteOptions"));
        // `v1` is served for every group (meta.k8s.io options are registered in each).
        document.entry("apiVersion").or_insert_with(|| json!("v1"));
        document
    }
}

/// Whether the API server would only pretend, by its own rule: for a delete with a body only the
/// body counts; for everything else the query does; `All` and nothing else. A body that cannot be
/// read in exactly one way is not believed.
pub fn is_dry_run(
    method: &str,
    subresource: &str,
    media: MediaType,
    body: &[u8],
    query_dry_run: Option<&str>,
) -> bool {
    let by_query = query_dry_run == Some("All");
    match method {
        "DELETE" => match delete_options(media, body) {
            Ok(None) => by_query,
            Ok(Some(options)) => options.is_dry_run(),
            Err(_) => false,
        },
        // An eviction takes it from its own deleteOptions too, and merges both.
        "POST" if subresource == "eviction" && !by_query => {
            let eviction = read(media, body).ok();
            eviction.is_some_and(|it| it.pointer("/deleteOptions/dryRun") == Some(&json!(["All"])))
        }
        "POST" | "PUT" | "PATCH" => by_query,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_nothing_of_what_it_refuses() {
        let refused =
            |it: Result<Option<DeleteOptions>, PayloadError>| it.expect_err("refused").to_string();
        for body in [
            "{\"hunter2\":1}",
            "[\"hunter2\"]",
            "{\"kind\":\"hunter2\"}",
            "{\"dryRun\":\"hunter2\"}",
        ] {
            let why = refused(delete_options(MediaType::Json, body.as_bytes()));
            assert!(!why.contains("hunter2"), "{why}");
        }
        for key in ["gracePeriodSeconds", "preconditions"] {
            let pairs = [(key.to_owned(), "hunter2".to_owned())];
            let why = refused(DeleteOptions::from_query(&pairs).map(Some));
            assert!(!why.contains("hunter2") && why.contains(key), "{why}");
        }
    }

    #[test]
    fn believes_a_dry_run_only_as_the_server_does() {
        let all = Some("All");
        type Row =
            (&'static str, &'static str, MediaType, &'static [u8], Option<&'static str>, bool);
        let table: [Row; 17] = [
            ("DELETE", "", MediaType::Missing, b"", all, true),
            ("DELETE", "", MediaType::Missing, b"", None, false),
            ("DELETE", "", MediaType::Json, b"{}", all, false),
            ("DELETE", "", MediaType::Json, b"null", all, false),
            ("DELETE", "", MediaType::Yaml, b"kind: DeleteOptions\n", all, false),
            ("DELETE", "", MediaType::Protobuf, b"k8s\0", all, false),
            ("DELETE", "", MediaType::Protobuf, b"k8s\0\x12\x05\x2a\x03All", None, true),
            ("DELETE", "", MediaType::Protobuf, b"k8s\0\x12\x05\x2a\x03All\x12\0", None, false),
            ("DELETE", "", MediaType::Json, br#"{"dryRun":["All"]}"#, None, true),
            ("DELETE", "", MediaType::Json, br#"{"dryRun":["All"],"dryRun":[]}"#, None, false),
            ("DELETE", "", MediaType::Json, br#"{"dryRun":"All"}"#, None, false),
            ("DELETE", "", MediaType::Json, br#"{"dryrun":["All"]}"#, None, false),
            ("PATCH", "", MediaType::MergePatch, br#"{"dryRun":["All"]}"#, None, false),
            ("PATCH", "", MediaType::MergePatch, b"{}", all, true),
            ("POST", "eviction", MediaType::Json, b"{}", all, true),
            (
                "POST",
                "eviction",
                MediaType::Json,
                br#"{"deleteOptions":{"dryRun":["All"]}}"#,
                None,
                true,
            ),
            ("GET", "", MediaType::Missing, b"", all, false),
        ];
        for (method, subresource, media, body, query, want) in table {
            let got = is_dry_run(method, subresource, media, body, query);
            assert_eq!(
                got,
                want,
                "{method} {media:?} {:?} {query:?}",
                String::from_utf8_lossy(body)
            );
        }
    }

    #[test]
    fn reads_what_an_eviction_says_of_its_delete() {
        let options = |body: &str| eviction_options(MediaType::Json, body.as_bytes());
        let grace = |body| options(body).map(|it| it.grace_seconds());
        assert!(matches!(grace(r#"{"deleteOptions":{"gracePeriodSeconds":0}}"#), Ok(Some(0))));
        for none in ["{}", r#"{"deleteOptions":null}"#, r#"{"deleteOptions":{}}"#] {
            assert!(matches!(grace(none), Ok(None)), "{none}");
        }
        for bad in ["", "[", r#"{"deleteOptions":[]}"#, r#"{"deleteOptions":{"new":1}}"#] {
            assert!(options(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keeps_what_the_agent_asked_for() -> Result<(), PayloadError> {
        let body = br#"{"propagationPolicy":"Background"}"#;
        let Some(options) = delete_options(MediaType::Json, body)? else { return Ok(()) };
        let dry: Value = serde_json::from_slice(&options.with_dry_run()).unwrap_or_default();
        assert_eq!(dry["dryRun"], json!(["All"]));
        assert_eq!(dry["propagationPolicy"], json!("Background"));
        let pinned = options.pinned("u1", Some("7"))?;
        let pinned: Value = serde_json::from_slice(&pinned).unwrap_or_default();
        assert_eq!(pinned["preconditions"], json!({"uid": "u1", "resourceVersion": "7"}));
        assert!(pinned.get("dryRun").is_none());

        let other = br#"{"preconditions":{"uid":"u2"}}"#;
        let Some(options) = delete_options(MediaType::Json, other)? else { return Ok(()) };
        assert!(options.pinned("u1", None).is_err());

        let pairs = [("propagationPolicy".to_owned(), "Orphan".to_owned())];
        let from_query = DeleteOptions::from_query(&pairs)?;
        let dry: Value = serde_json::from_slice(&from_query.with_dry_run()).unwrap_or_default();
        assert_eq!(dry["propagationPolicy"], json!("Orphan"));
        Ok(())
    }
}
