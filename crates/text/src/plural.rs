//! How a count of objects reads.

/// `1 replicaset`, `2 replicasets`: a count and the plural by which the API names a resource.
pub fn counted(count: u64, plural: &str) -> String {
    match count {
        1 => format!("1 {}", one_of(plural)),
        count => format!("{count} {plural}"),
    }
}

/// `replicaset` of `replicasets`, `networkpolicy.networking.k8s.io` of the same with its plural.
pub fn one_of(plural: &str) -> String {
    let (word, group) = match plural.split_once('.') {
        Some((word, group)) => (word, format!(".{group}")),
        None => (plural, String::new()),
    };
    let ends = |ends: &str| word.strip_suffix(ends);
    let one = if let Some(stem) = ends("ies") {
        format!("{stem}y")
    } else if ["sses", "shes", "ches", "xes"].iter().any(|it| word.ends_with(it)) {
        ends("es").unwrap_or(word).to_owned()
    } else if word.ends_with("ss") {
        word.to_owned()
    } else {
        ends("s").unwrap_or(word).to_owned()
    };
    format!("{one}{group}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let table = [
            (1, "replicasets", "1 replicaset"),
            (2, "replicasets", "2 replicasets"),
            (0, "pods", "0 pods"),
            (1, "networkpolicies", "1 networkpolicy"),
            (1, "ingresses", "1 ingress"),
            (1, "storageclasses", "1 storageclass"),
            (1, "deployments.apps", "1 deployment.apps"),
            (1, "leases", "1 lease"),
            (1, "fish", "1 fish"),
        ];
        for (count, plural, want) in table {
            assert_eq!(counted(count, plural), want);
        }
    }
}
