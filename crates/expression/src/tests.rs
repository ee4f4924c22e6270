//! Tables: an expression and what it gives, written as `string(…)` would show it, or its error.

use proptest::prelude::*;
use serde_json::json;

use super::*;

struct Vars(serde_json::Value);

impl<'a> Scope<'a> for &'a Vars {
    fn variable(&self, index: usize) -> Result<Value<'a>, String> {
        let name = ["object", "oldObject", "request", "missing"][index];
        match self.0.get(name) {
            Some(value) => Ok(Value::from(value)),
            None => Err(format!("{name} is not known")),
        }
    }
}

fn schema() -> Schema {
    let request = Type::object("request", [("name", Type::Text), ("count", Type::Int)]);
    Schema::default()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
        .with("request", request)
        .with("missing", Type::Dyn)
}

fn vars() -> Vars {
    Vars(json!({
        "object": {
            "metadata": {"name": "web", "labels": {"app": "web", "agent-shield.io/x": "y"}},
            "spec": {
                "replicas": 2,
                "share": 0.5,
                "containers": [
                    {"name": "a", "image": "nginx:1.27", "resources": {"limits": {"memory": "1Gi"}}},
                    {"name": "b", "image": "nginx:latest"},
                ],
            },
        },
        "oldObject": null,
        "request": {"name": "web", "count": 3},
    }))
}

fn answer(source: &str) -> String {
    let expression = match Expression::compile(source, &schema()) {
        Ok(expression) => expression,
        Err(problems) => return format!("problem: {}", problems[0]),
    };
    let (vars, budget) = (vars(), Budget::new(20_000));
    match expression.evaluate(&&vars, &budget) {
        Ok(value) => {
            let mut text = String::new();
            functions::show(&value, &budget, &mut text).expect("a small value");
            text
        }
        Err(error) => format!("error: {error}"),
    }
}

fn check(table: &[(&str, &str)]) {
    for (source, want) in table {
        assert_eq!(answer(source), *want, "{source}");
    }
}

#[test]
fn evaluates_as_cel_does() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("2 - 10", "-8"),
        ("7 / 2", "3"),
        ("-7 % 3", "-1"),
        ("1 / 0", "error: division by zero"),
        ("9223372036854775807 + 1", "error: overflow"),
        ("1.5 + 2.0", "3.5"),
        ("1 + 1.0", "problem: `+` does not take an int and a double"),
        ("1 < 1.5 && 2u > 1", "true"),
        ("1 == 1.0", "true"),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", "[1, 2]"),
        ("2 in [1, 2]", "true"),
        ("'app' in object.metadata.labels", "true"),
        ("object.metadata.labels['agent-shield.io/x']", "y"),
        ("object.metadata.labels.`agent-shield.io/x`", "y"),
        ("object.spec.replicas + 1", "3"),
        ("object.spec.replicas - 10", "-8"),
        ("type(object.spec.replicas) == int", "true"),
        ("type(object.spec.share) == double", "true"),
        ("object.spec.nothing", "error: no such key: nothing"),
        ("has(object.spec.nothing)", "false"),
        ("has(object.spec.replicas)", "true"),
        ("oldObject == null", "true"),
        ("oldObject.spec", "error: a null_type has no field spec"),
        ("object.spec.nothing == 1 || true", "true"),
        ("true || object.spec.nothing == 1", "true"),
        ("object.spec.nothing == 1 && false", "false"),
        ("object.spec.nothing == 1 || false", "error: no such key: nothing"),
        ("missing == 1", "error: missing is not known"),
        ("true ? 1 : 2", "1"),
        ("object.?spec.?replicas.orValue(1)", "2"),
        ("object.?spec.?nothing.orValue(1)", "1"),
        ("object.metadata.?labels[?'nope'].orValue('-')", "-"),
        ("object.?spec.replicas.hasValue()", "true"),
        ("optional.none().or(optional.of(1)).value()", "1"),
        ("[?object.?spec.?nothing, ?object.?spec.?replicas]", "[2]"),
        ("{'a': 1}.a", "1"),
        ("{'a': 1, 'a': 2}", "error: a key of a map stands there twice"),
        ("[1, 2, 3].all(x, x > 0)", "true"),
        ("[1, 2, 3].exists(x, x > 2)", "true"),
        ("[1, 2, 3].exists_one(x, x > 1)", "false"),
        ("[1, 2, 3].map(x, x * 2)", "[2, 4, 6]"),
        ("[1, 2, 3].map(x, x > 1, x * 2)", "[4, 6]"),
        ("[1, 2, 3].filter(x, x > 1)", "[2, 3]"),
        ("[4, 5].all(i, x, x == i + 4)", "true"),
        ("object.metadata.labels.all(k, v, k.size() > 0 && v != '')", "true"),
        ("object.metadata.labels.exists(k, k == 'app')", "true"),
        ("[1, 2].transformList(i, x, i + x)", "[1, 3]"),
        ("{'a': 1}.transformMap(k, v, v + 1)", "{a: 2}"),
        ("[0, 1].exists(x, 1 / x == 1)", "true"),
        ("[0, 2].exists(x, 1 / x == 1)", "error: division by zero"),
        ("[1, 2].map(x, [3].map(y, x + y))", "[[4], [5]]"),
        ("object.spec.containers.filter(c, !has(c.resources)).map(c, c.name)", "[b]"),
        ("int('12') + int(3.9)", "15"),
        ("string(1.0) + string(true)", "1true"),
        ("size('é')", "1"),
        ("b'ab'.size()", "2"),
        ("optional.of(2).optMap(x, x + 1).value()", "3"),
        ("duration('1h30m') == duration('90m')", "true"),
        ("string(duration('1.5s'))", "1.5s"),
        ("timestamp('2026-01-02T03:04:05Z').getFullYear()", "2026"),
        ("timestamp('2026-01-02T03:04:05Z').getHours('+02:00')", "5"),
        (
            "timestamp('2026-01-02T03:04:05Z').getHours('-2000000:00')",
            "error: `-2000000:00` is not a time zone",
        ),
        (
            "timestamp('2026-01-02T03:04:05Z').getHours('60000:60000')",
            "error: `60000:60000` is not a time zone",
        ),
        ("timestamp('2026-01-02T03:04:05Z').getDayOfWeek()", "5"),
        (
            "timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') > duration('1h')",
            "true",
        ),
        ("object.metadata.name in ['web'] && request.count == 3", "true"),
    ]);
}

