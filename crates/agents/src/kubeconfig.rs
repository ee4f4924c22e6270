//! Kubeconfigs that point at agent-shield: an agent's own with the one change that it needs
//! (`agent kubeconfig`), and the one that `agent create` makes.

use std::time::{Duration, Instant};

use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use upstream::in_words;

use crate::error::KubeconfigError;

/// RBAC is read by API servers as it spreads: so long a new right may take.
const SPREAD_TIME_MAX: Duration = Duration::from_secs(5);
const TRY_EVERY: Duration = Duration::from_millis(200);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Where agents reach agent-shield, and the CA (PEM) that it is known by.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// An `https` URL.
    pub server: String,
    /// The CA; without one, the certificates that the agent's system trusts vouch for it.
    pub ca: Option<Vec<u8>>,
}

/// The kubeconfig of a new agent.
pub fn for_agent(endpoint: &Endpoint, name: &str, namespace: &str, token: &str) -> Value {
    let mut cluster = serde_json::Map::new();
    cluster.insert("server".into(), json!(endpoint.server));
    if let Some(ca) = &endpoint.ca {
        cluster.insert("certificate-authority-data".into(), json!(base64(ca)));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{
            "name": name,
            "context": {"cluster": "agent-shield", "user": name, "namespace": namespace},
        }],
        "clusters": [{"name": "agent-shield", "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
    })
}

/// Reads pods as the agent would, until its rights have spread.
///
/// # Errors
/// What is in the way.
pub async fn try_out(kubeconfig: &Value, namespace: &str) -> Result<(), String> {
    let client = client_of(kubeconfig).await.map_err(|error| in_words(&*error))?;
    let started = Instant::now();
    loop {
        let pods = http::Request::get(format!("/api/v1/namespaces/{namespace}/pods?limit=1"))
            .body(Vec::new())
            .map_err(|error| error.to_string())?;
        match client.request::<Value>(pods).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if started.elapsed() > SPREAD_TIME_MAX => {
                return Err(status.message.clone());
            }
            Err(kube::Error::Api(_)) => tokio::time::sleep(TRY_EVERY).await,
            Err(error) => return Err(in_words(&error)),
        }
    }
}

async fn client_of(kubeconfig: &Value) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let kubeconfig: Kubeconfig = serde_json::from_value(kubeconfig.clone())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.connect_timeout = Some(CONNECT_TIME_MAX);
    config.read_timeout = Some(CONNECT_TIME_MAX);
    Ok(Client::try_from(config)?)
}

/// Replaces server and CA of the cluster that the context uses; everything else stays. The second
/// answer warns of what will not work.
///
/// # Errors
/// Where no cluster is meant.
pub fn rewrite(
    mut kubeconfig: Value,
    endpoint: &Endpoint,
    context: Option<&str>,
) -> Result<(Value, Option<String>), KubeconfigError> {
    let current = context
        .map(str::to_owned)
        .or_else(|| kubeconfig.get("current-context")?.as_str().map(str::to_owned))
        .ok_or(KubeconfigError::NoCurrentContext)?;
    let context = entry_named(&kubeconfig, "contexts", &current)
        .and_then(|it| it.get("context"))
        .ok_or_else(|| KubeconfigError::NoContext(current.clone()))?;
    let text =
        |field: &str| context.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (cluster_name, user_name) = (text("cluster"), text("user"));
    let user = entry_named(&kubeconfig, "users", &user_name).and_then(|it| it.get("user"));
    let has_certificate = user.is_some_and(|user| {
        user.get("client-certificate").or(user.get("client-certificate-data")).is_some()
    });
    let warning = has_certificate.then(|| {
        format!(
            "user `{user_name}` authenticates with a client certificate: agent-shield must be \
             allowed to act in its name (`agent-shield rbac own --certificate-user NAME`)"
        )
    });
    let clusters = kubeconfig.get_mut("clusters").and_then(Value::as_array_mut);
    let cluster = clusters
        .into_iter()
        .flatten()
        .find(|it| it.get("name").and_then(Value::as_str) == Some(&cluster_name))
        .and_then(|it| it.get_mut("cluster"))
        .and_then(Value::as_object_mut)
        .ok_or_else(|| KubeconfigError::NoCluster(cluster_name.clone()))?;
    cluster.insert("server".into(), json!(endpoint.server));
    // They say how to trust and reach the old server.
    for field in [
        "certificate-authority",
        "certificate-authority-data",
        "insecure-skip-tls-verify",
        "tls-server-name",
    ] {
        cluster.remove(field);
    }
    if let Some(ca) = &endpoint.ca {
        cluster.insert("certificate-authority-data".into(), json!(base64(ca)));
    }
    Ok((kubeconfig, warning))
}

fn entry_named<'a>(kubeconfig: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
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
    fn changes_server_and_ca_alone() -> Result<(), KubeconfigError> {
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
        let endpoint = Endpoint { server: "https://shield".into(), ca: Some(b"ca".to_vec()) };
        let (got, warning) = rewrite(kubeconfig.clone(), &endpoint, None)?;
        let mut want = kubeconfig.clone();
        want["clusters"][0]["cluster"] = json!({
            "server": "https://shield", "certificate-authority-data": "Y2E=", "proxy-url": "http://p"
        });
        assert_eq!(got, want);
        assert_eq!(warning, None);

        let mut certificate = kubeconfig.clone();
        certificate["users"][0]["user"] = json!({"client-certificate": "/c"});
        assert!(rewrite(certificate, &endpoint, None)?.1.is_some());
        assert!(rewrite(kubeconfig, &endpoint, Some("y")).is_err());
        Ok(())
    }
}
