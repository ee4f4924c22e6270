//! How protected a namespace is, and how productive: DEFAULTS Q13 and Q25.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{about::ClassMark, applied, describe};

/// What rules ask of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespaceClass {
    /// Any write in it is held.
    pub protected: bool,
    /// True unless the namespace is declared non-production.
    pub production: bool,
    /// Why, for people: each sign that was seen.
    pub signs: Vec<Sign>,
    /// Its labels; `None` for what is in no namespace, or could not be looked up.
    pub labels: Option<BTreeMap<String, String>>,
}

/// One reason for a class.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sign {
    /// `label env=production`, `name prod-*`, `no declaration`, `not found`.
    pub seen: String,
    /// What it says: `production`, `non-production`, `protected`.
    pub means: &'static str,
    /// What says so.
    by: By,
}

/// What a sign is read from, and so what would have to change.
#[derive(Clone, Debug, Eq, PartialEq)]
enum By {
    /// The namespace's name.
    Name,
    /// The label of this key.
    Label(String),
    /// What is not there.
    Nothing,
}

/// Names that a deployment may change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClassConfig {
    /// The proxy's own namespace: always protected.
    pub own_namespace: String,
    /// A label that protects; any value but `false` does.
    pub protected_label: String,
}

impl Default for ClassConfig {
    fn default() -> Self {
        Self {
            own_namespace: "agent-shield".to_owned(),
            protected_label: "agent-shield.io/protected".to_owned(),
        }
    }
}

/// The sign of a namespace that is not there.
const ABSENT: &str = "there is no such namespace";
const PROTECTED_NAMES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
const DECLARING_LABELS: [&str; 2] = ["environment", "env"];
const PRODUCTION: [&str; 2] = ["prod", "production"];
const NON_PRODUCTION: [&str; 14] = [
    "dev",
    "development",
    "test",
    "testing",
    "staging",
    "stage",
    "qa",
    "sandbox",
    "preview",
    "ci",
    "demo",
    "local",
    "playground",
    "integration",
];

/// How names begin that belong to Kubernetes, or to a distribution of it.
const SYSTEM_NAMES: [&str; 2] = ["kube", "openshift"];
/// The label of every namespace, which the API server sets.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a new namespace is for trying things, and says nothing else: declared by `env` alone, with no
/// other label or annotation by which something could act on it, and under a name that is nobody's.
pub(crate) fn is_for_trying(namespace: &Value, config: &ClassConfig) -> bool {
    let map = |field: &str| namespace.pointer(field).and_then(Value::as_object);
    let Some((metadata, labels)) = map("/metadata").zip(map("/metadata/labels")) else {
        return false;
    };
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    let labels: BTreeMap<String, String> = labels
        .iter()
        .filter(|(key, _)| *key != NAME_LABEL)
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let class = NamespaceClass::of(name, Some(&labels), config);
    let says_more = ["finalizers", "generateName", "ownerReferences"]
        .into_iter()
        .any(|field| metadata.contains_key(field))
        || map("/metadata/annotations").is_some_and(|it| !is_applied_alone(it, name, config));
    // What the API server itself says there.
    let is_default = |it: &Value| *it == json!({}) || *it == json!({"finalizers": ["kubernetes"]});
    let has_spec = namespace.get("spec").is_some_and(|it| !is_default(it));
    let is_others = reads_as_production(name)
        || SYSTEM_NAMES.iter().any(|it| name.starts_with(it))
        || name.ends_with("-system");
    let is_env_alone = labels.keys().eq(["env"]);
    is_env_alone && !class.production && !class.protected && !says_more && !has_spec && !is_others
}

/// Whether annotations only say what `kubectl apply` applied, and that is such a namespace too: what they
/// name and a later apply does not is taken away then.
fn is_applied_alone(annotations: &Map<String, Value>, name: &str, config: &ClassConfig) -> bool {
    let is_such = |value: &Value| {
        let applied = value.as_str().and_then(|it| serde_json::from_str::<Value>(it).ok());
        let is_named = |it: &Value| it.pointer("/metadata/name").is_some_and(|it| it == name);
        // It tells of itself nothing.
        let is_bare = |it: &Value| {
            let annotations = it.pointer("/metadata/annotations").and_then(Value::as_object);
            annotations.is_none_or(Map::is_empty)
        };
        applied.is_some_and(|it| is_named(&it) && is_bare(&it) && is_for_trying(&it, config))
    };
    annotations.iter().all(|(key, value)| key == applied::KEY && is_such(value))
}

