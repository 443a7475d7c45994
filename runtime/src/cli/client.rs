//! The client's side of HTTP: one connection, HTTP/1.1, in clear or in TLS.

use std::io;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;

use super::exit::{Exit, Failed, Or as _, Outcome, failed};
use super::table::plain;

/// Longest error body that is read in order to be shown.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// Longest that a server may take for the handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Where a server is, `http[s]://HOST[:PORT][/PREFIX]`, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Target {
    is_secure: bool,
    authority: String,
    host: String,
    port: u16,
    prefix: String,
    way: Arc<Way>,
}

/// What [`Connection`](super::connection::Connection) says about every connection and
/// request to a server.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// Absent in clear; and where nothing was said, which is as if it were empty.
    pub tls: Option<Arc<ClientConfig>>,
    /// Headers of each request. Values that are secret are marked so.
    pub headers: HeaderMap,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: hyper::Uri = text.parse().map_err(|error| format!("{text:?} is not a URL: {error}"))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("{text:?} begins neither with http:// nor with https://")),
        };
        let authority = uri.authority().ok_or_else(|| format!("{text:?} names no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err("write it as http://HOST:PORT or https://HOST:PORT".into());
        }
        Ok(Target {
            is_secure,
            authority: authority.as_str().to_string(),
            host: authority.host().trim_matches(['[', ']']).to_string(),
            port: authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
            prefix: uri.path().trim_end_matches('/').to_string(),
            way: Arc::default(),
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

impl Target {
    /// Whether what is sent there is encrypted.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The same server, spoken to in this way.
    pub fn by(&self, way: Way) -> Target {
        Target { way: Arc::new(way), ..self.clone() }
    }

    /// A stream to the server, in clear or after the handshake.
    async fn open(&self) -> Outcome<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .with_context(|| format!("cannot reach {self}"))
            .or_exit(Exit::Unreachable)?;
        stream.set_nodelay(true).context("cannot set up the connection")?;
        if !self.is_secure {
            return Ok(Box::new(stream));
        }
        let config = match &self.way.tls {
            Some(config) => Arc::clone(config),
            None => ephor::tls::Client::default().open().or_exit(Exit::Usage)?,
        };
        let name = ServerName::try_from(self.host.clone()).with_context(|| format!("{:?} is no name of a server", plain(&self.host)));
        let handshake = TlsConnector::from(config).connect(name.or_exit(Exit::Usage)?, stream);
        match tokio::time::timeout(HANDSHAKE_PATIENCE, handshake).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => {
                let advice = advice(&error);
                Err(error).with_context(|| format!("cannot speak TLS with {self}{advice}")).or_exit(Exit::Unreachable)
            }
            Err(_) => {
                let seconds = HANDSHAKE_PATIENCE.as_secs();
                Err(failed(Exit::Unreachable, format!("cannot speak TLS with {self}: no handshake within {seconds} s")))
            }
        }
    }
}

/// What a connection is made of.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What to do about a handshake that failed.
fn advice(error: &io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            ", whose certificate is of an authority that is not known here; name its file with --ca"
        }
        Some(Error::InvalidMessage(_)) => "; does it speak TLS at all? Without it, it is at http://",
        _ => "",
    }
}

/// A request's body: at hand, or on its way through a bounded channel. The
/// channel's bound and the server's flow control together are the back-pressure.
pub enum Upload {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Upload::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Upload::Stream(receiver) => receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Upload::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Upload::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Upload::Stream(_) => SizeHint::default(),
        }
    }
}

/// One connection to a server.
pub struct Client {
    target: Target,
    sender: SendRequest<Upload>,
    /// Gives what ended the connection, if that was an error.
    ended: Option<oneshot::Receiver<hyper::Error>>,
}

