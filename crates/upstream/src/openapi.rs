//! The API server's OpenAPI v3 documents: what its objects look like.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{control::ControlClient, own_error::OwnError};

/// Where the documents of all groups are listed.
const INDEX: &str = "/openapi/v3";

/// What an API server serves.
#[derive(Clone, Debug, Default)]
pub struct OpenApi {
    /// Every API group, `""` for the core.
    pub groups: BTreeSet<String>,
    /// Where the documents of each version of a group are; an address names their content, too.
    addresses: BTreeMap<String, String>,
}

impl ControlClient {
    /// What the API server serves now.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer.
    pub async fn openapi(&self) -> Result<OpenApi, OwnError> {
        let index = self.read(INDEX).await?;
        let mut openapi = OpenApi::default();
        for (path, listed) in index.get("paths").and_then(Value::as_object).into_iter().flatten() {
            let address = listed.get("serverRelativeURL").and_then(Value::as_str);
            if let (Some(group), Some(address)) = (group_of(path), address) {
                openapi.groups.insert(group.to_owned());
                openapi.addresses.insert(path.clone(), address.to_owned());
            }
        }
        Ok(openapi)
    }
}

impl OpenApi {
    /// Where the documents of these groups are; `*` stands for all.
    pub fn addresses(&self, groups: &BTreeSet<String>) -> BTreeSet<String> {
        let is_wanted = |path: &str| {
            groups.contains("*") || group_of(path).is_some_and(|group| groups.contains(group))
        };
        let wanted = self.addresses.iter().filter(|(path, _)| is_wanted(path));
        wanted.map(|(_, address)| address.clone()).collect()
    }
}

/// The group of `apis/apps/v1` and `api/v1`; what is no version of a group has none.
fn group_of(path: &str) -> Option<&str> {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["api", _] => Some(""),
        ["apis", group, _] => Some(group),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_groups_of_paths() {
        let table = [
            ("api/v1", Some("")),
            ("apis/apps/v1", Some("apps")),
            ("apis/apps", None),
            ("apis", None),
            ("version", None),
        ];
        for (path, want) in table {
            assert_eq!(group_of(path), want, "{path}");
        }
    }
}
