//! A well-behaved client: hyper, over HTTP/1.1 or cleartext HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::{Ephor, event, soon};

/// One event in JSON.
pub const EVENT: &str = "application/cloudevents+json";
/// A JSON array of events.
pub const BATCH: &str = "application/cloudevents-batch+json";
/// One event a line.
pub const LINES: &str = "application/x-ndjson";

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What became of the request.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the answer {:?}", self.text()))
    }

    /// The body as one JSON value a line.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in the line {line:?}"))).collect()
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The answer, if its status says that all went well.
    ///
    /// # Panics
    ///
    /// If not, with the body.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self
    }

    /// The answer, if it has this status.
    ///
    /// # Panics
    ///
    /// If not, with the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}

/// HTTP/1.1, or HTTP/2 with prior knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 in clear, with prior knowledge.
    Http2,
}

/// A server that may be gone at any moment; whoever speaks to it has to live with
/// getting no answer.
#[derive(Debug, Clone, Copy)]
pub struct Remote(SocketAddr);

impl Remote {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// Posts events; nothing, if no whole answer came.
    pub async fn post(&self, content_type: &str, body: impl Into<Bytes>) -> Option<Answer> {
        let request = Request::post(format!("http://{}/v1/events", self.0)).header(CONTENT_TYPE, content_type);
        self.whole(request.body(Full::new(body.into())).expect("a well-formed request")).await
    }

    /// Gets a page; nothing, if no whole answer came.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        let request = Request::get(format!("http://{}{path}", self.0));
        self.whole(request.body(Full::default()).expect("a well-formed request")).await
    }

    /// Opens a stream of lines; nothing, if nobody is there. Its answers end where
    /// the server ended.
    pub async fn stream(&self, version: Version) -> Option<(Sending, Answers)> {
        try_open(self.0, version, &[]).await.ok()
    }

    /// Opens a connection for one request after the other; nothing, if nobody is there.
    pub async fn connect(&self) -> Option<Kept> {
        let socket = TcpStream::connect(self.0).await.ok()?;
        socket.set_nodelay(true).ok()?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.ok()?;
        tokio::spawn(connection);
        Some(Kept { sender, address: self.0 })
    }

    /// Gets a page line by line, also one that goes on; nothing, if nobody is there. The
    /// connection ends with the value.
    pub async fn follow(&self, path: &str, accept: &str) -> Option<Page> {
        let request = Request::get(format!("http://{}{path}", self.0)).header(ACCEPT, accept);
        let request = request.body(Full::<Bytes>::default()).expect("a well-formed request");
        let (response, connection) = try_sending(self.0, Version::Http1, request).await.ok()?;
        let connection = Ended(connection);
        let response = soon("a response", response).await.ok()?;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        Some(Page { body: response.into_body(), rest: BytesMut::new(), _connection: connection })
    }

    async fn whole(&self, request: Request<Full<Bytes>>) -> Option<Answer> {
        let (sent, _) = try_sending(self.0, Version::Http1, request).await.ok()?;
        let (head, body) = soon("a response", sent).await.ok()?.into_parts();
        let body = soon("the whole response", body.collect()).await.ok()?.to_bytes();
        Some(Answer { status: head.status, headers: head.headers, body })
    }
}

/// A page that is read line by line.
pub struct Page {
    body: Incoming,
    rest: BytesMut,
    _connection: Ended,
}

impl Page {
    /// The next line, as long as that takes; nothing when the page has ended.
    pub async fn line(&mut self) -> Option<Bytes> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.rest) {
                let mut line = self.rest.split_to(end + 1);
                line.truncate(end);
                return Some(line.freeze());
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
        }
    }
}

