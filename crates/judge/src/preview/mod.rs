//! What a write would do, learned without doing it: one file for each way to learn it.

mod change;
mod collection;
mod connect;
mod custom_scale;
mod custom_write;
mod delete;
mod relay;
mod unseen;

pub(crate) use custom_scale::is_custom_scale;
pub(crate) use unseen::Previewer;
