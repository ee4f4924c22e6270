//! Where the data of `serve` is, where nobody says otherwise.

use std::path::PathBuf;

/// `$XDG_DATA_HOME/agent-shield`, or `~/.local/share/agent-shield`.
pub(crate) fn default_data_dir() -> PathBuf {
    let from = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    from("XDG_DATA_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("agent-shield")
}
