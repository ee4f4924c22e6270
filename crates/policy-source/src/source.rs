//! Where the policies of a running proxy come from: files, and objects of the cluster.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use policy::{Compiled, Documents, Issue, Pack, Source};
use serde_json::Value;
use text::causes;
use upstream::{ControlClient, PolicyObject, PolicyObjects, Version};

use crate::{
    events::FileEvents,
    files,
    kinds::{ClusterKinds, blocking},
};

/// Files and objects, and the cluster whose kinds they are about.
pub struct PolicySource {
    paths: Vec<PathBuf>,
    objects: Option<PolicyObjects>,
    kinds: ClusterKinds,
}

/// Changes whenever a policy does.
pub(crate) type Fingerprint = (files::Fingerprint, Vec<Version>);

/// A set as it was read.
pub(crate) struct Loaded {
    /// The set, or everything that is wrong with it.
    pub(crate) set: Result<Set, Vec<Issue>>,
    /// The objects among what it was made from.
    pub(crate) objects: Vec<PolicyObject>,
}

/// A set that can be in force.
pub(crate) struct Set {
    pub(crate) pack: Pack,
    /// The names of what it was made from.
    pub(crate) names: Vec<String>,
    pub(crate) warnings: Vec<Issue>,
}

impl PolicySource {
    /// These files, and the objects of the cluster where they are followed.
    pub fn new(paths: Vec<PathBuf>, objects: Option<PolicyObjects>, own: ControlClient) -> Self {
        Self { paths, objects, kinds: ClusterKinds::new(own) }
    }

    /// Whether nothing of it can change.
    pub(crate) fn is_fixed(&self) -> bool {
        self.paths.is_empty() && self.objects.is_none()
    }

    pub(crate) fn objects(&self) -> Option<&PolicyObjects> {
        self.objects.as_ref()
    }

    /// What is there, and what looking cost.
    pub(crate) async fn look(&self) -> (Fingerprint, Duration) {
        let (paths, objects) = (self.paths.clone(), self.objects.clone());
        let look = move || {
            let started = Instant::now();
            let versions = objects.map(|it| it.versions()).unwrap_or_default();
            ((files::fingerprint(&paths), versions), started.elapsed())
        };
        // A disk may be slow, and agents' writes are judged on these threads.
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Changes of its files from now on.
    pub(crate) async fn file_events(&self) -> FileEvents {
        let paths = self.paths.clone();
        let watch = blocking(move || Ok(FileEvents::watch(&paths))).await;
        watch.unwrap_or_else(|_| FileEvents::watch(&[]))
    }

    /// Waits until something of it may have changed.
    pub(crate) async fn changed(&self, files: &FileEvents) {
        let objects = async {
            match &self.objects {
                Some(objects) => objects.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = files.changed() => {}
            () = objects => {}
        }
    }

    /// Reads and compiles the set.
    pub(crate) async fn load(&mut self, own_namespace: &str) -> Loaded {
        let objects = self.objects.as_ref().map(PolicyObjects::all).unwrap_or_default();
        let set = self.compiled(&objects, own_namespace.to_owned()).await;
        Loaded { set, objects }
    }

    async fn compiled(
        &mut self,
        objects: &[PolicyObject],
        own_namespace: String,
    ) -> Result<Set, Vec<Issue>> {
        let of_cluster: Vec<Source> = objects.iter().map(source).collect();
        let paths = self.paths.clone();
        let read = move || {
            let mut sources = files::read_all(&paths).map_err(|error| causes(&error))?;
            sources.extend(of_cluster);
            let names: Vec<String> = sources.iter().map(|it| it.name.clone()).collect();
            Ok((Documents::read(&sources, Timestamp::now()), names))
        };
        let (documents, names) = blocking(read).await.map_err(whole)?;
        let kinds = self.kinds.read_for(&documents).await.unwrap_or_else(|error| {
            let why = causes(&error);
            tracing::warn!(why, "fields in policies are not checked: the API server does not say what its objects look like");
            Arc::default()
        });
        // Compiling takes a thread for milliseconds.
        let compiled = blocking(move || Ok(documents.compile(&kinds))).await.map_err(whole)?;
        let Compiled { pack, warnings } = compiled?;
        Ok(Set { pack: pack.guarding(&own_namespace), names, warnings })
    }
}

/// What is wrong with a set as a whole.
fn whole(message: String) -> Vec<Issue> {
    vec![Issue::of_set(message)]
}

/// An object as if it stood in a file.
fn source(object: &PolicyObject) -> Source {
    Source { name: object.name.clone(), text: written(&object.document) }
}

/// As YAML, whose lines an issue can name; as JSON where that would say something else.
fn written(document: &Value) -> String {
    let is_same = |yaml: &String| {
        let read: Option<Value> = serde_saphyr::from_str(yaml).ok();
        !yaml.contains("\n---") && read.as_ref() == Some(document)
    };
    let yaml = serde_saphyr::to_string(document).ok();
    yaml.filter(is_same).unwrap_or_else(|| format!("{document:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_objects_as_lines_that_say_the_same() {
        let table = [
            "object.spec.replicas > 0",
            "a &&\n  b\n---\nkind: Policy\n",
            "---\nx",
            "yes",
            "1.0",
            "'quoted' \"twice\" # no comment",
            "\u{1b}[31m\u{7f}\u{2028}\u{feff}",
        ];
        for when in table {
            let document = serde_json::json!({"kind": "Policy", "spec": {"rules": [{"when": when, "n": 1.0, "i": 1}]}});
            let text = written(&document);
            let read: Value = serde_saphyr::from_str(&text).expect("YAML");
            assert_eq!(read, document, "{text}");
            assert!(!text.contains("\n---"), "{text}");
        }
    }
}
