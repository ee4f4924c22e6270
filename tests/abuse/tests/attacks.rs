//! What others notice while somebody attacks, in one table: memory, disk, and the time of their writes.
//!
//! `cargo xtask bench --only attacks` runs it against what ships; with `AGENT_SHIELD_BIN`, any build, and
//! with `AGENT_SHIELD_ATTACKS=A1` one attack alone.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use abuse::{
    BYSTANDER, BYTES_PER_HEAD_MAX, JOURNAL_BYTES_MAX, MEMORY_MAX, Memory, connect, database_bytes,
    idle,
};
use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{Agent, Shield, http::Connection, wait_until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};

/// How long each attack goes on, as long as the one that this is about.
const TIME: Duration = Duration::from_secs(16);
/// Between two writes of somebody else.
const PAUSE: Duration = Duration::from_millis(50);

/// Of others' writes under attack; on a machine that is busy with other things, so many times what they
/// take without an attack.
const P99_MAX: Duration = Duration::from_secs(1);
const P99_TIMES_MAX: u32 = 20;

const ATTACKER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// One line of the table.
struct Row {
    what: &'static str,
    memory: u64,
    /// Of the database, and the refused heads that it is for.
    disk: u64,
    heads: u64,
    /// Of others' writes, sorted.
    times: Vec<Duration>,
    failed: usize,
}

impl Row {
    fn at(&self, hundredths: usize) -> Duration {
        let at = (self.times.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.times.get(at).copied().unwrap_or(Duration::MAX)
    }

    fn bytes_per_head(&self) -> u64 {
        self.disk.saturating_sub(JOURNAL_BYTES_MAX).checked_div(self.heads).unwrap_or(0)
    }

    fn line(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let per_head = match self.heads {
            0 => "–".to_owned(),
            heads => format!("{} ({heads} heads, {} KiB)", self.bytes_per_head(), self.disk >> 10),
        };
        format!(
            "| {} | {} | {per_head} | {} | {:.0} / {:.0} | {} |",
            self.what,
            self.memory,
            self.times.len(),
            ms(self.at(50)),
            ms(self.at(99)),
            self.failed,
        )
    }
}

/// An attack that goes on until it is told to stop; it counts the heads that it sent in vain.
struct Attack<'a> {
    scene: &'a Scene,
    shield: &'a Shield,
    is_over: &'a AtomicBool,
    heads: &'a AtomicU64,
}

/// One write of somebody at another address, on a connection of its own; `None` where it is not done.
async fn write(shield: &Shield, agent: &Agent, namespace: &str, n: usize) -> Option<Duration> {
    let body = json!({"data": {"n": n.to_string()}}).to_string();
    let head = format!(
        "PATCH /api/v1/namespaces/{namespace}/configmaps/beside HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/merge-patch+json\r\nContent-Length: {}\r\n\r\n{body}",
        agent.token,
        body.len()
    );
    let began = Instant::now();
    let answered = async {
        let mut stream = connect(shield, "http/1.1", BYSTANDER).await.ok()?;
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer.starts_with(b"HTTP/1.1 200 ").then_some(())
    };
    tokio::time::timeout(Duration::from_secs(30), answered).await.ok().flatten()?;
    Some(began.elapsed())
}

/// Measures what others notice of an attack.
fn under(what: &'static str, shield: &Shield, scene: &Scene, attack: fn(&Attack<'_>)) -> Row {
    let all = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let other = scene.cluster.cluster_agent(&scene.dev, "other", &all).expect("an agent");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "beside", "namespace": scene.dev}});
    scene.cluster.apply(&map).expect("a ConfigMap");
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(write(shield, &other, &scene.dev, 0)).expect("it works before");
    let (memory, disk) = (Memory::of(shield), database_bytes(shield));
    let (is_over, heads) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut times = Vec::new();
    let mut failed = 0;
    thread::scope(|scope| {
        let attack_it = || attack(&Attack { scene, shield, is_over: &is_over, heads: &heads });
        let attacker = scope.spawn(attack_it);
        let began = Instant::now();
        let mut n = 0;
        while began.elapsed() < TIME {
            n += 1;
            match runtime.block_on(write(shield, &other, &scene.dev, n)) {
                Some(time) => times.push(time),
                None => failed += 1,
            }
            thread::sleep(PAUSE);
        }
        is_over.store(true, Ordering::Relaxed);
        attacker.join().expect("an attacker");
    });
    times.sort();
    // The record is written a little later.
    let grew = database_bytes(shield).saturating_sub(disk);
    let heads = heads.load(Ordering::Relaxed);
    let row = Row { what, memory: memory.peak(), disk: grew, heads, times, failed };
    println!("{}", row.line());
    row
}

