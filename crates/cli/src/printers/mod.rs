//! What people read: one sentence first, then what they decide on. All of it escaped.

mod account;
mod agents;
mod cells;
mod freezes;
mod hold;
mod joined;
mod namespaces;
mod queue;
mod status;
mod timeline;
mod wrap;

pub(crate) use account::account;
pub(crate) use agents::agents;
pub(crate) use cells::{age, describe_request, short_user, table};
pub(crate) use freezes::freezes;
pub(crate) use hold::{hold, standing};
pub(crate) use joined::joined;
pub(crate) use namespaces::namespaces;
pub(crate) use queue::{
    AskedFor, denials, holds, no_denials, no_holds, standing_word, state, takes_one,
};
pub(crate) use status::status;
pub(crate) use timeline::{timeline, what};

#[cfg(test)]
pub(crate) mod tests;
