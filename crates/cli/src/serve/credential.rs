//! The proxy's own credential: where it comes from, how it is read anew, and when it ends.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use upstream::{CredentialEnd, CredentialKind, CredentialSource};

use crate::connection::{Connection, certificates};

/// How often it is looked at when the credential ends.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// With no more time than one of these, people are warned; with one that nobody renews by itself.
const WARNED_AT: [SignedDuration; 5] = [
    SignedDuration::from_hours(7 * 24),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(1),
    SignedDuration::from_mins(10),
    SignedDuration::ZERO,
];
/// The same for a file that somebody is to write anew in time.
const WARNED_OF_FILE_AT: [SignedDuration; 2] = [SignedDuration::from_mins(2), SignedDuration::ZERO];

/// Where the proxy's own credential comes from.
#[derive(Clone, Debug)]
pub(super) enum OwnCredential {
    /// A context of a kubeconfig: of a file, or of those that KUBECONFIG names.
    Kubeconfig { file: Option<PathBuf>, context: Option<String>, cluster: String },
    /// The files of the pod's ServiceAccount.
    Pod(PathBuf),
}

impl OwnCredential {
    /// What the flags and the surroundings give, as it is now; nothing is asked yet.
    pub(super) async fn find(
        connection: &Connection,
        account: &Path,
    ) -> Result<(Self, kube::Config)> {
        let file = connection.kubeconfig.clone();
        if file.is_none()
            && let Some(config) = in_cluster(account)?
        {
            return Ok((Self::Pod(account.to_owned()), config));
        }
        let kubeconfig = kubeconfig(file.as_deref())?;
        // Who switches the context of their kubeconfig later does not mean us.
        let context = connection.context.clone().or_else(|| kubeconfig.current_context.clone());
        let config = config(kubeconfig, file.as_deref(), context.clone()).await?;
        let cluster = config.cluster_url.to_string();
        Ok((Self::Kubeconfig { file, context, cluster }, config))
    }

    /// The namespace of the pod that this runs in.
    pub(super) fn pod_namespace(&self) -> Option<String> {
        let Self::Pod(dir) = self else { return None };
        let namespace = fs::read_to_string(dir.join("namespace")).ok();
        namespace.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty())
    }

    /// How the clients read it anew.
    pub(super) fn source(&self, config: &kube::Config) -> CredentialSource {
        let credential = self.clone();
        CredentialSource {
            place: self.place(),
            files: self.files(&config.auth_info),
            read: Arc::new(move || {
                let credential = credential.clone();
                Box::pin(async move { Ok(credential.read().await?) })
            }),
        }
    }

    /// Says until when it is valid, once; what is returned says so again some time before it ends.
    pub(super) async fn watch_end(&self) -> impl Future<Output = ()> + Send + 'static {
        let credential = self.clone();
        let mut told = None;
        if let Ok(config) = credential.read().await
            && let Some(end) = CredentialEnd::of(&config.auth_info)
        {
            let left = left(end);
            told = step(end, left);
            let words = words(end.kind, &credential, left);
            match told {
                None if end.kind == CredentialKind::TokenFile => {}
                None => tracing::info!(until = %end.at, "{words}"),
                Some(_) => tracing::warn!(until = %end.at, "{words}"),
            }
        }
        async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                // What cannot be read is told of by whoever needs it.
                let Ok(config) = credential.read().await else { continue };
                let Some(end) = CredentialEnd::of(&config.auth_info) else { continue };
                let left = left(end);
                let step = step(end, left);
                if step > told {
                    tracing::warn!(until = %end.at, "{}", words(end.kind, &credential, left));
                }
                told = step;
            }
        }
    }

    /// The configuration as it is now.
    async fn read(&self) -> Result<kube::Config> {
        match self {
            Self::Pod(dir) => in_cluster(dir)?.context("this does not run in a pod any more"),
            Self::Kubeconfig { file, context, cluster } => {
                let kubeconfig = kubeconfig(file.as_deref())?;
                let config = config(kubeconfig, file.as_deref(), context.clone()).await?;
                // INVARIANT: a credential of one cluster is never shown to another.
                if config.cluster_url.to_string() != *cluster {
                    bail!(
                        "{} names another cluster now ({}): to serve that, start agent-shield anew",
                        self.place(),
                        config.cluster_url
                    );
                }
                Ok(config)
            }
        }
    }

    /// For people.
    fn place(&self) -> String {
        match self {
            Self::Pod(dir) => format!("the ServiceAccount's files in {}", dir.display()),
            Self::Kubeconfig { file: Some(file), .. } => {
                format!("the kubeconfig {}", file.display())
            }
            Self::Kubeconfig { file: None, .. } => "the kubeconfig".to_owned(),
        }
    }

    /// Where it may have changed when one of these has.
    fn files(&self, auth_info: &AuthInfo) -> Vec<PathBuf> {
        let mut files = match self {
            Self::Pod(dir) => vec![dir.join("token")],
            Self::Kubeconfig { file: Some(file), .. } => vec![file.clone()],
            Self::Kubeconfig { file: None, .. } => match env::var_os("KUBECONFIG") {
                Some(paths) => env::split_paths(&paths).collect(),
                None => env::home_dir().map(|it| it.join(".kube/config")).into_iter().collect(),
            },
        };
        let AuthInfo { token_file, client_certificate, client_key, .. } = auth_info;
        let named = [token_file, client_certificate, client_key];
        files.extend(named.into_iter().flatten().map(PathBuf::from));
        files
    }
}

