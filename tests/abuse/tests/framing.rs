//! Bytes that two HTTP parsers cut into requests in two ways. Whatever we make of them, each request
//! upstream is framed anew, and one that hides in another is refused or judged like any other.

use abuse::{is_status, raw, writes_to};
use cluster::{Scene, deployment};
use testkit::{Shield, http, wait_until};

/// What may come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Want {
    /// 400 and the end of the connection.
    Refused,
    /// The end of the connection or a 400, without an answer to what was hidden.
    Ended,
    /// Read as one request: its body holds what was hidden.
    One,
    /// Read as two requests: the second is held in its own right.
    Two,
}

const AUTH: &str = "Authorization: Bearer {t}\r\n";
const HIDDEN: &str = "DELETE {victim} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {t}\r\n\r\n";

/// `{h}` is the hidden request, `{n}` its length, `{n+5}` with `0\r\n\r\n` before it, `{x}` its
/// length in hexadecimal.
fn rows() -> Vec<(&'static str, &'static str, Want)> {
    use Want::{Ended, One, Refused, Two};
    vec![
        (
            "CL.TE",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: {n+5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{h}",
            Two,
        ),
        (
            "TE.CL",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{x}\r\n{h}\r\n0\r\n\r\n",
            One,
        ),
        (
            "TE, tab before",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding:\tchunked\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Two,
        ),
        (
            "TE, blanks behind",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked \t\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Two,
        ),
        (
            "TE, blank before the colon",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding : chunked\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Refused,
        ),
        (
            "TE, vertical tab",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: \x0bchunked\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        (
            "TE that is none",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: xchunked\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        (
            "TE identity",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: identity\r\nContent-Length: {n+5}\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        (
            "TE gzip, chunked",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{h}",
            Two,
        ),
        (
            "TE chunked, identity",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        (
            "TE twice",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        (
            "TE folded",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: {n+5}\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{h}",
            Refused,
        ),
        (
            "CL twice, other",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: 0\r\nContent-Length: {n}\r\n\r\n{h}",
            Ended,
        ),
        (
            "CL in a list",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: 0, {n}\r\n\r\n{h}",
            Ended,
        ),
        (
            "CL with a sign",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: +0\r\n\r\n{h}",
            Ended,
        ),
        ("CL negative", "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: -1\r\n\r\n{h}", Ended),
        (
            "CL hexadecimal",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: 0x0\r\n\r\n{h}",
            Ended,
        ),
        (
            "CL too large",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length: 18446744073709551616\r\n\r\n{h}",
            Ended,
        ),
        ("CL empty", "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Content-Length:\r\n\r\n{h}", Ended),
        (
            "CL of a GET",
            "GET /version HTTP/1.1\r\nHost: x\r\n{a}Content-Length: {n}\r\n\r\n{h}",
            One,
        ),
        ("folded", "GET /version HTTP/1.1\r\nHost: x\r\n{a}X-A: b\r\n c: d\r\n\r\n", Refused),
        ("bare CR", "GET /version HTTP/1.1\r\nHost: x\r\n{a}X-A: b\rX: c\r\n\r\n", Refused),
        ("NUL", "GET /version HTTP/1.1\r\nHost: x\r\n{a}X-A: b\0\r\n\r\n", Refused),
        ("no name", "GET /version HTTP/1.1\r\nHost: x\r\n{a}: b\r\n\r\n", Refused),
        ("blank in a name", "GET /version HTTP/1.1\r\nHost: x\r\n{a}X A: b\r\n\r\n", Refused),
        (
            "bare LF before what is hidden",
            "GET /version HTTP/1.1\nHost: x\nAuthorization: Bearer {t}\n\n{h}",
            Two,
        ),
        (
            "chunk extension",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n{x};a=\"b\"\r\n{h}\r\n0\r\n\r\n",
            One,
        ),
        (
            "LF in a chunk extension",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n0;\n\r\n\r\n{h}",
            Ended,
        ),
        (
            "chunk size too large",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{h}\r\n0\r\n\r\n",
            Ended,
        ),
        (
            "chunk size with 0x",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n0x{x}\r\n{h}\r\n0\r\n\r\n",
            Ended,
        ),
        (
            "chunk size negative",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n-1\r\n{h}\r\n0\r\n\r\n",
            Ended,
        ),
        (
            "chunk longer than it says",
            "POST {p} HTTP/1.1\r\nHost: x\r\n{a}Transfer-Encoding: chunked\r\n\r\n2\r\n{h}\r\n0\r\n\r\n",
            Ended,
        ),
        ("HTTP/0.9", "GET /version\r\n\r\n{h}", Ended),
        (
            "HTTP/1.0 with chunks",
            "POST {p} HTTP/1.0\r\n{a}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{h}",
            Ended,
        ),
        ("HTTP/1.0 does not go on", "GET /version HTTP/1.0\r\n{a}\r\n{h}", One),
        ("HTTP/1.2", "GET /version HTTP/1.2\r\nHost: x\r\n{a}\r\n{h}", Ended),
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{h}", Ended),
        (
            "Connection: close ends it",
            "GET /version HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n{h}",
            One,
        ),
        (
            "close, then keep-alive",
            "GET /version HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\nConnection: keep-alive\r\n\r\n{h}",
            One,
        ),
        (
            "absolute form",
            "DELETE https://kubernetes.default.svc{victim} HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        (
            "another authority",
            "DELETE {victim} HTTP/1.1\r\nHost: x\r\nHost: y\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        ("asterisk", "DELETE * HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n", Refused),
        (
            "CONNECT",
            "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        (
            "a tab in the request line",
            "DELETE\t{victim} HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        (
            "two blanks in the request line",
            "DELETE  {victim} HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        (
            "two blanks before the version",
            "DELETE {victim}  HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        (
            "a lower-case method",
            "delete {victim} HTTP/1.1\r\nHost: x\r\n{a}Connection: close\r\n\r\n",
            Refused,
        ),
        ("pipelined behind a read", "GET /version HTTP/1.1\r\nHost: x\r\n{a}\r\n{h}", Two),
    ]
}

#[test]
fn no_framing_hides_a_request() {
    let scene = Scene::new("framing");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
    let objects = [deployment(&scene.prod, "victim", 1), deployment(&scene.dev, "control", 1)];
    scene.cluster.apply(&cluster::list(&objects)).expect("objects");
    let control = format!("/apis/apps/v1/namespaces/{}/deployments/control", scene.dev);
    let victim = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    // The positive control: what is hidden works where it does not hide, straight to the API server.
    let hidden =
        |target: &str| HIDDEN.replace("{t}", &scene.agent.token).replace("{victim}", target);
    let mut direct =
        http::Connection::open(scene.cluster.server(), &scene.cluster.ca()).expect("a connection");
    direct.send(hidden(&control).as_bytes()).expect("a request");
    assert_eq!(direct.answer().expect("an answer").status, 200);

    for (what, bytes, want) in rows() {
        let h = hidden(&victim);
        let bytes = bytes
            .replace("{n+5}", &(h.len() + 5).to_string())
            .replace("{n}", &h.len().to_string())
            .replace("{x}", &format!("{:x}", h.len()))
            .replace("{a}", AUTH)
            .replace("{p}", "/apis/authentication.k8s.io/v1/selfsubjectreviews")
            .replace("{h}", &h)
            .replace("{t}", &scene.agent.token)
            .replace("{victim}", &victim);
        let most = if want == Want::Two { 2 } else { 3 };
        let answers = raw(&shield, bytes.as_bytes(), if want == Want::One { 1 } else { most });
        let codes: Vec<u16> = answers.iter().map(|it| it.status).collect();
        for answer in &answers {
            // What the HTTP parser itself refuses has no body, and ends the connection.
            let bare = answer.body.is_empty() && matches!(answer.status, 400 | 414 | 431);
            let own = answer.status < 300 || is_status(answer) || bare;
            assert!(own, "{what}: {} {}", answer.status, answer.text());
        }
        match want {
            Want::Refused => assert_eq!(codes, [400], "{what}"),
            Want::Ended => {
                assert!(matches!(codes.as_slice(), [] | [400 | 403]), "{what}: {codes:?}")
            }
            Want::One => assert_eq!(codes.len(), 1, "{what}: {codes:?}"),
            // One, where the length was told twice: the connection ends behind it.
            Want::Two => assert!(matches!(codes.as_slice(), [_] | [_, 429]), "{what}: {codes:?}"),
        }
        assert!(scene.cluster.get(&victim).is_some(), "{what}: the victim is gone");
    }
    let ran = writes_to(scene.cluster, &scene.prod, "victim");
    assert!(ran.is_empty(), "{ran:?}");
}

#[test]
fn what_is_pipelined_behind_a_held_write_waits_for_its_own_turn() {
    let scene = Scene::new("pipelined");
    let objects = [deployment(&scene.prod, "one", 1), deployment(&scene.prod, "two", 1)];
    scene.cluster.apply(&cluster::list(&objects)).expect("objects");
    let target = |name: &str| format!("/apis/apps/v1/namespaces/{}/deployments/{name}", scene.prod);
    let delete =
        |name: &str| HIDDEN.replace("{t}", &scene.agent.token).replace("{victim}", &target(name));
    let shield = &scene.shield;
    let mut connection = http::Connection::open(&shield.agent_url, &shield.ca()).expect("TLS");
    connection.send(format!("{}{}", delete("one"), delete("two")).as_bytes()).expect("requests");
    let first = scene.pending(&scene.prod, "one");
    scene.decide("approve", first["id"].as_str().unwrap_or_default(), "this one only");
    assert_eq!(connection.answer().expect("an answer").status, 200);
    // The approval of the first is none of the second.
    let second = scene.pending(&scene.prod, "two");
    assert!(scene.cluster.get(&target("two")).is_some());
    scene.decide("deny", second["id"].as_str().unwrap_or_default(), "not this one");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 403, "{}", answer.text());
    wait_until(abuse::PATIENCE, "the first is gone", || {
        scene.cluster.get(&target("one")).is_none().then_some(())
    });
    assert!(writes_to(scene.cluster, &scene.prod, "two").is_empty());
}
