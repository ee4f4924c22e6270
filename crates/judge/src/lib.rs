//! What a write would do, and what the rules say of it.
//!
//! [`Judge::judge`] asks the one party that knows, the API server: its dry run of the agent's own
//! bytes, against the live object. Asking changes nothing in the cluster, and what cannot be learned
//! counts as the worst. [`ClusterView`] is what asks, [`Memory`] is what is remembered; nothing here
//! sends, holds or stores a request.

mod access;
mod accounts;
mod ask_first;
mod call;
mod deletes;
mod discovery;
mod dry_run;
mod facts;
mod facts_quota;
mod history;
mod impact;
mod judge;
mod judgement;
mod memory;
mod pod;
mod preview;
mod recreated_namespace;
mod refusal;
mod replaced;
mod replaced_pods;
mod scale;
mod seen;
mod shown;
mod view;
mod window;

pub use ask_first::RULES_PATH;
pub use call::{Call, Write, decided};
pub use deletes::options as delete_options;
pub use facts::{Basis, FactsKeeper, FactsRef};
pub use judge::{Judge, Settings};
pub use judgement::{Judged, Judgement};
pub use memory::Memory;
pub use refusal::Refusal;
pub use view::{ClusterView, ProbeLog};
