//! Clients that take connections and nothing else: the others, the store and reviewers keep theirs.

use std::{fs, net::TcpStream};

use abuse::{PATIENCE, idle, reviews, works};
use cluster::Scene;
use testkit::{Shield, http::Connection, wait_until};

/// What a service mostly has by default, and half of it.
const LIMITS: [u32; 2] = [1_024, 512];

fn start(scene: &Scene, open_files: u32) -> Shield {
    let own = Shield::own_credential(scene.cluster);
    Shield::start_within(scene.cluster, own, Some(open_files), &[])
}

/// Open files of a process.
fn open_files(shield: &Shield) -> usize {
    fs::read_dir(format!("/proc/{}/fd", shield.pid())).expect("a process").count()
}

/// Whether everything works that needs descriptors: an agent, its record, and a reviewer.
fn all_work(scene: &Scene, shield: &Shield) {
    assert!(works(shield, &scene.agent), "an agent at another address");
    assert!(reviews(shield), "a reviewer at another address");
    let agent = scene.agent.username.as_str();
    wait_until(PATIENCE, "it is recorded, and a reviewer can read it", || {
        let mut timeline = shield.cli(&scene.reviewer);
        timeline.args(["timeline", "--agent", agent, "-o", "json"]);
        let output = timeline.output().expect("a CLI");
        String::from_utf8_lossy(&output.stdout).contains("/api/v1/namespaces/default").then_some(())
    });
}

#[test]
fn idle_connections_of_one_address_leave_room_for_others() {
    let scene = Scene::new("idle-crowd");
    for limit in LIMITS {
        let shield = start(&scene, limit);
        let crowd: Vec<Connection> = (0..limit).map_while(|_| idle(&shield).ok()).collect();
        assert!(crowd.len() >= 60, "some are served: {}", crowd.len());
        let open = open_files(&shield);
        assert!(open < limit as usize * 3 / 4, "{open} of {limit} are open");
        all_work(&scene, &shield);
    }
}

#[test]
fn bare_connections_to_the_review_port_stop_nobody() {
    let scene = Scene::new("bare-crowd");
    for limit in LIMITS {
        let shield = start(&scene, limit);
        let address = shield.review_url.trim_start_matches("https://").to_owned();
        let crowd: Vec<TcpStream> =
            (0..limit + 76).filter_map(|_| TcpStream::connect(&address).ok()).collect();
        let in_crowd = open_files(&shield);
        all_work(&scene, &shield);
        let open = in_crowd.max(open_files(&shield));
        assert!(open < limit as usize / 2, "{open} of {limit} are open");
        drop(crowd);
    }
}