/// Sends heads without waiting for answers, on two connections, as fast as they are taken.
fn pipelined(attack: &Attack<'_>, head: impl Fn(u64) -> String + Send + Sync) {
    let runtime = Runtime::new().expect("a runtime");
    let one = || async {
        while !attack.is_over.load(Ordering::Relaxed) {
            let Ok(stream) = connect(attack.shield, "http/1.1", ATTACKER).await else { continue };
            let (mut reads, mut writes) = tokio::io::split(stream);
            let read = async {
                let mut some = vec![0; 1 << 16];
                while !attack.is_over.load(Ordering::Relaxed) {
                    let read = tokio::time::timeout(PAUSE, reads.read(&mut some)).await;
                    if matches!(read, Ok(Ok(0) | Err(_))) {
                        break;
                    }
                }
            };
            let write = async {
                while !attack.is_over.load(Ordering::Relaxed) {
                    let head = head(attack.heads.load(Ordering::Relaxed));
                    let sent = tokio::time::timeout(TIME, writes.write_all(head.as_bytes())).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        break;
                    }
                    attack.heads.fetch_add(1, Ordering::Relaxed);
                }
            };
            tokio::select! { () = read => {}, () = write => {} }
        }
    };
    runtime.block_on(async { tokio::join!(one(), one()) });
}

fn nothing(_: &Attack<'_>) {}

fn refused_heads(attack: &Attack<'_>) {
    let head = format!(
        "DELETE /api/v1/namespaces/x?x={}; HTTP/1.1\r\nHost: x\r\n\r\n",
        "a".repeat(60_000)
    );
    pipelined(attack, |_| head.clone());
}

fn made_up_tokens(attack: &Attack<'_>) {
    pipelined(attack, |n| {
        format!("GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer made-up-{n}\r\n\r\n")
    });
}

/// A Deployment of so many containers, put again and again on four connections.
fn large_writes(attack: &Attack<'_>) {
    let Attack { scene, shield, is_over, .. } = attack;
    scene.cluster.apply(&deployment(&scene.prod, "web", 1)).expect("a Deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web?timeout=1s", scene.prod);
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    thread::scope(|scope| {
        for n in 0..4 {
            let (target, headers) = (&target, &headers);
            scope.spawn(move || {
                let mut object = deployment(&scene.prod, "web", 1);
                let container = |i| json!({"name": format!("c{i}"), "image": format!("nginx:{n}")});
                let containers: Vec<Value> = (0..20_000).map(container).collect();
                object["spec"]["template"]["spec"]["containers"] = containers.into();
                let body = object.to_string();
                while !is_over.load(Ordering::Relaxed) {
                    let open = Connection::open(&shield.agent_url, &shield.ca());
                    let Ok(mut connection) = open else { continue };
                    let _ = connection.request("PUT", target, headers, body.as_bytes());
                    let _ = connection.answer();
                }
            });
        }
    });
}

/// More connections to either port than a process may have open.
fn idle_connections(attack: &Attack<'_>) {
    let Attack { shield, is_over, .. } = attack;
    let review = shield.review_url.trim_start_matches("https://").to_owned();
    let bare: Vec<TcpStream> =
        (0..1_100).filter_map(|_| TcpStream::connect(&review).ok()).collect();
    let mut crowd = Vec::new();
    while crowd.len() < 990 && !is_over.load(Ordering::Relaxed) {
        crowd.extend(idle(shield).ok());
    }
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
    }
    drop((bare, crowd));
}

