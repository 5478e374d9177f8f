//! Counts the connections that are really opened: the HTTP client does not tell.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
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
