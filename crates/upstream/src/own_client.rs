//! A kube client whose connections are not kept for long: its own builder keeps them for 90 s, and what is
//! asked on one that died in silence is answered by nobody.

use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{ConfigExt, retry::RetryPolicy},
};
use tower::{ServiceBuilder, retry::RetryLayer};

/// A connection that was not used for so long is not used again.
const KEPT: Duration = Duration::from_secs(1);
/// TCP alone: less than any question waits for its answer, so that "unreachable" is told from "silent".
const CONNECT_TIME_MAX: Duration = Duration::from_secs(4);

/// As [`Client::try_from`], for an API server that is reached directly.
///
/// # Errors
/// [`kube::Error`] where its credential or its certificates cannot be used.
pub(crate) fn of(config: kube::Config) -> Result<Client, Box<kube::Error>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEPT)
        .build(connector);
    let retry = config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}
