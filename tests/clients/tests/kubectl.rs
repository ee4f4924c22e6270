//! kubectl, unmodified: what each command prints and how it ends is the same through agent-shield as
//! at the API server itself, once a person has approved what is held.
//!
//! Reads are asked of the same objects; writes are made in two places that differ by name alone.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, Once},
    thread,
    time::{Duration, Instant},
};

use clients::{Place, Stage, install, plain::is_passing};
use rustix::process::{Pid, Signal};
use testkit::{
    http::Answer,
    terminal::{resize, terminal},
    wait_until,
};

const TIME_MAX: Duration = Duration::from_secs(120);
/// Controllers have written what they write of young objects.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

/// Commands that change nothing. `{ns}` is the namespace, `{n}` a node.
const READS: [&str; 40] = [
    "kubectl -n {ns} get pods",
    "kubectl -n {ns} get pods -o wide --show-labels",
    "kubectl -n {ns} get pods,deployments,configmaps -o yaml",
    "kubectl -n {ns} get deployment web -o json",
    "kubectl -n {ns} get pods -o jsonpath='{.items[*].metadata.name}'",
    "kubectl -n {ns} get pods -o custom-columns=NAME:.metadata.name,NODE:.spec.nodeName",
    "kubectl -n {ns} get pods -l app=bare --sort-by=.metadata.name -o name",
    "kubectl -n {ns} get pods --field-selector=metadata.name=web --chunk-size=1",
    "kubectl -n {ns} get all",
    "kubectl -n {ns} get pod nope",
    "kubectl -n {ns} get nosuchkind",
    "kubectl get node {n} -o wide",
    "kubectl get --raw /version",
    "kubectl get --raw /nope",
    "kubectl -n {ns} describe pod web",
    "kubectl -n {ns} describe deployment web",
    "kubectl describe node {n}",
    "kubectl describe namespace {ns}",
    "kubectl -n {ns} logs web",
    "kubectl -n {ns} logs web --tail=3 --timestamps",
    "kubectl -n {ns} logs web -c nope",
    "kubectl -n {ns} logs nope",
    "kubectl -n {ns} logs deployment/web --tail=1",
    "kubectl top nodes",
    "kubectl -n {ns} top pods",
    "kubectl -n {ns} rollout status deployment/web",
    "kubectl -n {ns} rollout history deployment/web",
    "kubectl -n {ns} wait --for=condition=Available deployment/web --timeout=60s",
    "kubectl -n {ns} wait --for=condition=Ready pod -l app=bare --timeout=60s",
    "kubectl -n {ns} wait --for=delete pod/nope --timeout=10s",
    "kubectl -n {ns} auth can-i delete pods",
    "kubectl -n {ns} auth can-i --list",
    "kubectl explain deployment.spec.strategy",
    "kubectl explain pod.spec.containers --recursive",
    "kubectl explain nosuchkind",
    "kubectl api-resources",
    "kubectl api-resources --api-group=apps -o wide",
    "kubectl api-versions",
    "kubectl version",
    "kubectl cluster-info",
];

