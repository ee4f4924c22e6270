//! HTTP/2 by hand: header fields that no library would send (RFC 9113, RFC 7541).

use std::io;

use testkit::http::{Answer, Connection};

/// What every connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status` values of the static table (RFC 7541, appendix A), from index 8 on.
const STATUS: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// One request without a body, of exactly these fields.
pub(crate) fn frames(fields: &[(String, String)], token: &str) -> Vec<u8> {
    let has = |name: &str| fields.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let mut block = Vec::new();
    if !has(":scheme") {
        literal(&mut block, ":scheme", "https");
    }
    for (name, value) in fields {
        literal(&mut block, name, &value.replace("{token}", token));
    }
    if !has("authorization") {
        literal(&mut block, "authorization", &format!("Bearer {token}"));
    }
    let mut bytes = PREFACE.to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    frame(&mut bytes, HEADERS, END_STREAM | END_HEADERS, 1, &block);
    bytes
}

/// The status of stream 1; 400 where the server ends the stream or the connection instead.
pub(crate) fn answer(connection: &mut Connection) -> io::Result<Answer> {
    let mut answer = Answer::default();
    loop {
        let mut head = [0; 9];
        if connection.read_exact(&mut head).is_err() {
            return Ok(refused(answer, "the connection ended"));
        }
        if head.starts_with(b"HTTP/1.") {
            return Ok(refused(answer, "the server does not speak HTTP/2"));
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        connection.read_exact(&mut payload)?;
        match head[3] {
            HEADERS => {
                // The first field is the status: from the static table, or its name from there.
                let first = payload.first().copied().unwrap_or_default();
                answer.status = match usize::from(first & 0x7f).checked_sub(8) {
                    Some(index) if first & 0x80 != 0 => STATUS.get(index).copied().unwrap_or(0),
                    _ => 0,
                };
            }
            DATA => answer.body.extend(payload),
            RST_STREAM => return Ok(refused(answer, "the stream was reset")),
            GOAWAY => return Ok(refused(answer, "the connection was given up")),
            _ => {}
        }
        if matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM != 0 {
            return Ok(answer);
        }
    }
}

fn refused(mut answer: Answer, why: &str) -> Answer {
    if answer.status == 0 {
        answer.status = 400;
        answer.body = why.as_bytes().to_vec();
    }
    answer
}

fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// A literal field without indexing and without Huffman coding.
fn literal(to: &mut Vec<u8>, name: &str, value: &str) {
    to.push(0);
    for text in [name, value] {
        integer(to, text.len());
        to.extend_from_slice(text.as_bytes());
    }
}

/// An integer with a prefix of seven bits.
fn integer(to: &mut Vec<u8>, value: usize) {
    let mut rest = match value.checked_sub(0x7f) {
        None => return to.push(u8::try_from(value).expect("seven bits")),
        Some(rest) => rest,
    };
    to.push(0x7f);
    while rest >= 0x80 {
        to.push(0x80 | u8::try_from(rest & 0x7f).expect("seven bits"));
        rest >>= 7;
    }
    to.push(u8::try_from(rest).expect("seven bits"));
}
