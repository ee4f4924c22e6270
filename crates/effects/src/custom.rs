//! Resources that Kubernetes itself does not serve: what is known of those whose writes reach
//! further than their own object (DEFAULTS Q16). They run code, delete or restore what others own,
//! stop workloads, move traffic, or make things outside the cluster, in whatever namespace they lie.
//! `custom.txt` lists them by group, resource and field; of all others their shape decides.

use std::sync::LazyLock;

use crate::{
    about::{Act, ActsBy},
    shape,
};

/// What is known of an API that is not built in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Custom {
    /// A group that only a part of Kubernetes itself may use: an API that is off by default, or
    /// newer than this table. Not a custom resource.
    OfKubernetes,
    /// Every write to it acts beyond itself, and how.
    Acts(Act),
    /// Only its operator knows more, unless a field of it says so.
    Plain,
}

/// One line of `custom.txt`.
struct Line {
    group: &'static str,
    resource: &'static str,
    field: &'static str,
    /// None where it is known to be plain.
    act: Option<Act>,
}

/// What every resource of a group, or every write, is called.
const ANY: &str = "*";

static TABLE: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let lines = include_str!("custom.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(read).collect()
});

fn read(line: &'static str) -> Option<Line> {
    let mut words = line.split_whitespace();
    let (group, resource, field) = (words.next()?, words.next()?, words.next()?);
    let act = words.next()?;
    let act = Act::ALL.into_iter().find(|it| it.as_str() == act);
    Some(Line { group, resource, field, act })
}

/// Looks a resource up that is not built in, by its group and plural name.
pub(crate) fn of(group: &str, resource: &str) -> Custom {
    let mut is_known = false;
    for line in lines(group, resource) {
        is_known = true;
        if let (ANY, Some(act)) = (line.field, line.act) {
            return Custom::Acts(act);
        }
    }
    // Groups below `k8s.io` are Kubernetes' own; projects beside it live below `x-k8s.io`.
    let is_own = !group.contains('.') || group == "k8s.io" || group.ends_with(".k8s.io");
    match (is_known, is_own, shape::of_resource(resource)) {
        (false, true, _) => Custom::OfKubernetes,
        (false, false, Some(act)) => Custom::Acts(act),
        _ => Custom::Plain,
    }
}

/// How every write to it acts, as it is recorded.
pub(crate) fn acts(known: Custom) -> Vec<ActsBy> {
    match known {
        Custom::Acts(act) => vec![ActsBy::fields(act, Vec::new())],
        Custom::OfKubernetes | Custom::Plain => Vec::new(),
    }
}

/// How a field of this resource is known to act, by its path.
pub(crate) fn field(group: &str, resource: &str, path: &[String]) -> Option<Act> {
    lines(group, resource).find(|line| covers(line.field, path)).and_then(|line| line.act)
}

/// The lines of the nearest name: of the resource before those of all others, of the group before
/// those of its end.
fn lines(group: &str, resource: &str) -> impl Iterator<Item = &'static Line> {
    let is_end = |it: &str| it.starts_with('.') && group.ends_with(it);
    let of = |is_group: &dyn Fn(&str) -> bool, resource: &str| -> Vec<&'static Line> {
        let is_line = |line: &&Line| is_group(line.group) && line.resource == resource;
        TABLE.iter().filter(is_line).collect()
    };
    let nearest = [resource, ANY].map(|name| of(&|it| it == group, name));
    let by_end = [resource, ANY].map(|name| of(&is_end, name));
    nearest.into_iter().chain(by_end).find(|lines| !lines.is_empty()).into_iter().flatten()
}

/// Whether a path is the field of a line, or within it.
fn covers(field: &str, path: &[String]) -> bool {
    let mut keys = path.iter();
    !matches!(field, ANY | "-")
        && field.split('.').all(|it| keys.next().is_some_and(|key| it == ANY || it == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_reaches_further() {
        let table = [
            ("ex.io", "widgets", Custom::Plain),
            ("ex.io", "databaserestores", Custom::Acts(Act::Restores)),
            ("ex.io", "prunes", Custom::Acts(Act::Deletes)),
            ("ex.io", "*", Custom::Plain),
            ("myargoproj.io", "applications", Custom::Plain),
            ("argoproj.io", "applications", Custom::Acts(Act::Deploys)),
            ("argoproj.io", "workflows", Custom::Acts(Act::Runs)),
            ("argoproj.io", "whatever", Custom::Acts(Act::Deploys)),
            ("argoproj.io", "*", Custom::Acts(Act::Deploys)),
            ("helm.toolkit.fluxcd.io", "helmreleases", Custom::Acts(Act::Deploys)),
            ("infrastructure.cluster.x-k8s.io", "awsmachines", Custom::Acts(Act::Nodes)),
            ("something.x-k8s.io", "things", Custom::Plain),
            ("velero.io", "restores", Custom::Acts(Act::Restores)),
            ("velero.io", "backups", Custom::Acts(Act::Backups)),
            ("monitoring.coreos.com", "prometheuses", Custom::Acts(Act::Runs)),
            ("monitoring.coreos.com", "prometheusrules", Custom::Plain),
            ("monitoring.coreos.com", "servicemonitors", Custom::Plain),
            ("lifecycle.k8s.io", "evictions", Custom::OfKubernetes),
            ("sparkoperator.k8s.io", "sparkapplications", Custom::Acts(Act::Runs)),
            ("apps", "things", Custom::OfKubernetes),
            ("", "things", Custom::OfKubernetes),
        ];
        for (group, resource, want) in table {
            assert_eq!(of(group, resource), want, "{group} {resource}");
        }
    }

    #[test]
    fn knows_fields_that_act() {
        let table = [
            ("servicemonitors", "spec/endpoints/0/bearerTokenFile", Some(Act::Credentials)),
            ("servicemonitors", "spec/endpoints/0/port", None),
            ("servicemonitors", "spec/endpoints", None),
            ("prometheusrules", "spec/groups/a/rules/0/expr", None),
            ("probes", "spec/targets/staticConfig/static/0", Some(Act::Elsewhere)),
        ];
        for (resource, path, want) in table {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            assert_eq!(
                field("monitoring.coreos.com", resource, &path),
                want,
                "{resource} {path:?}"
            );
        }
    }

    #[test]
    fn every_line_of_the_table_is_read_and_stands_in_order() {
        let text = include_str!("custom.txt");
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), TABLE.len());
        for (line, read) in lines.iter().zip(TABLE.iter()) {
            assert_eq!(line.split_whitespace().count(), 4, "{line}");
            assert_eq!(read.act.is_none(), line.ends_with(" - plain"), "{line}");
        }
        let keys = |line: &Line| (line.group.starts_with('.'), line.group, line.resource != ANY);
        assert!(TABLE.is_sorted_by_key(keys));
        let mut sorted = lines.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), lines.len(), "a line stands twice");
    }
}
