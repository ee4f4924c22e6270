//! The flags of `serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use effects::Cidr;

use super::{
    bounds::BoundsArgs,
    ranges::{MILLISECOND, SECOND, days, seconds, within},
};
use crate::data_dir::default_data_dir;

/// Start the proxy: agents connect to --listen, reviewers to --review-listen.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield serve
  agent-shield serve --kubeconfig ~/.kube/config --listen 0.0.0.0:8443 --tls-san shield.example.com
  agent-shield serve --tls-cert tls.crt --tls-key tls.key --hold-deadline 15m

Without --kubeconfig, serve uses the in-cluster ServiceAccount if there is one, then KUBECONFIG, then
~/.kube/config. The first start creates a CA in the data directory. Agents must trust its ca.crt:
`agent-shield agent create` and `agent kubeconfig` write it into a kubeconfig.")]
pub(crate) struct ServeArgs {
    /// Directory for holds, the ledger, the CA and endpoints.json (created with mode 0700).
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = default_data_dir())]
    pub(super) data_dir: PathBuf,
    /// Key of digests in records and of the tags in audit ids (32 bytes; else digest.key in the data directory, made
    /// at the first start). Agent-shields that share it know each other's calls in the cluster's audit log.
    #[arg(long, value_name = "FILE")]
    pub(super) digest_key: Option<PathBuf>,
    /// Address for agents; port 0 picks a free port, which endpoints.json then shows.
    #[arg(
        long,
        value_name = "ADDR",
        env = "AGENT_SHIELD_LISTEN",
        default_value = "127.0.0.1:8443"
    )]
    pub(super) listen: SocketAddr,
    /// Address for reviewers.
    #[arg(
        long,
        value_name = "ADDR",
        env = "AGENT_SHIELD_REVIEW_LISTEN",
        default_value = "127.0.0.1:8444"
    )]
    pub(super) review_listen: SocketAddr,
    /// Policy file, or directory of `*.yaml`; watched, and swapped as a whole when it changes.
    /// Unless settings say otherwise, the default pack is in force as well.
    #[arg(long, value_name = "PATH")]
    pub(super) policy: Vec<PathBuf>,
    /// Also follow policies that are objects in the cluster (`agent-shield policy crds`); their
    /// status says whether they are in force.
    #[arg(long)]
    pub(super) policy_objects: bool,
    /// Certificate chain (PEM) to serve instead of a generated one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Additional names or addresses for the generated certificate.
    #[arg(long, value_name = "NAME")]
    pub(super) tls_san: Vec<String>,
    /// A hold that nobody decides within this time expires, which is a denial.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = within(SECOND, days(30)))]
    pub(super) hold_deadline: Duration,
    /// How long a connection stays open on a hold before its client is asked to come again.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = within(SECOND, days(1)))]
    pub(super) hold_open: Duration,
    /// Time limit for counting the objects affected by a held write. Anything not counted in time is
    /// reported as unknown.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = within(MILLISECOND, seconds(60)))]
    pub(super) count_within: Duration,
    /// A range of addresses that pods have, such as 10.244.0.0/16, besides those that the nodes name
    /// (`spec.podCIDRs`). An agent's `proxy` to any other address is held.
    #[arg(long, value_name = "CIDR", value_parser = read_cidr)]
    pub(super) pod_network: Vec<Cidr>,
    /// How long an approval waits for the same request if the agent has disconnected.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = within(SECOND, days(30)))]
    pub(super) grant_time: Duration,
    /// How long a denial stands before the same may be asked again. A rule may set its own time.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = within(SECOND, days(1)))]
    pub(super) denial_time: Duration,
    /// An exec, attach or port-forward session is cut after this time.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = within(SECOND, days(30)))]
    pub(super) session_time: Duration,
    /// How long to keep the facts that writes were judged by, for `policy replay`. Ledger entries are
    /// always kept.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = within(SECOND, days(3_650)))]
    pub(super) keep_facts: Duration,
    /// A ServiceAccount (system:serviceaccount:NAMESPACE:NAME) to allow as a reviewer; ServiceAccounts
    /// are rejected by default.
    #[arg(long, value_name = "USERNAME")]
    pub(super) allow_reviewer: Vec<String>,
    /// A `system:` user or group to allow in agents' client certificates; they are refused by default.
    #[arg(long, value_name = "NAME")]
    pub(super) allow_system_certificate: Vec<String>,
    /// Namespace that agent-shield runs in, which is always protected. Default: in a pod, the pod's
    /// namespace; elsewhere, agent-shield.
    #[arg(long, value_name = "NAME")]
    pub(super) own_namespace: Option<String>,
    /// Directory with the pod's ServiceAccount: the files token, ca.crt and namespace.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount"
    )]
    pub(super) service_account_dir: PathBuf,
    /// Log as text or as JSON lines.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(super) log_format: String,
    #[command(flatten)]
    pub(super) bounds: BoundsArgs,
}

fn read_cidr(text: &str) -> Result<Cidr, String> {
    text.parse().map_err(|_| "not a range of addresses such as 10.244.0.0/16".to_owned())
}