#[test]
fn has_the_functions_of_kubernetes() {
    check(&[
        ("quantity('1Gi').isGreaterThan(quantity('1G'))", "true"),
        ("quantity('1.5Gi').asInteger()", "1610612736"),
        ("quantity('100m').isInteger()", "false"),
        ("quantity('100m').asApproximateFloat()", "0.1"),
        ("quantity('50k').add(20000).asInteger()", "70000"),
        ("quantity('1').sub(quantity('0.5')) == quantity('500m')", "true"),
        ("quantity('1e3').compareTo(quantity('1k'))", "0"),
        ("quantity('-1').sign()", "-1"),
        ("isQuantity('1.3Gi') && !isQuantity('1,3') && !isQuantity('Gi')", "true"),
        ("quantity('99999999999999999999E').isInteger()", "false"),
        ("quantity('1e20').isGreaterThan(quantity('1e19'))", "true"),
        ("quantity('9Ei') == quantity('8Ei')", "true"),
        ("ip('10.0.0.1').family()", "4"),
        ("ip('fe80::1').isLinkLocalUnicast()", "true"),
        ("ip('127.0.0.1').isLoopback()", "true"),
        ("isIP('10.0.0.300') || isIP('::ffff:1.2.3.4') || isIP('fe80::1%eth0')", "false"),
        ("ip.isCanonical('2001:db8::abcd') && !ip.isCanonical('2001:DB8::ABCD')", "true"),
        ("cidr('192.168.0.0/24').containsIP('192.168.0.5')", "true"),
        ("cidr('192.168.0.0/24').containsIP(ip('192.168.1.5'))", "false"),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"),
        ("cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')", "true"),
        ("string(cidr('::1/64').masked().ip())", "::"),
        ("cidr('10.0.0.0/8').prefixLength()", "8"),
        ("isCIDR('10.0.0.0/33') || isCIDR('10.0.0.0')", "false"),
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'abc 123 456'.findAll('[0-9]+')", "[123, 456]"),
        ("'123 abc 456'.findAll('[0-9]+', 1)", "[123]"),
        ("'nginx:1.27'.matches('^nginx:')", "true"),
        ("[1, 2, 3].isSorted() && ![2, 1].isSorted()", "true"),
        ("[1, 3].sum() + [1, 3].min() + [1, 3].max()", "8"),
        ("['a', 'b', 'a'].indexOf('a') + ['a', 'b', 'a'].lastIndexOf('a')", "2"),
        ("[1, 2, 1].distinct()", "[1, 2]"),
        ("[1, 2, 3].slice(1, 3)", "[2, 3]"),
        ("url('https://user@example.com:80/a%20b?x=1&x=2&y').getHost()", "example.com:80"),
        ("url('https://example.com:80/path').getHostname()", "example.com"),
        ("url('https://[::1]:80/').getPort()", "80"),
        ("url('https://example.com/a%20b?x').getEscapedPath()", "/a%20b"),
        ("url('https://e.com/?x=1&x=2&y').getQuery()", "{x: [1, 2], y: []}"),
        ("url('https://e.com/a b%2f/').getEscapedPath()", "/a%20b//"),
        ("isURL('https://e .com/') || isURL('https://a b@e.com/')", "false"),
        ("isURL('https://e.com/?%zz')", "true"),
        ("format.uri().validate('https://e.com/a b').hasValue()", "false"),
        ("format.date().validate('2026-02-30').hasValue()", "true"),
        ("format.datetime().validate('2026-02-03T23:59:60Z').hasValue()", "true"),
        ("format.dns1123SubdomainPrefix().validate('a.b-').hasValue()", "false"),
        ("isURL('/absolute/path') && !isURL('../relative') && !isURL('https://e.com/%zz')", "true"),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", "true"),
        ("semver('v1.2', true).minor()", "2"),
        ("isSemver('v1.0.0')", "false"),
        ("semver('1.0.0-rc.1').compareTo(semver('1.0.0'))", "-1"),
        ("format.dns1123Label().validate('my-label')", "none"),
        ("format.dns1123Label().validate('My_label').hasValue()", "true"),
        ("format.named('qualifiedName').value().validate('a.b/c_d').hasValue()", "false"),
        ("'%s is %d of %.2f, %x %b'.format(['a', 3, 1.5, 255, 5])", "a is 3 of 1.50, ff 101"),
        ("'%s'.format([[1, {'a': true}]])", "[1, {a: true}]"),
        ("'a,b,c'.split(',')", "[a, b, c]"),
        ("'a,b,c'.split(',', 2)", "[a, b,c]"),
        ("['a', 'b'].join('-')", "a-b"),
        ("'hello'.substring(1, 3) + 'hello'.charAt(0)", "elh"),
        ("'hello'.indexOf('l') + 'hello'.lastIndexOf('l')", "5"),
        ("'aXbX'.replace('X', '-') + 'aXbX'.replace('X', '-', 1)", "a-b-a-bX"),
        ("' Ab '.trim().lowerAscii() + 'b'.upperAscii()", "abB"),
        (
            "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1], [1, 1])",
            "true",
        ),
    ]);
}

