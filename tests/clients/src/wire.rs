//! Reads as a client sends them.

use std::{fmt, io, path::Path};

use testkit::http::{self, Answer};

/// What a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, read by hand.
    Http1,
}

/// One request without a body.
#[derive(Clone, Debug)]
pub struct Read {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
}

impl Read {
    /// A GET of a target.
    pub fn get(target: &str) -> Self {
        Self { method: "GET", target: target.to_owned(), headers: Vec::new() }
    }

    /// The same by another method.
    pub fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it on a connection of its own, and reads the whole answer.
    ///
    /// # Errors
    /// As of TCP.
    pub fn send(&self, protocol: Protocol, url: &str, ca: &Path) -> io::Result<Answer> {
        match protocol {
            Protocol::Http1 => {
                let headers: Vec<(&str, &str)> =
                    self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                let mut connection = http::Connection::open(url, ca)?;
                connection.request(self.method, &self.target, &headers, b"")?;
                connection.answer_to(self.method)
            }
        }
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for (name, value) in &self.headers {
            // Not the token of whoever asks.
            let shown =
                if name == "authorization" && value != "Bearer nobody" { "…" } else { value };
            write!(f, " {name}: {shown}")?;
        }
        Ok(())
    }
}
