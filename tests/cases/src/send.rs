//! A row's request, byte for byte.

use std::{
    io,
    net::{Shutdown, TcpStream},
    path::Path,
    sync::mpsc::{self, Receiver},
    thread,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use testkit::http::{Answer, Connection};

use crate::{api::Api, h2, row::Request};

/// A request as it goes on the wire.
pub(crate) struct Bytes {
    bytes: Vec<u8>,
    /// May hide a second request: every answer is waited for.
    is_raw: bool,
}

/// The request as it goes on the wire, with this token.
pub(crate) fn bytes(api: &Api, request: &Request, token: &str) -> Bytes {
    let (bytes, is_raw) = match (request.method.as_str(), &request.raw) {
        ("H2", _) => (h2::frames(&request.headers, token), false),
        (_, Some(raw)) => (raw_bytes(raw, &request.path, token), true),
        _ => (plain(api, request, token), false),
    };
    Bytes { bytes, is_raw }
}

fn plain(api: &Api, request: &Request, token: &str) -> Vec<u8> {
    let body = body(api, request);
    let in_headers = |text: &str| {
        text.replace("{token_b64url}", &URL_SAFE_NO_PAD.encode(token))
            .replace("{token}", token)
            .replace("{agent_token}", token)
    };
    let own: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.clone(), in_headers(value))).collect();
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
    let json = matches!(request.body, Some(Value::Object(_) | Value::Array(_)));
    let json = json.then(|| "application/json".to_owned());
    default("Content-Type", request.content_type.clone().or(json));
    default("Content-Length", body.as_ref().map(|it| it.len().to_string()));
    // An empty Authorization says that there is none.
    headers.extend(own.into_iter().filter(|(_, value)| !value.is_empty()));
    let path = request.path.replace("{token}", token);
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend(body.unwrap_or_default());
    bytes
}

/// Requests that no client would write; a second one is hidden in some.
fn raw_bytes(raw: &str, path: &str, token: &str) -> Vec<u8> {
    let inner = format!(
        "DELETE {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: \
         close\r\n\r\n"
    );
    raw.replace("{path}", path)
        .replace("{token}", token)
        .replace("{len5inner}", &(5 + inner.len()).to_string())
        .replace("{leninner}", &inner.len().to_string())
        .replace("{{}}", "{}")
        .into_bytes()
}

fn body(api: &Api, request: &Request) -> Option<Vec<u8>> {
    if let Some(text) = &request.body_b64 {
        return Some(STANDARD.decode(text).expect("base64"));
    }
    let text = match request.body.as_ref()? {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut text = api.fill(&text);
    let wanted = request.note.split_once("pad=").map(|(_, rest)| rest);
    let digits = wanted.map(|it| it.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
    if let Some(count) = digits.and_then(|it| it.parse::<usize>().ok()) {
        let run = [" ", "a"].into_iter().find(|it| text.contains(&it.repeat(64)));
        if let Some(run) = run {
            text = text.replace(&run.repeat(64), &run.repeat(count));
        }
    }
    Some(text.into_bytes())
}

/// A request on its way, on a connection of its own.
pub(crate) struct Sent {
    pub(crate) answer: Receiver<io::Result<Answer>>,
    socket: TcpStream,
}

impl Sent {
    /// Ends the connection, as a client does that gives up.
    pub(crate) fn leave(self) {}
}

impl Drop for Sent {
    fn drop(&mut self) {
        // Also where the row failed: nobody may go on waiting in the rows after it.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Sends it, and reads the answer meanwhile; of a stream without end, the head.
pub(crate) fn start(url: &str, ca: &Path, request: Bytes) -> io::Result<Sent> {
    let Bytes { bytes, is_raw } = request;
    let is_h2 = bytes.starts_with(h2::PREFACE);
    let offered: &[&str] = if is_h2 { &["h2"] } else { &[] };
    let mut connection = Connection::open_offering(url, ca, offered)?;
    let socket = connection.socket()?;
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let read = connection.send(&bytes).and_then(|()| match (is_h2, is_raw) {
            (true, _) => h2::answer(&mut connection),
            (_, true) => last(&mut connection),
            _ => read(&mut connection, &bytes),
        });
        // Nobody listens any more once the row has failed.
        let _ = sender.send(read);
    });
    Ok(Sent { answer, socket })
}

/// The last answer before the server ends the connection.
fn last(connection: &mut Connection) -> io::Result<Answer> {
    let mut answer = connection.answer()?;
    while let Ok(next) = connection.answer() {
        match next.status {
            0 => break,
            _ => answer = next,
        }
    }
    Ok(answer)
}

fn read(connection: &mut Connection, bytes: &[u8]) -> io::Result<Answer> {
    let head = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
    let endless = head.contains("watch=") && !head.contains("timeoutSeconds");
    if endless || head.contains("follow=true") {
        let head = connection.head()?;
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default();
        return Ok(Answer { status, ..Answer::default() });
    }
    connection.answer()
}
