//! Conditions and objects that would take minutes or gigabytes end at the bound, with a hold: the
//! time on a processor and the memory of a whole decision are counted. Alone in its process.

use std::fs;

use policy::Decision;
use serde_json::json;

/// A decision takes 2,000,000 steps at most; a debug build on a slow machine is meant.
const NANOS_MAX: u64 = 20_000_000_000;
const MEMORY_KB_MAX: u64 = 256 << 10;

fn on_processor() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").expect("its times");
    told.split(' ').next().and_then(|it| it.parse().ok()).expect("nanoseconds")
}

/// The most memory that this process ever had, in KiB.
fn memory_peak() -> u64 {
    let told = fs::read_to_string("/proc/self/status").expect("its memory");
    let line = told.lines().find(|it| it.starts_with("VmHWM")).expect("a line");
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number")
}

fn within(levels: usize, inner: &str) -> String {
    (0..levels).fold(inner.to_owned(), |of, level| format!("[1, 2, 3, 4].map(x{level}, {of})"))
}

fn folded(times: usize, first: &str, next: impl Fn(String, usize) -> String) -> String {
    (0..times).fold(first.to_owned(), next)
}

#[test]
fn what_is_hostile_ends_at_the_bound_with_a_hold() {
    let doubled =
        folded(20, "'aaaaaaaaaaaaaaaa'", |of, i| format!("[{of}].map(x{i}, x{i} + x{i})[0]"));
    let replaced =
        folded(20, "'aaaaaaaa'", |of, _| format!("{of}.replace('a', 'aaaaaaaaaaaaaaaaa')"));
    let lists = folded(20, "[1, 2, 3, 4]", |of, i| format!("[{of}].map(x{i}, x{i} + x{i})[0]"));
    let shared = folded(20, "[1]", |of, i| format!("[{of}].map(x{i}, [x{i}, x{i}])[0]"));
    let big: Vec<u32> = (0..200_000).collect();
    let text = "a".repeat(3 << 20);
    let big = json!({
        "big": big, "text": text, "a": vec!["a".repeat(64); 20_000],
        "b": (0..20_000).map(|it| json!({"name": it.to_string(), "v": "a".repeat(100)})).collect::<Vec<_>>(),
    });
    let conditions = [
        // Exponential, in time and in memory.
        format!("{} == []", within(15, "1")),
        format!("{doubled} == ''"),
        format!("{replaced} == ''"),
        format!("{lists} == []"),
        format!("{shared} == {shared}"),
        format!("'%s'.format([{shared}]) == ''"),
        // Lists of an agent's.
        "object.big.all(x, object.big.all(y, x >= 0 && y >= 0))".to_owned(),
        "object.big.map(x, object.big.map(y, x + y)) == []".to_owned(),
        "object.big.map(x, object.big) == object.big.map(x, object.big)".to_owned(),
        "object.big.all(x, x in object.big)".to_owned(),
        "object.big.distinct().size() == 0".to_owned(),
        "sets.equivalent(object.big, object.big) && false".to_owned(),
        "object.b.all(x, object.b.exists_one(y, y == x)) && false".to_owned(),
        "object.a.join('') == object.a.join(' ')".to_owned() + " || object.a.all(x, object.a.join(x) == '')",
        // Regular expressions over an agent's text; none goes back, so each is linear.
        "object.text.matches('(a*)*b') || object.text.matches('(a|aa)+$') || object.text.matches('a{1,200}b')".to_owned()
            + " || object.big.all(x, object.text.matches('(a|a)*b'))",
        "object.big.exists(x, object.text.find('(a?){50}a{50}b') != '')".to_owned(),
        "object.text.findAll('a?').size() > 0 && false".to_owned(),
        "object.a.all(x, object.text.contains(x + 'b') || object.text.split('').size() == 1)".to_owned(),
        "object.text.replace('a', object.text) == ''".to_owned(),
        "object.text.split('a').map(x, object.text) == []".to_owned(),
    ];
    let before = memory_peak();
    for condition in conditions {
        let short: String = condition.chars().take(70).collect();
        let pack = fuzz::held_where(&condition).unwrap_or_else(|| panic!("no condition: {short}"));
        let started = on_processor();
        let verdict = fuzz::judged(&pack, &big);
        let took = on_processor() - started;
        assert_eq!(verdict.decision(), Decision::Hold, "{short}");
        assert!(
            verdict.reason().contains("costs more than it may"),
            "{short}: {}",
            verdict.reason()
        );
        assert!(took < NANOS_MAX, "{short}: {took} ns");
    }
    let grown = memory_peak() - before;
    assert!(grown < MEMORY_KB_MAX, "{grown} KiB");
    // What nests deep is read to the end: an object as deep as JSON may be.
    let deep = (0..120).fold(json!(1), |of, _| json!({"a": [of]}));
    let pack = fuzz::held_where("object == object && string(object.a.size()) == '2'");
    let verdict = fuzz::judged(&pack.expect("a condition"), &deep);
    assert_eq!(verdict.decision(), Decision::Allow, "{}", verdict.reason());
}

/// Never compiled, so never asked.
#[test]
fn what_is_hostile_to_the_compiler_is_refused() {
    let table: [(&str, String); 6] = [
        ("nests", "(".repeat(2_000) + &")".repeat(2_000)),
        ("long", format!("true{}", " || true".repeat(1_000))),
        ("pattern", "'a'.matches('((x{1000}){1000}){1000}')".to_owned()),
        ("fields", format!("object{} == 1", ".a".repeat(1_500))),
        ("lists", "[".repeat(500) + &"]".repeat(500) + " == []"),
        ("nul", "object == '\u{0}' +".to_owned()),
    ];
    for (what, condition) in table {
        let started = on_processor();
        assert!(fuzz::held_where(&condition).is_none(), "{what}");
        let took = on_processor() - started;
        assert!(took < NANOS_MAX, "{what}: {took} ns");
    }
}