/// Commands that change something, in this order. `{f}` is a folder of files of the place.
const WRITES: [(&str, Held); 36] = [
    ("kubectl -n {ns} diff -f {f}/web.yaml", Held::No),
    (
        "kubectl -n {ns} apply --server-side --force-conflicts --dry-run=server -f {f}/web.yaml",
        Held::No,
    ),
    ("kubectl -n {ns} apply -f {f}/map.yaml", Held::No),
    ("kubectl -n {ns} diff -f {f}/map.yaml", Held::No),
    ("kubectl -n {ns} apply --server-side -f {f}/pdb.yaml", Held::No),
    ("kubectl -n {ns} apply --server-side --force-conflicts -f {f}/web.yaml", Held::Yes),
    ("kubectl -n {ns} rollout status deployment/web --timeout=100s", Held::No),
    ("kubectl -n {ns} create configmap made --from-literal=a=b", Held::No),
    ("kubectl -n {ns} create configmap made --from-literal=a=b", Held::No),
    ("kubectl -n {ns} label configmap made state=new", Held::No),
    ("kubectl -n {ns} annotate deployment web note=hello", Held::No),
    (
        r#"kubectl -n {ns} patch deployment web -p '{"metadata":{"annotations":{"by":"strategic"}}}'"#,
        Held::No,
    ),
    (
        r#"kubectl -n {ns} patch deployment web --type=merge -p '{"spec":{"replicas":1}}'"#,
        Held::Yes,
    ),
    (
        r#"kubectl -n {ns} patch deployment web --type=json -p '[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:1.26"}]'"#,
        Held::Yes,
    ),
    (r#"kubectl -n {ns} patch deployment web -p '{"spec":{"replicas":"many"}}'"#, Held::No),
    ("kubectl -n {ns} scale deployment web --replicas=3", Held::No),
    ("kubectl -n {ns} rollout status deployment/web --timeout=100s", Held::No),
    ("kubectl -n {ns} rollout restart deployment/web", Held::No),
    ("kubectl -n {ns} rollout status deployment/web --timeout=100s", Held::No),
    ("kubectl -n {ns} rollout undo deployment/web --to-revision=1", Held::Yes),
    ("kubectl -n {ns} rollout status deployment/web --timeout=100s", Held::No),
    ("kubectl -n {ns} rollout pause deployment/web", Held::No),
    // Its own pause.
    ("kubectl -n {ns} rollout resume deployment/web", Held::No),
    (
        "KUBE_EDITOR=\"sed -i 's/nginx:1.25/nginx:1.27/'\" kubectl -n {ns} edit deployment web",
        Held::Yes,
    ),
    ("KUBE_EDITOR=true kubectl -n {ns} edit deployment web", Held::No),
    ("kubectl -n {ns} set image deployment/nope c=nginx:2", Held::No),
    ("kubectl -n {ns} exec web -- sh -c 'echo out; echo err >&2; exit 5'", Held::Yes),
    ("kubectl -n {ns} exec web -c nope -- true", Held::No),
    ("kubectl -n {ns} exec nope -- true", Held::No),
    ("kubectl -n {ns} debug web --image=busybox --container=helper", Held::Yes),
    ("kubectl -n {ns} cp web:{f}/payload {f}/copied && cmp {f}/payload {f}/copied", Held::Yes),
    ("kubectl cordon {n}", Held::Yes),
    ("kubectl drain {n} --ignore-daemonsets --force --delete-emptydir-data", Held::Yes),
    ("kubectl uncordon {n}", Held::No),
    ("kubectl -n {ns} delete configmap made nope", Held::Yes),
    ("kubectl -n {ns} delete deployment web", Held::Yes),
];

/// Whether a person is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Held {
    Yes,
    No,
}

/// A kubectl of some version on a stage.
struct Kubectl {
    stage: Stage,
    programs: PathBuf,
}

impl Kubectl {
    fn new(name: &str, programs: &Path) -> Self {
        let kubectl = Self { stage: Stage::new(name), programs: programs.to_owned() };
        for place in [&kubectl.stage.direct, &kubectl.stage.shielded] {
            kubectl.write_files(place);
        }
        kubectl
    }

    /// The one of the testbed: the version of the control plane.
    fn newest(name: &str) -> Self {
        let kubectl = testkit::cluster().program("kubectl");
        Self::new(name, kubectl.parent().expect("a folder"))
    }

    fn files(&self, place: &Place) -> PathBuf {
        self.stage.scene.shield.data_dir().join(&place.namespace)
    }