/// Lists what is held, again and again, as a reviewer's page does.
fn lists_of_holds(attack: &Attack<'_>) {
    while !attack.is_over.load(Ordering::Relaxed) {
        let holds =
            attack.shield.cli(&attack.scene.reviewer).args(["holds", "-o", "json"]).output();
        assert!(holds.is_ok_and(|it| it.status.success()), "holds");
        thread::sleep(Duration::from_millis(500));
    }
}

/// Holds on collections of 3,000 objects each; they stay open.
fn heavy_holds(scene: &Scene, shield: &Shield, count: usize) {
    let map = |n: usize| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": format!("one-of-many-{n}"), "namespace": scene.prod, "labels": {"of": "many"}}})
    };
    let maps: Vec<Value> = (0..3_000).map(map).collect();
    let file = scene.cluster.dir().join(scene.cluster.unique("many.json"));
    fs::write(&file, list(&maps).to_string()).expect("a file");
    let made =
        scene.cluster.kubectl().arg("create").arg("-f").arg(&file).output().expect("kubectl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let next = Arc::new(AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            let next = Arc::clone(&next);
            scope.spawn(move || {
                while let n = next.fetch_add(1, Ordering::Relaxed)
                    && n < count as u64
                {
                    let target = format!(
                        "/api/v1/namespaces/{}/configmaps?labelSelector=of%3Dmany%2Cnot%21%3Dn{n}",
                        scene.prod
                    );
                    let held = shield.request(&scene.agent, "DELETE", &target, None, b"");
                    assert_eq!(held.held_or_status(), 429, "{}", held.text());
                }
            });
        }
    });
    wait_until(Duration::from_secs(30), "all are held", || {
        let holds = shield.cli_json(&scene.reviewer, &["holds"]);
        (holds["items"].as_array()?.len() == count).then_some(())
    });
}

#[test]
#[ignore = "takes minutes; cargo xtask bench --only attacks runs it against what ships"]
fn nobody_else_notices_an_attack() {
    println!(
        "\n| attack, {} s | memory, MiB | disk, bytes per refused head | others' writes | p50 / p99, ms | failed |",
        TIME.as_secs()
    );
    println!("|---|---:|---:|---:|---:|---:|");
    let scene = Scene::new("attacks");
    let own = || Shield::own_credential(scene.cluster);
    let start = || Shield::start_as(scene.cluster, own(), &["--hold-open", "1s"]);
    let few_files = || Shield::start_within(scene.cluster, own(), Some(1_024), &[]);
    let with_holds = || {
        let shield = start();
        heavy_holds(&scene, &shield, 64);
        shield
    };
    type Line<'a> = (&'static str, &'a dyn Fn() -> Shield, fn(&Attack<'_>));
    let table: [Line<'_>; 6] = [
        ("none", &start, nothing),
        ("A1 refused heads of 60,000 bytes", &start, refused_heads),
        ("A2 Deployments of 20,000 containers", &start, large_writes),
        ("A3 2,090 idle connections, 1,024 files", &few_files, idle_connections),
        ("A4 reads with made-up tokens", &start, made_up_tokens),
        ("A5 64 holds of 3,000 objects, listed", &with_holds, lists_of_holds),
    ];
    let only = env::var("AGENT_SHIELD_ATTACKS").unwrap_or_default();
    let [quiet, attacks @ ..] = table;
    let chosen: Vec<Line<'_>> =
        attacks.into_iter().filter(|(what, ..)| what.contains(&only)).collect();
    assert!(!chosen.is_empty(), "no attack is called {only}");
    let measured = |(what, start, attack): Line<'_>| under(what, &start(), &scene, attack);
    let quiet = measured(quiet);
    let p99_max = P99_MAX.max(quiet.at(99) * P99_TIMES_MAX);
    for row in chosen.into_iter().map(measured).collect::<Vec<Row>>() {
        assert!(row.memory <= MEMORY_MAX, "{}: {} MiB", row.what, row.memory);
        assert!(row.bytes_per_head() <= BYTES_PER_HEAD_MAX, "{}", row.line());
        assert!(row.at(99) <= p99_max && row.failed == 0, "{}", row.line());
    }
}
