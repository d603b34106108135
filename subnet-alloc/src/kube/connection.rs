//! HTTP to the API server: one request after the other on a connection, and a watch on one of its own.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::access::Access;

/// A connection is used for so long; the next one has certificates and a token that are read anew.
const LIFETIME: Duration = Duration::from_secs(60);
/// The longest answer or event: a page of the largest Nodes that a cluster can have.
const LONGEST: usize = 128 << 20;
/// How the API server is told who asks.
const AGENT: &str = concat!("twill/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refused {
    /// The server's own words.
    Status(u16, Vec<u8>),
    /// A file or a program that says who we are is not as it has to be.
    Access(String),
    /// Nobody answered, or not to the end.
    Lost(String),
}

/// A question.
#[derive(Clone)]
pub(super) struct Asked {
    method: Method,
    path: String,
    body: String,
}

/// A connection, and what each request on it says of who asks.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authorization: Option<HeaderValue>,
    host: String,
    prefix: String,
    opened: Instant,
}

/// The connection that waits for the next question, if there is one.
#[derive(Default)]
pub(super) struct Idle(Mutex<Option<Connection>>);

/// The lines of an answer that goes on.
pub(super) struct Lines {
    body: Incoming,
    read: Vec<u8>,
    /// Where the first line that was not given out begins.
    from: usize,
    _connection: Connection,
}

impl Asked {
    pub(super) fn get(path: String) -> Asked {
        Asked {
            method: Method::GET,
            path,
            body: String::new(),
        }
    }

    pub(super) fn patch(path: String, body: String) -> Asked {
        Asked {
            method: Method::PATCH,
            path,
            body,
        }
    }
}

impl Idle {
    /// Asks on the idle connection, or on a new one. Everything that is asked can be asked twice.
    pub(super) async fn ask(&self, access: &Access, asked: Asked) -> Result<Bytes, Refused> {
        if let Some(mut connection) = self.take()
            && let Ok(response) = connection.send(asked.clone()).await
        {
            return self.collect(connection, response).await;
        }
        let mut connection = Connection::open(access).await?;
        let response = connection.send(asked).await?;
        self.collect(connection, response).await
    }

    async fn collect(
        &self,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Bytes, Refused> {
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|why| Refused::Lost(why.to_string()))?;
        let body = body.to_bytes();
        self.put(connection);
        if status.is_success() {
            Ok(body)
        } else {
            Err(Refused::Status(status.as_u16(), body.into()))
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.take()
            .filter(|it| it.opened.elapsed() < LIFETIME && !it.sender.is_closed())
    }

    fn put(&self, connection: Connection) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

/// What TCP and TLS have in common.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    pub(super) async fn open(access: &Access) -> Result<Connection, Refused> {
        let authorization = access.authorization().await.map_err(Refused::Access)?;
        let url = &access.url;
        let host = url.host().unwrap_or_default();
        let is_plain = url.scheme_str() == Some("http");
        let port = url.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
        let address = (host.trim_matches(['[', ']']), port);
        let tcp = TcpStream::connect(address).await.map_err(lost)?;
        // A request is one small packet.
        tcp.set_nodelay(true).map_err(lost)?;
        let stream: Box<dyn Stream> = if is_plain {
            Box::new(tcp)
        } else {
            let name = access.name.as_deref().unwrap_or(address.0).to_owned();
            let name =
                ServerName::try_from(name).map_err(|why| Refused::Access(why.to_string()))?;
            let tls = access.tls().map_err(Refused::Access)?;
            let connector = TlsConnector::from(std::sync::Arc::new(tls));
            Box::new(connector.connect(name, tcp).await.map_err(lost)?)
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It ends with the sender and the last answer.
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            authorization,
            host: format!("{host}:{port}"),
            prefix: url.path().trim_end_matches('/').to_owned(),
            opened: Instant::now(),
        })
    }

    /// Asks, and reads the answer as it comes.
    pub(super) async fn watch(mut self, asked: Asked) -> Result<Lines, Refused> {
        let response = self.send(asked).await?;
        let status = response.status();
        let body = response.into_body();
        if !status.is_success() {
            let text = Limited::new(body, LONGEST).collect().await;
            let text = text.map_err(|why| Refused::Lost(why.to_string()))?;
            return Err(Refused::Status(status.as_u16(), text.to_bytes().into()));
        }
        Ok(Lines {
            body,
            read: Vec::new(),
            from: 0,
            _connection: self,
        })
    }

    async fn send(&mut self, asked: Asked) -> Result<Response<Incoming>, Refused> {
        let mut request = Request::builder()
            .method(asked.method)
            .uri(format!("{}{}", self.prefix, asked.path))
            .header(HOST, &self.host)
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json");
        if !asked.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/strategic-merge-patch+json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::from(asked.body));
        let request = request.map_err(|why| Refused::Access(why.to_string()))?;
        self.sender.ready().await.map_err(lost)?;
        self.sender.send_request(request).await.map_err(lost)
    }
}

impl Lines {
    /// The next line; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Refused> {
        let mut looked = self.from;
        loop {
            if let Some(length) = self.read[looked..].iter().position(|byte| *byte == b'\n') {
                let line = self.from..looked + length;
                self.from = line.end + 1;
                return Ok(Some(&self.read[line]));
            }
            self.read.drain(..self.from);
            self.from = 0;
            looked = self.read.len();
            if looked > LONGEST {
                return Err(Refused::Lost("an event does not end".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(why)) => return Err(lost(why)),
                Some(Ok(frame)) => self
                    .read
                    .extend_from_slice(&frame.into_data().unwrap_or_default()),
            }
        }
    }
}

/// The last of the reasons; those before it say only who passed it on.
fn lost(why: impl Error + 'static) -> Refused {
    let mut cause: &dyn Error = &why;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Refused::Lost(cause.to_string())
}
