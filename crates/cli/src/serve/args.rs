//! The flags of `serve`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use text::duration;

use super::bounds::BoundsArgs;
use crate::data_dir::default_data_dir;

/// Start the proxy: agents connect to --listen, reviewers to --review-listen.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield serve
  agent-shield serve --kubeconfig ~/.kube/config --listen 0.0.0.0:8443 --tls-san shield.example.com
  agent-shield serve --tls-cert tls.crt --tls-key tls.key --hold-deadline 15m

Without --kubeconfig the in-cluster ServiceAccount is used if there is one, then KUBECONFIG, then
~/.kube/config. The first start makes a CA in the data directory; give its ca.crt to agents
(`agent-shield agent create` and `agent kubeconfig` write it into a kubeconfig).")]
pub(crate) struct ServeArgs {
    /// Where holds, the ledger, the CA and endpoints.json are kept (made with mode 0700).
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = default_data_dir())]
    pub(super) data_dir: PathBuf,
    /// Address for agents; port 0 picks a free one, which then stands in endpoints.json.
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
    /// Policy file, or directory of `*.yaml`; watched, and swapped whole when it changes.
    /// Without settings that say otherwise, the default pack is in force beside it.
    #[arg(long, value_name = "PATH")]
    pub(super) policy: Vec<PathBuf>,
    /// Also follow the policies that are objects of the cluster (`agent-shield policy crds`); each is
    /// told in its status whether it is in force.
    #[arg(long)]
    pub(super) policy_objects: bool,
    /// Certificate chain (PEM) to show instead of a made one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Further names or addresses for the made certificate.
    #[arg(long, value_name = "NAME")]
    pub(super) tls_san: Vec<String>,
    /// Undecided for so long, a hold is denied as expired.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration::parse)]
    pub(super) hold_deadline: Duration,
    /// How long a connection stays open on a hold before its client is asked to come again.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    pub(super) hold_open: Duration,
    /// How long counting what goes with a held write may take; what is not counted by then is said.
    #[arg(long, default_value = "1s", value_parser = duration::parse)]
    pub(super) count_within: Duration,
    /// How long an approval waits for its request, when the agent has gone meanwhile.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    pub(super) grant_time: Duration,
    /// An exec, attach or port-forward is cut after so long.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    pub(super) session_time: Duration,
    /// How long is kept, for `policy replay`, what writes were judged by. Entries of the ledger always are.
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = duration::parse)]
    pub(super) keep_facts: Duration,
    /// A ServiceAccount (system:serviceaccount:NAMESPACE:NAME) that may review all the same.
    #[arg(long, value_name = "USERNAME")]
    pub(super) allow_reviewer: Vec<String>,
    /// A `system:` user or group that an agent's client certificate may carry all the same.
    #[arg(long, value_name = "NAME")]
    pub(super) allow_system_certificate: Vec<String>,
    /// The namespace that agent-shield runs in; it is always protected. In a pod its own, elsewhere
    /// agent-shield by default.
    #[arg(long, value_name = "NAME")]
    pub(super) own_namespace: Option<String>,
    /// Where a pod finds its ServiceAccount: the files token, ca.crt and namespace.
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
