//! The object an effect is done to.

use attributes::Attributes;
use serde_json::Value;

/// The object an effect is done to.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectRef {
    /// Empty for the core group.
    pub api_group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty where the request names none (`generateName`, a collection that could not be listed).
    pub name: String,
    /// Empty where it is not known.
    pub uid: String,
}

/// The object that the attributes name; its uid is not known yet.
pub fn object_of(a: &Attributes) -> ObjectRef {
    // RequestInfo gives a Namespace its own name as namespace; as an object it is in none.
    let in_itself = a.resource == "namespaces" && a.api_group.is_empty();
    ObjectRef {
        api_group: a.api_group.clone(),
        resource: a.resource.clone(),
        namespace: if in_itself { String::new() } else { a.namespace.clone() },
        name: a.name.clone(),
        uid: String::new(),
    }
}

/// The object of a request, with what only the object itself tells. What the server makes up in a
/// dry run (the uid of a new object, a generated name) is left empty: it differs each time.
pub(crate) fn object_in(attributes: &Attributes, old: Option<&Value>, new: &Value) -> ObjectRef {
    let text = |value: &Value, path| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut object = object_of(attributes);
    object.uid = old.map(|old| text(old, "/metadata/uid")).unwrap_or_default();
    let generated = old.is_none() && !text(new, "/metadata/generateName").is_empty();
    if object.name.is_empty() && !generated {
        object.name = text(new, "/metadata/name");
    }
    if object.namespace.is_empty() && attributes.resource != "namespaces" {
        object.namespace = text(new, "/metadata/namespace");
    }
    object
}

/// Its owners, by kind and name.
pub(crate) fn owners(object: &Value) -> Vec<String> {
    each(object, "/metadata/ownerReferences", |owner| {
        let text = |key| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", text("kind"), text("name"))
    })
}

/// What must be done before it goes.
pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    each(object, "/metadata/finalizers", |it| it.as_str().unwrap_or_default().to_owned())
}

/// Each item of a list, as it is read.
pub(crate) fn each<T>(object: &Value, path: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    object.pointer(path).and_then(Value::as_array).into_iter().flatten().map(read).collect()
}
