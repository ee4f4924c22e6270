//! kube-apiserver's audit log (`audit.k8s.io/v1`, JSON lines), as far as a timeline needs it.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use effects::Route;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One call as the API server saw it: the last stage that it wrote down.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Which call.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// What an agent-shield added to the id: [`crate::Tagger`].
    #[serde(skip)]
    pub tag: Option<String>,
    stage: Stage,
    /// When the API server received it.
    #[serde(rename = "requestReceivedTimestamp")]
    pub time: Timestamp,
    user: User,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<User>,
    /// The request's verb.
    #[serde(default)]
    pub verb: String,
    /// Path and query.
    #[serde(rename = "requestURI", default)]
    pub request_uri: String,
    /// What it was about.
    #[serde(default)]
    pub object_ref: ObjectRef,
    #[serde(default)]
    response_status: ResponseStatus,
    /// From where, the client first.
    #[serde(rename = "sourceIPs", default)]
    pub source_ips: Vec<String>,
    /// The client's own word.
    #[serde(default)]
    pub user_agent: String,
    /// As it came: an agent writes it, and a line is read whatever stands there.
    #[serde(default, skip_serializing)]
    request_object: Option<Box<RawValue>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct User {
    #[serde(default)]
    username: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Plural.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// Empty for what has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Empty for a collection.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// Empty for the object itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// The body of a delete, as far as it asks for a dry run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeleteOptions {
    #[serde(default)]
    dry_run: Vec<String>,
}

impl Event {
    /// As the API server wrote it, or with the tag apart from the id.
    fn with_tag_apart(mut self) -> Self {
        if let Some((id, tag)) = self.audit_id.split_once('.') {
            (self.tag, self.audit_id) = (Some(tag.to_owned()), id.to_owned());
        }
        self
    }

    /// The HTTP method, as far as the verb tells.
    pub fn method(&self) -> &str {
        match self.verb.as_str() {
            "get" | "list" | "watch" => "GET",
            "create" | "post" => "POST",
            "update" | "put" => "PUT",
            "patch" => "PATCH",
            "delete" | "deletecollection" => "DELETE",
            _ => "",
        }
    }

    /// Which call it is, whatever stage of it.
    pub fn key(&self) -> CallKey {
        (self.audit_id.clone(), self.time, self.verb.clone(), self.request_uri.clone())
    }

    /// In whose name it ran.
    pub fn username(&self) -> &str {
        &self.impersonated_user.as_ref().unwrap_or(&self.user).username
    }

    /// HTTP status; 0 where there was none.
    pub fn code(&self) -> u16 {
        self.response_status.code
    }

    /// Whether it may have changed something: a write, not known to be a dry run, that was not
    /// refused.
    pub fn is_real_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        writes.contains(&self.verb.as_str()) && !self.asks() && self.code() < 400
    }

    /// Whether it only asks what would be: a review, or what is known to be a dry run.
    pub(crate) fn asks(&self) -> bool {
        self.is_review() || self.is_dry_run()
    }

    fn is_review(&self) -> bool {
        let ObjectRef { resource, api_group, .. } = &self.object_ref;
        let reviews = ["selfsubject", "subjectaccess", "localsubject", "tokenreviews"];
        // A custom resource may be called so, too.
        matches!(api_group.as_str(), "" | "authentication.k8s.io" | "authorization.k8s.io")
            && reviews.iter().any(|it| resource.starts_with(it))
    }

    /// By the API server's own rule, as far as the log tells: of a delete the body counts, and its query only
    /// where it has none, which the log does not say; of everything else the query. What can be read in two
    /// ways is not believed, nor what the API server does not store itself: a token that is asked for as a dry
    /// run is a token.
    fn is_dry_run(&self) -> bool {
        let method = match self.verb.as_str() {
            "create" => Method::POST,
            "update" => Method::PUT,
            "patch" => Method::PATCH,
            _ => Method::DELETE,
        };
        let Ok(asked) = attributes::read(&method, &self.request_uri, &HeaderMap::new()) else {
            return false;
        };
        let asks = match method {
            Method::DELETE => {
                let options = self.request_object.as_ref().map(|it| serde_json::from_str(it.get()));
                let options: Option<DeleteOptions> = options.and_then(Result::ok);
                options.is_some_and(|it| it.dry_run.iter().any(|it| it == "All"))
            }
            _ => asked.query.first("dryRun") == Some("All"),
        };
        asks && effects::plan(&asked, true).route == Route::DryRun
    }

    /// Whether it is about the objects of every namespace.
    pub(crate) fn spans_namespaces(&self) -> bool {
        let ObjectRef { resource, namespace, name, api_group, .. } = &self.object_ref;
        ledger::spans_namespaces(&self.verb, api_group, resource, [namespace, name])
    }

    /// Whether it reads only; exec and port-forward over WebSocket are GETs, and do not.
    pub fn is_read(&self) -> bool {
        let connects = ["exec", "attach", "portforward", "proxy"];
        matches!(self.verb.as_str(), "get" | "list" | "watch")
            && !connects.contains(&self.object_ref.subresource.as_str())
    }

    /// Whether its body is known, so that a dry run in it would show.
    pub fn shows_body(&self) -> bool {
        self.request_object.is_some()
    }
}

