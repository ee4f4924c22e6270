//! An approved delete of a collection: the objects that were shown, one after the other, and one answer
//! that lists what went.

use std::sync::Arc;

use bytes::Bytes;
use hold::{Hold, Permit, Piece, Spent, Target};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use upstream::{Body, Outgoing, SendError};

use crate::{
    body,
    error::ProxyError,
    forward::Sent,
    inbound::InboundWrite,
    run::{ANSWER_BYTES_MAX, Runner, Try},
    warning,
};

/// Names that a note or a warning lists.
const NAMES_MAX: usize = 20;

/// What became of the objects so far.
#[derive(Default)]
struct Gone {
    /// The first list that the API server answered, for its kind; empty.
    list: Option<Value>,
    items: Vec<Value>,
    bytes: usize,
    gone: Vec<String>,
    /// There is no such object any more, or it does not match any more.
    missing: Vec<String>,
    /// There is another object of this name.
    replaced: Vec<String>,
    /// What ended it before the last one.
    refused: Option<(StatusCode, Value)>,
}

impl Runner {
    /// Sends the delete of each of these objects.
    pub(crate) async fn send_each(
        &self,
        hold: Hold,
        spent: Spent,
        write: &Arc<InboundWrite>,
        objects: &[Target],
    ) -> Result<Try, ProxyError> {
        // Where nothing matched, the API server is asked for what has no name: it answers its own empty
        // list, and what came since stays.
        let nothing = [Target { name: String::new(), uid: String::new() }];
        let asked: &[Target] = if objects.is_empty() { &nothing } else { objects };
        let permits = match hold.permits(spent, &write.request(), asked) {
            Ok(permits) => permits,
            Err(error) => {
                tracing::error!(%error, hold = %hold.id(), "nothing was sent");
                self.unspend(hold).await?;
                return Err(ProxyError::Unsent);
            }
        };
        let mut gone = Gone::default();
        for (permit, piece) in permits {
            if let Err(error) = self.send_one(write, permit, piece, &mut gone).await {
                let error = match error {
                    // Some of it has run: it must not be sent again as a whole.
                    SendError::Unsent(why) if !gone.gone.is_empty() => SendError::Unknown(why),
                    error => error,
                };
                return Ok(Try::Ended(self.lose(hold, write, error).await?));
            }
            if gone.refused.is_some() {
                break;
            }
        }
        let note = gone.note(objects.len());
        let answer = gone.answer(note.as_deref());
        Ok(Try::Ended(self.settle(hold, write, answer, |_| note).await))
    }

    async fn send_one(
        &self,
        write: &Arc<InboundWrite>,
        permit: Permit,
        piece: Piece,
        gone: &mut Gone,
    ) -> Result<(), SendError> {
        let frozen = self.queue.frozen(&write.user.username).await;
        if !matches!(frozen, Ok(None)) && !gone.is_untouched() {
            let why = "the agent was frozen meanwhile, or nobody could tell";
            gone.refused = Some((StatusCode::FORBIDDEN, refusal(403, "Forbidden", why)));
            return Ok(());
        }
        let name = piece.object.name.clone();
        let answer = match self.forward.send(permit, write, outgoing(write, piece)).await? {
            Sent::Answered(answer) | Sent::Opened(answer) => answer,
        };
        let (head, body) = answer.into_parts();
        let read = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let bytes = read.map(|it| it.to_bytes()).unwrap_or_default();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        gone.add(name, head.status, said, bytes.len());
        Ok(())
    }
}

fn outgoing(write: &InboundWrite, piece: Piece) -> Outgoing {
    let mut outgoing = Outgoing { target: piece.target, ..write.write.outgoing(piece.body) };
    // All answers become one, so each must be read here.
    let json = HeaderValue::from_static("application/json");
    outgoing.headers.insert(header::CONTENT_TYPE, json.clone());
    outgoing.headers.insert(header::ACCEPT, json);
    outgoing.headers.remove(header::ACCEPT_ENCODING);
    outgoing
}

fn refusal(code: u16, reason: &'static str, message: &str) -> Value {
    status::Status::failure(code, reason).message(format!("agent-shield: {message}")).to_json()
}

impl Gone {
    fn is_untouched(&self) -> bool {
        self.gone.is_empty() && self.missing.is_empty() && self.replaced.is_empty()
    }

