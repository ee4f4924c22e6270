//! What the API server calls its resources: plural, singular, kind and short names, in one question for the
//! core group and one for the others (aggregated discovery, KEP-3352).

use serde_json::Value;

use crate::{
    control::{ControlClient, within},
    own_error::OwnError,
};

/// Both versions of the aggregated form; an API server that has neither answers without resources.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// By what a resource is called.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ResourceNames {
    /// Empty for the core group.
    pub group: String,
    /// As it stands in paths.
    pub plural: String,
    /// `deployment`, `Deployment`, `deploy`: in small letters.
    pub others: Vec<String>,
}

impl ControlClient {
    /// What the API server serves now, each by all of its names; none where it is too old to tell.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer.
    pub async fn resources(&self) -> Result<Vec<ResourceNames>, OwnError> {
        let mut found = Vec::new();
        for target in ["/api", "/apis"] {
            let request = http::Request::get(target)
                .header(http::header::ACCEPT, ACCEPT)
                .body(Vec::new())
                .map_err(kube::Error::HttpError)?;
            let text = within(self.client().request_text(request)).await?;
            let document: Value = serde_json::from_str(&text).map_err(kube::Error::SerdeError)?;
            found.extend(names_in(&document));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// The resources of an `APIGroupDiscoveryList`.
fn names_in(document: &Value) -> Vec<ResourceNames> {
    let list = |of: &Value, field: &str| -> Vec<Value> {
        of.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let text = |of: &Value, at: &str| {
        of.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut found = Vec::new();
    for group in list(document, "items") {
        let name = text(&group, "/metadata/name");
        for resource in list(&group, "versions").iter().flat_map(|it| list(it, "resources")) {
            let plural = text(&resource, "/resource");
            let short = list(&resource, "shortNames");
            let short = short.iter().filter_map(Value::as_str).map(str::to_owned);
            let own = [text(&resource, "/singularResource"), text(&resource, "/responseKind/kind")];
            let mut others: Vec<String> =
                own.into_iter().chain(short).map(|it| it.to_lowercase()).collect();
            others.retain(|it| !it.is_empty() && *it != plural);
            others.sort();
            others.dedup();
            if !plural.is_empty() {
                found.push(ResourceNames { group: name.clone(), plural, others });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_every_name_of_a_resource() {
        let document = json!({"kind": "APIGroupDiscoveryList", "items": [
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [{
                "resource": "deployments", "responseKind": {"kind": "Deployment"},
                "singularResource": "deployment", "shortNames": ["deploy"],
            }]}]},
            {"metadata": {}, "versions": [{"version": "v1", "resources": [{"resource": "pods"}]}]},
        ]});
        let names: Vec<String> = names_in(&document)
            .iter()
            .map(|it| format!("{}.{} {}", it.plural, it.group, it.others.join(",")))
            .collect();
        assert_eq!(names, ["deployments.apps deploy,deployment", "pods. "]);
        assert!(names_in(&json!({"kind": "APIGroupList", "groups": []})).is_empty());
    }
}
