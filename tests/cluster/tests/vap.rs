//! The expression examples of the Kubernetes documentation say the same here and in the API server's
//! own ValidatingAdmissionPolicy: true, false, or no answer. What is not supported is in
//! `docs/guide/4-policy.md`, and refused by name.

use std::time::Duration;

use cluster::{definition, deployment, list, namespace};
use jiff::Timestamp;
use policy::{Decision, Pack, Source, case::Case, compile};
use serde_json::{Value, json};
use testkit::{Agent, Cluster, http, wait_until};

/// Of the page on ValidatingAdmissionPolicy (its tables and its example files) and of the page on CEL
/// in Kubernetes, about Deployments.
const OF_DEPLOYMENTS: &[&str] = &[
    // The page on ValidatingAdmissionPolicy.
    "object.spec.replicas <= 5",
    "object.spec.replicas > 50",
    "object.spec.replicas > 1",
    "object.spec.replicas <= params.maxReplicas",
    "params != null",
    "!has(params.optionalNumber) || (params.optionalNumber >= 5 && params.optionalNumber <= 10)",
    "'Deployment spec.replicas set to ' + string(object.spec.replicas) == 'Deployment spec.replicas set to 2'",
    "'object.spec.replicas must be no greater than ' + string(params.maxReplicas) == 'object.spec.replicas must be no greater than 3'",
    "!(request.resource.group == 'coordination.k8s.io' && request.resource.resource == 'leases')",
    "!('system:nodes' in request.userInfo.groups)",
    "request.resource.group != 'rbac.authorization.k8s.io'",
    "object.metadata.name.startsWith('demo')",
    "'environment' in namespaceObject.metadata.labels ? namespaceObject.metadata.labels['environment'] == 'prod' : 'prod' == 'prod'",
    "'exempt' in object.metadata.labels && object.metadata.labels['exempt'] == 'true'",
    "object.spec.template.spec.containers.filter(c, c.image.contains('example.com')).all(c, c.image.startsWith('prod' + '.'))",
    "'only ' + 'prod' + ' images are allowed in namespace ' + namespaceObject.metadata.name != ''",
    "'foo' in object.spec.metadata.labels ? object.spec.metadata.labels['foo'] == 'bar' : 'default' == 'bar'",
    "request.userInfo.username == 'system:serviceaccount:' + 'a' + ':' + 'b'",
    "has(object.metadata.labels) && 'app.kubernetes.io/name' in object.metadata.labels",
    "!has(object.metadata.labels) || !('platform.example.com/protected' in object.metadata.labels) || object.metadata.labels['platform.example.com/protected'] != 'true'",
    "!object.metadata.name.startsWith('kube-')",
    "!('pod-security.kubernetes.io/enforce' in object.metadata.labels)",
    // The page on CEL: lists, regular expressions, URLs.
    "['a', 'b'].isSorted()",
    "[0.5, 0.5].map(x, x).sum() == 1.0",
    "[1, 2].map(x, x).max() < [3, 4].map(x, x).min()",
    "['first', 'should-be-first'].indexOf('should-be-first') == 1",
    "'abc 123'.find('[0-9]+') == '123'",
    "'1, 2, 3, 4'.findAll('[0-9]+').map(x, int(x)).sum() < 100",
    "'1, 2, 3, 4'.findAll('[0-9]*').map(x, int(x)).sum() < 100",
    "url('https://example.com:80/').getHost() == 'example.com:80'",
    "url('https://example.com/path with spaces/').getEscapedPath() == '/path%20with%20spaces/'",
    // Addresses and networks.
    "isIP('127.0.0.1')",
    "ip.isCanonical('2001:db8::abcd')",
    "ip.isCanonical('2001:DB8::ABCD')",
    "ip('127.0.0.1').family() == 4",
    "ip('::1').isLoopback()",
    "ip('192.168.0.1').isGlobalUnicast()",
    "cidr('192.168.0.0/16') == cidr('192.168.0.0/16')",
    "cidr('::1/128') == cidr('::1/128')",
    "cidr('192.168.0.0/33') == cidr('192.168.0.0/16')",
    "cidr('::1/129') == cidr('::1/128')",
    "isCIDR('192.168.0.0/16')",
    "isCIDR('::1/128')",
    "isCIDR('192.168.0.0/33')",
    "isCIDR('::1/129')",
    "cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))",
    "cidr('192.168.0.0/24').containsIP(ip('192.168.1.1'))",
    "cidr('192.168.0.0/24').containsIP('192.168.0.1')",
    "cidr('192.168.0.0/24').containsIP('192.168.1.1')",
    "cidr('192.168.0.0/16').containsCIDR(cidr('192.168.10.0/24'))",
    "cidr('192.168.1.0/24').containsCIDR(cidr('192.168.2.0/24'))",
    "cidr('192.168.0.0/16').containsCIDR('192.168.10.0/24')",
    "cidr('192.168.1.0/24').containsCIDR('192.168.2.0/24')",
    "string(cidr('192.168.0.1/24').ip()) == '192.168.0.1'",
    "cidr('192.168.0.1/24').ip().family() == 4",
    "string(cidr('::1/128').ip()) == '::1'",
    "cidr('::1/128').ip().family() == 6",
    "string(cidr('192.168.0.0/24').masked()) == '192.168.0.0/24'",
    "string(cidr('192.168.0.1/24').masked()) == '192.168.0.0/24'",
    "cidr('192.168.0.0/24') == cidr('192.168.0.0/24').masked()",
    "cidr('192.168.0.1/24') == cidr('192.168.0.1/24').masked()",
    "cidr('192.168.0.0/16').prefixLength() == 16",
    "cidr('::1/128').prefixLength() == 128",
    // Formats, quantities, versions.
    "!format.dns1123Label().validate(object.metadata.name).hasValue()",
    "format.dns1123Label().validate(object.metadata.name).orValue([]).join('\\n') == ''",
    "format.named('dns1123Label').value().validate('a.b').hasValue()",
    "format.dns1123Subdomain().validate('a.b').hasValue() || format.dns1035Label().validate('1a').hasValue()",
    "format.dns1123LabelPrefix().validate('a-').hasValue() || format.dns1123SubdomainPrefix().validate('a.').hasValue()",
    "format.dns1035LabelPrefix().validate('a-').hasValue() || format.labelValue().validate('a b').hasValue()",
    "format.qualifiedName().validate('a/b').hasValue() || format.uri().validate('a').hasValue()",
    "format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue() || format.byte().validate('YQ==').hasValue()",
    "format.date().validate('2026-01-32').hasValue()",
    "format.datetime().validate('2026-01-02T03:04:05Z').hasValue()",
    "format.named('nope').hasValue()",
    "quantity('500000G').isInteger()",
    "quantity('50k').asInteger() == 50000",
    "quantity('9999999999999999999999999999999999999G').asApproximateFloat() > 1.0e28",
    "quantity('50k').add(quantity('20k')) == quantity('70k')",
    "quantity('50k').sub(20000) == quantity('30k')",
    "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')",
    "quantity('200M').compareTo(quantity('0.2G')) == 0",
    "quantity('150Mi').isGreaterThan(quantity('100Mi'))",
    "quantity('50M').isLessThan(quantity('100M'))",
    "isQuantity('20Mi')",
    "isSemver('1.0.0')",
    "isSemver('v1.0', true)",
    "semver('1.2.3').major() == 1",
    "semver('1.2.3').compareTo(semver('2.0.0')) < 0",
    "has(object.namex) ? object.namex == 'special' : request.name == 'special'",
    // Not of the documentation: what people write next.
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

/// Of all three pages, about objects with fields of their own. `object.spec` stands for `self`; for
/// what the page has at the root of the object, `object`.
const OF_WIDGETS: &[&str] = &[
    "object.spec.minReplicas <= object.spec.replicas && object.spec.replicas <= object.spec.maxReplicas",
    "object.minReplicas <= object.replicas && object.replicas <= object.maxReplicas",
    "'Available' in object.spec.stateCounts",
    "(object.spec.list1.size() == 0) != (object.spec.list2.size() == 0)",
    "(size(object.spec.list1) == 0) != (size(object.spec.list2) == 0)",
    "!('MY_KEY' in object.spec.map1) || object.spec['MY_KEY'].matches('^[a-zA-Z]*$')",
    "object.spec.envars.filter(e, e.name == 'MY_ENV').all(e, e.value.matches('^[a-zA-Z]*$'))",
    "has(object.spec.expired) && object.spec.created + object.spec.ttl < object.spec.expired",
    "has(object.spec.expired) && timestamp(object.spec.created) + duration(object.spec.ttl) < timestamp(object.spec.expired)",
    "object.spec.health.startsWith('ok')",
    "object.spec.widgets.exists(w, w.key == 'x' && w.foo < 10)",
    "type(object.spec.share) == string ? object.spec.share == '99%' : object.spec.share == 42",
    "type(object) == string ? object == '100%' : object == 1000",
    "object.metadata.name == 'singleton'",
    "object.metadata.name.startsWith(object.spec.prefix)",
    "object.spec.set1.all(e, !(e in object.spec.set2))",
    "object.spec.names.size() == object.spec.details.size() && object.spec.names.all(n, n in object.spec.details)",
    "size(object.spec.names) == size(object.spec.details) && object.spec.names.all(n, n in object.spec.details)",
    "object.spec.details.all(key, key.matches('^[a-zA-Z]*$'))",
    "object.spec.details.all(key, object.spec.details[key].matches('^[a-zA-Z]*$'))",
    "size(object.spec.clusters.filter(c, c.name == object.spec.primary)) == 1",
    "object.spec.intOrString < 100 || object.spec.intOrString == '50%'",
    "object.status.availableReplicas >= object.spec.minReplicas",
    "object.spec.names.isSorted()",
    "object.spec.items.map(x, x.weight).sum() == 1.0",
    "object.spec.lowPriorities.map(x, x.priority).max() < object.spec.highPriorities.map(x, x.priority).min()",
    "object.spec.names.indexOf('should-be-first') == 1",
    "object.spec.__namespace__ > 0",
    "object.spec.x__dash__prop > 0",
    "object.spec['x-prop'] > 0",
    "object.spec.redact__underscores__d > 0",
    "object.spec.redact__d > 0",
    "object.spec.set1 == ['b', 'a'] || object.spec.set1 + object.spec.set2 == ['a']",
];

/// Of the page on CEL, and not here: the API server takes each, and `policy check` says why not.
const UNSUPPORTED: &[&str] = &[
    "authorizer.group('').resource('pods').namespace('default').check('create').allowed()",
    "authorizer.path('/healthz').check('get').allowed()",
    "authorizer.serviceAccount('default', 'myserviceaccount').group('apps').resource('deployments').check('delete').allowed()",
    "authorizer.group('').resource('pods').fieldSelector('spec.nodeName=mynode').check('list').allowed()",
    "authorizer.group('').resource('pods').labelSelector('example.com/mylabel=myvalue').check('list').allowed()",
    "authorizer.requestResource.check('custom').allowed()",
];

/// What somebody says of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    True,
    False,
    NoAnswer,
}

