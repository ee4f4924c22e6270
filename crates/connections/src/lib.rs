//! How many connections an address may have, and all of them together, at a listener.

mod clients;

pub use clients::{Admitted, Bounds, Clients, Slot, client_of};
