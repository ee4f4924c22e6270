//! The same over HTTP/2, and what only HTTP/2 has: frames that no library would send.

use abuse::{
    END, Frames, GROWTH_MAX, Kind, Memory, Middle, Script, WHOLE, field, works, writes_to,
};
use cluster::{Scene, deployment};
use serde_json::Value;
use testkit::{Credential, Shield};

const WHOAMI: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const REVIEW: &[u8] = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;

/// Fields of a request, in the order of the pairs.
fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs.iter().flat_map(|(name, value)| field(name, value.as_bytes())).collect()
}

fn request<'a>(method: &'a str, path: &'a str, bearer: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "x"),
        (":path", path),
        ("authorization", bearer),
    ]
}

/// A `Status` code, or what else the body says of itself.
fn code(body: Option<Vec<u8>>) -> Option<u64> {
    let json: Value = serde_json::from_slice(&body?).unwrap_or_default();
    json["code"].as_u64()
}

#[test]
fn no_field_makes_an_agent_somebody_else() {
    let scene = Scene::new("h2-identity");
    let bearer = format!("Bearer {}", scene.agent.token);
    let whoami = |more: &[(&str, &str)], trailers: &[(&str, &str)]| -> Option<Value> {
        let mut pairs = request("POST", WHOAMI, &bearer);
        pairs.push(("content-type", "application/json"));
        pairs.extend(more);
        let mut frames = Frames::open(&scene.shield, &[]);
        let mut bytes = Frames::frame(Kind::Headers, WHOLE, 1, &fields(&pairs));
        let flags = if trailers.is_empty() { END } else { 0 };
        bytes.extend(Frames::frame(Kind::Data, flags, 1, REVIEW));
        if !trailers.is_empty() {
            bytes.extend(Frames::frame(Kind::Headers, END | WHOLE, 1, &fields(trailers)));
        }
        frames.send(&bytes);
        serde_json::from_slice(&frames.body(1)?).ok()
    };
    let user = |answer: &Option<Value>| {
        let answer = answer.as_ref()?;
        answer["status"]["userInfo"]["username"].as_str().map(str::to_owned)
    };
    assert_eq!(user(&whoami(&[], &[])).as_deref(), Some(scene.agent.username.as_str()));
    // Dropped, refused with a Status, or the end of the stream: never believed.
    for pair in [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
        ("x-forwarded-for", "127.0.0.1"),
        ("impersonate-user", "admin"),
        ("impersonate-group", "system:masters"),
        ("impersonate-uid", "1"),
        ("impersonate-extra-scopes", "all"),
        ("impersonate_user", "admin"),
        ("x_remote_user", "admin"),
        ("authorization", "Bearer other"),
        ("content-type", "application/yaml"),
        ("content-encoding", "gzip"),
        ("host", "y"),
        ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.eA"),
        ("x-http-method-override", "DELETE"),
        ("te", "trailers"),
        // Connection-specific ones make the message malformed.
        ("connection", "authorization"),
        ("connection", "close"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
    ] {
        let answers = [whoami(&[pair], &[]), whoami(&[], &[pair])];
        for answer in answers {
            let user = user(&answer);
            let own = user.as_deref() == Some(scene.agent.username.as_str());
            let refused = answer.as_ref().is_none_or(|it| it["kind"] == "Status");
            assert!(own || refused, "{pair:?}: {answer:?}");
        }
    }
    for name in ["impersonate-user", "impersonate_user", "connection", "authorization"] {
        let answer = whoami(&[(name, "x")], &[]);
        assert_eq!(user(&answer), None, "{name}: {answer:?}");
    }
}

#[test]
fn no_pseudo_header_hides_a_request() {
    let scene = Scene::new("h2-pseudo");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
    scene.cluster.apply(&deployment(&scene.prod, "victim", 1)).expect("a deployment");
    let victim = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    let bearer = format!("Bearer {}", scene.agent.token);
    let send = |pairs: &[(&str, &str)]| {
        let mut frames = Frames::open(&shield, &[]);
        frames.send(&Frames::frame(Kind::Headers, END | WHOLE, 1, &fields(pairs)));
        code(frames.body(1))
    };
    let delete = request("DELETE", &victim, &bearer);
    assert_eq!(send(&delete), Some(429), "the control: well-formed, it is held");
    let with = |at: usize, pair| {
        let mut pairs = delete.clone();
        pairs.insert(at, pair);
        pairs
    };
    let instead = |at: usize, pair| {
        let mut pairs = delete.clone();
        pairs[at] = pair;
        pairs
    };
    let smuggled = format!("{victim} HTTP/1.1\r\nHost: y\r\nX: ");
    let absolute = format!("https://y{victim}");
    let table = [
        ("two methods", with(1, (":method", "GET"))),
        ("two paths", with(4, (":path", "/version"))),
        ("a pseudo-header behind", with(5, (":path", "/version"))),
        ("a pseudo-header that there is not", with(1, (":user", "admin"))),
        ("a status", with(1, (":status", "200"))),
        ("extended CONNECT", with(1, (":protocol", "websocket"))),
        ("CONNECT", instead(0, (":method", "CONNECT"))),
        ("capitals", with(5, ("X-A", "b"))),
        ("a blank in a name", with(5, ("x a", "b"))),
        ("a colon in a name", with(5, ("x:a", "b"))),
        ("no name", with(5, ("", "b"))),
        ("CRLF in a value", with(5, ("x-a", "b\r\nimpersonate-user: admin"))),
        ("NUL in a value", with(5, ("x-a", "b\0"))),
        ("CRLF in the path", instead(3, (":path", &smuggled))),
        ("an absolute path", instead(3, (":path", &absolute))),
        ("no path", instead(3, (":path", ""))),
        ("an asterisk", instead(3, (":path", "*"))),
        ("an empty segment", instead(3, (":path", "//api/v1/namespaces/x"))),
        ("a method with a blank", instead(0, (":method", "DELETE /x"))),
        ("a lower-case method", instead(0, (":method", "delete"))),
        ("chunks", with(5, ("transfer-encoding", "chunked"))),
        ("a length that is not so", with(5, ("content-length", "10"))),
    ];
    for (what, pairs) in &table {
        let answer = send(pairs);
        assert!(matches!(answer, None | Some(400)), "{what}: {answer:?}");
    }
    assert!(works(&shield, &scene.agent));
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
}

/// Runs a flood and looks at what it cost.
fn flood(name: &str, shield: &Shield, scene: &Scene, act: impl FnOnce(&mut Frames)) {
    let memory = Memory::of(shield);
    let before = memory.now();
    let mut frames = Frames::open(shield, &[]);
    act(&mut frames);
    assert!(works(shield, &scene.agent), "{name}: others are not served");
    let peak = memory.peak();
    assert!(peak < before + GROWTH_MAX, "{name}: memory grew from {before} to {peak} MiB");
}

#[test]
fn floods_of_frames_cost_little() {
    let scene = Scene::new("h2-floods");
    let shield = &scene.shield;
    let bearer = format!("Bearer {}", scene.agent.token);
    let head = fields(&request("GET", "/version", &bearer));
    let many = |frame: &dyn Fn(u32) -> Vec<u8>, count: u32| -> Vec<Vec<u8>> {
        // Some hundreds at a time, as one write.
        (0..count / 200).map(|n| (0..200).flat_map(|m| frame(n * 200 + m)).collect()).collect()
    };
    let send_all =
        |frames: &mut Frames, writes: &[Vec<u8>]| writes.iter().all(|it| frames.send(it));

    flood("rapid reset", shield, &scene, |frames| {
        let reset = |n: u32| {
            let stream = 2 * n + 1;
            let mut bytes = Frames::frame(Kind::Headers, END | WHOLE, stream, &head);
            bytes.extend(Frames::frame(Kind::Reset, 0, stream, &8_u32.to_be_bytes()));
            bytes
        };
        send_all(frames, &many(&reset, 20_000));
        assert!(frames.is_over(), "ten thousand resets were borne");
    });
    flood("CONTINUATION", shield, &scene, |frames| {
        frames.send(&Frames::frame(Kind::Headers, END, 1, &head));
        let more = field("x-a", &[b'a'; 100]);
        let continuation = |_| Frames::frame(Kind::Continuation, 0, 1, &more);
        send_all(frames, &many(&continuation, 100_000));
        assert!(frames.is_over(), "a head without end was borne");
    });
    flood("empty CONTINUATION", shield, &scene, |frames| {
        frames.send(&Frames::frame(Kind::Headers, END, 1, &head));
        let continuation = |_| Frames::frame(Kind::Continuation, 0, 1, b"");
        send_all(frames, &many(&continuation, 100_000));
        assert!(frames.is_over(), "a head without end was borne");
    });
    flood("a bomb of indexed fields", shield, &scene, |frames| {
        // 4 KB into the table once, then a byte for each time it is named again: 64 MB.
        let mut block = head.clone();
        block.extend([0x40, 3, b'x', b'-', b'b', 127, 0xc1, 0x1e]);
        block.extend([b'a'; 4000]);
        block.extend(vec![0xbe; 10_000]);
        let (first, rest) = block.split_at(16_000.min(block.len()));
        let mut bytes = Frames::frame(Kind::Headers, END | WHOLE, 1, first);
        if !rest.is_empty() {
            bytes = Frames::frame(Kind::Headers, END, 1, first);
            bytes.extend(Frames::frame(Kind::Continuation, WHOLE, 1, rest));
        }
        frames.send(&bytes);
        // 431 or a reset, and never the API server's answer.
        let body = frames.body(1).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&body).contains("gitVersion"));
    });
    for (name, frame) in [
        ("pings", Frames::frame(Kind::Ping, 0, 0, &[0; 8])),
        ("settings", Frames::frame(Kind::Settings, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("priorities", Frames::frame(Kind::Priority, 0, 1, &[0, 0, 0, 0, 1])),
        ("unknown frames", [&[0, 0, 0, 0xfa, 0, 0, 0, 0, 0][..]].concat()),
    ] {
        flood(name, shield, &scene, |frames| {
            // Taken or not, whoever does not read the answers gets no memory for them.
            send_all(frames, &many(&|_| frame.clone(), 200_000));
        });
    }
    flood("empty DATA", shield, &scene, |frames| {
        let post = fields(&request("POST", WHOAMI, &bearer));
        frames.send(&Frames::frame(Kind::Headers, WHOLE, 1, &post));
        send_all(frames, &many(&|_| Frames::frame(Kind::Data, 0, 1, b""), 100_000));
    });
    for (name, bytes) in [
        ("a window too large", Frames::frame(Kind::Window, 0, 0, &0x7fff_ffff_u32.to_be_bytes())),
        ("a push by the client", Frames::frame(Kind::Push, WHOLE, 1, &[0, 0, 0, 2])),
        ("DATA on a stream that is not open", Frames::frame(Kind::Data, 0, 7, b"x")),
        ("an even stream", Frames::frame(Kind::Headers, END | WHOLE, 2, &head)),
        ("a frame larger than was agreed", Frames::frame(Kind::Data, 0, 1, &[0; 20_000])),
    ] {
        flood(name, shield, &scene, |frames| {
            frames.send(&bytes);
            assert!(frames.is_over(), "{name} was borne");
        });
    }
}

#[test]
fn who_opens_no_window_gets_nothing_and_costs_little() {
    let scene = Scene::new("h2-window");
    let middle = Middle::start(scene.cluster, &[("/huge", Script::Zeros(1 << 30))]);
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield =
        Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &["--stall-time", "5s"]);
    let bearer = format!("Bearer {}", scene.agent.token);
    let memory = Memory::of(&shield);
    let before = memory.now();
    let mut frames = Frames::open(&shield, &[(4, 0)]);
    let head = fields(&request("GET", "/huge", &bearer));
    for n in 0..50 {
        frames.send(&Frames::frame(Kind::Headers, END | WHOLE, 2 * n + 1, &head));
    }
    // All are answered with a head, and none with a byte of its body.
    let mut heads = 0;
    while heads < 50 {
        let frame = frames.read().expect("a frame");
        assert_ne!(frame.kind, Kind::Data as u8, "a byte without a window");
        heads += usize::from(frame.kind == Kind::Headers as u8);
    }
    assert!(works(&shield, &scene.agent));
    assert!(middle.zeros() < 512 << 20, "{} bytes were taken", middle.zeros());
    let peak = memory.peak();
    assert!(peak < before + GROWTH_MAX, "memory grew from {before} to {peak} MiB");
}

