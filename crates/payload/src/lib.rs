//! What is sent: body bytes and media type -> a JSON tree, and the same tree without its secrets.
//!
//! The API server reads bytes that no parser of ours may read as it does (YAML 1.1, the last of
//! duplicate keys, protobuf), so a tree made here is for showing and for `DeleteOptions` only; what
//! cannot be read in exactly one way is an error, and the caller turns that into a hold. Pure.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod delete_options;
mod error;
mod media_type;
mod protobuf;
mod read;
mod redact;
mod release;
mod strict;

pub use delete_options::{DeleteOptions, delete_options, eviction_options, is_dry_run};
pub use error::PayloadError;
pub use media_type::{MediaType, media_type};
pub use protobuf::{ObjectIdentity, identity as protobuf_identity};
pub use read::read;
pub use redact::{REDACTED, Redactor, hmac, is_cut};
pub use release::release;