/// A connection that is cut off with the value, wherever it is.
struct Ended(AbortHandle);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection that is kept open between requests.
pub struct Kept {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Kept {
    /// Posts events; nothing, if no whole answer came: then the connection is of no use.
    pub async fn post(&mut self, content_type: &str, body: impl Into<Bytes>) -> Option<Answer> {
        soon("a kept connection", self.sender.ready()).await.ok()?;
        let request = Request::post(format!("http://{}/v1/events", self.address)).header(CONTENT_TYPE, content_type);
        let request = with_host(request.body(Full::new(body.into())).expect("a well-formed request"));
        let (head, body) = soon("a response", self.sender.send_request(request)).await.ok()?.into_parts();
        let body = soon("the whole response", body.collect()).await.ok()?.to_bytes();
        Some(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Ephor {
    /// The same server, for somebody who will see it go.
    pub fn remote(&self) -> Remote {
        Remote(self.address())
    }

    /// Sends one request on a connection of its own.
    pub async fn request(&self, request: Request<Full<Bytes>>) -> Answer {
        whole(self.send(Version::Http1, request).await).await
    }

    /// The same with cleartext HTTP/2.
    pub async fn request_h2(&self, request: Request<Full<Bytes>>) -> Answer {
        whole(self.send(Version::Http2, request).await).await
    }

    /// Posts events.
    pub async fn post(&self, content_type: &str, body: impl Into<Bytes>) -> Answer {
        self.post_with(content_type, &[], body).await
    }

    /// Posts events with further headers.
    pub async fn post_with(&self, content_type: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::post(self.url("/v1/events")).header(CONTENT_TYPE, content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(Full::new(body.into())).expect("a well-formed request")).await
    }

    /// Posts one event a line; the answers, in order.
    pub async fn judge(&self, events: impl IntoIterator<Item = Value>) -> Vec<Value> {
        self.post(LINES, event::ndjson(events)).await.expect(200).lines()
    }

    /// Gets a page.
    pub async fn get(&self, path: &str) -> Answer {
        self.request(Request::get(self.url(path)).body(Full::default()).expect("a well-formed request")).await
    }

    /// Puts a component and its settings in force.
    pub async fn put(&self, name: &str, component: &[u8], settings: &str) -> Answer {
        self.put_parts(name, &[("component", component), ("settings", settings.as_bytes())]).await
    }

    /// Puts in force what is in the parts of a form; the policy keeps the rest.
    pub async fn put_parts(&self, name: &str, parts: &[(&str, &[u8])]) -> Answer {
        const BOUNDARY: &str = "a-boundary-that-no-component-has";
        let mut body = Vec::with_capacity(parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + 512);
        for (part, bytes) in parts {
            let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{part}\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.put_as(name, &format!("multipart/form-data; boundary={BOUNDARY}"), body).await
    }

    /// Puts a component in force; a policy of that name keeps its settings.
    pub async fn put_component(&self, name: &str, component: &[u8]) -> Answer {
        self.put_as(name, "application/wasm", component.to_vec()).await
    }

    /// Gives the component in force new settings.
    pub async fn put_settings(&self, name: &str, settings: &str) -> Answer {
        self.put_as(name, "application/json", settings.to_string()).await
    }

    /// Puts anything.
    pub async fn put_as(&self, name: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::put(self.url(&format!("/v1/policies/{name}"))).header(CONTENT_TYPE, content_type);
        self.request(request.body(Full::new(body.into())).expect("a well-formed request")).await
    }

    /// Posts a JSON document to a path, or nothing.
    pub async fn act(&self, path: &str, document: impl Into<Bytes>) -> Answer {
        self.post_to(path, "application/json", document).await
    }

    /// `POST` of something else than events.
    pub async fn post_to(&self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::post(self.url(path)).header(CONTENT_TYPE, content_type);
        self.request(request.body(Full::new(body.into())).expect("a well-formed request")).await
    }

    /// What it judges with and how its publishers stand, as JSON.
    pub async fn status(&self) -> Value {
        let request = Request::get(self.url("/v1/status")).header("accept", "application/json");
        self.request(request.body(Full::default()).expect("a well-formed request")).await.expect(200).json()
    }

    /// Takes a policy out of force.
    pub async fn remove(&self, name: &str) -> Answer {
        let request = Request::builder().method(Method::DELETE).uri(self.url(&format!("/v1/policies/{name}")));
        self.request(request.body(Full::default()).expect("a well-formed request")).await
    }

    /// The policies in force: name and release.
    pub async fn in_force(&self) -> Vec<(String, String)> {
        let page = self.get("/v1/policies").await.expect(200).json();
        let list = page["policies"].as_array().unwrap_or_else(|| panic!("no list of policies in {page}"));
        list.iter().map(|policy| (event::text(policy, "policy").to_string(), event::text(policy, "release").to_string())).collect()
    }

    /// Opens a stream of lines whose answers come back while it is being sent.
    pub async fn stream(&self, version: Version, headers: &[(&str, &str)]) -> (Sending, Answers) {
        open(self.address(), version, headers).await
    }

    async fn send<B>(&self, version: Version, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let sent = start_sending(self.address(), version, request).await;
        soon("a response", sent).await.unwrap_or_else(|error| panic!("no response: {error}\n{}", self.log()))
    }
}

/// Why there is no connection.
type NoConnection = Box<dyn std::error::Error + Send + Sync>;

/// Opens a stream of lines.
async fn open(address: SocketAddr, version: Version, headers: &[(&str, &str)]) -> (Sending, Answers) {
    try_open(address, version, headers).await.expect("the server accepts connections")
}

async fn try_open(address: SocketAddr, version: Version, headers: &[(&str, &str)]) -> Result<(Sending, Answers), NoConnection> {
    let (body, frames) = Channel::<Bytes, Infallible>::new(16);
    let mut request = Request::post(format!("http://{address}/v1/events")).header(CONTENT_TYPE, LINES);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(frames).expect("a well-formed request");
    let (head, status) = oneshot::channel();
    let (found, answers) = mpsc::unbounded_channel();
    let (response, connection) = try_sending(address, version, request).await?;
    tokio::spawn(async move {
        let Ok(response) = response.await else { return };
        let _ = head.send(response.status());
        let (mut body, mut rest) = (response.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return };
            rest.extend_from_slice(frame.data_ref().map(Bytes::as_ref).unwrap_or_default());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                if found.send(parse(&line)).is_err() {
                    return;
                }
            }
        }
        if !rest.is_empty() {
            let _ = found.send(parse(&rest));
        }
    });
    Ok((Sending { body, connection }, Answers { status: Some(status), answers }))
}

/// Begins a request on a connection of its own.
async fn start_sending<B>(
    address: SocketAddr,
    version: Version,
    request: Request<B>,
) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    try_sending(address, version, request).await.expect("the server accepts connections").0
}

async fn try_sending<B>(
    address: SocketAddr,
    version: Version,
    request: Request<B>,
) -> Result<(impl Future<Output = hyper::Result<Response<Incoming>>> + use<B>, AbortHandle), NoConnection>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let io = TokioIo::new(socket);
    let (response, connection): (std::pin::Pin<Box<dyn Future<Output = _> + Send>>, _) = match version {
        Version::Http1 => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(connection).abort_handle();
            let request = with_host(request);
            (Box::pin(async move { sender.send_request(request).await }), connection)
        }
        Version::Http2 => {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            let connection = tokio::spawn(connection).abort_handle();
            (Box::pin(async move { sender.send_request(request).await }), connection)
        }
    };
    Ok((response, connection))
}