#[test]
fn a_body_has_its_bounds() {
    let scene = Scene::new("h2-bodies");
    let shield = Shield::start(scene.cluster, &["--body-time", "3s"]);
    let bearer = format!("Bearer {}", scene.agent.token);
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let post = |length: &str| {
        let mut pairs = request("POST", &target, &bearer);
        pairs.push(("content-type", "application/json"));
        pairs.push(("content-length", length));
        let mut frames = Frames::open(&shield, &[]);
        frames.send(&Frames::frame(Kind::Headers, WHOLE, 1, &fields(&pairs)));
        code(frames.body(1))
    };
    assert_eq!(post("4194304"), Some(413), "refused by its length, before a byte of it");
    assert_eq!(post("100"), Some(408), "it never comes");
}

#[test]
fn a_stream_that_is_reset_runs_nothing() {
    let scene = Scene::new("h2-reset");
    scene.cluster.apply(&deployment(&scene.prod, "victim", 1)).expect("a deployment");
    let victim = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    let bearer = format!("Bearer {}", scene.agent.token);
    let mut frames = Frames::open(&scene.shield, &[]);
    let head = fields(&request("DELETE", &victim, &bearer));
    frames.send(&Frames::frame(Kind::Headers, END | WHOLE, 1, &head));
    let hold = scene.pending(&scene.prod, "victim");
    frames.send(&Frames::frame(Kind::Reset, 0, 1, &8_u32.to_be_bytes()));
    // Nobody waits any more: an approval runs nothing until the agent asks again.
    assert!(works(&scene.shield, &scene.agent));
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "nobody waits");
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
}

