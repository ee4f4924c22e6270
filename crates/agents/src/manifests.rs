//! What an agent is made of: a ServiceAccount at home, and a Role with its RoleBinding in each
//! namespace. Pure; how they get into the cluster is `plan`'s.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::presets::Preset;

/// Says that agent-shield made an object, as Kubernetes recommends to say it.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "agent-shield");
const AGENT: &str = "agent-shield.io/agent";
const HOME: &str = "agent-shield.io/home";
const PRESET: &str = "agent-shield.io/preset";
const NAMESPACES: &str = "agent-shield.io/namespaces";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Which agent: a ServiceAccount's name and namespace. Both are DNS labels.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct AgentId {
    /// Namespace of the ServiceAccount.
    pub home: String,
    /// Name of the ServiceAccount.
    pub name: String,
}

impl AgentId {
    /// As the API server names it.
    pub fn username(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.home, self.name)
    }

    /// Name of its Roles and RoleBindings. Two agents never share one, whatever their names: neither
    /// part has a colon.
    pub fn role_name(&self) -> String {
        format!("agent-shield:{}:{}", self.home, self.name)
    }

    /// Finds all that was made for agents of this name, whatever their home.
    pub fn selector(name: &str) -> String {
        format!("{},{AGENT}={name}", Self::selector_of_all())
    }

    /// Finds all that was made for any agent.
    pub fn selector_of_all() -> String {
        format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)
    }

    /// Whose an object is, as its labels say; `None` for what agent-shield did not make.
    pub fn from_labels(metadata: &ObjectMeta) -> Option<Self> {
        let label = |key: &str| metadata.labels.as_ref()?.get(key);
        (label(MANAGED_BY.0)? == MANAGED_BY.1)
            .then(|| Some(Self { home: label(HOME)?.clone(), name: label(AGENT)?.clone() }))?
    }

    /// What the RBAC API calls it.
    pub fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".into(),
            name: self.name.clone(),
            namespace: Some(self.home.clone()),
            api_group: None,
        }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        [(MANAGED_BY.0, MANAGED_BY.1), (AGENT, &self.name), (HOME, &self.home)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }
}

/// An agent as it should be.
pub struct Wanted {
    /// Which agent.
    pub id: AgentId,
    /// What it is for.
    pub preset: Preset,
    /// Where, in the order in which the namespaces were given.
    pub namespaces: Vec<String>,
}

impl Wanted {
    /// Its ServiceAccount, which remembers what the agent may. No pod gets its token unasked.
    pub fn account(&self) -> ServiceAccount {
        let annotations =
            [(PRESET, self.preset.to_string()), (NAMESPACES, self.namespaces.join(","))]
                .map(|(key, value)| (key.to_owned(), value))
                .into();
        ServiceAccount {
            metadata: ObjectMeta {
                name: Some(self.id.name.clone()),
                namespace: Some(self.id.home.clone()),
                labels: Some(self.id.labels()),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }
    }

    /// What it may do in one namespace.
    pub fn role(&self, namespace: &str) -> Role {
        Role { metadata: self.metadata(namespace), rules: Some(self.preset.rules()) }
    }

    /// Gives it that, and nobody else.
    pub fn binding(&self, namespace: &str) -> RoleBinding {
        RoleBinding {
            metadata: self.metadata(namespace),
            role_ref: RoleRef {
                api_group: RBAC.into(),
                kind: "Role".into(),
                name: self.id.role_name(),
            },
            subjects: Some(vec![self.id.subject()]),
        }
    }

    fn metadata(&self, namespace: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.id.role_name()),
            namespace: Some(namespace.to_owned()),
            labels: Some(self.id.labels()),
            ..ObjectMeta::default()
        }
    }
}

/// The preset and namespaces that an agent's ServiceAccount remembers.
pub(crate) fn remembered(account: &ServiceAccount) -> (String, Vec<String>) {
    let annotation = |key: &str| {
        let annotations = account.metadata.annotations.as_ref();
        annotations.and_then(|it| it.get(key)).cloned().unwrap_or_default()
    };
    let namespaces = annotation(NAMESPACES);
    let namespaces = namespaces.split(',').filter(|it| !it.is_empty()).map(str::to_owned);
    (annotation(PRESET), namespaces.collect())
}

/// Reads a name of an agent or namespace: a DNS label, which both are.
///
/// # Errors
/// What is wrong with it, and what would do.
pub fn dns_label(text: &str) -> Result<String, String> {
    let inner = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let is_label = (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label {
        return Ok(text.to_owned());
    }
    let lower = text.to_lowercase();
    let close: String = lower.chars().map(|char| if inner(char) { char } else { '-' }).collect();
    let close: String = close.trim_matches('-').chars().take(63).collect();
    let close = close.trim_end_matches('-');
    let hint = if close.is_empty() { String::new() } else { format!("; `{close}` would do") };
    Err(format!(
        "a name has lower-case letters, digits and `-`, at most 63 of them, and begins and ends with a letter or digit{hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            id: AgentId { home: "agents".into(), name: "bot".into() },
            preset: Preset::Triage,
            namespaces: vec!["payments".into(), "dev".into()],
        }
    }

    #[test]
    fn an_agent_is_known_by_its_labels() {
        let wanted = wanted();
        let account = wanted.account();
        assert_eq!(AgentId::from_labels(&account.metadata), Some(wanted.id.clone()));
        assert_eq!(AgentId::from_labels(&wanted.role("dev").metadata), Some(wanted.id.clone()));
        assert_eq!(AgentId::from_labels(&ObjectMeta::default()), None);
        assert_eq!(remembered(&account), ("triage".into(), vec!["payments".into(), "dev".into()]));
        assert_eq!(account.automount_service_account_token, Some(false));
    }

    #[test]
    fn a_binding_gives_one_role_to_one_agent() {
        let yaml = serde_saphyr::to_string(&wanted().binding("dev")).expect("YAML");
        insta::assert_snapshot!(yaml, @r"
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata:
          labels:
            agent-shield.io/agent: bot
            agent-shield.io/home: agents
            app.kubernetes.io/managed-by: agent-shield
          name: agent-shield:agents:bot
          namespace: dev
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: Role
          name: agent-shield:agents:bot
        subjects:
        - kind: ServiceAccount
          name: bot
          namespace: agents
        ");
    }

    #[test]
    fn names_are_dns_labels() {
        let table = [
            ("triage", "triage"),
            ("a", "a"),
            ("3-b", "3-b"),
            ("Deploy_Bot", "`deploy-bot` would do"),
            ("-x", "`x` would do"),
            ("a.b", "`a-b` would do"),
            ("système", "`syst-me` would do"),
            ("", "lower-case"),
            ("../x", "`x` would do"),
        ];
        for (text, want) in table {
            let got = dns_label(text).unwrap_or_else(|error| error);
            assert!(got.ends_with(want) || got.contains(want), "{text}: {got}");
        }
        assert!(dns_label(&"a".repeat(63)).is_ok());
        assert!(dns_label(&"a".repeat(64)).is_err());
    }
}
