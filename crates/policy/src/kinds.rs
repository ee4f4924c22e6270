//! What objects look like: the OpenAPI v3 documents of an API server -> the type of `object`.
//!
//! Only what a schema says for certain is used: a field that no kind of the constraints has is a
//! mistake, and what may be of several types (quantities, ports) is anything.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use expression::{Fields, Type};
use serde_json::Value as Json;

use crate::document::{MatchConstraints, ResourceRule};

/// Schemas within schemas; what nests deeper is anything.
const DEPTH_MAX: usize = 48;
/// Types within one type, each counted as often as it is referred to: references to references grow
/// beyond any bound. A Pod has some 2,000.
const SIZE_MAX: usize = 100_000;
const VERBS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const GVK: &str = "x-kubernetes-group-version-kind";

/// The kinds of a cluster, as far as somebody asked for them. The default knows none, and so finds
/// nothing wrong.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// Every group that is served, also those without a document here.
    served: BTreeSet<String>,
    /// By group, resource and subresource: what its versions have in common or apart.
    types: BTreeMap<String, BTreeMap<(String, String), Type>>,
}

impl Kinds {
    /// Reads the documents of some groups, each what `/openapi/v3/apis/GROUP/VERSION` answers; what
    /// is no such document says nothing. `served` are the names of all groups, `""` for the core.
    pub fn read<'d>(
        served: BTreeSet<String>,
        documents: impl IntoIterator<Item = &'d Json>,
    ) -> Self {
        let mut kinds = Self { served, types: BTreeMap::new() };
        for document in documents {
            kinds.add(document);
        }
        kinds
    }

    fn add(&mut self, document: &Json) {
        let mut reader = Reader::new(document);
        for (path, item) in document.get("paths").and_then(Json::as_object).into_iter().flatten() {
            let Some((group, resource, subresource)) = resource_of(path) else { continue };
            let operations = VERBS.iter().filter_map(|verb| item.get(verb)?.get(GVK));
            for gvk in operations {
                let of = reader.kind(gvk);
                let types = self.types.entry(group.to_owned()).or_default();
                let key = (resource.to_owned(), subresource.to_owned());
                // An object may come in any version that is served, so a field of one of them is no
                // mistake.
                match types.get_mut(&key) {
                    Some(known) => *known = known.union(&of),
                    None => drop(types.insert(key, of)),
                }
            }
        }
    }

    /// What `object` is in a policy of these constraints; anything where they name all resources, or
    /// one that is not known here.
    pub(crate) fn object(&self, constraints: Option<&MatchConstraints>) -> Type {
        let rules = constraints.map(|it| it.resource_rules.as_slice()).unwrap_or_default();
        union(rules.iter().flat_map(|rule| self.of_rule(rule)))
    }

    fn of_rule(&self, rule: &ResourceRule) -> Vec<Type> {
        if !self.knows_groups(rule) {
            return vec![Type::Dyn]; // What nobody serves yet may have any field.
        }
        let of = |pattern: &str| {
            let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
            // A rule of a subresource may see the object itself.
            let is_it = |(its, sub): &(String, String)| {
                its == resource && (sub.is_empty() || subresource == "*" || sub == subresource)
            };
            let found = self.groups(rule).flat_map(|(_, types)| types.iter());
            // No resource has the name `*`: whatever all of them are, is anything.
            union(found.filter(|(key, _)| is_it(key)).map(|(_, of)| of.clone()))
        };
        rule.resources.iter().map(|it| of(&it.value)).collect()
    }

    fn knows_groups(&self, rule: &ResourceRule) -> bool {
        let is_known = |group: &String| group == "*" || self.types.contains_key(group);
        rule.api_groups.iter().all(is_known)
    }

    fn groups<'k>(
        &'k self,
        rule: &'k ResourceRule,
    ) -> impl Iterator<Item = (&'k String, &'k BTreeMap<(String, String), Type>)> {
        let is_named = |group: &str| rule.api_groups.iter().any(|it| it == "*" || it == group);
        self.types.iter().filter(move |(group, _)| is_named(group))
    }

    /// The groups that are served; none where the cluster is not known.
    pub(crate) fn served(&self) -> impl Iterator<Item = &str> {
        self.served.iter().map(String::as_str)
    }

    /// Groups of a rule that nobody serves.
    pub(crate) fn unserved_groups<'r>(&self, rule: &'r ResourceRule) -> Vec<&'r str> {
        let is_served = |group: &str| group == "*" || self.served.contains(group);
        let groups = rule.api_groups.iter().map(String::as_str);
        groups.filter(|it| !self.served.is_empty() && !is_served(it)).collect()
    }

    /// Where a rule's groups are known, and none of them has this resource: the resources that they
    /// have.
    pub(crate) fn instead_of(&self, rule: &ResourceRule, pattern: &str) -> Option<Vec<String>> {
        if self.types.is_empty() || !self.knows_groups(rule) {
            return None;
        }
        let written = |(resource, sub): &(String, String)| match sub.as_str() {
            "" => resource.clone(),
            sub => format!("{resource}/{sub}"),
        };
        let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
        let fits = |(its, sub): &(String, String)| {
            (resource == "*" || its == resource) && (subresource == "*" || sub == subresource)
        };
        let keys = || self.groups(rule).flat_map(|(_, types)| types.keys());
        // Listed only when it is needed: a cluster serves hundreds.
        (pattern != "*" && !keys().any(fits)).then(|| keys().map(written).collect())
    }
}