/// Words that say that what follows is not meant.
const DENYING: [&str; 3] = ["non", "not", "pre"];

/// Whether a reader may take it for production, by one of its words; those of `non-prod` and `products` say
/// nothing of it.
fn reads_as_production(name: &str) -> bool {
    let words: Vec<&str> = name.split('-').collect();
    let before = std::iter::once("").chain(words.iter().copied());
    words.iter().zip(before).any(|(word, before)| {
        *word == "live" || (is_of_production(word) && !DENYING.contains(&before))
    })
}

fn is_of_production(word: &str) -> bool {
    let is_denied = DENYING.iter().any(|it| word.starts_with(it));
    let begins = word.starts_with("prd")
        || (word.starts_with("prod") && !word.starts_with("produc"))
        || word.starts_with("production");
    let ends = ["prod", "prd", "production"].iter().any(|it| word.ends_with(it));
    !is_denied && (begins || ends)
}

impl NamespaceClass {
    /// Classes a namespace by its name and labels. A production sign beats every non-production
    /// sign; only a label declares non-production, a name never does.
    pub fn of(name: &str, labels: Option<&BTreeMap<String, String>>, config: &ClassConfig) -> Self {
        let Some(labels) = labels else { return Self::unknown(ABSENT) };
        let mut signs = Vec::new();
        let mut sign = |seen: String, means, by| signs.push(Sign { seen, means, by });
        if PROTECTED_NAMES.contains(&name) || name == config.own_namespace {
            sign(format!("name {name}"), "protected", By::Name);
        }
        let protecting = &config.protected_label;
        match labels.get(protecting).map(String::as_str) {
            None | Some("false") => {}
            Some(value) => {
                let by = By::Label(protecting.clone());
                sign(format!("label {protecting}={value}"), "protected", by);
            }
        }
        for label in DECLARING_LABELS {
            let Some(value) = labels.get(label) else { continue };
            let lower = value.to_ascii_lowercase();
            let by = By::Label(label.to_owned());
            if PRODUCTION.contains(&lower.as_str()) {
                sign(format!("label {label}={value}"), "production", by);
            } else if NON_PRODUCTION.contains(&lower.as_str()) {
                sign(format!("label {label}={value}"), "non-production", by);
            }
        }
        if PRODUCTION.contains(&name) || name.starts_with("prod-") || name.ends_with("-prod") {
            sign(format!("name {name}"), "production", By::Name);
        }
        if !signs.iter().any(|sign| sign.means != "protected") {
            let seen = "no declaration".to_owned();
            signs.push(Sign { seen, means: "production", by: By::Nothing });
        }
        Self { labels: Some(labels.clone()), ..Self::signed(signs) }
    }

    /// Objects outside namespaces: production, not protected.
    pub fn cluster_scoped() -> Self {
        let seen = "outside namespaces".to_owned();
        Self::signed(vec![Sign { seen, means: "production", by: By::Nothing }])
    }

    /// What cannot be looked up: protected and production.
    pub fn unknown(why: &str) -> Self {
        let sign = |means| Sign { seen: why.to_owned(), means, by: By::Nothing };
        Self::signed(vec![sign("protected"), sign("production")])
    }

    /// Whether there is no such namespace.
    pub fn is_absent(&self) -> bool {
        self.signs.iter().any(|it| it.seen == ABSENT)
    }

    /// Whether a namespace of this class is guarded less than one of `before`.
    pub fn is_weaker_than(&self, before: &Self) -> bool {
        self.mark().is_weaker_than(before.mark())
    }

    /// How it is classed, without why.
    pub fn mark(&self) -> ClassMark {
        ClassMark { protected: self.protected, production: self.production }
    }

    /// `production`, `non-production, protected`, …
    pub fn words(&self) -> String {
        describe::class(self.mark())
    }