/// Why an audit log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Not as a file.
    #[error("cannot read {} (--audit-log)", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A line is no audit event.
    #[error("{}, line {line} is not an audit event{}{}", .path.display(), in_words(.why), hint(*.is_followed))]
    NoEvent {
        /// Of which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        why: serde_json::Error,
        /// Whether events stand before and after it, as in no log of JSON lines.
        is_followed: bool,
    },
    /// It is packed.
    #[error("{} is compressed: unpack it first, as with `zcat`; --audit-log - reads standard input", .0.display())]
    Compressed(PathBuf),
    /// It is no text.
    #[error("{}, line {line} is no text: is it the audit log, as --audit-log-path of the API server names it?", .path.display())]
    NoText {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// There is nothing in it.
    #[error("{} contains no audit events", .0.display())]
    Empty(PathBuf),
}

/// What is wrong with an event, without a word of this program's types.
fn in_words(why: &serde_json::Error) -> String {
    let told = why.to_string();
    match told.split(" at line ").next() {
        Some(missing) if missing.starts_with("missing field") => format!(": {missing}"),
        _ if why.is_eof() => ": it ends early".to_owned(),
        _ => " in JSON".to_owned(),
    }
}

/// How files begin that gzip, zstd, bzip2 and xz write.
const PACKED: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"];

fn hint(is_followed: bool) -> &'static str {
    if is_followed { "; is it written with --audit-log-format=json?" } else { "" }
}

/// What tells calls of one id apart: all stages of a call have the same time.
pub type CallKey = (String, Timestamp, String, String);

/// The part of a log that was asked for, and the time that all of it spans.
#[derive(Debug, Default)]
pub struct AuditLog {
    /// By audit id, the first of each.
    pub events: HashMap<String, Event>,
    /// What another agent-shield sent: whose tag is good.
    pub tagged: HashSet<CallKey>,
    /// Calls whose id another one has, too: who goes around agent-shield chooses the id.
    pub(crate) again: HashMap<CallKey, Event>,
    /// Its first event.
    pub from: Option<Timestamp>,
    /// Its last.
    pub until: Option<Timestamp>,
}

impl AuditLog {
    /// Reads a file, `-` for standard input, and keeps what `keep` wants.
    ///
    /// # Errors
    /// Where it cannot be read, or a line (but the last, which may be cut) is no audit event.
    pub fn read(&mut self, path: &Path, keep: impl Fn(&Event) -> bool) -> Result<(), AuditError> {
        let unreadable = |source| AuditError::Unreadable { path: path.to_owned(), source };
        let no_event = |(line, why), is_followed| AuditError::NoEvent {
            path: path.to_owned(),
            line,
            why,
            is_followed,
        };
        let mut broken: Option<(usize, serde_json::Error)> = None;
        let mut any = false;
        let mut log = open(path).map_err(unreadable)?;
        let begin = log.fill_buf().map_err(unreadable)?;
        if PACKED.iter().any(|it| begin.starts_with(it)) {
            return Err(AuditError::Compressed(path.to_owned()));
        }
        for (number, line) in log.lines().enumerate() {
            let line = line.map_err(|error| match error.kind() {
                ErrorKind::InvalidData => {
                    AuditError::NoText { path: path.to_owned(), line: number + 1 }
                }
                _ => unreadable(error),
            })?;
            if line.trim().is_empty() {
                continue;
            }
            if let Some(broken) = broken.take() {
                return Err(no_event(broken, true));
            }
            match serde_json::from_str::<Event>(&line) {
                Ok(event) => {
                    any = true;
                    self.add(event, &keep);
                }
                // The last line of a log that is being written may be cut.
                Err(error) => broken = Some((number + 1, error)),
            }
        }
        match (any, broken) {
            (false, Some(broken)) => Err(no_event(broken, false)),
            (false, None) => Err(AuditError::Empty(path.to_owned())),
            (true, _) => Ok(()),
        }
    }

    /// All calls that were kept.
    pub fn all(&self) -> impl Iterator<Item = &Event> {
        self.events.values().chain(self.again.values())
    }

    pub(crate) fn add(&mut self, event: Event, keep: impl Fn(&Event) -> bool) {
        let event = event.with_tag_apart();
        let time = event.time;
        self.from = Some(self.from.map_or(time, |from| from.min(time)));
        self.until = Some(self.until.map_or(time, |until| until.max(time)));
        if !keep(&event) {
            return;
        }
        let known = self.events.entry(event.audit_id.clone()).or_insert_with(|| event.clone());
        let known = match known.key() == event.key() {
            true => known,
            false => self.again.entry(event.key()).or_insert_with(|| event.clone()),
        };
        if known.stage < event.stage {
            *known = event;
        }
    }
}

