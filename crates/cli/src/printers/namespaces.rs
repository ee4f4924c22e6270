//! How namespaces are classed.

use api::body::NamespaceBody;

use super::cells::{e, table};

/// How namespaces are seen.
pub(crate) fn namespaces(namespaces: &[NamespaceBody]) -> String {
    if namespaces.is_empty() {
        return "No namespace is known: agent-shield may not list them.".to_owned();
    }
    let mut table = table(&["NAMESPACE", "SEEN AS", "WHY", "TO DECLARE IT OTHERWISE"]);
    for namespace in namespaces {
        let production = if namespace.production { "production" } else { "non-production" };
        let protected = if namespace.protected { ", protected" } else { "" };
        let otherwise = match namespace.declare.as_str() {
            "" => format!("never: {}", e(&namespace.fixed)),
            command => e(command),
        };
        table.add_row(vec![
            e(&namespace.name),
            format!("{production}{protected}"),
            e(&namespace.signs.join(", ")),
            otherwise,
        ]);
    }
    table.trim_fmt()
}
