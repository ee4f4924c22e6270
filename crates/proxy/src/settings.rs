//! Bounds and times that a deployment sets.

use std::time::Duration;

use effects::Cidr;

use crate::bounds::Bounds;

/// Bounds and times that a deployment sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What each client and all of them may take.
    pub bounds: Bounds,
    /// How long a connection stays open on a hold before its client is asked to come again.
    pub open_time_max: Duration,
    /// How long a hold may be late for counting what goes with it.
    pub count_time_max: Duration,
    /// Where pods have their addresses, besides what the nodes say.
    pub pod_networks: Vec<Cidr>,
    /// A write that is not judged within this time is refused.
    pub judge_time_max: Duration,
    /// How long a client is asked to wait when the proxy stops.
    pub restart_time: Duration,
    /// After so long without an answer, the outcome of a write is unknown.
    pub write_time_max: Duration,
    /// An exec, attach or port-forward is cut after so long.
    pub session_time_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            open_time_max: Duration::from_secs(10 * 60),
            count_time_max: Duration::from_secs(1),
            pod_networks: Vec::new(),
            // As long as the API server itself takes at most.
            judge_time_max: Duration::from_secs(60),
            restart_time: Duration::from_secs(5),
            // The API server's own --request-timeout is 60 s.
            write_time_max: Duration::from_secs(75),
            session_time_max: Duration::from_secs(60 * 60),
        }
    }
}
