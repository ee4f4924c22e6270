//! fabric8's Java client, with each of its HTTP clients: how a watch is asked for, and what an answer that
//! is not a WebSocket does to it, is up to them.

use std::time::Duration;

use clients::{Place, Stage, TRANSCRIPT, install};
use serde_json::Value;
use testkit::wait_until;

const RECORDED_WITHIN: Duration = Duration::from_secs(30);
const LOG: &str = "log: line 1 to line 30\n";

/// Runs the program with an HTTP client, and compares how its watch was answered.
fn check(name: &str, factory: &str) {
    let stage = Stage::new(&format!("fabric8-{name}"));
    let factory = format!("io.fabric8.kubernetes.client.{factory}");
    stage.check_transcript(&format!("{TRANSCRIPT}{LOG}"), &|| {
        install::fabric8(&factory).expect("the client")
    });
    let [direct, shielded] = [&stage.direct, &stage.shielded].map(|it| watched(&stage, it));
    assert_eq!((direct, shielded), (vec![101], vec![101]), "how watches are answered");
    wait_until(RECORDED_WITHIN, "the watch is in the record", || {
        let calls =
            stage.scene.shield.cli_json(&stage.scene.reviewer, &["timeline", "--verb", "watch"]);
        let is_it = |call: &Value| {
            call["request"]["namespace"] == stage.shielded.namespace.as_str() && call["code"] == 101
        };
        calls["items"].as_array()?.iter().any(is_it).then_some(())
    });
}

/// The answers of the API server to the watches of ConfigMaps in a place, the client's own.
fn watched(stage: &Stage, place: &Place) -> Vec<u64> {
    let path = format!("/api/v1/namespaces/{}/configmaps?", place.namespace);
    wait_until(RECORDED_WITHIN, "the watch has ended", || {
        let events =
            stage.scene.cluster.audit_events_about(&path, |event| event["verb"] == "watch");
        let codes = events.iter().filter_map(|event| event["responseStatus"]["code"].as_u64());
        Some(codes.collect::<Vec<u64>>()).filter(|codes| !codes.is_empty())
    })
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn fabric8_with_okhttp_works_as_it_does_directly() {
    check("okhttp", "okhttp.OkHttpClientFactory");
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn fabric8_with_the_jdk_works_as_it_does_directly() {
    check("jdk", "jdkhttp.JdkHttpClientFactory");
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn fabric8_with_jetty_works_as_it_does_directly() {
    check("jetty", "jetty.JettyHttpClientFactory");
}

#[test]
#[ignore = "installs what it needs: `cargo xtask test --full`"]
fn fabric8_with_vertx_works_as_it_does_directly() {
    check("vertx", "vertx.VertxHttpClientFactory");
}
