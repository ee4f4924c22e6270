//! Our reading of request lines against `RequestInfoFactory` itself: zero differences among what we
//! accept. Lines are generated and mutated from a printed seed, on two cores.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use conformance::{Line, Lines, as_go_says, brief, ours};
use serde_json::{Value, json};

const SEED: u64 = 20_261_124;
const WORKERS: usize = 2;

/// What one worker has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    answers: usize,
    accepted: usize,
    resources: usize,
}

/// Asks the Go program about each line.
fn ask(
    lines: impl Fn() -> Box<dyn Iterator<Item = Line> + Send>,
    mut each: impl FnMut(Line, &str),
) {
    let testbed = testkit::testbed::build().expect("the Go program");
    let mut go = Command::new(testbed.program("requestinfo"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null()) // It logs every query that does not decode.
        .spawn()
        .expect("the Go program");
    let mut input = std::io::BufWriter::new(go.stdin.take().expect("its input"));
    let output = BufReader::new(go.stdout.take().expect("its output"));
    let questions = lines();
    let writer = thread::spawn(move || {
        for Line { method, target } in questions {
            let target = serde_json::to_string(&target).expect("a string");
            writeln!(input, r#"{{"method":"{method}","target":{target}}}"#).expect("a question");
        }
    });
    for (line, answer) in lines().zip(output.lines()) {
        each(line, &answer.expect("an answer"));
    }
    writer.join().expect("the writer");
    go.wait().expect("its end");
}

fn compare(seed: u64, count: usize) -> Seen {
    let mut seen = Seen::default();
    let lines =
        move || -> Box<dyn Iterator<Item = Line> + Send> { Box::new(Lines::new(seed).take(count)) };
    ask(lines, |Line { method, target }, answer| {
        seen.answers += 1;
        let Some(ours) = ours(method, &target) else { return };
        seen.accepted += 1;
        seen.resources += usize::from(ours.is_resource_request);
        let ours = as_go_says(&ours);
        // Most answers are the same text; JSON is only read where they are not.
        let text = ours.to_string();
        if text != answer {
            let go: Value = serde_json::from_str(answer).expect("JSON");
            assert_eq!(brief(ours), brief(go), "{method} {target}");
        }
    });
    seen
}

#[test]
fn reads_as_go_does_whatever_we_accept() {
    let count = match std::env::var_os("AGENT_SHIELD_FULL") {
        Some(_) => 10_000_000,
        None => 100_000,
    };
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(SEED);
    println!("SEED={seed}");
    let workers: Vec<_> = (0..WORKERS)
        .map(|n| thread::spawn(move || compare(seed + n as u64, count / WORKERS)))
        .collect();
    let mut all = Seen::default();
    for worker in workers {
        let seen = worker.join().expect("no difference");
        all.answers += seen.answers;
        all.accepted += seen.accepted;
        all.resources += seen.resources;
    }
    println!("{all:?}");
    assert_eq!(all.answers, count);
    // A reading that refused everything would never differ.
    assert!(all.accepted * 2 > count, "only {} of {count} accepted", all.accepted);
    assert!(all.resources * 2 > all.accepted, "only {} on resources", all.resources);
}

/// Writes `vectors.jsonl` anew: `cargo test -p conformance -- --ignored`.
#[test]
#[ignore = "writes the vectors that are committed"]
fn write_vectors() {
    let lines =
        || -> Box<dyn Iterator<Item = Line> + Send> { Box::new(Lines::new(SEED).take(3000)) };
    let mut vectors = String::new();
    ask(lines, |Line { method, target }, answer| {
        let go = brief(serde_json::from_str(answer).expect("JSON"));
        vectors.push_str(&format!("{}\n", json!([method, target, go])));
    });
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors.jsonl");
    fs::write(file, vectors).expect("the vectors");
}
