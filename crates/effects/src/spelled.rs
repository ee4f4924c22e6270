//! Powers over its node that a custom resource asks for by a name, where nothing of it has a shape that
//! Kubernetes knows: `useHostNetwork`, the path of a JSON patch, a pod's spec written down as text.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    about::Power,
    names::{Name, is_off},
    powers::is_own_capability,
};

/// How fields of pods are spelled that share a namespace of their node.
const HOST_NAMESPACES: [(&str, &str); 3] =
    [("hostnetwork", "hostNetwork"), ("hostpid", "hostPID"), ("hostipc", "hostIPC")];
/// How the shortest of these names is long, in bytes.
const NAME_BYTES_MIN: usize = "capadd".len();
/// Of what follows a key in a text, so much is its value.
const VALUE_CHARS_MAX: usize = 100;

/// By the names on the path of a field, and what it becomes.
pub(crate) fn of_field(keys: &[Name], value: &Value) -> BTreeSet<Power> {
    if is_off(value) {
        return BTreeSet::new();
    }
    let said = value.as_str().unwrap_or_default();
    let mut powers = of_text(said);
    powers.extend(keys.iter().filter_map(|key| of_name(key, said)));
    powers
}

/// By what a text says: a path to a field, or keys with values. An agent decides how many there are: a path is
/// read once, and of the value of a key only its beginning.
fn of_text(text: &str) -> BTreeSet<Power> {
    let mut powers: BTreeSet<Power> = of_pointer(text).collect();
    let mut read_to = 0;
    for (at, _) in text.match_indices(':') {
        let Some((before, after)) = text.split_at_checked(at) else { continue };
        let after = after.strip_prefix(':').unwrap_or(after).trim_start_matches(is_around);
        let begins = text.len().saturating_sub(after.len());
        if begins >= read_to && after.starts_with('/') {
            let pointer = first_value(after);
            powers.extend(of_pointer(pointer));
            read_to = begins.saturating_add(pointer.len());
        }
        let key = last_key(before);
        if key.len() >= NAME_BYTES_MIN {
            let some = after.char_indices().nth(VALUE_CHARS_MAX);
            let value =
                first_value(some.map_or(after, |(end, _)| after.get(..end).unwrap_or(after)));
            if !is_off(&Value::from(value)) {
                powers.extend(of_pair(&Name::of(key), value));
            }
        }
    }
    powers
}

fn of_pair(key: &Name, value: &str) -> Option<Power> {
    let path = Some(value).filter(|it| it.starts_with('/')).unwrap_or_default();
    match key.joined.as_str() {
        "capabilities" => Some(Power::Capability("named in a text".to_owned())),
        "procmount" if value == "Default" => None,
        _ => of_name(key, path),
    }
}

/// By the path to a field of an object.
fn of_pointer(text: &str) -> impl Iterator<Item = Power> {
    let keys = text.strip_prefix('/').into_iter().flat_map(|it| it.split('/'));
    let keys = keys.filter(|key| key.len() >= NAME_BYTES_MIN);
    keys.filter_map(|key| of_name(&Name::of(key), ""))
}

/// The key that stands last in a text; empty where none does.
fn last_key(text: &str) -> &str {
    let text = text.trim_end_matches(is_around);
    let is_of_key = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-');
    text.get(text.trim_end_matches(is_of_key).len()..).unwrap_or_default()
}

/// The value that stands first in a text.
fn first_value(text: &str) -> &str {
    let ends = |it: char| it.is_whitespace() || "\"'\\,}]".contains(it);
    text.split(ends).next().unwrap_or_default()
}

fn is_around(it: char) -> bool {
    it.is_whitespace() || matches!(it, '"' | '\'' | '\\')
}

