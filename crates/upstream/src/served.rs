//! Who answers for a resource: the API server itself, or another server behind it.
//!
//! An aggregated API may take a dry run for real, and one of its reads may be a console. The path does not
//! tell; the APIService of a group's version does, and the CustomResourceDefinition of a resource.

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, CustomResourceDefinitionVersion,
    },
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, ResourceExt};

use crate::{
    control::{ControlClient, is_label, within},
    own_error::OwnError,
};

/// Who answers for a resource that Kubernetes does not serve itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Served {
    /// The API server, which stores each object as whoever reads it sees it: its dry run tells what would
    /// be. In which state of both definitions that is so.
    Stored(DefinedBy),
    /// The API server, and what it says in a dry run may not be all: it converts objects, or has no
    /// definition of them. Also a version that nobody has registered.
    Itself,
    /// Another server.
    Elsewhere,
}

/// The state of an APIService and of a CustomResourceDefinition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DefinedBy {
    service: (String, String),
    definition: (String, i64),
}

impl ControlClient {
    /// Whether the API server itself serves a version of a group (empty: core), built in or of
    /// CustomResourceDefinitions, and nobody else does in its place: its APIService names no Service. `None`
    /// where there is no such version.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer, or the proxy may not read it.
    pub async fn serves_itself(
        &self,
        group: &str,
        version: &str,
    ) -> Result<Option<bool>, OwnError> {
        Ok(self.api_service(group, version).await?.as_ref().map(is_local))
    }

    /// Who answers for a resource, by its plural name, asked now.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer, or the proxy may not read it.
    pub async fn served(
        &self,
        group: &str,
        version: &str,
        resource: &str,
    ) -> Result<Served, OwnError> {
        let (service, definition) =
            tokio::try_join!(self.api_service(group, version), self.definition(group, resource))?;
        let Some(service) = service else { return Ok(Served::Itself) };
        if !is_local(&service) {
            return Ok(Served::Elsewhere);
        }
        let stored = definition.filter(|it| is_settled(&service) && tells_all(it, version));
        Ok(stored.map_or(Served::Itself, |it| Served::Stored(DefinedBy::new(&service, &it))))
    }

    async fn api_service(
        &self,
        group: &str,
        version: &str,
    ) -> Result<Option<APIService>, OwnError> {
        // An agent's words must not become another path that we ask for.
        if !is_label(version) || !is_group(group) && !group.is_empty() {
            return Ok(None);
        }
        let api: Api<APIService> = Api::all(self.client());
        within(api.get_opt(&format!("{version}.{group}"))).await
    }

    async fn definition(
        &self,
        group: &str,
        resource: &str,
    ) -> Result<Option<CustomResourceDefinition>, OwnError> {
        if !is_label(resource) || !is_group(group) {
            return Ok(None);
        }
        let api: Api<CustomResourceDefinition> = Api::all(self.client());
        within(api.get_opt(&format!("{resource}.{group}"))).await
    }
}

impl DefinedBy {
    fn new(service: &APIService, definition: &CustomResourceDefinition) -> Self {
        let uid = |it: Option<String>| it.unwrap_or_default();
        Self {
            service: (uid(service.uid()), service.resource_version().unwrap_or_default()),
            // Its status is written at any time.
            definition: (uid(definition.uid()), definition.metadata.generation.unwrap_or_default()),
        }
    }
}

fn is_group(group: &str) -> bool {
    group.split('.').all(is_label)
}

fn is_local(service: &APIService) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.service.is_none())
}

/// Whether the API server has taken in that the APIService is local. It says so itself
/// (k8s.io/kube-aggregator, `NewLocalAvailableAPIServiceCondition`); until then it may still ask the Service
/// of before.
fn is_settled(service: &APIService) -> bool {
    let conditions = service.status.iter().flat_map(|it| it.conditions.iter().flatten());
    conditions.into_iter().any(|it| {
        it.type_ == "Available" && it.status == "True" && it.reason.as_deref() == Some("Local")
    })
}