#[test]
fn says_what_is_wrong_where_and_what_was_meant() {
    let table = [
        ("objet.spec", 1, "there is no variable `objet`: did you mean `object`?"),
        ("true && requst.name == 'x'", 9, "there is no variable `requst`: did you mean `request`?"),
        ("request.nmae == 'x'", 8, "request has no field `nmae`: did you mean `name`?"),
        ("request.count.nope == 1", 14, "an int has no fields, and so no `nope`"),
        (
            "object.name.startWith('a')",
            23,
            "there is no function `startWith`: did you mean `startsWith`?",
        ),
        ("startsWith('a', 'b')", 11, "`startsWith` is a method: write x.startsWith(…)"),
        ("'a'.quantity()", 13, "`quantity` is not a method: write quantity(…)"),
        ("request.name + 1", 14, "`+` does not take a string and an int"),
        ("request.count.startsWith('a')", 25, "`startsWith` does not take (an int, a string)"),
        ("request.name && true", 8, "must be true or false, and is a string"),
        ("'a'.matches('(')", 12, "the regular expression cannot be read: unclosed group"),
        (
            "authorizer.requestResource",
            1,
            "`authorizer` is not supported: what an agent may do is RBAC's",
        ),
        ("request.name in request.name", 14, "nothing is `in` a string: a list or a map is wanted"),
        ("[1].all(1, true)", 9, "a name for the variable is wanted here"),
        ("request.", 9, "no viable alternative at input '.'"),
    ];
    for (source, column, want) in table {
        let problems = Expression::compile(source, &schema()).expect_err(source);
        let problem = &problems[0];
        let found = (problem.to_string(), problem.span.place(source).1);
        assert_eq!(found.0.split(" expecting").next(), Some(want), "{source}: {found:?}");
        assert!(found.1.abs_diff(column) <= 1, "{source}: {found:?}");
    }
    let two = Expression::compile("objet == 1 ||\n  requst == 2", &schema()).expect_err("two");
    assert_eq!(two[1].span.place("objet == 1 ||\n  requst == 2"), (2, 3));
}

