//! What would change: the object before and after -> differences and effects.
//!
//! An effect is one thing a request would do to the cluster, whatever route it takes. Static
//! effects come from the attributes ([`plan()`]); body effects come from comparing the live
//! object with the server's own dry-run answer ([`of_change`]), so the encoding and the patch type
//! make no difference. Effects are values ([`About`]): rules read their fields, approvals bind to
//! them, and only [`mod@describe`] puts them into words. Pure.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod about;
mod applied;
mod asked;
mod builtin;
mod change;
mod custom;
mod custom_write;
pub mod describe;
mod diff;
mod digest;
mod effect;
mod field_sets;
mod found;
mod inner;
mod keys;
mod kind;
mod known;
mod lease;
mod legacy;
mod lifetime;
mod names;
mod namespace;
mod object;
mod ownership;
mod plan;
mod powers;
mod records;
mod relay;
mod routing;
mod shape;
mod spelled;
mod template;
mod triggers;
pub mod unknown;
mod volumes;

pub use about::About;
pub use applied::{applied_beyond_changes, applied_beyond_object, applied_path};
pub use asked::asked;
pub use builtin::Builtin;
pub use change::{of_change, of_delete, of_entered, of_said_scale, of_scaled_workload};
pub use custom_write::{of_custom, of_custom_patch};
pub use describe::describe;
pub use diff::{by_name, diff, normalised, pointer_token};
pub use digest::{canonical, digest_input};
pub use effect::{Change, Effect};
pub use keys::{is_bookkeeping, why_not_inert};
pub use kind::{EffectKind, UnknownKind};
pub use known::Known;
pub use legacy::about_of_sentence;
pub use namespace::{ClassConfig, NamespaceClass, Sign};
pub use object::{ObjectRef, object_of};
pub use ownership::of_applied_scale;
pub use plan::{
    Plan, Route, decides_access, is_builtin, is_builtin_group, of_refused, plan, plan_as,
    plan_stored, unknown, writes_custom,
};
pub use relay::{Cidr, Networks, NoCidr, of_proxied, pod_addresses};
pub use unknown::Unknown;