/// A file, or standard input as `-`.
fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    match path.to_str() {
        Some("-") => Ok(Box::new(std::io::stdin().lock())),
        _ => Ok(Box::new(BufReader::new(std::fs::File::open(path)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, stage: &str, verb: &str, more: &str) -> String {
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stage":"{stage}","requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","user":{{"username":"a"}},"verb":"{verb}","requestURI":"/api/v1/namespaces/a/configmaps/x"{more}}}"#
        )
    }

    type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

    fn read(text: &str) -> Result<AuditLog> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let mut log = AuditLog::default();
        log.read(file.path(), |_| true)?;
        Ok(log)
    }

    #[test]
    fn keeps_the_last_stage_of_each_call() -> Result<()> {
        let text = [
            line("1", "ResponseComplete", "delete", r#","responseStatus":{"code":200}"#),
            line("1", "RequestReceived", "delete", ""),
            line("2", "RequestReceived", "get", r#","impersonatedUser":{"username":"b"}"#),
            r#"{"kind":"Event","auditID":"3","#.to_owned(),
        ]
        .join("\n");
        let log = read(&text)?;
        assert_eq!(log.events.len(), 2);
        assert_eq!(log.events["1"].code(), 200);
        assert_eq!((log.events["1"].username(), log.events["2"].username()), ("a", "b"));
        Ok(())
    }

    #[test]
    fn reads_a_line_whatever_an_agent_wrote_into_its_body() -> Result<()> {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        for body in
            [deep.as_str(), r#"{"q":"\ud800"}"#, r#"{"\ud800":1}"#, r#"{"n":1e999}"#, "[]", "7"]
        {
            let log = read(&line(
                "1",
                "ResponseComplete",
                "patch",
                &format!(r#","requestObject":{body}"#),
            ))?;
            assert!(log.events["1"].shows_body() && log.events["1"].is_real_write());
        }
        Ok(())
    }

    #[test]
    fn keeps_calls_apart_that_share_an_id() -> Result<()> {
        let at = |text: String, second: u8| {
            text.replace("00:00:00.000000Z", &format!("00:00:0{second}.000000Z"))
        };
        let text = [
            line("1", "ResponseComplete", "get", ""),
            at(line("1", "RequestReceived", "delete", ""), 1),
            at(line("1", "ResponseComplete", "delete", ""), 1),
            at(line("1", "ResponseComplete", "delete", ""), 2),
        ];
        let log = read(&text.join("\n"))?;
        assert_eq!((log.events.len(), log.again.len()), (1, 2));
        Ok(())
    }

    #[test]
    fn tells_what_changed_something() -> Result<()> {
        let ok = r#","responseStatus":{"code":200}"#;
        let table = [
            ("delete", ok.to_owned(), true),
            ("get", ok.to_owned(), false),
            ("patch", r#","responseStatus":{"code":409}"#.to_owned(), false),
            ("delete", format!(r#"{ok},"requestObject":{{"dryRun":["All"]}}"#), false),
            ("delete", format!(r#"{ok},"requestObject":{{"kind":"DeleteOptions"}}"#), true),
            ("patch", format!(r#"{ok},"requestObject":[{{"op":"test"}}]"#), true),
            ("create", format!(r#"{ok},"objectRef":{{"resource":"tokenreviews"}}"#), false),
            (
                "create",
                format!(
                    r#"{ok},"objectRef":{{"resource":"tokenreviews","apiGroup":"example.com"}}"#
                ),
                true,
            ),
            // An object may have a field of that name.
            ("create", format!(r#"{ok},"requestObject":{{"dryRun":["All"]}}"#), true),
        ];
        for (verb, more, want) in table {
            let log = read(&line("1", "ResponseComplete", verb, &more))?;
            assert_eq!(log.events["1"].is_real_write(), want, "{verb} {more}");
        }
        Ok(())
    }

    #[test]
    fn says_what_a_file_is_that_is_no_log() -> Result<()> {
        let table: [(&[u8], &str); 6] = [
            (b"\x1f\x8b\x08\x00\x00", "is compressed: unpack it first"),
            (b"\x28\xb5\x2f\xfd\x00", "is compressed: unpack it first"),
            (b"\xff\xfe\x00", "line 1 is no text"),
            (b"123 4", "line 1 is not an audit event in JSON"),
            (b"123", "line 1 is not an audit event in JSON"),
            (b"{}", "line 1 is not an audit event: missing field `auditID`"),
        ];
        for (bytes, want) in table {
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), bytes)?;
            let read = AuditLog::default().read(file.path(), |_| true);
            let got = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(got.contains(want) && !got.contains("struct"), "{got}");
        }
        Ok(())
    }

    #[test]
    fn says_which_line_is_wrong() {
        let good = line("1", "ResponseComplete", "get", "");
        let table = [
            (format!("{good}\nnonsense\n{good}"), "line 2 is not an audit event"),
            (String::new(), "contains no audit events"),
            ("2026-01-01 AUDIT: id=1".to_owned(), "line 1 is not an audit event"),
        ];
        for (text, want) in table {
            let got = read(&text).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(got.contains(want), "{got}");
        }
    }
}
