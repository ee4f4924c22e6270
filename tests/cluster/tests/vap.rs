//! The expression examples of the Kubernetes documentation say the same here and in the API server's
//! own ValidatingAdmissionPolicy: true, false, or no answer.

use std::time::Duration;

use cluster::{deployment, list, namespace};
use jiff::Timestamp;
use policy::{Decision, Source, case::Case, compile};
use serde_json::{Value, json};
use testkit::{Agent, Cluster, http, wait_until};

/// Of <https://kubernetes.io/docs/reference/using-api/cel/> and the pages on admission policies,
/// with `self` written as what it is there.
const EXPRESSIONS: [&str; 46] = [
    "object.spec.replicas <= 5",
    "object.spec.replicas > 5",
    "object.metadata.name.startsWith('we')",
    "object.spec.minReadySeconds >= 0",
    "has(object.spec.minReadySeconds)",
    "!has(object.metadata.annotations) || object.metadata.annotations.size() < 10",
    "has(object.metadata.labels) && 'app' in object.metadata.labels",
    "object.metadata.labels['app'] == 'web'",
    "object.metadata.labels['nope'] == 'web'",
    "object.metadata.labels.exists(key, key.startsWith('ap'))",
    "object.metadata.labels.all(key, key.matches('^[a-zA-Z/.]*$'))",
    "object.metadata.labels.all(key, value, key.size() > 2 && value.size() > 0)",
    "object.spec.template.spec.containers.all(c, c.image.matches('^[a-z.-]+:[0-9.]+$'))",
    "object.spec.template.spec.containers.exists(c, c.image.contains('/'))",
    "object.spec.template.spec.containers.exists_one(c, c.name == 'main')",
    "object.spec.template.spec.containers.map(c, c.name).isSorted()",
    "object.spec.template.spec.containers.filter(c, c.name != 'main').size() == 0",
    "object.spec.template.spec.containers[0].name == 'main'",
    "object.spec.template.spec.containers[7].name == 'main'",
    "object.spec.template.spec.containers.all(c, has(c.resources.limits))",
    "object.?metadata.?annotations[?'x'].orValue('y') == 'y'",
    "object.?spec.?template.?spec.?hostNetwork.hasValue()",
    "object.spec.template.spec.?hostNetwork.orValue(false) == false",
    "size(object.metadata.name) == 3",
    "object.metadata.name == 'web' ? object.spec.replicas == 2 : false",
    "object.spec.replicas * 2 - 1 == 3",
    "object.spec.replicas / 0 == 1",
    "object.spec.replicas / 0 == 1 || true",
    "object.spec.replicas / 0 == 1 && false",
    "[1, 2, 3].sum() == 6 && [3, 1].min() == 1 && [3, 1].max() == 3",
    "['a', 'b', 'b'].indexOf('b') == 1 && ['a', 'b', 'b'].lastIndexOf('b') == 2",
    "'abc 123'.find('[0-9]+') == '123' && '1 2'.findAll('[0-9]') == ['1', '2']",
    "url('https://example.com:80/path?k=v').getHost() == 'example.com:80' && url('https://example.com:80/path?k=v').getQuery()['k'] == ['v']",
    "isURL('https://a:b@example.com/') && !isURL('../relative')",
    "quantity('500000G').isInteger() && quantity('50k').asInteger() == 50000 && quantity('9999999999999999999999999999999999999G').isInteger() == false",
    "quantity('50M').isLessThan(quantity('100M')) && quantity('50k').add(20000).sub(quantity('70k')) == quantity('0')",
    "isQuantity('1.3Gi') && !isQuantity('1,3')",
    "ip('192.168.0.1').family() == 4 && ip('::1').isLoopback() && !isIP('192.168.0.256')",
    "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1')) && cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')",
    "cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('::1/128').prefixLength() == 128",
    "!format.dns1123Label().validate(object.metadata.name).hasValue()",
    "format.named('qualifiedName').value().validate('a b').hasValue()",
    "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('v1.2', true).minor() == 2",
    "'hello'.charAt(1) == 'e' && 'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
    "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1], [1, 1])",
    "request.operation == 'CREATE' && oldObject == null && namespaceObject.metadata.labels['env'] == 'dev'",
];

/// What somebody says of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    True,
    False,
    NoAnswer,
}

