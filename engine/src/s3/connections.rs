//! Where the HTTP client connects to: names resolved, and the connections that are really opened counted.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_layer::Layer;
use tower_service::Service;

use crate::stats::Stats;

/// Wraps the HTTP client's connector.
#[derive(Clone)]
pub(super) struct CountConnections(pub Arc<Stats>);

impl<S> Layer<S> for CountConnections {
    type Service = Counted<S>;

    fn layer(&self, connector: S) -> Counted<S> {
        Counted { connector, stats: self.0.clone() }
    }
}

#[derive(Clone)]
pub(super) struct Counted<S> {
    connector: S,
    stats: Arc<Stats>,
}

impl<S, R> Service<R> for Counted<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connecting = self.connector.call(to);
        let stats = self.stats.clone();
        Box::pin(async move {
            let connection = connecting.await?;
            stats.http.connections.increment();
            Ok(connection)
        })
    }
}

/// The system's resolver; except that `BUCKET.localhost` is this machine (RFC 6761, as curl and browsers have it), which
/// plain glibc does not know. Test servers are reached in vhost style that way.
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if name.as_str().ends_with(".localhost") {
                let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
                return Ok(Box::new(here.into_iter()) as Addrs);
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
