//! `/healthz`, `/readyz` and `/metrics` over HTTP. Nothing can be changed
//! through it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::control::{Request, Topic, ask};

/// Connections that are served at once; others wait.
const CONNECTIONS: usize = 32;
/// A client that sends its header more slowly is not served.
const HEADER_PATIENCE: Duration = Duration::from_secs(5);
/// No connection lives longer.
const LIFETIME: Duration = Duration::from_secs(60);
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the daemon ends.
pub(crate) async fn listen(
    address: SocketAddr,
    requests: mpsc::Sender<Request>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("cannot serve health on {address} (--healthz-ip, --healthz-port): {error}")
    })?;
    tokio::spawn(serve(listener, requests));
    Ok(())
}

async fn serve(listener: TcpListener, requests: mpsc::Sender<Request>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let requests = requests.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| respond(request, requests.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is nobody's trouble.
            let _ = timeout(LIFETIME, connection).await;
            drop(permit);
        });
    }
}

async fn respond(
    request: HttpRequest<Incoming>,
    requests: mpsc::Sender<Request>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n"));
    }
    Ok(match request.uri().path() {
        "/healthz" => answer(&requests, Topic::Alive, TEXT_TYPE).await,
        "/readyz" => answer(&requests, Topic::Ready, TEXT_TYPE).await,
        "/metrics" => answer(&requests, Topic::Metrics, METRICS_TYPE).await,
        _ => plain(
            StatusCode::NOT_FOUND,
            "/healthz, /readyz and /metrics are here\n",
        ),
    })
}

async fn answer(
    requests: &mpsc::Sender<Request>,
    topic: Topic,
    kind: &'static str,
) -> Response<Full<Bytes>> {
    let Some(answer) = ask(requests, topic).await else {
        return plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the daemon does not answer\n",
        );
    };
    let status = if answer.good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut response = plain(status, answer.text);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response
}