fn short(source: &str) -> String {
    source.chars().take(90).collect()
}

/// Each would take minutes or gigabytes without a bound.
#[test]
fn what_costs_too_much_ends_at_the_bound() {
    let nested = |inner: &str| {
        (0..20).fold(inner.to_owned(), |of, level| format!("[1, 2, 3, 4].map(x{level}, {of})"))
    };
    let doubled = (0..30).fold("'aaaaaaaaaaaaaaaa'".to_owned(), |of, level| {
        format!("[{of}].map(x{level}, x{level} + x{level})[0]")
    });
    let replaced = (0..40).fold("'aaaaaaaa'".to_owned(), |of, _| {
        format!("{of}.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')")
    });
    let shared = (0..25).fold("[1]".to_owned(), |of, level| {
        format!("[{of}].map(x{level}, [x{level}, x{level}])[0]")
    });
    let compared = format!("{shared} == {shared}");
    let printed = format!("'%s'.format([{shared}]) == ''");
    let lists = (0..30).fold("[1, 2, 3, 4]".to_owned(), |of, level| {
        format!("[{of}].map(x{level}, x{level} + x{level})[0]")
    });
    let table = [
        nested("1"),
        doubled,
        replaced,
        compared,
        printed,
        lists,
        "object.big.all(x, object.big.all(y, x >= 0 && y >= 0))".to_owned(),
        "object.big.map(x, object.big).size() > 0 && object.big.map(x, object.big) == object.big.map(x, object.big)".to_owned(),
        "object.text.findAll('.').size() > 0".to_owned(),
    ];
    let big: Vec<u32> = (0..20_000).collect();
    let vars = Vars(json!({"object": {"big": big, "text": "x".repeat(1 << 20)}}));
    for source in table {
        let expression = match Expression::compile(&source, &schema()) {
            Ok(expression) => expression,
            Err(problems) => {
                // What nests too deep never runs at all.
                let words = problems[0].to_string();
                assert!(words.contains("nests deeper"), "{words}");
                continue;
            }
        };
        let budget = Budget::new(100_000);
        let error = expression.evaluate(&&vars, &budget).expect_err(&short(&source));
        assert!(error.is_exhausted, "{error}: {}", short(&source));
        assert_eq!(budget.left(), 0);
    }
}

#[test]
fn a_spent_budget_is_never_taken_for_unknown() {
    let source = "object.spec.containers.all(c, c.name != '') || true";
    let expression = Expression::compile(source, &schema()).expect("an expression");
    let vars = vars();
    let error = expression.evaluate(&&vars, &Budget::new(5)).expect_err("too little");
    assert!(error.is_exhausted);
}

#[test]
fn hostile_texts_are_refused() {
    let table = [
        ("(".repeat(3_000), "nests deeper"),
        (format!("1{}", " + 1".repeat(900)), "nests deeper"),
        ("x".repeat(5_000), "5000 bytes"),
        ("'a'.matches('((x{1000}){1000}){1000}')".to_owned(), "too large"),
        (format!("'a'.matches('{}')", "(".repeat(200) + &")".repeat(200)), "regular expression"),
        (format!("object{}", ".a".repeat(1_500)), "nests deeper"),
        (String::new(), "is empty"),
        ("\u{0}".to_owned(), ""),
    ];
    for (source, want) in table {
        let problems = Expression::compile(&source, &schema()).expect_err("a problem");
        let said = problems[0].to_string();
        assert!(said.contains(want), "{}: {said}", short(&source));
    }
}

#[test]
fn a_template_fills_in() {
    let schema = schema();
    let template = Template::compile("{{object.metadata.name}} x{{ request.count }}", &schema);
    let vars = vars();
    let say = |path: &str, text: &str| format!("<{path} {text}>");
    let said = template.expect("a template").render(&&vars, &Budget::new(100), say);
    assert_eq!(said.as_deref(), Ok("<object.metadata.name web> x<request.count 3>"));
    let made = Template::compile("{{'to ' + object.metadata.name}}", &schema);
    let said = made.expect("a template").render(&&vars, &Budget::new(100), say);
    assert_eq!(said.as_deref(), Ok("to web"), "its author's words");
    let problems = Template::compile("a {{requst.name}}", &schema).expect_err("a problem");
    assert_eq!(problems[0].span.start, 4);
    assert!(Template::compile("a {{object", &schema).is_err());
}