/// What is written, and how it is asked for.
struct Kind {
    /// As `deployments.apps`.
    resource: &'static str,
    path: &'static str,
    expressions: &'static [&'static str],
    objects: Vec<Value>,
}

/// Of any shape: the objects of the documentation, and the parameters.
fn widgets() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition("vap.example.com", "Widget", "widgets", &schema)
}

fn widget(ns: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "vap.example.com/v1", "kind": "Widget",
        "metadata": {"name": name, "namespace": ns}, "spec": spec,
        "status": {"availableReplicas": 2}, "replicas": 2, "minReplicas": 1, "maxReplicas": 3,
    })
}

/// One that the rules are written for, one that breaks them, one that has nothing of what they name.
fn widgets_of(ns: &str) -> Vec<Value> {
    let good = json!({
        "minReplicas": 1, "replicas": 2, "maxReplicas": 3, "stateCounts": {"Available": 1},
        "list1": [1], "list2": [], "map1": {"MY_KEY": "a"}, "MY_KEY": "abc",
        "envars": [{"name": "MY_ENV", "value": "abc"}, {"name": "OTHER", "value": "1"}],
        "created": "2026-01-01T00:00:00Z", "ttl": "1h", "expired": "2026-01-02T00:00:00Z",
        "health": "ok: fine", "widgets": [{"key": "x", "foo": 1}], "share": "99%",
        "prefix": "sing", "set1": ["a"], "set2": ["b"], "names": ["a", "should-be-first"],
        "details": {"a": "x", "should-be-first": "y"}, "primary": "one",
        "clusters": [{"name": "one"}, {"name": "two"}], "intOrString": 50,
        "items": [{"weight": 0.5}, {"weight": 0.5}], "lowPriorities": [{"priority": 1}],
        "highPriorities": [{"priority": 2}], "namespace": 1, "x-prop": 1, "redact__d": 1,
    });
    let bad = json!({
        "minReplicas": 3, "replicas": 2, "maxReplicas": 1, "stateCounts": {}, "list1": [],
        "list2": [], "map1": {"MY_KEY": "a"}, "MY_KEY": "1 2",
        "envars": [{"name": "MY_ENV", "value": "1"}],
        "created": "2026-01-02T00:00:00Z", "ttl": "1h", "expired": "2026-01-01T00:00:00Z",
        "health": "bad", "widgets": [{"key": "x", "foo": 11}, {"key": "y"}], "share": 43,
        "prefix": "x", "set1": ["a", "b"], "set2": ["b"], "names": ["b", "a"],
        "details": {"a": "1", "2": "y"}, "primary": "one",
        "clusters": [{"name": "one"}, {"name": "one"}], "intOrString": "51%",
        "items": [{"weight": 0.5}, {"weight": 1}], "lowPriorities": [{"priority": 3}],
        "highPriorities": [{"priority": 2}], "namespace": 0, "x-prop": 0, "redact__d": 0,
    });
    let mut nothing = widget(ns, "nothing", &json!({}));
    nothing
        .as_object_mut()
        .expect("an object")
        .retain(|key, _| matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "spec"));
    vec![widget(ns, "singleton", &good), widget(ns, "other", &bad), nothing]
}

