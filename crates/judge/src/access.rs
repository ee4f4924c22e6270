//! A right, as RBAC names it, and the call that it is for: each made of the other.

use attributes::Attributes;
use upstream::Access;

/// The right that a call needs.
pub(crate) fn needed_for(a: &Attributes) -> Access {
    Access {
        verb: a.verb.clone(),
        group: a.api_group.clone(),
        resource: a.resource.clone(),
        subresource: a.subresource.clone(),
        namespace: a.namespace.clone(),
        name: a.name.clone(),
    }
}

/// The call that a right is for, as if it were made; without a method for a verb that no request has,
/// like `impersonate`.
pub(crate) fn call_for(access: &Access) -> Attributes {
    let method = match access.verb.as_str() {
        "get" | "list" | "watch" => "GET",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" | "deletecollection" => "DELETE",
        _ => "",
    };
    let api_prefix = if access.group.is_empty() { "api" } else { "apis" };
    Attributes {
        method: method.to_owned(),
        is_resource_request: true,
        verb: access.verb.clone(),
        api_prefix: api_prefix.to_owned(),
        api_group: access.group.clone(),
        api_version: "v1".to_owned(),
        resource: access.resource.clone(),
        subresource: access.subresource.clone(),
        namespace: access.namespace.clone(),
        name: access.name.clone(),
        ..Attributes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_and_its_call_name_the_same() {
        let table = [
            ("get", "", "GET", "api"),
            ("watch", "apps", "GET", "apis"),
            ("create", "", "POST", "api"),
            ("deletecollection", "apps", "DELETE", "apis"),
            ("impersonate", "", "", "api"),
        ];
        for (verb, group, method, prefix) in table {
            let access = Access {
                verb: verb.into(),
                group: group.into(),
                resource: "widgets".into(),
                subresource: "status".into(),
                namespace: "shop".into(),
                name: "a".into(),
            };
            let call = call_for(&access);
            assert_eq!(
                (call.method.as_str(), call.api_prefix.as_str()),
                (method, prefix),
                "{verb}"
            );
            assert_eq!(needed_for(&call), access, "{verb}");
        }
    }
}