    fn write_files(&self, place: &Place) {
        let dir = self.files(place);
        fs::create_dir_all(&dir).expect("a folder");
        let mut web = cluster::deployment(&place.namespace, "web", 4);
        web["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:1.25.1".into();
        let map = "{apiVersion: v1, kind: ConfigMap, metadata: {name: map}, data: {k: v}}\n";
        let pdb = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\n\
                   spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}\n";
        // Every byte there is, in more than one frame; as an archive (a block before, two after)
        // it fills tar's records of 20 blocks, which tar wants whole.
        let payload: Vec<u8> =
            (0..512 * (20 * 30 - 3_u32)).map(|n| (n % 251) as u8 ^ (n / 251) as u8).collect();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).expect("a file");
        write("web.yaml", web.to_string().as_bytes());
        write("map.yaml", map.as_bytes());
        write("pdb.yaml", pdb.as_bytes());
        write("payload", &payload);
    }

    fn shell(&self, place: &Place, command: &str) -> Command {
        let command = command
            .replace("{ns}", &place.namespace)
            .replace("{n}", &place.node)
            .replace("{f}", &self.files(place).display().to_string());
        let path = env::var("PATH").unwrap_or_default();
        let mut bash = Command::new("bash");
        bash.args(["-c", &command]).env("PATH", format!("{}:{path}", self.programs.display()));
        bash
    }

    fn start(&self, place: &Place, command: &str) -> Child {
        self.stage.start(place, self.shell(place, command))
    }

    /// In which kubeconfig's place a read is asked is the only difference.
    fn read(&self, through: &Place, command: &str) -> Output {
        let mut shell = self.shell(&self.stage.direct, command);
        shell.env("KUBECONFIG", &through.kubeconfig);
        shell.env("HOME", self.files(through)).stdin(Stdio::null());
        shell.output().expect("bash")
    }

    fn check_reads(&self, reads: &[&str]) {
        let Stage { direct, shielded, .. } = &self.stage;
        let mut wrong = Vec::new();
        for command in reads {
            let read = || [direct, shielded].map(|it| self.plain(&self.read(it, command)));
            let [mut theirs, mut ours] = read();
            let started = Instant::now();
            // Controllers write between two reads (an event of a new node): it must be the same once.
            while theirs != ours && started.elapsed() < SETTLED_WITHIN {
                [theirs, ours] = read();
            }
            if theirs != ours {
                wrong.push(format!("{command}:\n--- directly\n{theirs}\n--- shielded\n{ours}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), reads.len(), wrong.join("\n"));
    }

    fn check_writes(&self, writes: &[(&str, Held)]) {
        let Stage { direct, shielded, .. } = &self.stage;
        let mut wrong = Vec::new();
        for (command, held) in writes {
            let theirs = self.start(direct, command).wait_with_output().expect("its output");
            let child = self.start(shielded, command);
            let ours = self.stage.review(shielded, "approve", child);
            let (before, after) = (self.plain(&theirs), self.plain(&ours.output));
            if before != after {
                wrong.push(format!("{command}:\n--- directly\n{before}\n--- shielded\n{after}"));
            }
            if ours.holds.is_empty() == (*held == Held::Yes) {
                let rules: Vec<&serde_json::Value> =
                    ours.holds.iter().map(|it| &it["rules"]).collect();
                wrong.push(format!("{command}: {held:?} expected, held: {rules:?}"));
            }
        }
        assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), writes.len(), wrong.join("\n"));
    }

    /// How a command ended and what it printed, without what is another in each place and moment.
    fn plain(&self, output: &Output) -> String {
        let mut text = format!("exit {:?}\n", output.status.code());
        let places = self.places();
        for (name, bytes) in [("out", &output.stdout), ("err", &output.stderr)] {
            let said = String::from_utf8_lossy(bytes);
            for line in said.lines().filter(|line| !is_passing(line)) {
                text.push_str(&format!("{name}: {}\n", self.stage.plain_line(&places, line)));
            }
        }
        text
    }
}

/// A command that goes on until it is told to end, and what it has printed so far.
struct Session<'a> {
    kubectl: &'a Kubectl,
    place: &'a Place,
    child: Child,
    printed: Arc<Mutex<Vec<u8>>>,
}

