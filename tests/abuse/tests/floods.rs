//! Clients that take and do not give: slow, endless, or too many. Each costs bounded memory, is
//! answered or cut, and an agent at another address is served meanwhile.

use std::{io::Write, net::TcpStream, thread};

use abuse::{
    GROWTH_MAX, Memory, Middle, PATIENCE, Script, is_closed, is_status, raw, works, writes_to,
};
use cluster::{Scene, deployment};
use testkit::{Credential, Shield, http::Connection, wait_until};

/// An agent-shield whose patience is short.
fn impatient(scene: &Scene, more: &[&str]) -> Shield {
    let times =
        ["--head-time", "3s", "--body-time", "3s", "--idle-time", "3s", "--stall-time", "5s"];
    Shield::start(scene.cluster, &[times.as_slice(), more].concat())
}

fn open(shield: &Shield) -> Connection {
    Connection::open(&shield.agent_url, &shield.ca()).expect("a connection")
}

fn grew(memory: &Memory, before: u64) {
    let peak = memory.peak();
    assert!(peak < before + GROWTH_MAX, "memory grew from {before} to {peak} MiB");
}

#[test]
fn slow_heads_and_idle_connections_end() {
    let scene = Scene::new("slow-heads");
    let shield = impatient(&scene, &[]);
    let (memory, before) = (Memory::of(&shield), Memory::of(&shield).now());
    let beginnings = ["", "G", "GET /version HTTP/1.1\r\nHost: x\r\nX-A: "];
    let mut slow: Vec<Connection> = (0..300)
        .map(|n| {
            let mut connection = open(&shield);
            connection.send(beginnings[n % beginnings.len()].as_bytes()).expect("a few bytes");
            connection
        })
        .collect();
    assert!(works(&shield, &scene.agent));
    for connection in &mut slow {
        assert!(is_closed(connection));
    }
    grew(&memory, before);
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let scene = Scene::new("slow-bodies");
    let shield = impatient(&scene, &[]);
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        scene.agent.token
    );
    let mut slow: Vec<Connection> = (0..100)
        .map(|_| {
            let mut connection = open(&shield);
            connection.send(head.as_bytes()).expect("a head");
            connection
        })
        .collect();
    assert!(works(&shield, &scene.agent));
    for connection in &mut slow {
        let answer = connection.answer().expect("an answer");
        assert!(matches!(answer.status, 400 | 408 | 429), "{} {}", answer.status, answer.text());
        assert!(is_status(&answer), "{}", answer.text());
    }
}

#[test]
fn handshakes_that_never_finish_end() {
    let scene = Scene::new("handshakes");
    let shield = impatient(&scene, &[]);
    let address = shield.agent_url.trim_start_matches("https://").to_owned();
    let (memory, before) = (Memory::of(&shield), Memory::of(&shield).now());
    let connections: Vec<TcpStream> = (0..300)
        .map(|n| {
            let mut tcp = TcpStream::connect(&address).expect("a connection");
            if n % 2 == 0 {
                // The beginning of a ClientHello.
                let _ = tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0]);
            }
            tcp
        })
        .collect();
    assert!(works(&shield, &scene.agent));
    wait_until(PATIENCE, "the same address is served again, with all of them still open", || {
        let ca = shield.ca();
        let answer = testkit::http::request(&shield.agent_url, &ca, "GET", "/version", &[], b"");
        answer.is_ok_and(|it| it.status != 0).then_some(())
    });
    grew(&memory, before);
    drop(connections);
}