    fn add(&mut self, name: String, status: StatusCode, mut said: Value, bytes: usize) {
        match status.as_u16() {
            200..=299 => {
                match upstream::take_items(&mut said) {
                    Some(items) if items.is_empty() => self.missing.push(name),
                    Some(items) => {
                        self.gone.push(name);
                        self.bytes = self.bytes.saturating_add(bytes);
                        let is_full = self.bytes > ANSWER_BYTES_MAX / 2;
                        self.items.extend(
                            items.into_iter().map(|it| if is_full { identity(&it) } else { it }),
                        );
                    }
                    // A `Status` of success.
                    None => self.gone.push(name),
                }
                if said.get("items").is_some() {
                    self.list.get_or_insert(said);
                }
            }
            404 => self.missing.push(name),
            409 => self.replaced.push(name),
            _ => self.refused = Some((status, said)),
        }
    }

    /// What somebody who reads that it ran should know; nothing where all went that was shown.
    fn note(&self, shown: usize) -> Option<String> {
        if self.gone.len() == shown {
            return None;
        }
        let mut note = format!("{} of {shown} objects were deleted", self.gone.len());
        for (words, names) in [
            ("deleted", &self.gone),
            ("not there any more", &self.missing),
            ("left, as another object has the name by now", &self.replaced),
        ] {
            if !names.is_empty() {
                let more = if names.len() > NAMES_MAX { ", …" } else { "" };
                let names: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
                note.push_str(&format!("; {words}: {}{more}", names.join(", ")));
            }
        }
        Some(note)
    }

    /// The API server's own refusal, or a list of what went, as the API server answers it.
    fn answer(self, note: Option<&str>) -> Response<Body> {
        let (status, document) = match self.refused {
            Some((status, mut said)) => {
                if !said.is_object() {
                    said = refusal(status.as_u16(), "InternalError", "a delete was refused");
                }
                if let (Some(Value::String(message)), Some(note)) = (said.get_mut("message"), note)
                {
                    message.push_str(&format!(" ({note})"));
                }
                (status, said)
            }
            None => {
                let empty = json!({"kind": "List", "apiVersion": "v1", "metadata": {}});
                let mut list = self.list.unwrap_or(empty);
                if let Some(list) = list.as_object_mut() {
                    list.insert("items".to_owned(), Value::Array(self.items));
                }
                (StatusCode::OK, list)
            }
        };
        let mut answer = Response::new(body::full(Bytes::from(document.to_string())));
        *answer.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        if let Some(note) = note {
            answer.headers_mut().insert(header::WARNING, warning::of(note));
        }
        answer
    }
}

/// What of an object says which one it was.
fn identity(object: &Value) -> Value {
    let of =
        |field: &str| object.pointer(&format!("/metadata/{field}")).cloned().unwrap_or_default();
    json!({"metadata": {"name": of("name"), "namespace": of("namespace"), "uid": of("uid")}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Value {
        let items: Vec<Value> = names.iter().map(|it| json!({"metadata": {"name": it}})).collect();
        json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})
    }

    #[tokio::test]
    async fn one_answer_lists_what_went() {
        let mut gone = Gone::default();
        gone.add("a".into(), StatusCode::OK, list(&["a"]), 10);
        gone.add("b".into(), StatusCode::OK, list(&[]), 10);
        gone.add("c".into(), StatusCode::CONFLICT, json!({"kind": "Status"}), 10);
        gone.add("d".into(), StatusCode::OK, list(&["d"]), ANSWER_BYTES_MAX);
        let note = gone.note(4).unwrap_or_default();
        assert_eq!(
            note,
            "2 of 4 objects were deleted; deleted: a, d; not there any more: b; left, as another object has the name by now: c"
        );
        let answer = gone.answer(Some(&note));
        assert!(answer.headers().contains_key(header::WARNING));
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        let read: Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(read["kind"], "ConfigMapList");
        let names: Vec<&Value> = read["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| &it["metadata"]["name"])
            .collect();
        assert_eq!(names, ["a", "d"]);
    }

    #[tokio::test]
    async fn a_refusal_says_what_went_before_it() {
        let mut gone = Gone::default();
        gone.add("a".into(), StatusCode::OK, list(&["a"]), 10);
        let said = json!({"kind": "Status", "message": "no"});
        gone.add("b".into(), StatusCode::FORBIDDEN, said, 10);
        let note = gone.note(3);
        let answer = gone.answer(note.as_deref());
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("no (1 of 3 objects were deleted; deleted: a)"), "{text}");
    }

    #[test]
    fn nothing_is_noted_where_all_went() {
        let mut gone = Gone::default();
        gone.add("a".into(), StatusCode::OK, list(&["a"]), 10);
        gone.add("b".into(), StatusCode::OK, json!({"kind": "Status", "status": "Success"}), 10);
        assert_eq!(gone.note(2), None);
    }
}