    /// The command by which an owner declares the namespace otherwise: what guards it goes, or it counts
    /// as production.
    ///
    /// # Errors
    /// Why no label changes how it is classed.
    pub fn declare_command(&self, name: &str) -> Result<String, &'static str> {
        let label = format!("kubectl label namespace {name}");
        if self.protected {
            return match self.saying("protected").as_slice() {
                [By::Label(key)] => Ok(format!("{label} {key}-")),
                _ => Err("its name protects it, whatever its labels say"),
            };
        }
        if !self.production {
            return Ok(format!("{label} --overwrite env=production"));
        }
        let mut keys = Vec::new();
        for by in self.saying("production") {
            match by {
                By::Name => return Err("its name says production, and a name outweighs labels"),
                By::Label(key) => keys.push(format!("{key}=dev")),
                By::Nothing => keys.push("env=dev".to_owned()),
            }
        }
        Ok(format!("{label} --overwrite {}", keys.join(" ")))
    }

    fn saying(&self, means: &str) -> Vec<By> {
        self.signs.iter().filter(|it| it.means == means).map(|it| it.by.clone()).collect()
    }

    fn signed(signs: Vec<Sign>) -> Self {
        let says = |means| signs.iter().any(|sign| sign.means == means);
        Self {
            protected: says("protected"),
            production: says("production") || !says("non-production"),
            signs,
            labels: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        NamespaceClass::of(name, Some(&labels), &ClassConfig::default()).words()
    }

    #[test]
    fn classes_as_owners_mean_it() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let table: [Row; 14] = [
            ("shop", &[], "production"),
            ("shop", &[("env", "dev")], "non-production"),
            ("shop", &[("environment", "Staging")], "non-production"),
            ("shop", &[("env", "production")], "production"),
            ("shop", &[("env", "dev"), ("environment", "prod")], "production"),
            ("prod-eu", &[("env", "dev")], "production"),
            ("shop-prod", &[("env", "test")], "production"),
            ("dev", &[], "production"),
            ("reproduction", &[("env", "qa")], "non-production"),
            ("shop", &[("env", "whatever")], "production"),
            ("vault", &[("agent-shield.io/protected", "true")], "production, protected"),
            (
                "vault",
                &[("agent-shield.io/protected", ""), ("env", "dev")],
                "non-production, protected",
            ),
            ("vault", &[("agent-shield.io/protected", "false"), ("env", "dev")], "non-production"),
            ("kube-system", &[("env", "dev")], "non-production, protected"),
        ];
        for (name, labels, want) in table {
            assert_eq!(class(name, labels), want, "{name} {labels:?}");
        }
        assert_eq!(NamespaceClass::unknown("x").words(), "production, protected");
        assert_eq!(NamespaceClass::cluster_scoped().words(), "production");
    }

    #[test]
    fn says_what_would_change_it_and_what_nothing_can() {
        type Said = Result<&'static str, &'static str>;
        type Row = (&'static str, &'static [(&'static str, &'static str)], Said);
        const BY_NAME: Said = Err("its name protects it, whatever its labels say");
        const PRODUCTION: Said = Err("its name says production, and a name outweighs labels");
        let table: [Row; 11] = [
            ("shop", &[], Ok("--overwrite env=dev")),
            ("shop", &[("env", "dev")], Ok("--overwrite env=production")),
            ("shop", &[("env", "whatever")], Ok("--overwrite env=dev")),
            ("shop", &[("environment", "prod")], Ok("--overwrite environment=dev")),
            (
                "shop",
                &[("env", "prod"), ("environment", "Production")],
                Ok("--overwrite environment=dev env=dev"),
            ),
            ("prod-eu", &[("env", "dev")], PRODUCTION),
            ("kube-system", &[], BY_NAME),
            ("kube-public", &[("env", "dev")], BY_NAME),
            ("agent-shield", &[("agent-shield.io/protected", "true")], BY_NAME),
            (
                "vault",
                &[("agent-shield.io/protected", "true"), ("env", "dev")],
                Ok("agent-shield.io/protected-"),
            ),
            ("prod", &[("agent-shield.io/protected", "")], Ok("agent-shield.io/protected-")),
        ];
        for (name, labels, want) in table {
            let labels: BTreeMap<String, String> =
                labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let config = ClassConfig::default();
            let class = NamespaceClass::of(name, Some(&labels), &config);
            let want = want.map(|it| format!("kubectl label namespace {name} {it}"));
            assert_eq!(class.declare_command(name), want, "{name} {labels:?}");
            // What is advised has the effect that it is advised for.
            let Ok(command) = want else { continue };
            let mut after = labels.clone();
            for word in command.split(' ').skip(4).filter(|it| *it != "--overwrite") {
                match word.split_once('=') {
                    Some((key, value)) => drop(after.insert(key.to_owned(), value.to_owned())),
                    None => drop(after.remove(word.trim_end_matches('-'))),
                }
            }
            let after = NamespaceClass::of(name, Some(&after), &config);
            assert_ne!(after.mark(), class.mark(), "{command}");
        }
    }

    #[test]
    fn knows_namespaces_for_trying_things() {
        let named =
            |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let with = |field: &str, value: Value| {
            let mut namespace = named("shop", json!({"env": "dev", NAME_LABEL: "shop"}));
            namespace["metadata"][field] = value;
            namespace
        };
        let finalized = |spec: Value| {
            let mut namespace = named("shop", json!({"env": "dev"}));
            namespace["spec"] = spec;
            namespace
        };
        let applied =
            |object: &Value| with("annotations", json!({applied::KEY: object.to_string()}));
        let table = [
            (named("shop", json!({"env": "dev"})), true),
            (with("uid", json!("u")), true),
            (named("shop", json!({"env": "Staging"})), true),
            (named("shop", json!({"env": "production"})), false),
            (named("shop", json!({"env": "whatever"})), false),
            (named("shop", json!({})), false),
            (named("shop", json!({"environment": "dev"})), false),
            (named("shop", json!({"env": "dev", "team": "a"})), false),
            (named("shop", json!({"env": "dev", "agent-shield.io/protected": "false"})), false),
            (named("prod-eu", json!({"env": "dev"})), false),
            (named("shop-production", json!({"env": "dev"})), false),
            (named("kube-tools", json!({"env": "dev"})), false),
            (named("agent-shield", json!({"env": "dev"})), false),
            (named("payments-prd", json!({"env": "dev"})), false),
            (named("prod1", json!({"env": "dev"})), false),
            (named("shopprod", json!({"env": "dev"})), false),
            (named("nonprod", json!({"env": "dev"})), true),
            (named("shop-preprod", json!({"env": "dev"})), true),
            (named("pre-prod-shop", json!({"env": "dev"})), true),
            (named("non-prod-prod", json!({"env": "dev"})), false),
            (named("products", json!({"env": "dev"})), true),
            (named("reproduce", json!({"env": "dev"})), true),
            (
                applied(
                    &json!({"metadata": {"name": "shop", "annotations": {}, "labels": {"env": "dev"}}}),
                ),
                true,
            ),
            (
                applied(&json!({"metadata": {"name": "shop", "labels": {"env": "dev", "a": "b"}}})),
                false,
            ),
            (applied(&json!({"metadata": {"name": "other", "labels": {"env": "dev"}}})), false),
            (applied(&json!("x")), false),
            (named("live", json!({"env": "dev"})), false),
            (named("shop-live", json!({"env": "dev"})), false),
            (named("delivery", json!({"env": "dev"})), true),
            (named("kube", json!({"env": "dev"})), false),
            (finalized(json!({})), true),
            (finalized(json!({"finalizers": ["kubernetes"]})), true),
            (finalized(json!({"finalizers": ["kubernetes", "a.io/b"]})), false),
            (finalized(json!({"finalizers": "a.io/b"})), false),
            (with("annotations", json!({"a": "b"})), false),
            (with("finalizers", json!(["a.io/b"])), false),
            (with("generateName", json!("shop-")), false),
            (with("ownerReferences", json!([])), false),
            (json!({}), false),
        ];
        for (namespace, want) in table {
            let is = is_for_trying(&namespace, &ClassConfig::default());
            assert_eq!(is, want, "{namespace}");
        }
    }

    #[test]
    fn sees_when_a_guard_is_taken_away() {
        let class = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            NamespaceClass::of("shop", Some(&labels), &ClassConfig::default())
        };
        let guarded = class(&[("agent-shield.io/protected", "true")]);
        assert!(class(&[]).is_weaker_than(&guarded));
        assert!(class(&[("env", "dev")]).is_weaker_than(&class(&[])));
        assert!(!class(&[]).is_weaker_than(&class(&[("env", "dev")])));
        assert!(!guarded.is_weaker_than(&class(&[])));
    }
}
