//! Laws of conditions that somebody writes and objects that an agent writes.

use std::sync::Once;

use attributes::User;
use effects::{ClassConfig, NamespaceClass};
use expression::{Budget, Expression, Schema, Scope, Type, Value};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use policy::{Decision, Input, Objects, Pack, Pair, PolicyDecision, Source, compile};
use serde_json::{Value as Json, json};

const STEPS: u64 = 20_000;

/// A condition on the first line, and an object in JSON: what does not compile has a reason; what
/// does gives the same twice, never spends more than it may, and gives no other answer for a larger
/// budget; and a rule with it asks where it is true and where it has no answer, and nowhere else.
pub fn expression(data: &[u8]) {
    the_parser_may_give_up();
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (Ok(source), object) = (std::str::from_utf8(part()), part()) else { return };
    let object = serde_json::from_slice::<Json>(object).unwrap_or_default();
    let schema = Schema::default().with("object", Type::Dyn);
    let expression = match Expression::condition(source, &schema) {
        Ok(expression) => expression,
        Err(problems) => {
            assert!(problems.iter().all(|it| !it.to_string().is_empty()), "without a reason");
            return;
        }
    };
    let small = answer(&expression, &object, STEPS);
    assert_eq!(small, answer(&expression, &object, STEPS), "not the same twice");
    if small != Answer::Exhausted {
        assert_eq!(small, answer(&expression, &object, 2 * STEPS), "a budget changes the answer");
    }
    let Some(pack) = held_where(source) else { return };
    let verdict = judged(&pack, &object);
    let expected = match answer(&expression, &object, 100_000) {
        Answer::Is(false) => Decision::Allow,
        Answer::Is(true) | Answer::None | Answer::Exhausted => Decision::Hold,
    };
    assert_eq!(verdict.decision(), expected, "{}", verdict.reason());
}

#[derive(Debug, Eq, PartialEq)]
enum Answer {
    Is(bool),
    None,
    Exhausted,
}

struct Object<'a>(&'a Json);

impl<'a> Scope<'a> for Object<'a> {
    fn variable(&self, _index: usize) -> Result<Value<'a>, String> {
        Ok(Value::from(self.0))
    }
}

fn answer(expression: &Expression, object: &Json, steps: u64) -> Answer {
    let budget = Budget::new(steps);
    let answer = match expression.is_true(&Object(object), &budget) {
        Ok(is) => Answer::Is(is),
        Err(error) if error.is_exhausted => Answer::Exhausted,
        Err(_) => Answer::None,
    };
    assert!(budget.left() <= steps, "steps that come back");
    answer
}

/// A pack that holds an update where this condition is true, and nothing else.
pub fn held_where(condition: &str) -> Option<Pack> {
    let policy = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": "p"},
        "spec": {"rules": [{"name": "rule", "action": "hold", "when": condition}]},
    });
    let settings = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "PolicySettings",
        "metadata": {"name": "s"}, "spec": {"packs": []},
    });
    let source = |it: Json| Source { name: "p.yaml".into(), text: it.to_string() };
    compile(&[source(policy), source(settings)], Timestamp::UNIX_EPOCH).ok().map(|it| it.pack)
}

/// What a pack says of an update to this object.
///
/// # Panics
/// Never: the request is always the same.
pub fn judged(pack: &Pack, object: &Json) -> PolicyDecision {
    let target = "/apis/apps/v1/namespaces/d/deployments/x";
    let attributes = attributes::read(&Method::PUT, target, &HeaderMap::new()).expect("a request");
    let class = NamespaceClass::of("d", None, &ClassConfig::default());
    pack.decide(&Input {
        attributes: &attributes,
        user: &User::default(),
        class: &class,
        is_write: true,
        effects: &[],
        objects: Objects::Known(vec![Pair { old: Some(object), new: Some(object) }]),
        changes: &[],
        earlier: &[],
        redact: &Json::clone,
        now: Timestamp::UNIX_EPOCH,
    })
}

/// The parser is another's, and works on a thread of its own: where it panics, there is no
/// expression. The fuzzer would end at any panic.
fn the_parser_may_give_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))));
}
