//! What making an agent asks of the cluster beside its objects: where it is at home, whether its
//! namespaces exist, and a token for it.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::api::PostParams;

use crate::{
    cluster::{Cluster, code, describe_object, place},
    error::AgentsError,
    manifests::{AgentId, Wanted, remembered},
};

/// The home of the agent that is meant: one that has to do with these namespaces, or a new one.
///
/// # Errors
/// Where others may have chosen the same name: an agent is never taken from them by accident.
pub async fn find_home(
    cluster: &Cluster,
    name: &str,
    namespaces: &[String],
) -> Result<String, AgentsError> {
    let agents = cluster.agents_named(name).await?;
    let homes: Vec<String> = agents.iter().map(|it| place(it).0).collect();
    let is_meant = |it: &&ServiceAccount| {
        namespaces.contains(&place(*it).0)
            || remembered(it).1.iter().any(|it| namespaces.contains(it))
    };
    let meant: Vec<&ServiceAccount> = agents.iter().filter(is_meant).collect();
    match (meant.as_slice(), homes.as_slice()) {
        ([agent], _) => Ok(place(*agent).0),
        // A new agent lives where it works, so that whoever owns the namespace sees it.
        ([], []) => Ok(namespaces.first().cloned().unwrap_or_default()),
        _ => Err(AgentsError::NameTaken { name: name.to_owned(), homes: homes.join(", ") }),
    }
}

/// Says which of an agent's namespaces do not exist, all at once.
///
/// # Errors
/// [`AgentsError::NoNamespaces`] with these; what the API server refused otherwise.
pub async fn check_namespaces(cluster: &Cluster, wanted: &Wanted) -> Result<(), AgentsError> {
    let api = cluster.all::<Namespace>();
    let mut missing = Vec::new();
    let names: BTreeSet<&String> = wanted.namespaces.iter().chain([&wanted.id.home]).collect();
    for name in names {
        // One by one: an operator may read some namespaces and not list them all.
        match api.get_metadata(name).await {
            Ok(_) => {}
            Err(error) if code(&error) == Some(404) => missing.push(format!("`{name}`")),
            Err(error) => return Err(cluster.explain(&format!("read Namespace `{name}`"), error)),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(AgentsError::NoNamespaces(missing)) }
}

/// A new token, and until when it is valid: the API server may shorten it.
///
/// # Errors
/// Where the API server makes none.
pub async fn make_token(
    cluster: &Cluster,
    id: &AgentId,
    time: Duration,
) -> Result<(String, Timestamp), AgentsError> {
    let seconds = i64::try_from(time.as_secs()).ok();
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: seconds, ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let api = cluster.api::<ServiceAccount>(&id.home);
    let answer = api.create_token_request(&id.name, &PostParams::default(), &request).await;
    let what = format!("make a token of {}", describe_object::<ServiceAccount>(&id.home, &id.name));
    let status = answer.map_err(|error| cluster.explain(&what, error))?.status;
    let status = status.ok_or(AgentsError::NoToken)?;
    Ok((status.token, status.expiration_timestamp.0))
}