/// What a value of any of these types may have.
fn union(types: impl Iterator<Item = Type>) -> Type {
    types.reduce(|all, of| all.union(&of)).unwrap_or(Type::Dyn)
}

/// Group, resource and subresource of a path such as
/// `/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale`.
fn resource_of(path: &str) -> Option<(&str, &str, &str)> {
    let (group, rest) = match path.strip_prefix("/api/") {
        Some(rest) => ("", rest),
        None => path.strip_prefix("/apis/")?.split_once('/')?,
    };
    let (_version, rest) = rest.split_once('/')?;
    let rest = rest.strip_prefix("namespaces/{namespace}/").unwrap_or(rest);
    let mut parts = rest.splitn(3, '/');
    let (resource, _name, subresource) = (parts.next()?, parts.next(), parts.next());
    (!resource.is_empty() && resource != "watch")
        .then(|| (group, resource, subresource.unwrap_or_default()))
}

/// A type, and how many types are in it.
type Measured = (Type, usize);

const ANYTHING: Measured = (Type::Dyn, 1);

/// Reads the schemas of one document, each once.
struct Reader<'d> {
    schemas: Option<&'d serde_json::Map<String, Json>>,
    /// By name; `None` while it is being read: what refers to itself is anything there.
    read: HashMap<&'d str, Option<Measured>>,
    depth: usize,
}

impl<'d> Reader<'d> {
    fn new(document: &'d Json) -> Self {
        let schemas = document.pointer("/components/schemas").and_then(Json::as_object);
        Self { schemas, read: HashMap::new(), depth: 0 }
    }

    /// The type of a kind, by what its operations and schemas both say it is.
    fn kind(&mut self, gvk: &Json) -> Type {
        let is_it = |schema: &Json| {
            schema.get(GVK).and_then(Json::as_array).is_some_and(|all| all.contains(gvk))
        };
        let found = self.schemas.and_then(|all| all.iter().find(|(_, schema)| is_it(schema)));
        found.map_or(Type::Dyn, |(name, _)| self.schema_named(name).0)
    }

    fn schema_named(&mut self, name: &'d str) -> Measured {
        if let Some(known) = self.read.get(name) {
            return known.clone().unwrap_or(ANYTHING);
        }
        let Some(schema) = self.schemas.and_then(|all| all.get(name)) else { return ANYTHING };
        // Marked before it is read: a schema that refers to itself ends here.
        self.read.insert(name, None);
        let short = name.rsplit('.').next().unwrap_or(name);
        let of = self.schema(schema, short);
        self.read.insert(name, Some(of.clone()));
        of
    }

    /// The type of a schema; `name` is for messages.
    fn schema(&mut self, schema: &'d Json, name: &str) -> Measured {
        self.depth += 1;
        let of = if self.depth > DEPTH_MAX { ANYTHING } else { self.shallow(schema, name) };
        self.depth -= 1;
        if of.1 > SIZE_MAX { ANYTHING } else { of }
    }

