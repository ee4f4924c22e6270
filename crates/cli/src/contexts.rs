//! Servers by name, in a small file of their owner's: `--server` and `--ca` need not be typed then.
//!
//! It decides where your credential is sent. So only its owner may be able to change it, and what is not
//! known in it is refused with its place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::usage::WrongUsage;

/// Names the context that is meant, where no flag does.
const VARIABLE: &str = "AGENT_SHIELD_CONTEXT";
/// Others than the owner may write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// The file as it is written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// Which is used where nothing else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By name.
    #[serde(default)]
    pub(crate) contexts: Vec<ServerContext>,
}

/// A server by its name.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ServerContext {
    /// As it is typed.
    pub(crate) name: String,
    /// URL of the review listener.
    pub(crate) server: String,
    /// URL of the agents' listener, for their kubeconfigs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_server: Option<String>,
    /// The only CA that vouches for it; without one, the system's certificates do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

impl Contexts {
    /// Reads the file; empty where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, others can change it, or it says what is not known.
    pub(crate) fn load() -> Result<Self> {
        file().map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    fn read(path: &Path) -> Result<Self> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            metadata => metadata
                .with_context(|| format!("cannot read your contexts: {}", path.display()))?,
        };
        let own = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
        if !own || metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            let path = path.display();
            bail!(
                "others can change {path}, which says where your credential is sent: look at it, make it \
                 yours, then `chmod 600 {path}`"
            );
        }
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read your contexts: {}", path.display()))?;
        parse(&text).map_err(|why| anyhow::anyhow!("{}:{why}", path.display()))
    }

    /// Writes the file whole, for its owner's eyes alone.
    ///
    /// # Errors
    /// What the file system said.
    pub(crate) fn save(&self) -> Result<PathBuf> {
        let path = file().context("there is no home directory: set HOME or XDG_CONFIG_HOME")?;
        // A link stays one: some keep their configuration elsewhere.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let fail = || format!("cannot write your contexts: {}", path.display());
        if let Some(dir) = path.parent() {
            private_file::make_dir(dir).with_context(fail)?;
        }
        let text = serde_saphyr::to_string(self)?;
        private_file::write(&path, text.as_bytes(), 0o600).with_context(fail)?;
        Ok(path)
    }

    /// The context of this name.
    ///
    /// # Errors
    /// [`WrongUsage`] with those that there are.
    pub(crate) fn named(&self, name: &str) -> Result<&ServerContext> {
        let found = self.contexts.iter().find(|it| it.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.contexts.iter().map(|it| it.name.as_str()).collect();
            let have = match names.as_slice() {
                [] => "there are none".to_owned(),
                names => format!("there are: {}", names.join(", ")),
            };
            WrongUsage(format!("there is no context `{name}`; {have}")).into()
        })
    }

    /// The current context, if there is one.
    ///
    /// # Errors
    /// Where the file names one that it does not have.
    pub(crate) fn current(&self) -> Result<Option<&ServerContext>> {
        self.current.as_deref().map(|name| self.named(name)).transpose()
    }
}

/// The name that the environment gives.
pub(crate) fn from_environment() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|it| !it.is_empty())
}

/// `$XDG_CONFIG_HOME/agent-shield/config.yaml`, or below `~/.config`.
fn file() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
    let dir = from("XDG_CONFIG_HOME").or_else(|| Some(from("HOME")?.join(".config")))?;
    Some(dir.join("agent-shield/config.yaml"))
}

/// What the text says, or `LINE:COLUMN: what` is wrong with it.
fn parse(text: &str) -> Result<Contexts, String> {
    if text.trim().is_empty() {
        return Ok(Contexts::default());
    }
    let contexts: Contexts = serde_saphyr::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |it| (it.line(), it.column()));
        let message = error.without_snippet().to_string();
        let first = message.lines().next().unwrap_or_default();
        // The place stands in front already.
        let what = first.split(" at line ").next().unwrap_or(first);
        format!("{line}:{column}: {what}")
    })?;
    for (at, context) in contexts.contexts.iter().enumerate() {
        if contexts.contexts.iter().take(at).any(|it| it.name == context.name) {
            return Err(format!("1:1: two contexts are called `{}`", context.name));
        }
    }
    Ok(contexts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_what_is_not_known_stands() {
        let table = [
            ("", "ok"),
            ("contexts: []", "ok"),
            ("current: a\ncontexts:\n- name: a\n  server: https://a\n  ca: /ca.crt", "ok"),
            ("contexts:\n- name: a\n  server: https://a\n  token: x", "4:3: unknown field"),
            ("curent: a", "1:1: unknown field"),
            ("contexts:\n- name: a", "2:3: missing field"),
            ("contexts: x", "1:11: "),
            ("current: a\ncurrent: b", "2:1: "),
            (
                "contexts: [{name: a, server: https://a}, {name: a, server: https://b}]",
                "1:1: two contexts are called `a`",
            ),
        ];
        for (text, want) in table {
            let got = parse(text).map_or_else(|why| why, |_| "ok".to_owned());
            assert!(got.starts_with(want), "{text}: {got}");
        }
    }

    #[test]
    fn is_refused_where_others_can_change_it() -> Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir()?;
        let path = dir.path().join("config.yaml");
        assert!(Contexts::read(&path)?.contexts.is_empty());
        fs::write(&path, "contexts: []")?;
        for (mode, is_refused) in [(0o600, false), (0o644, false), (0o660, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            assert_eq!(Contexts::read(&path).is_err(), is_refused, "{mode:o}");
        }
        Ok(())
    }
}