/// HTTP/1.1 has the authority in a header and only the path in its first line.
fn with_host<B>(mut request: Request<B>) -> Request<B> {
    if let Some(authority) = request.uri().authority().cloned() {
        let host = authority.as_str().parse().expect("an authority is a header value");
        request.headers_mut().entry(hyper::header::HOST).or_insert(host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map(Into::into).unwrap_or_default();
    request
}

async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = soon("the whole response", body.collect()).await.expect("a whole response").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

fn parse(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error} in the line {:?}", String::from_utf8_lossy(line)))
}

/// The sending half of a stream; dropping it ends the request's body.
pub struct Sending {
    body: Sender<Bytes, Infallible>,
    connection: AbortHandle,
}

impl Sending {
    /// Sends a chunk; says whether the server still takes any.
    pub async fn send(&mut self, chunk: impl Into<Bytes>) -> bool {
        self.body.send_data(chunk.into()).await.is_ok()
    }

    /// Cuts the connection off, in the middle of whatever it does.
    pub fn vanish(self) {
        self.connection.abort();
    }
}

/// The answering half of a stream.
pub struct Answers {
    status: Option<oneshot::Receiver<StatusCode>>,
    answers: mpsc::UnboundedReceiver<Value>,
}

impl Answers {
    /// The status of the response, once.
    pub async fn status(&mut self) -> StatusCode {
        let status = self.status.take().expect("the status is asked for once");
        soon("the head of a response", status).await.expect("a response")
    }

    /// The next answer; nothing when the response has ended.
    pub async fn next(&mut self) -> Option<Value> {
        soon("an answer on the stream", self.answers.recv()).await
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::service::service_fn;
    use hyper_util::server::conn::auto;
    use tokio::net::TcpListener;

    use super::*;
    use crate::raw;

    /// A server that sends every body back as it comes.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let service =
                        service_fn(|request: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(request.into_body().boxed())) });
                    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        address
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_is_answered_while_it_is_being_sent() {
        let address = echo().await;
        for version in [Version::Http1, Version::Http2] {
            let (mut sending, mut answers) = open(address, version, &[]).await;
            for number in 0..3 {
                assert!(sending.send(format!("{number}\n")).await);
                assert_eq!(answers.next().await, Some(Value::from(number)), "{version:?}");
            }
            assert_eq!(answers.status().await, 200);
            assert!(sending.send("3").await);
            drop(sending);
            assert_eq!((answers.next().await, answers.next().await), (Some(Value::from(3)), None), "{version:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_share_a_raw_connection() {
        let address = echo().await;
        tokio::task::spawn_blocking(move || {
            let mut connection = raw::Raw::connect(address);
            for body in ["one", "two"] {
                connection.write(raw::post(&[("content-type", "text/plain")], body.as_bytes()));
                let answer = connection.read().expect("an answer");
                assert_eq!((answer.status, answer.text().as_str(), answer.closes()), (200, body, false));
            }
            connection.write("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
            assert_eq!(connection.read().expect("an answer").text(), "abc");
            assert_eq!(connection.closed_within(std::time::Duration::from_millis(50)), None);
        })
        .await
        .expect("the client ends");
    }
}