fn deployments_of(ns: &str) -> Vec<Value> {
    let mut two = deployment(ns, "web", 2);
    two["spec"]["template"]["spec"]["containers"][0]["name"] = json!("main");
    let mut other = two.clone();
    other["metadata"]["name"] = json!("demo-other");
    other["spec"]["replicas"] = json!(70);
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("dev.example.com/a:latest");
    vec![two, other]
}

/// Expressions of one policy: each answer comes back as a warning, of which there is room for 4 KiB.
const OF_ONE_POLICY: usize = 16;

/// Expressions as a policy of the API server, for objects with this label. It refuses nothing, and
/// warns of what each gives; or that one gives nothing.
fn policy_of(label: &str, expressions: &[&str], ns: &str) -> [Value; 2] {
    let name = format!("{ns}-{label}");
    let kind = |kind: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name},
        })
    };
    let rule = |group: &str, resource: &str| {
        json!({
            "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource],
            "operations": ["CREATE", "UPDATE"],
        })
    };
    let validation = |(index, expression): (usize, &&str)| {
        json!({
            "expression": "false", "message": format!("#{index} none"),
            "messageExpression": format!("'#{index} ' + string({expression})"),
        })
    };
    let validations: Vec<Value> = expressions.iter().enumerate().map(validation).collect();
    let mut policy = kind("ValidatingAdmissionPolicy");
    policy["spec"] = json!({
        "paramKind": {"apiVersion": "vap.example.com/v1", "kind": "Widget"},
        "matchConstraints": {
            "objectSelector": {"matchLabels": {"expr": label}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
            "resourceRules": [rule("apps", "deployments"), rule("vap.example.com", "widgets")],
        },
        "validations": validations,
    });
    let mut binding = kind("ValidatingAdmissionPolicyBinding");
    binding["spec"] = json!({
        "policyName": name, "validationActions": ["Warn"],
        "paramRef": {"name": "params", "namespace": ns, "parameterNotFoundAction": "Deny"},
    });
    [policy, binding]
}

