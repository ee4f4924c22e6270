//! What a write would do, and what the rules say of it.
//!
//! [`Judge::judge`] asks the one party that knows, the API server: its dry run of the agent's own
//! bytes, against the live object. Asking changes nothing in the cluster, and what cannot be learned
//! counts as the worst. [`ClusterView`] is what asks, [`Remembered`] is what is known of earlier calls; nothing here
//! sends, holds or stores a request.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod access;
mod accounts;
mod applied_copy;
mod ask_first;
mod budget;
mod call;
mod commands;
mod deletes;
mod differences;
mod discovery;
mod dry_run;
mod environment;
mod facts;
mod facts_quota;
mod history;
mod impact;
mod judge;
mod judgement;
mod known;
mod left;
mod made;
mod own;
mod pod;
mod preview;
mod readers;
mod recreated_namespace;
mod refusal;
mod release;
mod remembered;
mod replaced;
mod reservation;
mod said;
mod scale;
mod seats;
mod seen;
mod selected;
mod selector;
mod shown;
mod silence;
mod undo;
mod unified;
mod view;
mod weight;

pub use call::{Call, Write, decided, elapsed_micros};
pub use deletes::options as delete_options;
pub use facts::{Basis, FactsKeeper, FactsRef};
pub use judge::{Judge, JudgeError, Settings};
pub use judgement::{Judged, Judgement};
pub use known::OpenHolds;
pub use left::{Found, LEFT_BYTES_MAX, leaves_object, object_left};
pub use made::{makes_unnamed, name_made};
pub use refusal::Refusal;
pub use remembered::Remembered;
pub use silence::Silence;
pub use view::{ClusterView, ProbeLog};
pub use weight::Weight;
