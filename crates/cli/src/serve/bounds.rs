//! Flags for what each client, and all of them, may take.

use std::time::Duration;

use clap::Args;
use proxy::Bounds;

use super::ranges::{SECOND, count, days, within};

/// Bounds that a deployment may want to move; the others are `proxy::Bounds`' own.
#[derive(Args, Debug)]
#[command(next_help_heading = "Bounds")]
pub(crate) struct BoundsArgs {
    /// Maximum concurrent connections of agents.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections_max, value_parser = count)]
    connections_max: usize,
    /// Maximum concurrent connections from one address. Agents behind one NAT or gateway share it.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().connections_per_client_max, value_parser = count)]
    connections_per_client: usize,
    /// Maximum concurrent TLS handshakes from one address.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().handshakes_per_client_max, value_parser = count)]
    handshakes_per_client: usize,
    /// Maximum concurrent requests with one credential, including watches and held requests; more
    /// are answered 429.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().requests_per_agent_max, value_parser = count)]
    requests_per_agent: usize,
    /// Maximum open holds of one agent; more are answered 429.
    #[arg(long, value_name = "N", default_value_t = Bounds::default().holds_per_agent_max, value_parser = count)]
    holds_per_agent: usize,
    /// How much to keep of one agent's writes per hour for `policy replay`, like 512Ki or 8Mi. Beyond
    /// that, only kind, names and labels of objects are kept; beyond twice as much, nothing of them.
    #[arg(long, value_name = "BYTES", default_value = "8Mi", value_parser = parse_bytes)]
    facts_per_agent: u64,
    /// A connection without a request is closed after this time.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = within(SECOND, days(1)))]
    idle_time: Duration,
    /// The head of a request must be complete this long after its first byte.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = within(SECOND, days(1)))]
    head_time: Duration,
    /// The body of a write must be complete after this time.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = within(SECOND, days(1)))]
    body_time: Duration,
    /// A connection is closed if its client reads nothing for this time.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = within(SECOND, days(1)))]
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
            facts_bytes_per_agent_max: args.facts_per_agent,
            idle_time_max: args.idle_time,
            head_time_max: args.head_time,
            body_time_max: args.body_time,
            stall_time_max: args.stall_time,
            ..Self::default()
        }
    }
}

/// Largest number of bytes that a bound may be.
const BYTES_MAX: u64 = 16 << 30;

/// `65536`, `512Ki`, `8Mi`: bytes as a Kubernetes quantity has them.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let units = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1_u64));
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match number {
        Some(number) if number <= BYTES_MAX => Ok(number),
        Some(_) => Err(format!("`{text}` must be at most 16Gi")),
        None => Err(format!("`{text}` is not a number of bytes like 65536, 512Ki or 8Mi")),
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

    #[test]
    fn reads_bytes_as_kubernetes_writes_them() {
        let table = [
            ("0", Some(0)),
            ("512Ki", Some(512 << 10)),
            ("8Mi", Some(8 << 20)),
            ("1Gi", Some(1 << 30)),
            ("17Gi", None),
            ("8M", None),
            ("-1", None),
            ("Ki", None),
            ("99999999999Gi", None),
        ];
        for (text, want) in table {
            assert_eq!(parse_bytes(text).ok(), want, "{text}");
        }
    }
}
