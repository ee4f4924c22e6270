//! Flags for what each client, and all of them, may take.

use std::time::Duration;

use clap::Args;
use proxy::Bounds;

use crate::serve::parse_time;

/// Bounds that a deployment may want to move; the others are `proxy::Bounds`' own.
#[derive(Args, Debug)]
#[command(next_help_heading = "Bounds")]
pub(crate) struct BoundsArgs {
    /// Connections of agents at a time.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections_max)]
    connections_max: usize,
    /// Connections at a time from one address. Agents behind one NAT or gateway share it.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections_per_client_max)]
    connections_per_client: usize,
    /// TLS handshakes under way at a time from one address.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().handshakes_per_client_max)]
    handshakes_per_client: usize,
    /// Requests at a time by one credential, watches and held ones included; more are answered 429.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().requests_per_agent_max)]
    requests_per_agent: usize,
    /// Open holds of one agent; more are answered 429.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().holds_per_agent_max)]
    holds_per_agent: usize,
    /// A connection without a request is closed after so long.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_time)]
    idle_time: Duration,
    /// The head of a request must be whole so long after its first byte.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    head_time: Duration,
    /// The body of a write must be whole after so long.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    body_time: Duration,
    /// A connection whose client takes no bytes for so long is closed.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_time)]
    stall_time: Duration,
}

impl From<&BoundsArgs> for Bounds {
    fn from(args: &BoundsArgs) -> Self {
        Self {
            connections_max: args.connections_max,
            connections_per_client_max: args.connections_per_client,
            handshakes_per_client_max: args.handshakes_per_client,
            requests_per_agent_max: args.requests_per_agent,
            holds_per_agent_max: args.holds_per_agent,
            idle_time_max: args.idle_time,
            head_time_max: args.head_time,
            body_time_max: args.body_time,
            stall_time_max: args.stall_time,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        bounds: BoundsArgs,
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_proxy() {
        let program = <Program as clap::Parser>::parse_from(["serve"]);
        assert_eq!(Bounds::from(&program.bounds), Bounds::default());
    }
}