#[test]
fn who_has_too_many_connections_is_told_so() {
    let scene = Scene::new("crowd");
    let shield = Shield::start(scene.cluster, &["--connections-per-client", "40"]);
    let crowd: Vec<Connection> = (0..40).map(|_| open(&shield)).collect();
    let answers = raw(&shield, b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", 1);
    let [answer] = answers.as_slice() else { panic!("{answers:?}") };
    assert!(matches!(answer.status, 429 | 503) && is_status(answer), "{}", answer.text());
    assert!(works(&shield, &scene.agent), "another address");
    drop(crowd);
    wait_until(PATIENCE, "there is place again", || {
        let answers = raw(&shield, b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n", 1);
        answers.first().is_some_and(|it| !matches!(it.status, 429 | 503)).then_some(())
    });
}

#[test]
fn heads_without_end_are_refused() {
    let scene = Scene::new("heads");
    let shield = &scene.shield;
    let (memory, before) = (Memory::of(shield), Memory::of(shield).now());
    let start = format!(
        "GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n",
        scene.agent.token
    );
    let table = [
        ("100 KB in one", format!("X-A: {}\r\n", "a".repeat(100 << 10))),
        ("100 KB in many", format!("X-A: {}\r\n", "a".repeat(2000)).repeat(50)),
        ("a hundred", "X-A: b\r\n".repeat(100)),
        ("a thousand", "X-A: b\r\n".repeat(1000)),
    ];
    for (what, headers) in table {
        let answers = raw(shield, format!("{start}{headers}\r\n").as_bytes(), 1);
        let [answer] = answers.as_slice() else { panic!("{what}: {answers:?}") };
        assert_eq!(answer.status, 431, "{what}: {}", answer.text());
    }
    let fits = raw(shield, format!("{start}X-A: {}\r\n\r\n", "a".repeat(30 << 10)).as_bytes(), 1);
    assert_eq!(fits[0].status, 200, "{}", fits[0].text());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = open(shield);
                let _ = connection.send(start.as_bytes());
                // A million headers, or as many as are taken.
                let many = "X-A: b\r\n".repeat(10_000);
                let taken =
                    (0..100).take_while(|_| connection.send(many.as_bytes()).is_ok()).count();
                assert!(taken < 100, "a million headers were taken");
            });
        }
        let target = format!("GET /version?{} HTTP/1.1\r\n", "a".repeat(1 << 20));
        let answers = raw(shield, target.as_bytes(), 1);
        assert!(answers.iter().all(|it| matches!(it.status, 400 | 414 | 431)), "{answers:?}");
        assert!(works(shield, &scene.agent));
    });
    grew(&memory, before);
}

#[test]
fn bodies_without_end_are_refused() {
    let scene = Scene::new("bodies");
    let shield = &scene.shield;
    let (memory, before) = (Memory::of(shield), Memory::of(shield).now());
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\n",
        scene.agent.token
    );
    // Refused by its length alone: not one byte of it is sent.
    let announced = format!("{head}Content-Length: {}\r\n\r\n", 4 << 20);
    let answers = raw(shield, announced.as_bytes(), 1);
    assert!(matches!(answers.as_slice(), [it] if it.status == 413 && is_status(it)), "{answers:?}");
    let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "a".repeat(64 << 10));
    let mut connection = open(shield);
    connection.send(endless.as_bytes()).expect("a head");
    let taken = (0..4096).take_while(|_| connection.send(chunk.as_bytes()).is_ok()).count();
    assert!(taken < 4096, "a quarter of a gigabyte was taken");
    assert!(works(shield, &scene.agent));
    grew(&memory, before);
}

#[test]
fn an_answer_waits_for_its_reader() {
    let scene = Scene::new("slow-reader");
    const HUGE: u64 = 1 << 30;
    let middle = Middle::start(scene.cluster, &[("/huge", Script::Zeros(HUGE))]);
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield =
        Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &["--stall-time", "5s"]);
    let (memory, before) = (Memory::of(&shield), Memory::of(&shield).now());
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str())];
    let mut readers: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = open(&shield);
            connection.request("GET", "/huge", &headers, b"").expect("a request");
            assert!(connection.head().expect("a head").starts_with("HTTP/1.1 200"));
            connection
        })
        .collect();
    // Nobody reads, so the proxy takes no more, and cuts each of them after a while.
    wait_until(PATIENCE, "every stream is cut", || (middle.cut() == 4).then_some(()));
    assert!(middle.zeros() < 4 * (64 << 20), "{} bytes were taken", middle.zeros());
    assert!(works(&shield, &scene.agent));
    // What is left in the kernel's buffers ends early.
    wait_until(PATIENCE, "who does not read is cut", || {
        readers.retain_mut(|reader| !is_cut(reader));
        readers.is_empty().then_some(())
    });
    grew(&memory, before);
}

/// Reads what is there; whether the connection ended before the body did.
fn is_cut(connection: &mut Connection) -> bool {
    // 1 GiB of zeros would be no chunk: the answer has a length.
    (0..(1 << 14)).any(|_| connection.read(&mut [0; 64 << 10]).is_none_or(|it| it == 0))
}

#[test]
fn half_a_connection_runs_nothing() {
    let scene = Scene::new("half-close");
    let shield = &scene.shield;
    scene.cluster.apply(&deployment(&scene.prod, "victim", 1)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    let mut connection = open(shield);
    let head = format!(
        "DELETE {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.agent.token
    );
    connection.send(head.as_bytes()).expect("a request");
    let hold = scene.pending(&scene.prod, "victim");
    connection.half_close().expect("half a connection");
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "gone");
    // Answered or ended, and nothing ran.
    let answer = connection.answer().unwrap_or_default();
    assert!(matches!(answer.status, 0 | 403), "{}", answer.text());
    assert!(works(shield, &scene.agent));
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
}
