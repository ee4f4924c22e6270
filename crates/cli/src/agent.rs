//! `agent kubeconfig`: the one change that an agent's kubeconfig needs.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use crate::{client::Connection, tls};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Rewrite a kubeconfig so that it points at agent-shield: server and CA, nothing else.
    #[command(
        after_help = "Examples:\n  agent-shield agent kubeconfig --kubeconfig agent.yaml --server https://shield:8443 --ca ca.crt --out agent-shielded.yaml"
    )]
    Kubeconfig {
        /// Where to write it; standard output by default.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(crate) fn run(command: AgentCommand, connection: &Connection) -> Result<()> {
    let AgentCommand::Kubeconfig { out } = command;
    let file =
        connection.kubeconfig.as_ref().context("give the agent's kubeconfig with --kubeconfig")?;
    let server = connection
        .server
        .as_ref()
        .context("give the URL that agents use with --server (`agent` in endpoints.json)")?;
    let ca = connection
        .ca
        .as_ref()
        .context("give agent-shield's ca.crt (in its data directory) with --ca")?;
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let kubeconfig: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a kubeconfig", file.display()))?;
    let ca = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    let (kubeconfig, warning) = rewrite(kubeconfig, server, &ca, connection.context.as_deref())?;
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    let yaml = serde_saphyr::to_string(&kubeconfig)?;
    match out {
        // It holds the agent's credential.
        Some(path) => tls::write_private(&path, yaml.as_bytes(), 0o600),
        None => {
            print!("{yaml}");
            Ok(())
        }
    }
}

/// Replaces server and CA of the cluster that the context uses; everything else stays. The second
/// answer warns of what will not work.
fn rewrite(
    mut kubeconfig: Value,
    server: &str,
    ca: &[u8],
    context: Option<&str>,
) -> Result<(Value, Option<String>)> {
    let current = context
        .map(str::to_owned)
        .or_else(|| kubeconfig.get("current-context")?.as_str().map(str::to_owned))
        .context("the kubeconfig has no current-context: give --context")?;
    let context = named(&kubeconfig, "contexts", &current)
        .and_then(|it| it.get("context"))
        .with_context(|| format!("the kubeconfig has no context `{current}`"))?;
    let text =
        |field: &str| context.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (cluster_name, user_name) = (text("cluster"), text("user"));
    let user = named(&kubeconfig, "users", &user_name).and_then(|it| it.get("user"));
    let has_certificate = user.is_some_and(|user| {
        user.get("client-certificate").or(user.get("client-certificate-data")).is_some()
    });
    let warning = has_certificate.then(|| {
        format!(
            "user `{user_name}` authenticates with a client certificate, which does not cross a \
             proxy: give the agent a ServiceAccount token instead"
        )
    });
    let clusters = kubeconfig.get_mut("clusters").and_then(Value::as_array_mut);
    let cluster = clusters
        .into_iter()
        .flatten()
        .find(|it| it.get("name").and_then(Value::as_str) == Some(&cluster_name))
        .and_then(|it| it.get_mut("cluster"))
        .and_then(Value::as_object_mut)
        .with_context(|| format!("the kubeconfig has no cluster `{cluster_name}`"))?;
    if !server.starts_with("https://") {
        bail!("`{server}` is not an https URL: kubectl sends no token over http");
    }
    cluster.insert("server".into(), json!(server));
    cluster.insert("certificate-authority-data".into(), json!(base64(ca)));
    // They say how to trust and reach the old server.
    for field in ["certificate-authority", "insecure-skip-tls-verify", "tls-server-name"] {
        cluster.remove(field);
    }
    Ok((kubeconfig, warning))
}

fn named<'a>(kubeconfig: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    let items = kubeconfig.get(list)?.as_array()?;
    items.iter().find(|it| it.get("name").and_then(Value::as_str) == Some(name))
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_server_and_ca_alone() -> Result<()> {
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "n"}}],
            "clusters": [
                {"name": "c", "cluster": {
                    "server": "https://old", "certificate-authority": "/x", "proxy-url": "http://p"
                }},
                {"name": "d", "cluster": {"server": "https://other"}},
            ],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        let (got, warning) = rewrite(kubeconfig.clone(), "https://shield", b"ca", None)?;
        let mut want = kubeconfig.clone();
        want["clusters"][0]["cluster"] = json!({
            "server": "https://shield", "certificate-authority-data": "Y2E=", "proxy-url": "http://p"
        });
        assert_eq!(got, want);
        assert_eq!(warning, None);

        let mut certificate = kubeconfig.clone();
        certificate["users"][0]["user"] = json!({"client-certificate": "/c"});
        assert!(rewrite(certificate, "https://s", b"", None)?.1.is_some());
        assert!(rewrite(kubeconfig.clone(), "http://s", b"", None).is_err());
        assert!(rewrite(kubeconfig, "https://s", b"", Some("y")).is_err());
        Ok(())
    }
}
