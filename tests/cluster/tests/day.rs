//! A day on call, as commands (`day/commands.txt`): how many of them a person is asked about, by class, in a
//! namespace that is declared dev, in one that is declared nothing, and in production.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use cluster::{Scene, all_rights, list};
use serde_json::json;
use testkit::{Agent, wait_until};

const COMMANDS: &str = include_str!("../day/commands.txt");
/// A command ends within this time, with all that is approved of it.
const TIME_MAX: Duration = Duration::from_secs(120);

/// One command, and the class that it is of.
#[derive(Clone, Copy)]
struct Line {
    class: &'static str,
    command: &'static str,
}

fn lines() -> Vec<Line> {
    let mut class = "";
    let mut lines = Vec::new();
    for line in COMMANDS.lines() {
        match line.strip_prefix("## ") {
            Some(named) => class = named,
            None if line.is_empty() || line.starts_with('#') => {}
            None => lines.push(Line { class, command: line }),
        }
    }
    lines
}

/// What came of a command: the rules of its holds, and whether it did what it was to do.
struct Done {
    line: Line,
    rules: BTreeSet<String>,
    said: String,
    works: bool,
}

/// A namespace in which the day is spent.
struct Day<'a> {
    scene: &'a Scene,
    namespace: String,
    node: String,
    files: PathBuf,
    agent: Agent,
    kubeconfig: PathBuf,
}

impl<'a> Day<'a> {
    fn begin(scene: &'a Scene, env: Option<&str>) -> Self {
        let name = env.unwrap_or("undeclared");
        let namespace = scene.cluster.unique(&format!("day-{name}"));
        let node = scene.cluster.unique("day-n");
        let labels = env.map_or_else(|| json!({}), |env| json!({"env": env}));
        let objects = [
            json!({"apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": namespace, "labels": labels}}),
            cluster::node(&node, false),
        ];
        scene.cluster.apply(&list(&objects)).expect("a namespace and a node");
        let agent =
            scene.cluster.cluster_agent(&namespace, "agent", &all_rights()).expect("an agent");
        let kubeconfig = scene.shield.kubeconfig(&agent);
        let files = scene.shield.data_dir().join(format!("day-{name}"));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("day"), &files);
        let day = Self { scene, namespace, node, files, agent, kubeconfig };
        day.team("kubectl -n {ns} apply -f {f}/team.yaml -f {f}/web.yaml -f {f}/api.yaml -f {f}/service.yaml");
        day.team("helm -n {ns} install shop {f}/chart");
        for workload in ["deployment/web", "deployment/api", "deployment/worker", "statefulset/db"]
        {
            day.team(&format!("kubectl -n {{ns}} rollout status {workload} --timeout=90s"));
        }
        day
    }

    /// A command of the team, past agent-shield.
    fn team(&self, command: &str) {
        let admin = self.scene.cluster.kubeconfig();
        let done =
            self.scene.shell(&admin, &self.fill(command)).wait_with_output().expect("a command");
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn fill(&self, command: &str) -> String {
        let files = self.files.display().to_string();
        let mut text = command.to_owned();
        while let Some((before, rest)) = text.split_once("{pod:") {
            let (app, after) = rest.split_once('}').expect("an end of {pod:…}");
            text = format!("{before}{}{after}", self.pod(app));
        }
        text.replace("{ns}", &self.namespace).replace("{n}", &self.node).replace("{f}", &files)
    }

    /// The name of a pod that runs.
    fn pod(&self, app: &str) -> String {
        let pods = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3D{app}", self.namespace);
        wait_until(TIME_MAX, "a pod runs", || {
            let pods = self.scene.cluster.get(&pods)?;
            let runs = pods["items"].as_array()?.iter().find(|pod| {
                pod["status"]["phase"] == "Running"
                    && pod["metadata"]["deletionTimestamp"].is_null()
            })?;
            runs["metadata"]["name"].as_str().map(str::to_owned)
        })
    }

    /// Runs a command to its end, and approves what is held of it.
    fn run(&self, line: Line) -> Done {
        let before = self.held().len();
        let mut child = self.scene.shell(&self.kubeconfig, &self.fill(line.command));
        let (out, error) = (drain(child.stdout.take()), drain(child.stderr.take()));
        let mut seen = before;
        let status = wait_until(TIME_MAX, line.command, || {
            for (id, _) in self.held().into_iter().skip(seen) {
                seen += 1;
                self.scene.decide("approve", &id, "known");
            }
            child.try_wait().expect("a process")
        });
        let rules = self
            .held()
            .into_iter()
            .skip(before)
            .flat_map(|(_, rules)| rules.split(", ").map(str::to_owned).collect::<Vec<_>>());
        let said = [out, error].map(|it| it.join().expect("a thread")).concat();
        Done { line, rules: rules.collect(), said, works: status.success() }
    }

    /// Every hold of the agent so far, as agent-shield tells of it: its id and rules.
    fn held(&self) -> Vec<(String, String)> {
        let log = self.scene.shield.log();
        let own =
            log.lines().filter(|it| it.contains("to be held") && it.contains(&self.agent.username));
        let after = |line: &str, mark: &str, end: char| {
            let (_, rest) = line.split_once(mark)?;
            rest.split_once(end).map(|(it, _)| it.to_owned())
        };
        own.filter_map(|it| after(it, "hold=", ' ').zip(after(it, "rules=\"", '"'))).collect()
    }
}

