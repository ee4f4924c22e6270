//! For tests: a real control plane, a real agent-shield in front of it, and HTTP by hand.
//!
//! [`cluster()`] gives the one cluster of this process; it and everything started beside it end with
//! the process, also when it is killed: a watchdog in their process group waits for the end of a
//! pipe that only this process holds. With `AGENT_SHIELD_TEST_CLUSTER=DIR` (as `cargo xtask test`
//! sets it) a cluster that runs already is used.

pub mod cluster;
pub mod edits;
pub mod http;
pub mod pki;
pub mod recorded;
mod shield;
pub mod tee;
pub mod terminal;
pub mod testbed;
mod watchdog;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

pub use cluster::{Agent, Cluster, Nodes, free_ports};
pub use shield::{Credential, Shield, binary, rbac_own};
pub use watchdog::Watchdog;

/// The cluster of this process: started at the first call, or the running one that
/// `AGENT_SHIELD_TEST_CLUSTER` names.
///
/// # Panics
/// Where there is none to be had: a test cannot go on.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = match std::env::var_os("AGENT_SHIELD_TEST_CLUSTER") {
            Some(dir) => Cluster::running(PathBuf::from(dir)),
            None => {
                testbed::build().and_then(|testbed| Cluster::start_attached(&testbed, Nodes::Three))
            }
        };
        cluster.expect("a cluster for tests")
    })
}

/// An example of each variant of an enum. There is no `_`: who adds a variant adds its example, or
/// nothing compiles.
///
/// # Panics
/// Where an example is of another variant.
#[macro_export]
macro_rules! one_of_each {
    ($of:ty: $($pattern:pat => $example:expr),* $(,)?) => {{
        let _ = |it: &$of| match it { $($pattern => ()),* };
        let examples: Vec<$of> = vec![$({
            let example = $example;
            assert!(matches!(&example, $pattern), "{} is no example of it", stringify!($pattern));
            example
        }),*];
        examples
    }};
}

/// Asks again until `check` gives something.
///
/// # Panics
/// With `what` where it does not within `limit`.
pub fn wait_until<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An address at which a connection to a closed port is refused at once, whatever the network is: one of
/// this machine, neither loopback nor the one that the API server of a [`cluster()`] gives for its own.
/// Nothing is sent to learn it. A machine without any road has none, and gets one to which it has no road.
pub fn own_address() -> IpAddr {
    let toward = |bound: IpAddr, address: IpAddr| -> Option<IpAddr> {
        let socket = UdpSocket::bind((bound, 0)).ok()?;
        socket.connect((address, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    toward(Ipv4Addr::UNSPECIFIED.into(), cluster::ADVERTISED.into())
        .or_else(|| toward(Ipv6Addr::UNSPECIFIED.into(), documentation.into()))
        .unwrap_or(Ipv4Addr::new(198, 51, 100, 7).into())
}

/// [`own_address`] as the range that has nothing else in it.
pub fn own_range() -> String {
    let address = own_address();
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}

/// Base64 as Kubernetes writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
