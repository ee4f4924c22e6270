//! The resources that Kubernetes itself serves. What is not here is an unknown API: its writes may
//! do anything, and its dry run may be ignored.

use std::sync::LazyLock;

/// One built-in resource.
#[derive(Debug)]
pub struct Builtin {
    /// Empty for the core group.
    pub group: &'static str,
    /// Plural name.
    pub resource: &'static str,
    /// Whether its objects are in namespaces.
    pub is_namespaced: bool,
    /// `status`, `scale`, `exec`, …
    pub subresources: Vec<&'static str>,
}

impl Builtin {
    /// Every one of them.
    pub fn all() -> &'static [Self] {
        &TABLE
    }

    /// Looks a resource up by group (empty: core) and plural name.
    pub fn find(group: &str, resource: &str) -> Option<&'static Self> {
        TABLE.iter().find(|it| it.group == group && it.resource == resource)
    }

    /// Whether Kubernetes itself serves this group.
    pub(crate) fn serves(group: &str) -> bool {
        TABLE.iter().any(|it| it.group == group)
    }

    /// Whether the resource has this subresource; the empty one is the object itself.
    pub(crate) fn has(&self, subresource: &str) -> bool {
        subresource.is_empty() || self.subresources.contains(&subresource)
    }
}

static TABLE: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
    let lines = include_str!("builtin.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(read).collect()
});

fn read(line: &'static str) -> Option<Builtin> {
    let mut words = line.split_whitespace();
    let group = words.next().map(|group| if group == "-" { "" } else { group })?;
    let resource = words.next()?;
    let is_namespaced = words.next()? == "namespaced";
    let subresources = words.next()?.split(',').filter(|it| *it != "-").collect();
    Some(Builtin { group, resource, is_namespaced, subresources })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_kubernetes_serves() {
        assert_eq!(TABLE.len(), 71);
        let table = [
            ("apps", "deployments", "scale", true),
            ("", "pods", "eviction", true),
            ("", "pods", "", true),
            ("apps", "deployments", "exec", false),
            ("ex.io", "widgets", "", false),
            ("apps", "pods", "", false),
        ];
        for (group, resource, subresource, want) in table {
            let has = Builtin::find(group, resource).is_some_and(|it| it.has(subresource));
            assert_eq!(has, want, "{group} {resource}/{subresource}");
        }
    }
}
