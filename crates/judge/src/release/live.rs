//! Whether the objects of a release are as one of its revisions says, by the API server's own dry run:
//! applying what it says would change nothing.

use std::collections::BTreeMap;

use attributes::Attributes;
use bytes::Bytes;
use effects::about::ReleaseDoubt;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;
use upstream::Probe;

use super::manifest::Document;
use crate::{call::Write, left::remove_bookkeeping, view::ClusterView};

const APPLY: HeaderValue = HeaderValue::from_static("application/apply-patch+yaml");

/// Looks at the objects of one release.
pub(super) struct LiveObjects<'a> {
    view: &'a ClusterView,
    write: &'a Write,
    /// What each version of an API serves.
    served: BTreeMap<String, Value>,
}

/// Where an object is.
struct Place {
    target: String,
    is_builtin: bool,
}

impl<'a> LiveObjects<'a> {
    pub(super) fn new(view: &'a ClusterView, write: &'a Write) -> Self {
        Self { view, write, served: BTreeMap::new() }
    }

    /// Whether each object is as it is said to be.
    pub(super) async fn are(&mut self, documents: &[Document]) -> Result<(), ReleaseDoubt> {
        for document in documents {
            let place = self.place(document).await?;
            let not_live = || ReleaseDoubt::NotLive(document.title());
            // What others serve might take a dry run for real.
            let applied = match place.is_builtin {
                true => self.applied(&place.target, document).await,
                false => None,
            };
            let applied = applied.ok_or_else(not_live)?;
            let live = self.read(&place.target).await?.ok_or_else(not_live)?;
            if said_in(live) != said_in(applied) {
                return Err(not_live());
            }
        }
        Ok(())
    }

    /// Whether none of them is there.
    pub(super) async fn are_gone(&mut self, documents: &[Document]) -> Result<(), ReleaseDoubt> {
        for document in documents {
            let place = self.place(document).await?;
            if self.read(&place.target).await?.is_some() {
                return Err(ReleaseDoubt::NotLive(document.title()));
            }
        }
        Ok(())
    }

    /// The object as it would be after what is said of it is applied once more.
    async fn applied(&self, target: &str, document: &Document) -> Option<Value> {
        let target = format!("{target}?fieldManager=agent-shield&force=true");
        let attributes: Attributes =
            attributes::read(&Method::PATCH, &target, &HeaderMap::new()).ok()?;
        let body = Bytes::from(document.text.clone());
        let probe = Probe::dry_run(&attributes, Some(APPLY), body)?;
        let answer = self.view.ask(self.write, probe, true).await.ok()?;
        // 201: there is none.
        answer.json.filter(|_| answer.status == StatusCode::OK)
    }

    /// `None` where there is no such object.
    async fn read(&self, target: &str) -> Result<Option<Value>, ReleaseDoubt> {
        match self.view.read_as_agent(self.write, target).await {
            Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            Ok(answer) if answer.status.is_success() => {
                answer.json.map(Some).ok_or(ReleaseDoubt::Unseen)
            }
            _ => Err(ReleaseDoubt::Unseen),
        }
    }

    async fn place(&mut self, document: &Document) -> Result<Place, ReleaseDoubt> {
        let prefix = match document.api_version.as_str() {
            "v1" => "/api/v1".to_owned(),
            version => format!("/apis/{version}"),
        };
        if !self.served.contains_key(&prefix) {
            let list = self.read(&prefix).await?.ok_or(ReleaseDoubt::Unseen)?;
            self.served.insert(prefix.clone(), list);
        }
        let resources = self.served.get(&prefix).and_then(|it| it.get("resources")?.as_array());
        let text = |it: &'_ Value, field: &str| {
            it.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let is_it =
            |it: &&Value| text(it, "kind") == document.kind && !text(it, "name").contains('/');
        let resource = resources.into_iter().flatten().find(is_it).ok_or(ReleaseDoubt::Unseen)?;
        let (plural, name) = (text(resource, "name"), &document.name);
        let namespace = match (document.namespace.as_str(), &self.write.attributes().namespace) {
            ("", of_release) => of_release.as_str(),
            (other, _) => other,
        };
        let target = match resource.get("namespaced").and_then(Value::as_bool) {
            Some(true) => format!("{prefix}/namespaces/{namespace}/{plural}/{name}"),
            Some(false) => format!("{prefix}/{plural}/{name}"),
            None => return Err(ReleaseDoubt::Unseen),
        };
        let [group, ..] = document.identity();
        Ok(Place { target, is_builtin: effects::is_builtin(group, &plural) })
    }
}

/// What of an object is said by whoever writes it.
fn said_in(mut object: Value) -> String {
    remove_bookkeeping(&mut object);
    effects::canonical(&object)
}
