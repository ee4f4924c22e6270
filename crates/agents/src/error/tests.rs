//! Everything that `agent create` and its like say when they do not succeed.

use testkit::one_of_each;

use super::*;

#[test]
fn every_error_about_an_agent_is_a_sentence() {
    use AgentsError as E;
    let unreadable = || kube::Error::SerdeError(serde::de::Error::custom("expected a map"));
    let yaml = || serde::ser::Error::custom("a key is a list");
    let (name, homes) = (|| "triage".to_owned(), || "dev, ops".to_owned());
    let errors = one_of_each!(AgentsError:
        E::Refused { .. } => E::Refused { code: 403, message: "cannot read Namespace `dev`: forbidden".into() },
        E::MissingRights(_) => E::MissingRights(vec!["\n  create roles in namespace dev".into()]),
        E::Conflict(_) => E::Conflict("cannot update Role: it was changed meanwhile".into()),
        E::NoAnswer { .. } => E::NoAnswer { url: "https://api".into(), why: "connection refused".into() },
        E::Unreadable { .. } => E::Unreadable { what: "list Roles".into(), source: Box::new(unreadable()) },
        E::NoSuchAgent(_) => E::NoSuchAgent(name()),
        E::SeveralAgents { .. } => E::SeveralAgents { name: name(), homes: homes() },
        E::NameTaken { .. } => E::NameTaken { name: name(), homes: homes() },
        E::NoNamespaces(_) => E::NoNamespaces(vec!["dev".into(), "ops".into()]),
        E::Foreign(_) => E::Foreign("Role `triage` in namespace `dev`".into()),
        E::Terminating(_) => E::Terminating("ServiceAccount `triage` in namespace `dev`".into()),
        E::NoToken => E::NoToken,
        E::Manifest(_) => E::Manifest(yaml()),
    );
    let of_kubeconfigs = one_of_each!(KubeconfigError:
        KubeconfigError::NoCurrentContext => KubeconfigError::NoCurrentContext,
        KubeconfigError::NoContext(_) => KubeconfigError::NoContext("prod".into()),
        KubeconfigError::NoCluster(_) => KubeconfigError::NoCluster("prod".into()),
    );
    let told = errors.iter().map(ToString::to_string);
    let told = told.chain(of_kubeconfigs.iter().map(ToString::to_string));
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}
