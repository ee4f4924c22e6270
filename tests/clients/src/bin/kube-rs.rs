//! Lists, watches, patches and runs a command with kube-rs; see `Stage::check_program`.

use std::{env, path::PathBuf, pin::pin};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{AttachParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tokio::io::AsyncReadExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let file = PathBuf::from(env::var_os("KUBECONFIG").context("no KUBECONFIG")?);
    let namespace = env::var("NAMESPACE")?;
    let kubeconfig = Kubeconfig::read_from(file)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let deployments: Api<Deployment> = Api::namespaced(client, &namespace);

    let bare = pods.list(&ListParams::default().labels("app=bare")).await?;
    let mut names: Vec<String> = bare.iter().map(ResourceExt::name_any).collect();
    names.sort();
    println!("list: {}", names.join(" "));

    if let Err(kube::Error::Api(status)) = pods.get("nope").await {
        println!("missing: {} {}", status.code, status.reason);
    }

    let since = maps.list_metadata(&ListParams::default()).await?.metadata.resource_version;
    let note: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "note"}}))?;
    maps.create(&PostParams::default(), &note).await?;
    let params = WatchParams::default().fields("metadata.name=note");
    let mut events = pin!(maps.watch(&params, &since.unwrap_or_default()).await?);
    print_event(events.next().await)?;
    let labels = Patch::Merge(json!({"metadata": {"labels": {"state": "new"}}}));
    let note = maps.patch("note", &PatchParams::default(), &labels).await?;
    println!("patch: note is {}", note.labels().get("state").context("no label")?);
    print_event(events.next().await)?;

    let replicas = Patch::Merge(json!({"spec": {"replicas": 1}}));
    let scale = deployments.patch_scale("web", &PatchParams::default(), &replicas).await?;
    println!("scale: {}", scale.spec.and_then(|it| it.replicas).unwrap_or_default());

    let command = ["sh", "-c", "echo to stdout; echo to stderr >&2"];
    let params = AttachParams::default().container("c").stdin(false);
    let mut process = pods.exec("web", command, &params).await?;
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout().context("no stdout")?.read_to_string(&mut out).await?;
    process.stderr().context("no stderr")?.read_to_string(&mut err).await?;
    let status = process.take_status().context("no status")?.await.context("no status")?;
    let code = if status.status.as_deref() == Some("Success") { 0 } else { 1 };
    println!("exec: out=`{}` err=`{}` code={code}", out.trim(), err.trim());
    Ok(())
}

fn print_event(event: Option<Result<WatchEvent<ConfigMap>, kube::Error>>) -> Result<()> {
    match event.context("the watch has ended")?? {
        WatchEvent::Added(map) => println!("watch: ADDED {}", map.name_any()),
        WatchEvent::Modified(map) => println!("watch: MODIFIED {}", map.name_any()),
        other => println!("watch: {other:?}"),
    }
    Ok(())
}
