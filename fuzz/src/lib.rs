//! The laws that hold for whatever bytes an agent sends, one function for each parser of them. Each
//! panics where a law is broken.
//!
//! The fuzzer (`cargo xtask fuzz`) calls them with bytes that it makes up, and `tests/corpora.rs`
//! with what it has found so far. An input is text where it can be, so that a seed can be read:
//! see each function.

mod attributes;
mod body;
mod diff;
mod expression;
mod frames;
mod head;
mod headers;
mod protobuf;
mod query;
mod wire;

pub use self::{
    attributes::attributes,
    body::body,
    diff::diff,
    expression::{expression, held_where, judged},
    frames::frames,
    headers::headers,
    protobuf::protobuf,
    query::query,
};

/// A target of the fuzzer: its name, which is that of its corpus, and its laws.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("attributes", attributes),
    ("headers", headers),
    ("query", query),
    ("body", body),
    ("protobuf", protobuf),
    ("diff", diff),
    ("expression", expression),
    ("frames", frames),
];
