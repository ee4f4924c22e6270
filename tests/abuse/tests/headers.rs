//! Headers that carry an identity, another method, or a promise about the body.

use abuse::{is_status, raw, whoami, writes_to};
use cluster::{Scene, deployment};
use testkit::http;

#[test]
fn no_header_makes_an_agent_somebody_else() {
    let scene = Scene::new("identity-headers");
    type Row = (&'static str, &'static [(&'static str, &'static str)], u16);
    // 201: the header did nothing.
    let table: [Row; 22] = [
        ("front proxy", &[("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters")], 201),
        ("front proxy, extra", &[("X-Remote-Extra-Scopes", "all"), ("X-Remote-Uid", "1")], 201),
        ("named by Connection", &[("X-Remote-User", "a"), ("Connection", "X-Remote-User")], 400),
        ("Authorization named by Connection", &[("Connection", "Authorization")], 400),
        ("named among others", &[("Connection", "keep-alive, Impersonate-User")], 400),
        ("named in a second line", &[("Connection", "close"), ("Connection", "content-type")], 400),
        ("impersonation", &[("Impersonate-User", "admin")], 403),
        ("a group alone", &[("Impersonate-Group", "system:masters")], 403),
        ("a uid alone", &[("Impersonate-Uid", "1")], 403),
        ("extra alone", &[("Impersonate-Extra-scopes", "all")], 403),
        ("in capitals", &[("IMPERSONATE-USER", "admin")], 403),
        ("empty", &[("Impersonate-User", "")], 403),
        ("look-alike", &[("Impersonate_User", "admin")], 400),
        ("look-alike", &[("X_Remote_User", "admin")], 400),
        ("look-alike", &[("X-Remote_Group", "system:masters")], 400),
        ("addresses", &[("X-Forwarded-For", "127.0.0.1"), ("X-Real-Ip", "127.0.0.1")], 201),
        ("addresses", &[("Forwarded", "for=127.0.0.1"), ("Via", "1.1 x")], 201),
        ("cookies", &[("Cookie", "token=x"), ("Proxy-Authorization", "Basic eDp5")], 201),
        ("two tokens", &[("Authorization", "Bearer other")], 400),
        (
            "a token in the subprotocol",
            &[("Sec-WebSocket-Protocol", "base64url.bearer.authorization.k8s.io.eA")],
            400,
        ),
        ("two content types", &[("Content-Type", "application/yaml")], 400),
        ("a zip bomb", &[("Content-Encoding", "gzip")], 400),
    ];
    for (what, headers, want) in table {
        let answer = whoami(&scene.shield, &scene.agent, headers);
        assert_eq!(answer.status, want, "{what} {headers:?}: {}", answer.text());
        match want {
            201 => {
                let user = answer.json()["status"]["userInfo"].clone();
                assert_eq!(user["username"], scene.agent.username.as_str(), "{what}");
                assert!(!user["groups"].to_string().contains("system:masters"), "{what}: {user}");
                assert!(!user.to_string().contains("\"all\""), "{what}: {user}");
            }
            _ => assert!(is_status(&answer), "{what}: {}", answer.text()),
        }
    }
}

#[test]
fn a_trailer_is_no_header() {
    let scene = Scene::new("trailers");
    let body = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let token = &scene.agent.token;
    for (trailer, want) in [
        ("Impersonate-User: admin", 201),
        ("X-Remote-User: admin", 201),
        ("Authorization: Bearer other", 201),
        ("Content-Type: application/yaml", 201),
        ("Connection: Authorization", 201),
    ] {
        let name = trailer.split(':').next().unwrap_or_default();
        let bytes = format!(
            "POST /apis/authentication.k8s.io/v1/selfsubjectreviews HTTP/1.1\r\nHost: x\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\nTE: trailers\r\n\
             Trailer: {name}\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{body}\r\n0\r\n{trailer}\r\n\r\n",
            body.len()
        );
        let answers = raw(&scene.shield, bytes.as_bytes(), 1);
        let [answer] = answers.as_slice() else { panic!("{trailer}: {answers:?}") };
        assert_eq!(answer.status, want, "{trailer}: {}", answer.text());
        match want {
            201 => {
                let user = answer.json()["status"]["userInfo"]["username"].clone();
                assert_eq!(user, scene.agent.username.as_str(), "{trailer}");
            }
            _ => assert!(is_status(answer), "{trailer}: {}", answer.text()),
        }
    }
}