fn of_name(name: &Name, value: &str) -> Option<Power> {
    if name.is_protective() {
        return None;
    }
    let joined = name.joined.as_str();
    let namespace = HOST_NAMESPACES.iter().find(|(part, _)| joined.contains(part));
    if let Some((_, field)) = namespace {
        return Some(Power::HostNamespace((*field).to_owned()));
    }
    match joined {
        _ if name.has_word("privileged") => Some(Power::Privileged),
        // Its value is a path, or stands below it.
        "hostpath" | "hostdir" if value.starts_with('/') || value.is_empty() => {
            Some(Power::HostPath(value.to_owned()))
        }
        "procmount" if value != "Default" => Some(Power::ProcMount),
        "capadd" | "capsadd" | "addcapabilities" if !is_own_capability(value) => {
            Some(Power::Capability(value.to_owned()))
        }
        _ if joined.contains("device") && value.starts_with("/dev/") => {
            Some(Power::HostPath(value.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_a_long_text_once() {
        let text = ":/a:hostpidx:/".repeat(100_000);
        let found = of_field(&[], &json!(text));
        assert_eq!(Vec::from_iter(found), [Power::HostNamespace("hostPID".to_owned())]);
    }

    #[test]
    fn knows_powers_however_they_are_spelled() {
        let table = [
            ("useHostNetwork", json!(true), "hostNamespace:hostNetwork"),
            ("host_pid", json!(true), "hostNamespace:hostPID"),
            ("HostIpc", json!("Enabled"), "hostNamespace:hostIPC"),
            ("hostNetwork", json!(false), ""),
            ("hostNetwork", json!("disabled"), ""),
            ("hostname", json!("a"), ""),
            ("privilegedMode", json!(true), "privileged:"),
            ("privileged", json!(false), ""),
            ("unprivileged", json!(true), ""),
            ("denyPrivileged", json!(true), ""),
            ("host_path", json!("/var"), "hostPath:/var"),
            ("type", json!("Directory"), ""),
            ("capAdd", json!("SYS_ADMIN"), "capability:SYS_ADMIN"),
            ("capAdd", json!("CHOWN"), ""),
            ("devices", json!("/dev/sda"), "hostPath:/dev/sda"),
            ("deviceClass", json!("gpu"), ""),
            ("procMount", json!("Unmasked"), "procMount:"),
            ("path", json!("/spec/hostPID"), "hostNamespace:hostPID"),
            (
                "path",
                json!("/spec/template/spec/containers/0/securityContext/privileged"),
                "privileged:",
            ),
            ("path", json!("/var/lib/data"), ""),
            ("override", json!("spec:\n  hostPID: true\n"), "hostNamespace:hostPID"),
            (
                "override",
                json!("{\"spec\": {\"hostNetwork\" : true}}"),
                "hostNamespace:hostNetwork",
            ),
            ("override", json!("{\"a\":\"{\\\"hostIPC\\\":true}\"}"), "hostNamespace:hostIPC"),
            ("override", json!("privileged: false\nhostNetwork: false"), ""),
            ("override", json!("hostPath: {path: /}"), "hostPath:"),
            ("override", json!("hostPath:/var"), "hostPath:/var"),
            ("override", json!("capabilities:\n  add: [SYS_ADMIN]"), "capability:named in a text"),
            (
                "patches",
                json!("[{\"path\":\"/spec/hostPID\",\"value\":true}]"),
                "hostNamespace:hostPID",
            ),
            ("url", json!("https://shop.example.com:8443/a"), ""),
            ("note", json!("it is privileged"), ""),
            ("a", json!(format!("p: /{}/hostPID", "x/".repeat(200))), "hostNamespace:hostPID"),
            ("a", json!("p: /x:/y:/spec/hostPID"), "hostNamespace:hostPID"),
            ("note", json!(":::é:"), ""),
        ];
        for (key, value, want) in table {
            let found = of_field(&[Name::of(key)], &value);
            let found: Vec<String> = found
                .iter()
                .map(Power::parts)
                .map(|(name, which)| format!("{name}:{which}"))
                .collect();
            assert_eq!(found.join(" "), want, "{key} {value}");
        }
    }
}
