//! Servers by name: which one is meant, who vouches for it, and whose file says so.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cluster::Scene;
use serde_json::Value;
use testkit::Shield;

/// Nothing listens there.
const NOWHERE: &str = "https://127.0.0.1:1";
const UNREACHABLE: Option<i32> = Some(5);

/// A reviewer's home without any variable of agent-shield.
struct Home<'a> {
    dir: PathBuf,
    scene: &'a Scene,
}

impl Home<'_> {
    fn command(&self, args: &[&str]) -> Command {
        self.command_as(&self.scene.reviewer, args)
    }

    fn command_as(&self, kubeconfig: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(testkit::binary());
        command.env("HOME", &self.dir).env("SSL_CERT_FILE", self.scene.cluster.ca());
        for name in ["SERVER", "CA", "CONTEXT", "DATA_DIR"] {
            command.env_remove(format!("AGENT_SHIELD_{name}"));
        }
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
        command.arg("--kubeconfig").arg(kubeconfig).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("agent-shield")
    }

    fn file(&self) -> PathBuf {
        self.dir.join(".config/agent-shield/config.yaml")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn is_done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[test]
fn a_server_is_known_by_its_name_and_by_who_vouches_for_it() {
    let scene = Scene::new("contexts");
    let dir = scene.shield.data_dir().join("home");
    fs::create_dir_all(&dir).expect("a home");
    let home = Home { dir, scene: &scene };
    let url = scene.shield.review_url.clone();
    let ca = scene.shield.ca().display().to_string();

    is_done(&home.run(&["context", "set", "here", "--server", &url, "--ca", &ca]));
    is_done(&home.run(&["context", "set", "nowhere", "--server", NOWHERE, "--ca", &ca]));
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&home.file()), 0o600);
    assert_eq!(mode(home.file().parent().expect("a directory")), 0o700);
    let output = home.run(&["context", "set", "plain", "--server", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    which_is_meant(&home, &url, &ca);
    who_vouches(&home, &url, &ca);
    for_agents(&home);
    the_other_door(&home, &ca);
    whose_file(&home);
}

/// Where agents connect, nobody reviews.
fn the_other_door(home: &Home<'_>, ca: &str) {
    let agents = home.scene.shield.agent_url.as_str();
    // Who asks there may count as an agent from then on.
    let person = home.scene.cluster.reviewer("other-door");
    let says = |data_dir: Option<&Path>| {
        let mut command = home.command_as(&person, &["holds", "--server", agents, "--ca", ca]);
        if let Some(dir) = data_dir {
            command.env("AGENT_SHIELD_DATA_DIR", dir);
        }
        let output = command.output().expect("agent-shield");
        (output.status.code(), said(&output))
    };
    let (code, text) = says(None);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("is no review address"), "{text}");
    let (code, text) = says(Some(home.scene.shield.data_dir()));
    let review = format!("reviewers use {}", home.scene.shield.review_url);
    assert!(code == Some(2) && text.contains(&review), "{text}");
    let output = home.run(&["holds", "--context-name", "here", "--context", "foo"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no context `foo`; there are:"), "{}", said(&output));
}

fn which_is_meant(home: &Home<'_>, url: &str, ca: &str) {
    let code = |command: &mut Command| {
        let output = command.output().expect("agent-shield");
        (output.status.code(), said(&output))
    };
    let done = |command: &mut Command| {
        let (code, text) = code(command);
        assert_eq!(code, Some(0), "{text}");
    };
    let unreachable = |command: &mut Command| {
        let (code, text) = code(command);
        assert_eq!(code, UNREACHABLE, "{text}");
    };
    // Nothing is current yet.
    let (_, text) = code(&mut home.command(&["holds"]));
    assert!(text.contains("context set"), "{text}");
    done(&mut home.command(&["context", "use", "here"]));
    done(&mut home.command(&["holds"]));
    done(&mut home.command(&["context", "use", "nowhere"]));
    unreachable(&mut home.command(&["holds"]));
    let list = home.run(&["context", "list", "-o", "json"]);
    let list: Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let current: Vec<&Value> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|it| it["current"] == true)
        .collect();
    assert_eq!(current.len(), 1);
    assert_eq!(current[0]["name"], "nowhere");

    // What is said beats what stands, and what is typed beats what the environment says.
    let variable = "AGENT_SHIELD_CONTEXT";
    done(home.command(&["holds", "--context-name", "here"]).env(variable, "nowhere"));
    done(home.command(&["holds"]).env(variable, "here"));
    unreachable(home.command(&["holds", "--context-name", "nowhere"]).env(variable, "here"));
    done(home.command(&["holds", "--server", url, "--ca", ca]).env(variable, "nowhere"));
    done(home.command(&["holds"]).env("AGENT_SHIELD_DATA_DIR", home.scene.shield.data_dir()));
    unreachable(
        home.command(&["holds"])
            .env(variable, "nowhere")
            .env("AGENT_SHIELD_DATA_DIR", home.scene.shield.data_dir()),
    );
    // Two servers are one too many, and a wrong name is no name.
    let (refused, text) = code(
        home.command(&["holds", "--context-name", "here"]).env("AGENT_SHIELD_SERVER", NOWHERE),
    );
    assert_eq!(refused, Some(2), "{text}");
    let (refused, text) = code(&mut home.command(&["holds", "--context-name", "prod"]));
    assert_eq!(refused, Some(2), "{text}");
    assert!(text.contains("there are: here, nowhere"), "{text}");
    // Whatever is current goes with its name.
    done(&mut home.command(&["context", "remove", "nowhere"]));
    let (_, text) = code(&mut home.command(&["holds"]));
    assert!(text.contains("no --server is given"), "{text}");
}

fn who_vouches(home: &Home<'_>, url: &str, ca: &str) {
    // The system's certificates, where no CA is given.
    let output = home.command(&["holds", "--server", url]).env("SSL_CERT_FILE", ca).output();
    is_done(&output.expect("agent-shield"));
    is_done(&home.run(&["context", "set", "system", "--server", url]));
    let with = |file: &str| {
        let mut command = home.command(&["holds", "--context-name", "system"]);
        command.env("SSL_CERT_FILE", file).output().expect("agent-shield")
    };
    is_done(&with(ca));
    let cluster_ca = home.scene.cluster.ca().display().to_string();
    let output = with(&cluster_ca);
    assert_eq!(output.status.code(), UNREACHABLE, "{}", said(&output));
    assert!(said(&output).contains("--ca"), "{}", said(&output));
    // A given CA is the only one.
    let mut command = home.command(&["holds", "--server", url, "--ca", &cluster_ca]);
    let output = command.env("SSL_CERT_FILE", ca).output().expect("agent-shield");
    assert_eq!(output.status.code(), UNREACHABLE, "{}", said(&output));
    // The kubeconfig's CA vouches for the cluster alone.
    let dir = home.scene.shield.data_dir();
    let (certificate, key) =
        home.scene.cluster.certificate("shield.test", &["127.0.0.1"]).expect("a certificate");
    let (certificate_file, key_file) = (dir.join("given.crt"), dir.join("given.key"));
    fs::write(&certificate_file, certificate).expect("a file");
    fs::write(&key_file, key).expect("a file");
    let (certificate_file, key_file) =
        (certificate_file.display().to_string(), key_file.display().to_string());
    let args = ["--tls-cert", &certificate_file, "--tls-key", &key_file];
    let company = Shield::start(home.scene.cluster, &args);
    let run = |file: &str| {
        let mut command = home.command(&["holds", "--server", &company.review_url]);
        command.env("SSL_CERT_FILE", file).output().expect("agent-shield")
    };
    is_done(&run(&cluster_ca));
    let output = run(ca);
    assert_eq!(output.status.code(), UNREACHABLE, "{}", said(&output));
}

/// The kubeconfig of an agent gets what the context says of agents.
fn for_agents(home: &Home<'_>) {
    let agent = &home.scene.agent.kubeconfig;
    let made = |name: &str| {
        let args = ["--context-name", name, "agent", "kubeconfig"];
        home.command_as(agent, &args).output().expect("agent-shield")
    };
    let output = made("system");
    assert!(said(&output).contains("does not say where agents connect"), "{}", said(&output));
    let agents = &home.scene.shield.agent_url;
    let set = ["context", "set", "both", "--server", NOWHERE, "--agent-server", agents];
    is_done(&home.run(&set));
    let output = made("both");
    is_done(&output);
    let text = said(&output);
    assert!(text.contains(agents.as_str()), "{text}");
    assert!(!text.contains("certificate-authority"), "{text}");
}

fn whose_file(home: &Home<'_>) {
    let holds = || {
        let output = home.run(&["holds", "--context-name", "here"]);
        (output.status.success(), said(&output))
    };
    assert!(holds().0);
    let set_mode = |mode| {
        fs::set_permissions(home.file(), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    set_mode(0o620);
    let (done, text) = holds();
    assert!(!done && text.contains("others can change"), "{text}");
    set_mode(0o600);
    let before = fs::read_to_string(home.file()).expect("contexts");
    fs::write(home.file(), format!("{before}\ntoken: x\n")).expect("a write");
    let (done, text) = holds();
    let line = before.lines().count() + 2;
    assert!(!done && text.contains(&format!("config.yaml:{line}:1: unknown field")), "{text}");
    // Nor is it written over.
    let output = home.run(&["context", "remove", "here"]);
    assert!(!output.status.success(), "{}", said(&output));
}