/// Reads all of it, so that whoever writes never waits.
fn drain(from: Option<impl std::io::Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a file")),
        }
    }
}

/// How many commands of each class are held, of how many.
fn table(days: &[(&str, Vec<Done>)]) {
    let mut classes: Vec<&str> = Vec::new();
    for line in lines() {
        if !classes.contains(&line.class) {
            classes.push(line.class);
        }
    }
    let names: Vec<String> = days.iter().map(|(name, _)| format!("{name:>14}")).collect();
    println!("{:<12}{:>9}{}", "class", "commands", names.concat());
    let count = |done: &[Done], class: Option<&str>| {
        let of = done.iter().filter(|it| class.is_none_or(|class| it.line.class == class));
        of.filter(|it| !it.rules.is_empty()).count()
    };
    for class in &classes {
        let held = days.iter().map(|(_, done)| format!("{:>14}", count(done, Some(class))));
        let all = lines().iter().filter(|it| it.class == *class).count();
        println!("{class:<12}{all:>9}{}", held.collect::<String>());
    }
    let all = lines().len();
    let share = days.iter().map(|(_, done)| {
        let held = count(done, None);
        let permille = held * 1_000 / all;
        format!("{:>14}", format!("{held} = {}.{} %", permille / 10, permille % 10))
    });
    println!("{:<12}{all:>9}{}", "all", share.collect::<String>());
}

#[test]
#[ignore = "hundreds of commands: `cargo xtask test --full`"]
fn a_day_on_call() {
    let scene = Scene::new("day");
    let spend = |env: Option<&str>| -> Vec<Done> {
        let day = Day::begin(&scene, env);
        lines().into_iter().map(|line| day.run(line)).collect()
    };
    let days: Vec<(&str, Vec<Done>)> = thread::scope(|scope| {
        let threads =
            [("dev", Some("dev")), ("undeclared", None), ("production", Some("production"))]
                .map(|(name, env)| (name, scope.spawn(move || spend(env))));
        threads.map(|(name, it)| (name, it.join().expect("a day"))).into()
    });
    for (name, done) in &days {
        for it in done {
            let rules = it.rules.iter().cloned().collect::<Vec<_>>().join(", ");
            let held =
                if rules.is_empty() { "passed".to_owned() } else { format!("held by {rules}") };
            println!("{name}: {held}: {}", it.line.command);
            if !it.works {
                println!("    {}", it.said.trim().replace('\n', "\n    "));
            }
        }
    }
    table(&days);
    // Whoever is asked for everything looks at nothing.
    for (name, permille_max) in [("dev", 30), ("production", 250)] {
        let (_, done) = days.iter().find(|(it, _)| *it == name).expect("a day");
        let held = done.iter().filter(|it| !it.rules.is_empty()).count();
        let all = done.len();
        assert!(held * 1_000 <= permille_max * all, "{name}: {held} of {all} commands are held");
    }
    let mut commands: BTreeMap<&str, usize> = BTreeMap::new();
    lines().iter().for_each(|it| *commands.entry(it.class).or_default() += 1);
    let few: Vec<_> = commands.iter().filter(|(_, count)| **count < 5).collect();
    assert!(few.is_empty(), "classes with fewer than five commands: {few:?}");
    assert!(lines().len() >= 150, "{} commands", lines().len());
}
