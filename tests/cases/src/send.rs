//! A row's request, byte for byte.

use std::{io, path::Path};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use testkit::http::{Answer, Connection};

use crate::{Row, api::Api};

/// The request as it goes on the wire, with this token.
pub(crate) fn bytes(api: &Api, row: &Row, token: &str) -> Vec<u8> {
    let body = body(api, row);
    let in_headers = |text: &str| {
        text.replace("{token_b64url}", &URL_SAFE_NO_PAD.encode(token))
            .replace("{token}", token)
            .replace("{agent_token}", token)
    };
    let own: Vec<(String, String)> =
        row.headers.iter().map(|(name, value)| (name.clone(), in_headers(value))).collect();
    let has = |name: &str| own.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let mut headers = Vec::new();
    let mut default = |name: &str, value: Option<String>| {
        if let (false, Some(value)) = (has(name), value) {
            headers.push((name.to_owned(), value));
        }
    };
    default("Host", Some("localhost".to_owned()));
    default("Accept", Some("application/json".to_owned()));
    default("Authorization", Some(format!("Bearer {token}")));
    default("Content-Type", row.content_type.clone());
    default("Content-Length", body.as_ref().map(|it| it.len().to_string()));
    // An empty Authorization says that there is none.
    headers.extend(own.into_iter().filter(|(_, value)| !value.is_empty()));
    let mut head = format!("{} {} HTTP/1.1\r\n", row.method, row.path.replace("{token}", token));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(body.unwrap_or_default());
    bytes
}

fn body(api: &Api, row: &Row) -> Option<Vec<u8>> {
    if let Some(text) = &row.body_b64 {
        return Some(STANDARD.decode(text).expect("base64"));
    }
    let text = match row.body.as_ref()? {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut text = api.fill(&text);
    let wanted = row.note.split_once("pad=").map(|(_, rest)| rest);
    let digits = wanted.map(|it| it.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    if let Some(count) = digits.and_then(|it| it.parse::<usize>().ok()) {
        let run = [" ", "a"].into_iter().find(|it| text.contains(&it.repeat(64)));
        if let Some(run) = run {
            text = text.replace(&run.repeat(64), &run.repeat(count));
        }
    }
    Some(text.into_bytes())
}

/// Sends it and reads the answer; of a stream without end, the head.
pub(crate) fn send(url: &str, ca: &Path, bytes: &[u8]) -> io::Result<Answer> {
    let mut connection = Connection::open(url, ca)?;
    connection.send(bytes)?;
    let head = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
    let endless = head.contains("watch=") && !head.contains("timeoutSeconds");
    if endless || head.contains("follow=true") {
        let head = connection.head()?;
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default();
        return Ok(Answer { status, ..Answer::default() });
    }
    connection.answer()
}