#[test]
fn a_method_is_what_stands_in_the_request_line() {
    let scene = Scene::new("override");
    scene.cluster.apply(&deployment(&scene.prod, "victim", 1)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    let authorization = format!("Bearer {}", scene.agent.token);
    let shield = &scene.shield;
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"] {
        let headers = [("Authorization", authorization.as_str()), (name, "DELETE")];
        let answer = http::request(&shield.agent_url, &shield.ca(), "GET", &target, &headers, b"")
            .expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()["kind"], "Deployment", "{name}");
    }
    assert!(writes_to(scene.cluster, &scene.prod, "victim").is_empty());
    assert!(scene.cluster.get(&target).is_some());
}

#[test]
fn an_upgrade_to_something_else_is_none() {
    let scene = Scene::new("upgrades");
    let (shield, token) = (&scene.shield, &scene.agent.token);
    let ask = |target: &str, headers: &str| {
        let bytes = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n\r\n"
        );
        raw(shield, bytes.as_bytes(), 1)
    };
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    let answers = ask("/version", h2c);
    assert!(matches!(answers.as_slice(), [it] if it.status == 200), "{answers:?}");
    // A read is no tunnel, whatever it asks for.
    let answers = ask("/version", "Connection: Upgrade\r\nUpgrade: websocket");
    assert!(matches!(answers.as_slice(), [it] if it.status == 200), "{answers:?}");
    let exec = format!("/api/v1/namespaces/{}/pods/p/exec?command=ls", scene.prod);
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: \
                     dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
    let with_body = format!("{websocket}\r\nContent-Length: 40");
    let answers = ask(&exec, &with_body);
    assert!(matches!(answers.as_slice(), [it] if it.status == 400 && is_status(it)), "{answers:?}");
    let with_token = format!(
        "{websocket}\r\nSec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.eA, v5.channel.k8s.io"
    );
    let answers = ask(&exec, &with_token);
    assert!(matches!(answers.as_slice(), [it] if it.status == 400 && is_status(it)), "{answers:?}");
}

#[test]
fn whoever_is_refused_is_not_asked_for_the_body_first() {
    let scene = Scene::new("expect");
    let (shield, token) = (&scene.shield, &scene.agent.token);
    let post = |target: &str, more: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\
             Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let configmaps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let refused = [
        ("impersonation", post(&configmaps, "Impersonate-User: admin\r\n", 10), 403),
        ("two readings", post("/api/v1/namespaces%2Fx/configmaps", "", 10), 400),
        ("too large", post(&configmaps, "", 4 << 20), 413),
    ];
    for (what, bytes, want) in refused {
        let mut connection = http::Connection::open(&shield.agent_url, &shield.ca()).expect("TLS");
        connection.send(bytes.as_bytes()).expect("a head");
        // The first head that comes, a 100 too.
        let head = connection.head().expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {want} ")), "{what}: {head}");
        assert!(head.to_ascii_lowercase().contains("application/json"), "{what}: {head}");
    }
    // And one that is not refused is.
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"expected"}}"#;
    let mut connection = http::Connection::open(&shield.agent_url, &shield.ca()).expect("TLS");
    connection.send(post(&configmaps, "", body.len()).as_bytes()).expect("a head");
    let goes_on = connection.head().expect("a head");
    assert!(goes_on.starts_with("HTTP/1.1 100 "), "{goes_on}");
    connection.send(body).expect("a body");
    let answer = connection.answer().expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
}
