//! Labels of every namespace, from a watch, with a fresh GET where the watch cannot tell.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use effects::{ClassConfig, NamespaceClass};
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::{
    Api,
    runtime::{WatchStreamExt, reflector, watcher},
};
use memory::Memory;

use crate::{control::ControlClient, no_answer::NoAnswer, own_error::in_words};

type Meta = PartialObjectMeta<Namespace>;

/// How each namespace is classed, now.
#[derive(Clone)]
pub struct Namespaces {
    own: ControlClient,
    config: Arc<ClassConfig>,
    store: reflector::Store<Meta>,
    /// Has each as it was last seen, also those that are gone.
    memory: Arc<dyn Memory>,
}

impl Namespaces {
    /// Starts from nothing; the returned future follows the cluster and runs until it is dropped.
    pub fn watch(
        own: ControlClient,
        config: ClassConfig,
        memory: Arc<dyn Memory>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (store, writer) = reflector::store();
        let api: Api<Meta> = Api::all(own.client());
        let stream = reflector(writer, watcher(api, watcher::Config::default()))
            .default_backoff()
            .touched_objects();
        let namespaces = Self { own, config: Arc::new(config), store, memory };
        let following = namespaces.clone();
        let follow = async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(event) = stream.next().await {
                match event {
                    Ok(namespace) => following.remember(&namespace),
                    Err(error) => {
                        let error = in_words(&error);
                        tracing::warn!(
                            error,
                            "the watch on namespaces broke; it is taken up again"
                        );
                    }
                }
            }
        };
        (namespaces, follow)
    }

    /// Waits for the first whole list, but not for longer than `time_max`.
    pub async fn ready(&self, time_max: Duration) -> bool {
        matches!(tokio::time::timeout(time_max, self.store.wait_until_ready()).await, Ok(Ok(())))
    }

    /// The class of one namespace for judging a write in it. A fresh GET decides; the watch may
    /// only add strictness, so a label that somebody takes away counts until the watch agrees.
    /// What cannot be looked up is protected and production; with how the API server did not answer, if
    /// that is why.
    pub async fn class(&self, name: &str) -> (NamespaceClass, Option<NoAnswer>) {
        let watched = self.known(name);
        let (fresh, no_answer) = match self.own.namespace_labels(name).await {
            Ok(labels) => (self.of(name, labels.as_ref()), None),
            Err(error) => {
                tracing::warn!(namespace = name, %error, "a namespace could not be looked up");
                let class = NamespaceClass::unknown("could not be looked up");
                (class, NoAnswer::to_own(&error))
            }
        };
        let class = match watched {
            Some(watched) => stricter(fresh, watched),
            None => fresh,
        };
        (class, no_answer)
    }

    /// The class of one namespace by the watch alone; `None` where it knows none.
    pub fn known(&self, name: &str) -> Option<NamespaceClass> {
        self.watched(name).map(|labels| self.of(name, Some(&labels)))
    }

    /// How a namespace of this name was classed when it was last seen, also where it is gone; `None`
    /// where none was seen. What cannot be remembered counts as the worst.
    pub async fn last(&self, name: &str) -> Option<NamespaceClass> {
        self.memory.namespace(name).await.unwrap_or_else(|error| {
            tracing::warn!(namespace = name, %error, "what a namespace was is not known");
            Some(NamespaceClass::unknown("could not be remembered"))
        })
    }

    fn remember(&self, namespace: &Meta) {
        let Some(name) = &namespace.metadata.name else { return };
        let labels = namespace.metadata.labels.clone().unwrap_or_default();
        self.memory.saw_namespace(name, self.of(name, Some(&labels)));
    }

    /// Every namespace that the watch knows, by name.
    pub fn all(&self) -> Vec<(String, NamespaceClass)> {
        let mut all: Vec<_> = self
            .store
            .state()
            .iter()
            .filter_map(|namespace| {
                let name = namespace.metadata.name.clone()?;
                let labels = namespace.metadata.labels.clone().unwrap_or_default();
                let class = self.of(&name, Some(&labels));
                Some((name, class))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// What the class is made with.
    pub fn config(&self) -> &ClassConfig {
        &self.config
    }

    fn of(&self, name: &str, labels: Option<&BTreeMap<String, String>>) -> NamespaceClass {
        NamespaceClass::of(name, labels, &self.config)
    }

    fn watched(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let found = self.store.get(&reflector::ObjectRef::new(name))?;
        Some(found.metadata.labels.clone().unwrap_or_default())
    }
}

/// Protected or production in either reading is so in the answer.
fn stricter(fresh: NamespaceClass, watched: NamespaceClass) -> NamespaceClass {
    if fresh.protected >= watched.protected && fresh.production >= watched.production {
        return fresh;
    }
    NamespaceClass {
        protected: fresh.protected || watched.protected,
        production: fresh.production || watched.production,
        signs: watched.signs,
        labels: fresh.labels,
    }
}