fn dry_run(
    cluster: &Cluster,
    agent: &Agent,
    ns: &str,
    kind: &Kind,
    object: &Value,
) -> http::Answer {
    let resource = kind.resource.split('.').next().unwrap_or_default();
    let target = format!("{}/namespaces/{ns}/{resource}?dryRun=All", kind.path);
    let authorization = format!("Bearer {}", agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = object.to_string();
    http::request(cluster.server(), &cluster.ca(), "POST", &target, &headers, body.as_bytes())
        .expect("an answer")
}

/// What the warnings of an answer say of so many expressions; `None` while not all are there.
fn theirs(answer: &http::Answer, count: usize) -> Option<Vec<Said>> {
    assert_eq!(answer.status, 201, "{}", answer.json());
    let warnings = answer.headers.iter().filter(|(name, _)| name == "warning");
    let mut said = vec![None; count];
    for (_, warning) in warnings {
        let Some((_, told)) = warning.split_once(": #") else { continue };
        let (index, told) = told.trim_end_matches('"').split_once(' ').expect("an answer");
        let index: usize = index.parse().expect("an index");
        said[index] = Some(match told {
            "true" => Said::True,
            "false" => Said::False,
            "none" => Said::NoAnswer,
            other => panic!("{other}"),
        });
    }
    said.into_iter().collect()
}

/// An expression as a policy of ours, alone.
fn compiled(expression: &str) -> Result<Pack, String> {
    let source = |text: String| Source { name: "p.yaml".into(), text };
    let policy = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": "p"},
        "spec": {
            "parameters": {"maxReplicas": 3, "optionalNumber": 7},
            "rules": [{"name": "rule", "action": "hold", "when": expression, "reason": "yes"}],
        },
    });
    let settings = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "PolicySettings",
        "metadata": {"name": "s"}, "spec": {"packs": []},
    });
    let sources = [source(policy.to_string()), source(settings.to_string())];
    match compile(&sources, Timestamp::UNIX_EPOCH) {
        Ok(compiled) => Ok(compiled.pack),
        Err(issues) => Err(issues[0].to_string()),
    }
}

