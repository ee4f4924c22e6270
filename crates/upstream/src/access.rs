//! One right, as RBAC names it.

use k8s_openapi::api::authorization::v1::ResourceAttributes;

/// One right, as RBAC names it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// `get`, `approve`, …
    pub verb: String,
    /// Empty for the core group.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for all of them.
    pub subresource: String,
    /// Empty for all namespaces.
    pub namespace: String,
    /// Empty for all names.
    pub name: String,
}

impl Access {
    /// As RBAC writes it: `deployments`, `deployments/scale`.
    pub fn path(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

impl From<&Access> for ResourceAttributes {
    fn from(access: &Access) -> Self {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        Self {
            verb: some(&access.verb),
            group: some(&access.group),
            resource: some(&access.resource),
            subresource: some(&access.subresource),
            namespace: some(&access.namespace),
            name: some(&access.name),
            ..Self::default()
        }
    }
}