fn left(end: CredentialEnd) -> SignedDuration {
    end.at.duration_since(Timestamp::now())
}

/// How many of the times to warn at have come.
fn step(end: CredentialEnd, left: SignedDuration) -> Option<usize> {
    let warned_at: &[SignedDuration] =
        if end.kind == CredentialKind::TokenFile { &WARNED_OF_FILE_AT } else { &WARNED_AT };
    let passed = warned_at.iter().filter(|at| left <= end.notice(**at)).count();
    (passed > 0).then_some(passed)
}

fn words(kind: CredentialKind, credential: &OwnCredential, left: SignedDuration) -> String {
    let (what, place) = (kind.words(), credential.place());
    if left <= SignedDuration::ZERO {
        return format!(
            "agent-shield's own credential, {what} of {place}, has ended: nothing can be judged until there is a new one; it is read as soon as it is there"
        );
    }
    let seconds = SignedDuration::from_secs(left.as_secs());
    format!(
        "agent-shield's own credential, {what} of {place}, ends in {seconds:#}; a new one is read as soon as it is there"
    )
}

fn kubeconfig(file: Option<&Path>) -> Result<Kubeconfig> {
    match file {
        Some(file) => Kubeconfig::read_from(file)
            .with_context(|| format!("cannot read the kubeconfig {}", file.display())),
        None => Kubeconfig::read()
            .context("not in a pod, and no kubeconfig can be used: give --kubeconfig"),
    }
}

async fn config(
    kubeconfig: Kubeconfig,
    file: Option<&Path>,
    context: Option<String>,
) -> Result<kube::Config> {
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(
        || match file {
            Some(file) => format!("cannot use the kubeconfig {}", file.display()),
            None => "cannot use the kubeconfig".to_owned(),
        },
    )?;
    if config.accept_invalid_certs {
        bail!(
            "the kubeconfig has insecure-skip-tls-verify: agents' tokens would go to whoever answers; give certificate-authority instead"
        );
    }
    Ok(config)
}

/// The ServiceAccount of the pod that this runs in; `None` outside of a cluster.
fn in_cluster(dir: &Path) -> Result<Option<kube::Config>> {
    let from = |name: &str| env::var(name).ok().filter(|it| !it.is_empty());
    let (Some(host), Some(port)) =
        (from("KUBERNETES_SERVICE_HOST"), from("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(None);
    };
    let token = dir.join("token");
    if !token.is_file() {
        bail!(
            "this runs in a pod (KUBERNETES_SERVICE_HOST is set), and there is no {}: set automountServiceAccountToken, or give --kubeconfig or --service-account-dir",
            token.display()
        );
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("https://{host}:{port}");
    let mut config = kube::Config::new(url.parse().with_context(|| format!("{url} is not a URL"))?);
    let ca = dir.join("ca.crt");
    config.root_cert = Some(certificates(&ca)?);
    config.root_cert_file = Some(ca);
    config.auth_info.token_file = Some(token.display().to_string());
    Ok(Some(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_some_time_before_and_once_for_each_step() {
        let table = [
            (30 * 24 * 60, None, None),
            (24 * 60, Some(2), None),
            (61, Some(2), None),
            (59, Some(3), None),
            (9, Some(4), None),
            (1, Some(4), Some(1)),
            (-1, Some(5), Some(2)),
        ];
        let of = |kind, hours: Option<i64>| {
            let at = Timestamp::UNIX_EPOCH;
            let since = hours.map(|it| at - SignedDuration::from_hours(it));
            CredentialEnd { kind, at, since }
        };
        for (minutes, its, of_file) in table {
            let left = SignedDuration::from_mins(minutes);
            assert_eq!(step(of(CredentialKind::Token, None), left), its, "{minutes}");
            assert_eq!(step(of(CredentialKind::TokenFile, None), left), of_file, "{minutes}");
        }
        // What lives for eight hours, and is renewed after four, is never warned of.
        for (minutes, its) in
            [(480, None), (239, None), (159, Some(2)), (59, Some(3)), (-1, Some(5))]
        {
            let left = SignedDuration::from_mins(minutes);
            assert_eq!(step(of(CredentialKind::Token, Some(8)), left), its, "{minutes}");
        }
    }
}