fn ours(pack: &Pack, ns: &str, kind: &Kind, object: &Value) -> Said {
    let labels = json!({"env": "dev", "environment": "test"});
    let case = json!({
        "name": "case", "object": object, "namespaceLabels": labels,
        "request": {"verb": "create", "resource": kind.resource, "namespace": ns},
    });
    let case: Case = serde_saphyr::from_str(&case.to_string()).expect("a case");
    let verdict = case.judged(pack).expect("a request").verdict;
    match verdict.decision() {
        Decision::Allow => Said::False,
        _ if verdict.reason() == "yes" => Said::True,
        _ => Said::NoAnswer,
    }
}

#[test]
fn expressions_say_what_they_say_in_the_api_server() {
    let cluster = testkit::cluster();
    let ns = cluster.unique("vap");
    let mut of_ns = namespace(&ns, "dev");
    of_ns["metadata"]["labels"]["environment"] = json!("test");
    cluster.apply(&list(&[of_ns, widgets()])).expect("a namespace and a kind");
    let mut params = widget(&ns, "params", &json!({}));
    params["maxReplicas"] = json!(3);
    params["optionalNumber"] = json!(7);
    wait_until(Duration::from_secs(60), "the kind is served", || {
        cluster.apply(&list(std::slice::from_ref(&params))).ok()
    });
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]},
        {"apiGroups": ["vap.example.com"], "resources": ["widgets"], "verbs": ["*"]},
    ]);
    let agent = cluster.cluster_agent(&ns, "agent", &rules).expect("an agent");
    let kinds = [
        Kind {
            resource: "deployments.apps",
            path: "/apis/apps/v1",
            expressions: OF_DEPLOYMENTS,
            objects: deployments_of(&ns),
        },
        Kind {
            resource: "widgets.vap.example.com",
            path: "/apis/vap.example.com/v1",
            expressions: OF_WIDGETS,
            objects: widgets_of(&ns),
        },
    ];
    let chunks = |kind: &Kind| kind.expressions.chunks(OF_ONE_POLICY).enumerate();
    let mut policies = Vec::new();
    for kind in &kinds {
        for (index, chunk) in chunks(kind) {
            policies.extend(policy_of(&format!("{}-{index}", kind.resource), chunk, &ns));
        }
    }
    cluster.apply(&list(&policies)).expect("policies");
    let labelled = |object: &Value, label: &str| {
        let mut object = object.clone();
        object["metadata"]["labels"] = json!({"app": "web", "expr": label});
        object
    };
    let (mut wrong, mut counts) = (Vec::new(), [0; 3]);
    for kind in &kinds {
        for ((index, chunk), object) in
            chunks(kind).flat_map(|chunk| kind.objects.iter().map(move |it| (chunk, it)))
        {
            let labelled = labelled(object, &format!("{}-{index}", kind.resource));
            let (seen, theirs) = wait_until(Duration::from_secs(60), "the policies", || {
                let answer = dry_run(cluster, &agent, &ns, kind, &labelled);
                // What the API server makes of it, defaults and all.
                Some((answer.json(), theirs(&answer, chunk.len())?))
            });
            for (expression, theirs) in chunk.iter().zip(theirs) {
                let ours = compiled(expression).map(|pack| ours(&pack, &ns, kind, &seen));
                counts[theirs as usize] += 1;
                if ours != Ok(theirs) {
                    let name = &object["metadata"]["name"];
                    wrong.push(format!("{expression} of {name}: {ours:?}, theirs {theirs:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(counts.iter().all(|count| *count >= 20), "all three answers: {counts:?}");
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let cluster = testkit::cluster();
    let ns = cluster.unique("vap-not");
    cluster.apply(&list(&[namespace(&ns, "dev")])).expect("a namespace");
    let [mut policy, _] = policy_of("not", &[], &ns);
    let validations = UNSUPPORTED.iter().map(|it| json!({"expression": it}));
    policy["spec"]["validations"] = validations.collect();
    cluster.apply(&list(&[policy])).expect("the API server takes them");
    for expression in UNSUPPORTED {
        let issue = compiled(expression).err().unwrap_or_default();
        assert!(issue.contains("`authorizer` is not supported"), "{expression}: {issue}");
    }
}
