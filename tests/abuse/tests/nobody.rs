//! Floods that cost their sender nothing, as nobody stands behind them: they cost the record next to
//! nothing, and nobody else anything.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use abuse::{
    BYSTANDER, BYTES_PER_HEAD_MAX, GROWTH_MAX, JOURNAL_BYTES_MAX, Memory, connect, database_bytes,
    works,
};
use cluster::Scene;
use serde_json::{Value, json};
use testkit::{Shield, http::Connection, wait_until};

/// One flood at a time: what the API server is asked meanwhile is counted.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends heads one after the other, on a new connection where one is closed; how many were answered
/// with this code.
fn flood(shield: &Shield, code: u16, heads: impl Iterator<Item = String>) -> usize {
    let open = || Connection::open(&shield.agent_url, &shield.ca());
    let (mut connection, mut answered) = (open(), 0);
    for head in heads {
        loop {
            let Ok(open_one) = connection.as_mut() else {
                connection = open();
                continue;
            };
            let answer = open_one.send(head.as_bytes()).and_then(|()| open_one.answer());
            match answer {
                Ok(answer) if answer.status == code => break answered += 1,
                // Too many of these end their connection.
                Ok(answer) if answer.status == 0 => connection = open(),
                Ok(answer) => panic!("{} {}", answer.status, answer.text()),
                Err(_) => connection = open(),
            }
        }
    }
    answered
}

/// What the record says of calls from an address: those that are told of one by one, and those that are
/// only counted.
fn recorded(scene: &Scene, shield: &Shield, code: u16) -> (usize, usize) {
    let all = shield.cli_json(&scene.reviewer, &["timeline", "--limit", "10000"]);
    let items = all["items"].as_array().expect("calls");
    let told = items.iter().filter(|it| it["code"] == code && it["user"] == Value::Null);
    let notes = items.iter().flat_map(|it| it["notes"].as_array().into_iter().flatten());
    let counts = notes.filter_map(|note| {
        let (count, rest) = note.as_str()?.split_once(" calls from 127.0.0.1 ")?;
        assert!(rest.contains(&format!(" {code}")), "{rest}");
        count.parse::<usize>().ok()
    });
    (told.count(), counts.sum())
}

/// An agent at another address writes; it is answered as always.
fn writes(scene: &Scene, shield: &Shield, name: &str) {
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).to_string();
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        scene.agent.token,
        body.len()
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let answer = runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = connect(shield, "http/1.1", BYSTANDER).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("a request");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    });
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[test]
fn refused_heads_cost_next_to_nothing() {
    const HEADS: usize = 1_500;
    let _alone = alone();
    let scene = Scene::new("refused-heads");
    let shield = &scene.shield;
    let (memory, before) = (Memory::of(shield), Memory::of(shield).now());
    let size_before = database_bytes(shield);
    let head = format!(
        "DELETE /api/v1/namespaces/x?x={}; HTTP/1.1\r\nHost: x\r\n\r\n",
        "a".repeat(60_000)
    );
    let answered = thread::scope(|scope| {
        let half = || flood(shield, 400, std::iter::repeat_n(head.clone(), HEADS / 2));
        let floods = [scope.spawn(half), scope.spawn(half)];
        for n in 0..5 {
            writes(&scene, shield, &format!("beside-{n}"));
        }
        floods.map(|it| it.join().expect("a flood")).iter().sum::<usize>()
    });
    assert_eq!(answered, HEADS);
    let (told, counted) = wait_until(Duration::from_secs(90), "each is counted", || {
        let (told, counted) = recorded(&scene, shield, 400);
        (told + counted >= HEADS).then_some((told, counted))
    });
    assert_eq!(told + counted, HEADS, "{told} told of, {counted} counted");
    assert!(told <= 40, "{told} are told of one by one");
    let grew = database_bytes(shield) - size_before;
    let most = HEADS as u64 * BYTES_PER_HEAD_MAX + JOURNAL_BYTES_MAX;
    assert!(grew < most, "{grew} bytes for {HEADS} heads");
    let peak = memory.peak();
    assert!(peak < before + GROWTH_MAX, "memory grew from {before} to {peak} MiB");
}

#[test]
fn made_up_tokens_delay_nobodys_record() {
    const READS: usize = 1_500;
    let _alone = alone();
    let scene = Scene::new("made-up");
    let shield = &scene.shield;
    assert!(works(shield, &scene.agent), "its token is known from now on");
    let reviews = || {
        let resource = "tokenreviews";
        scene.cluster.audit_events(|event| event["objectRef"]["resource"] == resource).len()
    };
    let before = reviews();
    let heads = (0..READS).map(|n| {
        format!("GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer made-up-{n}\r\n\r\n")
    });
    let target = format!("/api/v1/namespaces/{}/pods/nobody", scene.prod);
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(shield, 401, heads));
        let answer = shield.request(&scene.agent, "GET", &target, None, b"");
        assert_eq!(answer.status, 404, "{}", answer.text());
        wait_until(Duration::from_secs(30), "an agent's read is recorded beside it", || {
            let args = ["timeline", "-n", &scene.prod, "--agent", &scene.agent.username];
            // While nothing of the agent is recorded, there is no such agent.
            let output =
                shield.cli(&scene.reviewer).args(args).args(["-o", "json"]).output().ok()?;
            let calls: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            (calls["items"][0]["code"] == 404).then_some(())
        });
        assert_eq!(flood.join().expect("a flood"), READS);
    });
    let (told, counted) = wait_until(Duration::from_secs(90), "each is counted", || {
        let (told, counted) = recorded(&scene, shield, 401);
        (told + counted >= READS).then_some((told, counted))
    });
    assert_eq!(told + counted, READS, "{told} told of, {counted} counted");
    // The API server has said already that it does not know them.
    let asked = reviews() - before;
    assert!(asked < 100, "{asked} questions about {READS} made-up tokens");
    let all = shield.cli_json(&scene.reviewer, &["timeline", "--limit", "10000"]);
    assert!(!all.to_string().contains("entries were lost"), "{all:#}");
}

#[test]
fn made_up_tokens_on_writes_are_counted_and_delay_nobody() {
    const WRITES: usize = 400;
    let _alone = alone();
    let scene = Scene::new("made-up-writes");
    let shield = &scene.shield;
    let heads = (0..WRITES).map(|n| {
        format!(
            "DELETE /api/v1/namespaces/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer made-up-{n}\r\n\r\n"
        )
    });
    thread::scope(|scope| {
        let flood = scope.spawn(|| flood(shield, 401, heads));
        for n in 0..3 {
            writes(&scene, shield, &format!("beside-{n}"));
        }
        assert_eq!(flood.join().expect("a flood"), WRITES);
    });
    let (told, counted) = wait_until(Duration::from_secs(90), "each is counted", || {
        let (told, counted) = recorded(&scene, shield, 401);
        (told + counted >= WRITES).then_some((told, counted))
    });
    assert_eq!(told + counted, WRITES, "{told} told of, {counted} counted");
}
