//! File descriptors: as many as the system gives, and so many for each who needs some.
//!
//! Whoever has none left can accept nobody, ask nobody and record nothing. So agents get what is left
//! when the store, the reviewers and the proxy's own questions have theirs.

use std::thread;

use anyhow::{Context, Result, bail};
use proxy::Bounds;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit is raised to this at most: exec plugins inherit it, and some close each that there may be.
const MOST: u64 = 1 << 20;
/// The store: its writer, its readers, and what each of them has open besides the database.
const STORE: usize = 80;
/// Threads with a runtime have some each; the process has its log, its listeners and its lock.
const PER_THREAD: usize = 4;
const PROCESS: usize = 24;
/// The proxy's own questions, and reviewers: an eighth each, within these.
const OWN: [usize; 2] = [24, 128];
const REVIEWERS: [usize; 2] = [24, 320];
/// Fewer than this for agents are not worth a start.
const AGENTS_MIN: usize = 48;

/// Who may have how many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Descriptors {
    /// In all.
    limit: usize,
    /// Connections of agents, those that are turned away among them.
    agents: usize,
    /// Connections to the API server for agents' requests.
    pub(super) upstream: usize,
    /// Connections of reviewers, those that are turned away among them.
    reviewers: usize,
}

impl Descriptors {
    /// Takes all that the system gives, and shares it out.
    ///
    /// # Errors
    /// Where that is too little.
    pub(super) fn take() -> Result<Self> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let most = maximum.map_or(MOST, |it| it.min(MOST));
        let raised = Rlimit { current: Some(most), maximum };
        if current.is_some_and(|it| it < most)
            && let Err(error) = setrlimit(Resource::Nofile, raised)
        {
            tracing::warn!(%error, "the limit of open files could not be raised");
        }
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let how = "raise the limit of open files (`ulimit -n`, LimitNOFILE= of a systemd unit)";
        Self::share(limit, threads).context(how)
    }

    fn share(limit: usize, threads: usize) -> Result<Self> {
        let eighth = |[min, max]: [usize; 2]| (limit / 8).clamp(min, max);
        let (own, reviewers) = (eighth(OWN), eighth(REVIEWERS));
        let others = [STORE, PROCESS, own, reviewers, threads.saturating_mul(PER_THREAD)];
        let others: usize = others.iter().sum();
        let left = limit.saturating_sub(others);
        if left < AGENTS_MIN {
            let min = others.saturating_add(AGENTS_MIN);
            bail!("a limit of {limit} open files is too low: agent-shield needs {min}");
        }
        // Streams share connections to the API server, and other requests are short.
        let upstream = (left / 3).min(upstream::CONNECTIONS_MAX);
        Ok(Self { limit, agents: left.saturating_sub(upstream), upstream, reviewers })
    }

    /// The bounds of agents, within what there is for them; one address leaves room for others.
    pub(super) fn bound_agents(&self, bounds: Bounds) -> Bounds {
        let turned_away = bounds.refusals_max.min(self.agents / 4);
        let all = bounds.connections_max.min(self.agents.saturating_sub(turned_away));
        let of_one = bounds.connections_per_client_max.min((all / 2).max(1));
        if all < bounds.connections_max {
            tracing::warn!(
                connections = all,
                perClient = of_one,
                openFiles = self.limit,
                "the limit of open files allows fewer connections of agents than the flags: raise it"
            );
        }
        Bounds {
            connections_max: all,
            connections_per_client_max: of_one,
            refusals_max: turned_away,
            ..bounds
        }
    }

    /// The bounds of reviewers.
    pub(super) fn bound_reviewers(&self) -> connections::Bounds {
        let refusals_max = self.reviewers / 8;
        let connections_max = self.reviewers.saturating_sub(refusals_max);
        let connections_per_client_max = (connections_max / 2).max(1);
        connections::Bounds {
            connections_max,
            connections_per_client_max,
            handshakes_per_client_max: (connections_per_client_max / 2).max(1),
            refusals_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_together_stays_below_the_limit() -> Result<()> {
        for (limit, threads) in [(256, 2), (512, 8), (1_024, 4), (4_096, 64), (1 << 20, 128)] {
            let shared = Descriptors::share(limit, threads)?;
            let agents = shared.bound_agents(Bounds::default());
            let reviewers = shared.bound_reviewers();
            let own = (limit / 8).clamp(OWN[0], OWN[1]);
            let sum = agents.connections_max
                + agents.refusals_max
                + shared.upstream
                + reviewers.connections_max
                + reviewers.refusals_max
                + STORE
                + PROCESS
                + own
                + threads * PER_THREAD;
            assert!(sum <= limit, "{limit}: {sum}");
            assert!(agents.connections_per_client_max * 2 <= agents.connections_max, "{limit}");
            assert!(reviewers.connections_per_client_max >= 10, "{limit}: {reviewers:?}");
        }
        Ok(())
    }

    #[test]
    fn much_is_not_bound_further_and_too_little_is_refused() -> Result<()> {
        let much = Descriptors::share(1 << 20, 4)?;
        assert_eq!(much.bound_agents(Bounds::default()), Bounds::default());
        let error = Descriptors::share(128, 2).err().map(|it| it.to_string());
        assert!(error.is_some_and(|it| it.contains("limit of 128 open files is too low")));
        Ok(())
    }
}