impl<'a> Session<'a> {
    /// Reads along with whatever it prints.
    fn new(
        kubectl: &'a Kubectl,
        place: &'a Place,
        child: Child,
        mut output: impl Read + Send + 'static,
    ) -> Self {
        let printed = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&printed);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal that nobody holds any more is an error, and its end.
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                into.lock().expect("a lock").extend_from_slice(&bytes[..count]);
            }
        });
        Self { kubectl, place, child, printed }
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&self.printed.lock().expect("a lock")).into_owned()
    }

    /// Approves what is held of it until this has become true.
    fn until(&mut self, what: &str, mut is: impl FnMut(&str) -> bool) {
        let stage = &self.kubectl.stage;
        wait_until(TIME_MAX, what, || {
            let ended = self.child.try_wait().expect("a process");
            let printed = self.printed();
            if is(&printed) {
                return Some(());
            }
            assert!(ended.is_none(), "{what}: ended {ended:?}: {printed}");
            if self.place.kubeconfig == stage.shielded.kubeconfig {
                stage.decide_all(self.place, "approve", &mut Vec::new());
            }
            None
        });
    }

    fn until_printed(&mut self, text: &str) {
        self.until(text, |printed| printed.contains(text));
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Kubectl {
    fn session<'a>(&'a self, place: &'a Place, command: &str) -> Session<'a> {
        // Without a shell between, so that what is killed is kubectl.
        let mut child = self.start(place, &format!("exec {command} 2>&1"));
        let output = child.stdout.take().expect("its output");
        Session::new(self, place, child, output)
    }

    fn places(&self) -> [&Place; 2] {
        [&self.stage.direct, &self.stage.shielded]
    }

    /// `exec -it`: a terminal with its size, its changes of size, and the exit code.
    fn check_terminal(&self) {
        let codes = self.places().map(|place| {
            let (mut keys, slave) = terminal(33, 77);
            let slot = || Stdio::from(slave.try_clone().expect("a terminal"));
            let command = "exec kubectl -n {ns} exec -it web -- sh";
            let mut shell = self.shell(place, command);
            shell.env("KUBECONFIG", &place.kubeconfig).env("HOME", self.files(place));
            let child = shell.stdin(slot()).stdout(slot()).stderr(slot()).spawn().expect("kubectl");
            let screen = keys.try_clone().expect("a terminal");
            let mut session = Session::new(self, place, child, screen);
            let pid = i32::try_from(session.child.id()).ok().and_then(Pid::from_raw).expect("it");
            keys.write_all(b"test -t 1 && echo it is a termi''nal\n").expect("keys");
            session.until_printed("it is a terminal");
            // The size comes on a channel of its own, perhaps after the first keys.
            session.until("the size is there", |printed| {
                keys.write_all(b"stty size\n").expect("keys");
                printed.contains("33 77")
            });
            resize(&keys, 44, 88);
            // Nobody's terminal sends no signal by itself.
            rustix::process::kill_process(pid, Signal::WINCH).expect("kubectl");
            session.until("the new size is there", |printed| {
                keys.write_all(b"stty size\n").expect("keys");
                printed.contains("44 88")
            });
            keys.write_all(b"exit 4\n").expect("keys");
            let status = wait_until(TIME_MAX, "kubectl ends", || {
                session.child.try_wait().expect("a process")
            });
            // kwok's terminals lose the command's own code.
            assert!(!status.success(), "{}", session.printed());
            status.code()
        });
        assert_eq!(codes[0], codes[1]);
    }

    /// `attach` and `logs -f`: what comes is shown as it comes.
    fn check_streams(&self) {
        let cluster = self.stage.scene.cluster;
        for place in self.places() {
            let mut logs = self.session(place, "kubectl -n {ns} logs -f web");
            logs.until_printed("line 30");
            let mut attached = self.session(place, "kubectl -n {ns} attach web -c c");
            let said = cluster.unique("said");
            // kwok shows what is said once somebody has come, and says nothing itself.
            attached.until("what is said is shown", |printed| {
                cluster.say_attached(&said).expect("a log");
                printed.contains(&said)
            });
        }
    }

    /// `cp` to a pod. kwok never ends a command's standard input, so `tar` waits on for more at both
    /// places (kwok, pkg/utils/exec): what is waited for is the whole file.
    fn check_upload(&self) {
        for place in self.places() {
            let files = self.files(place);
            let command = "kubectl -n {ns} cp {f}/payload web:{f}/uploaded";
            let mut copying = self.session(place, command);
            let payload = fs::read(files.join("payload")).expect("the file");
            copying.until("the file has arrived", |_| {
                fs::read(files.join("uploaded")).is_ok_and(|it| it == payload)
            });
        }
    }

    /// `port-forward`: several connections, each an echo of its own.
    fn check_ports(&self) {
        echo_for_pods();
        for place in self.places() {
            let mut forward = self.session(place, "kubectl -n {ns} port-forward web :80");
            forward.until_printed("Forwarding from 127.0.0.1:");
            let local = port_after(&forward.printed(), "127.0.0.1:");
            for text in ["one connection", "and another"] {
                let mut client = TcpStream::connect(("127.0.0.1", local)).expect("kubectl");
                client.set_read_timeout(Some(TIME_MAX)).expect("a timeout");
                client.write_all(text.as_bytes()).expect("a write");
                let mut answer = vec![0; text.len()];
                client.read_exact(&mut answer).expect("an echo");
                assert_eq!(answer, text.as_bytes());
            }
        }
    }

    fn check_sessions(&self) {
        self.check_terminal();
        self.check_streams();
        self.check_upload();
        self.check_ports();
        self.check_proxy();
    }

    /// `proxy`: what it serves is what the API server serves.
    fn check_proxy(&self) {
        let target = format!(
            "/api/v1/namespaces/{}/configmaps/kube-root-ca.crt",
            self.stage.direct.namespace
        );
        let answers = self.places().map(|place| {
            let mut proxy = self.session(place, "kubectl proxy --port=0");
            proxy.until_printed("127.0.0.1:");
            let local = port_after(&proxy.printed(), "127.0.0.1:");
            let mut client = TcpStream::connect(("127.0.0.1", local)).expect("kubectl");
            client.set_read_timeout(Some(TIME_MAX)).expect("a timeout");
            write!(client, "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("a write");
            Answer::read(&mut client, "GET").expect("an answer")
        });
        assert_eq!(answers[0].status, 200, "{}", answers[0].text());
        assert_eq!(answers[0].body, answers[1].body);
    }
}

fn port_after(text: &str, what: &str) -> u16 {
    let after = text.split(what).nth(1).expect("an address");
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a port")
}

/// kwok forwards every port of every pod to one port of this machine: an echo answers there.
fn echo_for_pods() {
    static ECHO: Once = Once::new();
    ECHO.call_once(|| {
        let port = testkit::cluster().forward_port();
        let echo = TcpListener::bind(("127.0.0.1", port)).expect("a port");
        thread::spawn(move || {
            for stream in echo.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let mut into = stream.try_clone().expect("a stream");
                    let _ = std::io::copy(&mut { stream }, &mut into);
                });
            }
        });
    });
}

