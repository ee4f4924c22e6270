//! Completion in a shell: names that exist now, and not a word where there is nobody to ask.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use cluster::{Scene, deployment};
use testkit::Shield;

/// Calls the function that the script registered, as bash does when Tab is pressed: the last argument is
/// the word, and all of them are split as bash splits them.
const PRESS_TAB: &str = r#"
source <("$BINARY" completion bash)
set -- agent-shield "$@"
registered=$(complete -p agent-shield)
[[ $registered =~ -F\ ([a-z_]+) ]] || exit 9
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
word=${COMP_WORDS[COMP_CWORD]}
[[ $word == [:=] ]] && word=
"${BASH_REMATCH[1]}" agent-shield "$word" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for the last of `words`, as the user of a kubeconfig; nothing may be said besides.
fn offered(shield: &Shield, kubeconfig: &Path, words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", PRESS_TAB, "bash"]).args(words);
    bash.env("BINARY", testkit::binary()).env("AGENT_SHIELD_DATA_DIR", shield.data_dir());
    bash.env("KUBECONFIG", kubeconfig).env("HOME", shield.data_dir());
    lines(&bash.output().expect("bash"))
}

fn lines(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

#[test]
fn a_shell_completes_what_exists_now() {
    let scene = Scene::new("completion");
    let (shield, alice) = (&scene.shield, scene.reviewer.as_path());
    assert!(!offered(shield, alice, &["show", ""]).iter().any(|it| !it.starts_with('-')));

    scene.cluster.apply(&deployment(&scene.prod, "web", 3)).expect("a Deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web?timeout=1s", scene.prod);
    let answer = shield.request(&scene.agent, "DELETE", &target, None, b"");
    assert_eq!(answer.held_or_status(), 429, "{}", answer.text());
    let id = scene.pending(&scene.prod, "web")["id"].as_str().expect("an id").to_owned();
    for command in ["show", "approve", "deny", "withdraw"] {
        assert_eq!(offered(shield, alice, &[command, &id[..2]]), [id.as_str()], "{command}");
    }
    assert_eq!(offered(shield, alice, &["approve", "--all-of", &id[..2]]), [id.as_str()]);
    assert!(offered(shield, alice, &["lift", &id[..2]]).is_empty());
    // Bash splits a URL, and a value from its flag.
    let url: Vec<String> = shield.review_url.split_inclusive(':').map(str::to_owned).collect();
    let mut typed = vec!["--server"];
    for part in &url {
        typed.extend(part.strip_suffix(':').map_or([part.as_str(), ""], |it| [it, ":"]));
    }
    typed.retain(|it| !it.is_empty());
    typed.extend(["deny", &id[..2]]);
    assert_eq!(offered(shield, alice, &typed), [id.as_str()]);

    scene.decide("deny", &id, "no");
    assert_eq!(offered(shield, alice, &["lift", &id[..2]]), [id.as_str()]);
    assert!(offered(shield, alice, &["approve", &id[..2]]).is_empty());
    let namespaces = offered(shield, alice, &["timeline", "-n", &scene.prod]);
    assert_eq!(namespaces, [scene.prod.as_str()]);
    let agent = shield.cli_json(alice, &["agents", "seen"])["items"][0]["user"].clone();
    let agent =
        agent.as_str().expect("a user").replace("system:serviceaccount:", "").replace(':', "/");
    let (begin, all) = (&agent[..agent.len() - 2], [agent.as_str()]);
    assert_eq!(offered(shield, alice, &["report", "--agent", begin]), all);
    assert_eq!(offered(shield, alice, &["report", "--agent", "=", begin]), all);
    assert_eq!(offered(shield, alice, &["report", "--agent", "="]), all);

    // Shells that show words next to a name have the hold's sentence.
    let mut fish = Command::new(testkit::binary());
    fish.args(["--", "agent-shield", "show", &id]).env("AGENT_SHIELD_COMPLETE", "fish");
    fish.env("AGENT_SHIELD_DATA_DIR", shield.data_dir()).env("KUBECONFIG", alice);
    let told = lines(&fish.output().expect("agent-shield")).join("\n");
    assert!(
        told.starts_with(&format!("{id}\tdenied: ")) && told.contains("delete deployment"),
        "{told}"
    );
}

#[test]
fn nobody_to_ask_is_no_word_and_no_wait() {
    let scene = Scene::new("uncompleted");
    let (shield, alice) = (&scene.shield, scene.reviewer.as_path());
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("its address").port().to_string();
    let nobody = shield.data_dir().join("no-kubeconfig");
    let cases = [
        ("nothing listens", alice, "1"),
        ("no answer", alice, silent.as_str()),
        ("no credential", nobody.as_path(), silent.as_str()),
        ("a credential that may not", scene.agent.kubeconfig.as_path(), silent.as_str()),
    ];
    for (what, kubeconfig, port) in cases {
        let words = ["--server", "https", ":", "//127.0.0.1", ":", port, "show", "k"];
        let started = Instant::now();
        assert_eq!(offered(shield, kubeconfig, &words), Vec::<String>::new(), "{what}");
        // Twice the binary is started; a busy machine has some time for that.
        assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
    }
    // An agent is told nothing, and commands are completed all the same.
    assert!(offered(shield, &scene.agent.kubeconfig, &["show", "k"]).is_empty());
    assert_eq!(offered(shield, &nobody, &["hol"]), ["holds"]);
    assert_eq!(offered(shield, &nobody, &["agent", "create", "x", "--preset", "tr"]), ["triage"]);
}