impl Client {
    /// Connects, or says that nobody is there.
    pub async fn connect(target: &Target) -> Outcome<Self> {
        let stream = target.open().await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .with_context(|| format!("cannot speak HTTP with {target}"))
            .or_exit(Exit::Unreachable)?;
        let (report, ended) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
                let _ = report.send(error);
            }
        });
        Ok(Client { target: target.clone(), sender, ended: Some(ended) })
    }

    /// A request that got no answer. That the connection is closed says less than what
    /// closed it, such as a server that does not take our certificate.
    async fn lost(&mut self, error: hyper::Error) -> Failed {
        let cause = match self.ended.take().filter(|_| error.is_closed() || error.is_canceled()) {
            Some(ended) => ended.await.unwrap_or(error),
            None => error,
        };
        let text = format!("lost the connection to {} before it answered", self.target);
        Failed { exit: Exit::Unreachable, error: anyhow::Error::new(cause).context(text) }
    }

    /// Sends a request; returns once the response's head is there, which may be
    /// long before the body has been sent.
    pub async fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Upload) -> Outcome<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.target.prefix))
            .header("host", &self.target.authority)
            .header("user-agent", concat!("ephor/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.target.way.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).context("cannot form the request")?;
        // After an answer that was read whole, it takes a moment until the next
        // request can go.
        if let Err(error) = self.sender.ready().await {
            return Err(self.lost(error).await);
        }
        match self.sender.send_request(request).await {
            Ok(response) => Ok(response),
            Err(error) => Err(self.lost(error).await),
        }
    }

    /// A request whose response is read whole and must be a success.
    pub async fn exchange(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Outcome<Bytes> {
        let body = Upload::Whole(if body.is_empty() { None } else { Some(body) });
        let response = self.request(method, path, headers, body).await?;
        if !response.status().is_success() {
            return Err(refusal(&format!("{method} {path}"), response).await);
        }
        let whole = response.into_body().collect().await;
        Ok(whole.with_context(|| format!("lost the connection to {}", self.target)).or_exit(Exit::Unreachable)?.to_bytes())
    }
}

/// What a server's error says, as a failure with its exit code.
pub async fn refusal(what: &str, response: Response<Incoming>) -> Failed {
    let status = response.status();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(plain);
    let body = Limited::new(response.into_body(), PROBLEM_BYTES_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let exit = match status {
        StatusCode::SERVICE_UNAVAILABLE => Exit::Unreachable,
        status if status.is_client_error() => Exit::Refused,
        _ => Exit::Failed,
    };
    let mut message = format!("{what} was answered with {status}");
    match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(problem) => message.push_str(&problem_text(&problem)),
        Err(_) if body.is_empty() => {}
        Err(_) => message.push_str(&format!(": {}", plain(String::from_utf8_lossy(&body).trim()))),
    }
    if let Some(seconds) = retry_after {
        message.push_str(&format!("; try again in {seconds} s"));
    }
    failed(exit, message)
}

/// The parts of a problem document (RFC 9457) that a person needs.
fn problem_text(problem: &serde_json::Value) -> String {
    let part = |name: &str| problem.get(name).and_then(|value| value.as_str()).map(plain);
    let mut text = String::new();
    if let Some(title) = part("title") {
        text.push_str(&format!(": {title}"));
    }
    if let Some(detail) = part("detail") {
        text.push_str(&format!(": {detail}"));
    }
    if let Some(place) = part("pointer").or_else(|| part("header")) {
        text.push_str(&format!(" (at {place})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_http_hosts_with_an_optional_prefix() {
        let target: Target = "http://127.0.0.1:8787".parse().expect("a URL");
        assert_eq!((target.host.as_str(), target.port, target.prefix.as_str()), ("127.0.0.1", 8787, ""));
        let target: Target = "http://[::1]:1/a/".parse().expect("a URL");
        assert_eq!((target.host.as_str(), target.port, target.prefix.as_str()), ("::1", 1, "/a"));
        let target: Target = "https://localhost".parse().expect("a URL");
        assert_eq!((target.is_secure, target.port, target.to_string().as_str()), (true, 443, "https://localhost"));
        for bad in ["", "127.0.0.1:8787", "ftp://localhost", "https://u:p@h", "http://h/?q"] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