#[test]
fn reads_print_what_they_print_directly() {
    Kubectl::newest("kubectl-reads").check_reads(&READS);
}

#[test]
fn writes_print_what_they_print_directly() {
    Kubectl::newest("kubectl-writes").check_writes(&WRITES);
}

#[test]
fn sessions_run_as_they_do_directly() {
    Kubectl::newest("kubectl-sessions").check_sessions();
}

/// Debian 12's: three years and seventeen minor versions older than the control plane.
mod kubectl_1_20 {
    use super::*;

    fn old(name: &str) -> Kubectl {
        Kubectl::new(name, &install::kubectl_1_20().expect("kubectl 1.20"))
    }

    #[test]
    #[ignore = "installs what it needs: `cargo xtask test --full`"]
    fn reads_print_what_they_print_directly() {
        old("old-reads").check_reads(&READS);
    }

    #[test]
    #[ignore = "installs what it needs: `cargo xtask test --full`"]
    fn writes_print_what_they_print_directly() {
        // It leaves it to the server to say that a container is not there, and does not know how to
        // ask today's server for one more.
        let writes = WRITES.map(|(command, held)| match command {
            _ if command.contains("exec web -c nope") => (command, Held::Yes),
            _ if command.contains("debug web") => (command, Held::No),
            _ => (command, held),
        });
        old("old-writes").check_writes(&writes);
    }

    #[test]
    #[ignore = "installs what it needs: `cargo xtask test --full`"]
    fn sessions_run_as_they_do_directly() {
        old("old-sessions").check_sessions();
    }
}