/// Whether objects are read and written in a version as they are stored, so that nothing of them differs
/// unseen. A webhook that converts may say anything. Without one, what the schema of a version does not
/// have is left out as soon as an object is read or written in it: every version that objects are stored
/// in must have the same.
fn tells_all(definition: &CustomResourceDefinition, version: &str) -> bool {
    let spec = &definition.spec;
    let converts = spec.conversion.as_ref().is_some_and(|it| it.strategy != "None");
    let named = |name: &str| spec.versions.iter().find(|it| it.name == name);
    let Some(served) = named(version).filter(|it| it.served) else { return false };
    let is_alike = |it: &CustomResourceDefinitionVersion| it.schema == served.schema;
    let stored = definition.status.as_ref().and_then(|it| it.stored_versions.as_ref());
    let mut stored = stored.into_iter().flatten();
    let storage = spec.versions.iter().find(|it| it.storage);
    !converts
        && storage.is_some_and(is_alike)
        && stored.all(|name| named(name).is_some_and(is_alike))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn definition(versions: Value, conversion: Value, stored: Value) -> CustomResourceDefinition {
        serde_json::from_value(json!({
            "metadata": {"name": "things.ex.io"},
            "spec": {
                "group": "ex.io", "scope": "Namespaced",
                "names": {"kind": "Thing", "plural": "things"},
                "versions": versions, "conversion": conversion,
            },
            "status": {"storedVersions": stored},
        }))
        .expect("a definition")
    }

    #[test]
    fn believes_a_dry_run_of_what_is_stored_as_it_is_read() {
        let version = |name: &str, storage: bool, field: &str| {
            let schema = json!({"type": "object", "properties": {field: {"type": "string"}}});
            json!({"name": name, "served": true, "storage": storage,
                "schema": {"openAPIV3Schema": schema}})
        };
        let one = json!([version("v1", true, "a")]);
        let alike = json!([version("v1", false, "a"), version("v2", true, "a")]);
        let unlike = json!([version("v1", false, "a"), version("v2", true, "b")]);
        let mut unserved = one.clone();
        unserved[0]["served"] = json!(false);
        let none = json!({"strategy": "None"});
        let webhook = json!({"strategy": "Webhook"});
        let table = [
            (&one, &none, json!(["v1"]), "v1", true),
            (&one, &Value::Null, json!(["v1"]), "v1", true),
            (&one, &none, json!(["v1"]), "v2", false),
            (&unserved, &none, json!(["v1"]), "v1", false),
            (&one, &webhook, json!(["v1"]), "v1", false),
            // Some object may be stored in a version that is no more.
            (&one, &none, json!(["v0", "v1"]), "v1", false),
            (&alike, &none, json!(["v1", "v2"]), "v1", true),
            (&unlike, &none, json!(["v2"]), "v2", true),
            (&unlike, &none, json!(["v2"]), "v1", false),
            (&unlike, &none, json!(["v1", "v2"]), "v2", false),
        ];
        for (row, (versions, conversion, stored, version, want)) in table.into_iter().enumerate() {
            let definition = definition(versions.clone(), conversion.clone(), stored);
            assert_eq!(tells_all(&definition, version), want, "row {row}");
        }
    }

    #[test]
    fn waits_until_the_api_server_serves_itself() {
        let service = |spec: Value, reason: &str| -> APIService {
            let conditions = [json!({"type": "Available", "status": "True", "reason": reason})];
            serde_json::from_value(json!({
                "metadata": {"name": "v1.ex.io"}, "spec": spec,
                "status": {"conditions": conditions},
            }))
            .expect("an APIService")
        };
        let local = json!({"groupPriorityMinimum": 1, "versionPriority": 1});
        let mut behind = local.clone();
        behind["service"] = json!({"name": "s", "namespace": "n"});
        let table = [
            (service(local.clone(), "Local"), true, true),
            (service(local, "Passed"), true, false),
            (service(behind.clone(), "Passed"), false, false),
            (service(behind, "Local"), false, true),
        ];
        for (row, (service, local, settled)) in table.into_iter().enumerate() {
            assert_eq!((is_local(&service), is_settled(&service)), (local, settled), "row {row}");
        }
    }
}
