//! Clients from other addresses, and with a choice of protocol.

use std::{io, net::Ipv4Addr, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use testkit::{Agent, Shield};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Where bystanders come from: each address has bounds of its own.
pub const BYSTANDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection that speaks `protocol` (`h2`, `http/1.1`), from an address of this machine.
///
/// # Errors
/// As of TCP and TLS.
pub async fn connect(
    shield: &Shield,
    protocol: &str,
    from: Ipv4Addr,
) -> io::Result<TlsStream<TcpStream>> {
    connect_to(shield, &shield.agent_url, protocol, from).await
}

async fn connect_to(
    shield: &Shield,
    url: &str,
    protocol: &str,
    from: Ipv4Addr,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(shield.ca()).expect("a CA");
    roots.add(ca).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let address = url.trim_start_matches("https://").parse().expect("an address");
    let tcp = socket.connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// One GET by HTTP/1.1; the whole answer as text.
///
/// # Errors
/// As of TCP and TLS.
pub async fn get(
    shield: &Shield,
    agent: &Agent,
    target: &str,
    from: Ipv4Addr,
) -> io::Result<String> {
    let mut stream = connect(shield, "http/1.1", from).await?;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        agent.token
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).await;
    match ended {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Whether an agent at another address is served as always.
pub fn works(shield: &Shield, agent: &Agent) -> bool {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(get(shield, agent, "/api/v1/namespaces/default", BYSTANDER));
    answer.is_ok_and(|it| it.starts_with("HTTP/1.1 200 "))
}

/// Whether a reviewer at another address is answered.
pub fn reviews(shield: &Shield) -> bool {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = runtime.block_on(async {
        let mut stream = connect_to(shield, &shield.review_url, "http/1.1", BYSTANDER).await?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok::<_, io::Error>(answer)
    });
    answer.is_ok_and(|it| it.starts_with(b"HTTP/1.1 200 "))
}
