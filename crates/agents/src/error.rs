//! What can go wrong with an agent's objects, as far as anybody acts on it in another way.

use upstream::in_words;

/// What was tried of an agent did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// The API server refused.
    #[error("{message}")]
    Refused {
        /// Its HTTP status.
        code: u16,
        /// What was tried, what it said, what helps.
        message: String,
    },
    /// The operator lacks rights, one a line; nothing was changed.
    #[error("your user lacks rights that this needs, and nothing was changed:{}", .0.concat())]
    MissingRights(Vec<String>),
    /// Something is gone, or was changed meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// No answer came from the API server.
    #[error("cannot reach the API server at {url}: {why}")]
    NoAnswer {
        /// Its address.
        url: String,
        /// Why not.
        why: String,
    },
    /// A question or an answer has a form that nobody can read.
    #[error("cannot {what}: {}", in_words(.source.as_ref()))]
    Unreadable {
        /// What was tried.
        what: String,
        /// The client's word for it.
        source: Box<kube::Error>,
    },
    /// There is no such agent.
    #[error("there is no agent `{0}`: `agent-shield agent list` shows all")]
    NoSuchAgent(String),
    /// Several agents have this name.
    #[error("there are agents `{name}` in {homes}: say which one with --home")]
    SeveralAgents {
        /// The name.
        name: String,
        /// Their namespaces.
        homes: String,
    },
    /// An agent of this name may be somebody else's.
    #[error(
        "there is an agent `{name}` already, in {homes}: --home with that namespace changes it, with another it makes one more"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Where there are agents of it.
        homes: String,
    },
    /// Namespaces that do not exist.
    #[error("{}: nothing was changed", missing(.0))]
    NoNamespaces(Vec<String>),
    /// An object of the same name is not this agent's.
    #[error(
        "{0} exists already and was not made by agent-shield for this agent: it is left as it is; choose another name, or delete it yourself"
    )]
    Foreign(String),
    /// An object is on its way out.
    #[error("{0} is just being deleted: run the command again when it is gone")]
    Terminating(String),
    /// The API server made no token.
    #[error("the API server answered without a token")]
    NoToken,
    /// A manifest cannot be written.
    #[error("a manifest cannot be written as YAML")]
    Manifest(#[from] serde_saphyr::ser::Error),
}

fn missing(namespaces: &[String]) -> String {
    match namespaces {
        [one] => format!("there is no namespace {one}"),
        many => format!("there are no namespaces {}", many.join(", ")),
    }
}

/// Why a kubeconfig cannot be pointed at agent-shield.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// Nothing says which context is meant.
    #[error("the kubeconfig has no current-context: give --context")]
    NoCurrentContext,
    /// The context is not in it.
    #[error("the kubeconfig has no context `{0}`")]
    NoContext(String),
    /// The context's cluster is not in it.
    #[error("the kubeconfig has no cluster `{0}`")]
    NoCluster(String),
}

#[cfg(test)]
mod tests;
