//! Label selectors, as Kubernetes reads them.

use serde_json::Value;

/// A label selector (`metav1.LabelSelector`); what is not understood selects.
pub(crate) fn selects(selector: &Value, object: &Value) -> bool {
    let label = |key: &str| {
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        labels.and_then(|it| it.get(key)).and_then(Value::as_str)
    };
    let matches = selector.get("matchLabels").and_then(Value::as_object);
    let by_labels = matches.into_iter().flatten().all(|(key, value)| label(key) == value.as_str());
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    by_labels
        && expressions.into_iter().flatten().all(|it| {
            let found = label(text(it, "key").unwrap_or_default());
            let values = it.get("values").and_then(Value::as_array);
            let is_in = values.is_some_and(|values| {
                values.iter().any(|value| value.as_str() == found && found.is_some())
            });
            match text(it, "operator") {
                Some("In") => is_in,
                Some("NotIn") => !is_in,
                Some("Exists") => found.is_some(),
                Some("DoesNotExist") => found.is_none(),
                _ => true,
            }
        })
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selects_as_kubernetes_does() {
        let pod = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        let one = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "app", "operator": operator, "values": values}]});
        let table = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "web"}}), true),
            (json!({"matchLabels": {"app": "web", "tier": "back"}}), false),
            (one("In", json!(["web"])), true),
            (one("NotIn", json!(["web"])), false),
            (one("Exists", json!(null)), true),
            (one("DoesNotExist", json!(null)), false),
        ];
        for (selector, want) in table {
            assert_eq!(selects(&selector, &pod), want, "{selector}");
        }
    }
}