#[test]
fn streams_are_counted() {
    let scene = Scene::new("h2-streams");
    let shield = Shield::start(scene.cluster, &["--requests-per-agent", "20"]);
    let bearer = format!("Bearer {}", scene.agent.token);
    let target = format!("/api/v1/namespaces/{}/configmaps?watch=1", scene.dev);
    let mut frames = Frames::open(&shield, &[]);
    let head = fields(&request("GET", &target, &bearer));
    let mut bytes = Vec::new();
    for n in 0..150 {
        bytes.extend(Frames::frame(Kind::Headers, END | WHOLE, 2 * n + 1, &head));
    }
    frames.send(&bytes);
    // 20 run; more of this agent are answered 429, and more than the connection's limit are reset.
    let (mut told, mut reset) = (0, 0);
    while told + reset < 130 {
        let frame = frames.read().expect("a frame");
        reset += u32::from(frame.kind == Kind::Reset as u8);
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        told += u32::from(frame.kind == Kind::Data as u8 && text.contains("TooManyRequests"));
    }
    assert!(told > 0, "nobody was told");
    let other = scene.cluster.cluster_agent(&scene.dev, "other", &serde_json::json!([]));
    let other = other.expect("an agent");
    assert_eq!(shield.request(&other, "GET", "/version", None, b"").status, 200);
}