    fn shallow(&mut self, schema: &'d Json, name: &str) -> Measured {
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let prefix = "#/components/schemas/";
            return reference.strip_prefix(prefix).map_or(ANYTHING, |name| self.schema_named(name));
        }
        // The API server's own way to say a default beside a reference.
        if let Some([one]) = schema.get("allOf").and_then(Json::as_array).map(Vec::as_slice) {
            return self.schema(one, name);
        }
        let is_true = |field: &str| schema.get(field) == Some(&Json::Bool(true));
        let is_open = is_true("nullable") || is_true("x-kubernetes-preserve-unknown-fields");
        let is_embedded = is_true("x-kubernetes-embedded-resource");
        if is_open || is_embedded || is_true("x-kubernetes-int-or-string") {
            return ANYTHING;
        }
        match schema.get("type").and_then(Json::as_str) {
            Some("boolean") => (Type::Bool, 1),
            Some("integer") => (Type::Int, 1),
            // Of these formats, the API server's own expressions make values of another type.
            Some("string") if schema.get("format").is_none() => (Type::Text, 1),
            Some("array") => {
                let (of, size) = self.within(schema.get("items"), &format!("{name}[]"));
                (Type::list(of), size + 1)
            }
            Some("object") => self.object(schema, name),
            _ => ANYTHING,
        }
    }

    fn within(&mut self, schema: Option<&'d Json>, name: &str) -> Measured {
        schema.map_or(ANYTHING, |it| self.schema(it, name))
    }

    fn object(&mut self, schema: &'d Json, name: &str) -> Measured {
        let properties = schema.get("properties").and_then(Json::as_object);
        match (properties, schema.get("additionalProperties")) {
            // With fields and with values of any key, nobody knows which of both a name is.
            (None, values @ Some(_)) => {
                let (of, size) = self.within(values, &format!("{name}.*"));
                (Type::map(of), size + 1)
            }
            (Some(properties), None) => {
                let mut fields = Fields { name: name.to_owned(), ..Fields::default() };
                let mut all = 1;
                for (key, property) in properties {
                    let (of, size) = self.schema(property, &format!("{name}.{key}"));
                    fields.fields.insert(key.clone(), of);
                    all += size;
                }
                (Type::Object(Arc::new(fields)), all)
            }
            _ => ANYTHING,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{Documents, Issue, Source};

    #[test]
    fn finds_resources_in_paths() {
        let table = [
            ("/api/v1/pods", Some(("", "pods", ""))),
            ("/api/v1/namespaces/{namespace}/pods/{name}/eviction", Some(("", "pods", "eviction"))),
            ("/api/v1/namespaces/{name}", Some(("", "namespaces", ""))),
            ("/api/v1/namespaces/{name}/finalize", Some(("", "namespaces", "finalize"))),
            ("/apis/apps/v1/namespaces/{namespace}/deployments", Some(("apps", "deployments", ""))),
            ("/apis/apps/v1/watch/deployments", None),
            ("/apis/apps/v1/", None),
            ("/apis/apps/", None),
            ("/version/", None),
        ];
        for (path, want) in table {
            assert_eq!(resource_of(path), want, "{path}");
        }
    }
    /// As the API server writes it: references beside defaults, a kind that refers to itself, and what
    /// may be of several types.
    fn document() -> Json {
        let reference = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/a.{name}")}], "default": {}});
        let gvk = |kind: &str| json!({"group": "apps", "version": "v1", "kind": kind});
        let path = |kind: &str| json!({"patch": {GVK: gvk(kind)}});
        json!({
            "paths": {
                "/apis/apps/v1/namespaces/{namespace}/webs/{name}": path("Web"),
                "/apis/apps/v1/namespaces/{namespace}/webs/{name}/scale": path("Scale"),
                "/apis/apps/v1/namespaces/{namespace}/apis/{name}": path("Api"),
            },
            "components": {"schemas": {
                "a.Web": {"type": "object", GVK: [gvk("Web")], "properties": {
                    "metadata": reference("Meta"), "spec": reference("WebSpec"),
                }},
                "a.Api": {"type": "object", GVK: [gvk("Api")], "properties": {
                    "metadata": reference("Meta"),
                    "spec": {"type": "object", "properties": {"rate": {"type": "integer"}}},
                }},
                "a.Scale": {"type": "object", GVK: [gvk("Scale")], "properties": {
                    "spec": {"type": "object", "properties": {"factor": {"type": "integer"}}},
                }},
                "a.Meta": {"type": "object", "properties": {
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "made": {"type": "string", "format": "date-time"},
                }},
                "a.WebSpec": {"type": "object", "properties": {
                    "replicas": {"type": "integer"},
                    "size": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "parts": {"type": "array", "items": reference("Part")},
                }},
                "a.Part": {"type": "object", "properties": {
                    "image": {"type": "string"}, "inner": reference("Part"),
                }},
            }},
        })
    }

    /// What is wrong with an expression about these resources.
    fn wrong(resources: &str, expression: &str) -> String {
        let served = ["", "apps"].map(str::to_owned).into();
        let kinds = Arc::new(Kinds::read(served, [&document()]));
        let text = format!(
            "apiVersion: agent-shield.io/v1alpha1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  matchConstraints: {{resourceRules: [{{{resources}, operations: [UPDATE]}}]}}\n  variables: [{{name: parts, expression: object.spec.parts}}]\n  rules:\n  - name: r\n    action: hold\n    when: {expression}\n"
        );
        let source = Source { name: "p.yaml".into(), text };
        let compiled = Documents::read(&[source], Timestamp::UNIX_EPOCH).compile(&kinds);
        let words = |issues: Vec<Issue>| {
            issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        match compiled {
            Ok(compiled) => words(compiled.warnings),
            Err(issues) => words(issues),
        }
    }

    #[test]
    fn knows_the_fields_of_what_a_policy_is_about() {
        let webs = "apiGroups: [apps], resources: [webs]";
        let both = "apiGroups: [apps], resources: [webs, apis]";
        let table = [
            (webs, "object.spec.replicas > 3", ""),
            (
                webs,
                "object.spec.replica > 3",
                "WebSpec has no field `replica`: did you mean `replicas`?",
            ),
            (webs, "oldObject.spec.?replica.orValue(1) > 3", "did you mean `replicas`?"),
            (
                webs,
                "has(object.metadata.label)",
                "Meta has no field `label`: did you mean `labels`?",
            ),
            (webs, "object.metadata.labels.anything == 'x'", ""),
            (webs, "object.metadata.labels['x'] == 1", "`==` does not take a string and an int"),
            (webs, "object.spec.replicas == '3'", "`==` does not take an int and a string"),
            (
                webs,
                "variables.parts.exists(p, p.imag == 'x')",
                "Part has no field `imag`: did you mean `image`?",
            ),
            (webs, "variables.parts[0].inner.whatever == 'x'", ""),
            (webs, "object.spec.size == 3 || object.spec.size == '3'", ""),
            (webs, "object.metadata.made == 'x' || timestamp(object.metadata.made) > now", ""),
            (webs, "object.spec.free.as.you.like == 1", ""),
            (webs, "dyn(object).spec.replica == 1", ""),
            (webs, "object == null || object.spec.replicas == 0", ""),
            (both, "object.spec.rate == 1 && object.spec.replicas == 1", ""),
            (
                both,
                "object.spec.rates == 1",
                "WebSpec or Api.spec has no field `rates`: did you mean `rate`?",
            ),
            (
                "apiGroups: [apps], resources: [webs/scale]",
                "object.spec.factor == object.spec.replicas",
                "",
            ),
            ("apiGroups: [apps], resources: ['*']", "object.spec.nope == 1", ""),
            ("resources: [webs]", "object.spec.replica == 1", "did you mean `replicas`?"),
            ("apiGroups: [''], resources: [webs]", "object.spec.nope == 1", ""),
            (
                "apiGroups: [apps, later.example.com], resources: [webs]",
                "object.spec.other == 1",
                "warning: the cluster serves no API group `later.example.com`",
            ),
            (
                "apiGroups: [app], resources: [webs]",
                "true",
                "warning: the cluster serves no API group `app`: did you mean `apps`?",
            ),
            (
                "apiGroups: [apps], resources: [web]",
                "object.x == 1",
                "warning: the cluster serves no resource `web`: did you mean `webs`?",
            ),
            (
                "apiGroups: [apps], resources: [webs/scal]",
                "true",
                "no resource `webs/scal`: did you mean `webs/scale`?",
            ),
        ];
        for (resources, expression, want) in table {
            let found = wrong(resources, expression);
            let fits = if want.is_empty() { found.is_empty() } else { found.contains(want) };
            assert!(fits, "{resources}: {expression}: wanted {want:?}, and not {found}");
        }
    }

    #[test]
    fn takes_no_harm_from_documents_that_make_no_sense() {
        let schema = |it: Json| json!({"paths": document()["paths"], "components": {"schemas": {"a.Web": it}}});
        let gvk = json!([{"group": "apps", "version": "v1", "kind": "Web"}]);
        let mut deep = json!({"type": "string"});
        for _ in 0..100 {
            deep = json!({"type": "array", "items": deep});
        }
        let documents = [
            json!(null),
            json!({"paths": []}),
            json!({"paths": {"/apis/apps/v1/webs": 1}}),
            schema(json!({GVK: gvk, "$ref": "#/components/schemas/a.Web"})),
            schema(json!({GVK: gvk, "allOf": []})),
            schema(json!({GVK: gvk, "type": "object", "properties": {"a": deep}})),
        ];
        for document in &documents {
            let kinds = Kinds::read(BTreeSet::new(), [document]);
            assert!(kinds.types.len() < 2);
        }
        // Each refers twice to the next: 2^40 types, but for the bound; two versions are joined.
        let reference = |n: usize| json!({"$ref": format!("#/components/schemas/a.{n}")});
        let doubling = |last: &str| {
            let mut schemas = serde_json::Map::new();
            for n in 0..40 {
                let properties = json!({"a": reference(n + 1), "b": reference(n + 1)});
                schemas
                    .insert(format!("a.{n}"), json!({"type": "object", "properties": properties}));
            }
            schemas.insert("a.40".to_owned(), json!({"type": last}));
            schemas.insert("a.Web".to_owned(), json!({GVK: gvk, "allOf": [reference(0)]}));
            json!({"paths": document()["paths"], "components": {"schemas": schemas}})
        };
        let versions = [doubling("string"), doubling("integer")];
        let kinds = Kinds::read(BTreeSet::new(), &versions);
        assert_eq!(kinds.types["apps"].len(), 3);
    }
}