/// An expression as a policy of the API server, for objects with this label.
fn policy_of(label: &str, expression: &str, ns: &str) -> [Value; 2] {
    let name = format!("{ns}-{label}");
    let kind = |kind: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name},
        })
    };
    let mut policy = kind("ValidatingAdmissionPolicy");
    policy["spec"] = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "objectSelector": {"matchLabels": {"expr": label}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            "resourceRules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                "operations": ["CREATE", "UPDATE"],
            }],
        },
        "validations": [{"expression": expression}],
    });
    let mut binding = kind("ValidatingAdmissionPolicyBinding");
    binding["spec"] = json!({"policyName": name, "validationActions": ["Deny"]});
    [policy, binding]
}

fn dry_run(cluster: &Cluster, agent: &Agent, ns: &str, object: &Value) -> http::Answer {
    let target = format!("/apis/apps/v1/namespaces/{ns}/deployments?dryRun=All");
    let authorization = format!("Bearer {}", agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = object.to_string();
    http::request(cluster.server(), &cluster.ca(), "POST", &target, &headers, body.as_bytes())
        .expect("an answer")
}

fn theirs(answer: &http::Answer) -> Said {
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    match answer.status {
        201 => Said::True,
        _ if message.contains("resulted in error") => Said::NoAnswer,
        _ => Said::False,
    }
}

fn ours(expression: &str, ns: &str, object: &Value) -> Said {
    let source = |text: String| Source { name: "p.yaml".into(), text };
    let policy = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": "p"},
        "spec": {"rules": [{"name": "rule", "action": "hold", "when": expression, "reason": "yes"}]},
    });
    let settings = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "PolicySettings",
        "metadata": {"name": "s"}, "spec": {"packs": []},
    });
    let sources = [source(policy.to_string()), source(settings.to_string())];
    let compiled = compile(&sources, Timestamp::UNIX_EPOCH);
    let pack = compiled.unwrap_or_else(|issues| panic!("{expression}: {}", issues[0])).pack;
    let case = json!({
        "name": "case", "object": object, "namespaceLabels": {"env": "dev"},
        "request": {"verb": "create", "resource": "deployments.apps", "namespace": ns},
    });
    let case: Case = serde_saphyr::from_str(&case.to_string()).expect("a case");
    let verdict = case.judged(&pack).expect("a request").verdict;
    match verdict.decision {
        Decision::Allow => Said::False,
        _ if verdict.reason() == "yes" => Said::True,
        _ => Said::NoAnswer,
    }
}

#[test]
fn expressions_say_what_they_say_in_the_api_server() {
    let cluster = testkit::cluster();
    let ns = cluster.unique("vap");
    cluster.apply(&list(&[namespace(&ns, "dev")])).expect("a namespace");
    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]}]);
    let agent = cluster.cluster_agent(&ns, "agent", &rules).expect("an agent");
    // Each twice, once turned round: what is true is refused by its twin, so that no answer comes
    // from a policy that is not in force yet.
    let policies = EXPRESSIONS.iter().enumerate().flat_map(|(index, expression)| {
        let plain = policy_of(&format!("e{index}"), expression, &ns);
        plain.into_iter().chain(policy_of(&format!("n{index}"), &format!("!({expression})"), &ns))
    });
    let policies: Vec<Value> = policies.collect();
    cluster.apply(&list(&policies)).expect("policies");
    let labelled = |object: &Value, label: &str| {
        let mut object = object.clone();
        object["metadata"]["labels"] = json!({"app": "web", "expr": label});
        object
    };
    let mut two = deployment(&ns, "web", 2);
    two["spec"]["template"]["spec"]["containers"][0]["name"] = json!("main");
    let mut other = two.clone();
    other["metadata"]["name"] = json!("other");
    other["spec"]["replicas"] = json!(7);
    let mut wrong = Vec::new();
    let mut counts = [0; 3];
    for object in [&two, &other] {
        for (index, expression) in EXPRESSIONS.iter().enumerate() {
            // What the API server makes of it, defaults and all.
            let plain = dry_run(cluster, &agent, &ns, &labelled(object, "none"));
            assert_eq!(plain.status, 201, "{}", plain.json());
            let label = format!("e{index}");
            let ours = ours(expression, &ns, &labelled(&plain.json(), &label));
            let theirs = wait_until(Duration::from_secs(30), expression, || {
                let ask =
                    |label: &str| theirs(&dry_run(cluster, &agent, &ns, &labelled(object, label)));
                match ask(&label) {
                    Said::True => (ask(&format!("n{index}")) == Said::False).then_some(Said::True),
                    said => Some(said),
                }
            });
            counts[ours as usize] += 1;
            if ours != theirs {
                wrong.push(format!("{expression}: ours {ours:?}, theirs {theirs:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counts.iter().all(|count| *count >= 4), "all three answers were compared: {counts:?}");
}