proptest! {
    #[test]
    fn never_panics(source in "[a-z0-9 ().,+*/<>=!&|?:'\\[\\]{}\"\\\\-]{0,80}") {
        if let Ok(expression) = Expression::compile(&source, &schema()) {
            let _ = expression.evaluate(&&vars(), &Budget::new(1_000));
        }
    }

    /// What cel's own evaluator gives for whole numbers and truths, ours gives.
    #[test]
    fn counts_as_cel_counts(a in any::<i64>(), b in any::<i64>(), c in -5_i64..5, op in 0..8_usize) {
        let op = ["+", "-", "*", "/", "%", "<", "==", ">="][op];
        for source in [format!("({a}) {op} ({b})"), format!("({a}) {op} ({c})")] {
            let Ok(program) = cel::Program::compile(&source) else { continue };
            let theirs = match program.execute(&cel::Context::default()) {
                Ok(cel::Value::Int(it)) => it.to_string(),
                Ok(cel::Value::Bool(it)) => it.to_string(),
                Ok(other) => format!("{other:?}"),
                Err(_) => "error".to_owned(),
            };
            let ours = answer(&source);
            let ours = if ours.starts_with("error") { "error".to_owned() } else { ours };
            prop_assert_eq!(ours, theirs, "{}", source);
        }
    }
}

/// As [`Vars`], of a record in which `?` stands for what was left out.
struct Record(serde_json::Value);

impl<'a> Scope<'a> for &'a Record {
    fn variable(&self, _index: usize) -> Result<Value<'a>, String> {
        Ok(Value::from(&self.0))
    }

    fn watches(&self) -> bool {
        true
    }

    fn look(&self, text: &str, path: &dyn Fn() -> String) -> Result<(), String> {
        if text == "?" { Err(format!("left out: {}", path())) } else { Ok(()) }
    }
}

#[test]
fn never_takes_what_was_left_out_for_a_value() {
    let record = Record(json!({
        "name": "web", "spec": "?", "env": [{"name": "A", "value": "?"}, {"name": "B", "value": "b"}],
        "labels": {"app": "?", "tier": "x"},
    }));
    let unknown = "left out";
    let table = [
        // That it is there is known; what it is, is not.
        ("has(object.spec)", "true"),
        ("object.?spec.hasValue()", "true"),
        ("object.spec == 1", unknown),
        ("object.spec.replicas == 1", "left out: object.spec"),
        ("object.?spec.?replicas.orValue(0) > 1", "left out: object.spec.replicas"),
        ("object.?spec.replicas.orValue(0) > 1", unknown),
        ("has(object.spec.replicas)", unknown),
        ("has(object.?spec.replicas)", unknown),
        ("object.env.exists(e, e.value == 'c')", "left out: _.value"),
        ("object.env.exists(e, e.value == 'b')", "true"),
        ("object.env.all(e, e.value == 'c')", "false"),
        ("object.env.map(e, e.value).size() == 2", unknown),
        ("object.env.size() == 2", "true"),
        ("object.env.filter(e, e.name == 'B').all(e, e.value == 'b')", "true"),
        ("(object.env + object.env).exists(e, e.name == 'B')", "true"),
        ("object.env == []", unknown),
        ("{'name': 'A', 'value': 'a'} in object.env", unknown),
        ("object.labels == {'app': 'web', 'tier': 'x'}", unknown),
        ("object.labels.?app == optional.of('web')", unknown),
        ("object.labels.exists(k, v, v == 'x')", "true"),
        ("object.labels == null", "false"),
        ("'app' in object.labels", "true"),
        ("object.labels in [object.labels]", unknown),
        ("object.labels[object.spec] == 'x'", unknown),
        ("dyn(object.labels.app) == 1", unknown),
        ("type(object.labels.app) == string", unknown),
        ("object.labels.app.matches('a')", unknown),
        ("object.labels.?app.optMap(it, it + 'x').orValue('') == 'webx'", unknown),
        ("object.?labels.?none.orValue('d') == 'd'", "true"),
        // As with any other error: the side that decides, decides.
        ("object.spec == 1 || object.name == 'web'", "true"),
        ("object.spec == 1 && object.name == 'db'", "false"),
        ("object.name == 'web' ? true : object.spec == 1", "true"),
    ];
    for (source, want) in table {
        let expression = Expression::compile(source, &schema()).expect("an expression");
        let got = match expression.is_true(&&record, &Budget::new(20_000)) {
            Ok(answer) => answer.to_string(),
            Err(error) => error.message,
        };
        assert!(got.starts_with(want), "{source}: {got}");
    }
}
