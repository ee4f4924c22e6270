//! Why policies could not be read.

use std::{io, path::PathBuf};

use policy::Issue;

/// Why there is no set of policies, or nothing is known of it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory could not be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// There is no policy where some were. Whoever means none takes the path away.
    #[error(
        "{path} contains no policy: write one there, or start without it to have none but the built-in ones",
        path = .0.display()
    )]
    Empty(PathBuf),
    /// There are more files than anybody wrote by hand.
    #[error("{count} policy files are too many: at most {max} are read")]
    TooManyFiles {
        /// How many there are.
        count: usize,
        /// How many are read.
        max: usize,
    },
    /// The set is refused, for all of this.
    #[error("the policies are refused:\n{}", lines(.0))]
    Refused(Vec<Issue>),
    /// The API server did not say what its objects look like.
    #[error("{what}")]
    Kinds {
        /// What was asked for.
        what: String,
        /// What it said.
        #[source]
        source: upstream::OwnError,
    },
    /// A thread that did the work ended without its result.
    #[error("{0}")]
    Interrupted(String),
    /// No agent-shield has told what is in force.
    #[error("no agent-shield has run with the data directory {}", .dir.display())]
    NeverRan {
        /// The data directory.
        dir: PathBuf,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// What it told cannot be read.
    #[error("cannot read {}", .path.display())]
    Status {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

fn lines(issues: &[Issue]) -> String {
    issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
