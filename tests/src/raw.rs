//! A client that sends any bytes at any pace: blocking, over a bare socket, or in TLS.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;

use crate::PATIENCE;

/// One connection.
pub struct Raw {
    /// Keeps the time; what is sent and read goes through `stream`.
    socket: TcpStream,
    stream: Box<dyn Stream>,
    /// Read from the socket, not taken yet.
    rest: Vec<u8>,
}

/// What bytes go through.
trait Stream: io::Read + io::Write + Send {}

impl<T: io::Read + io::Write + Send> Stream for T {}

/// A response, taken apart by hand.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// What became of the request.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the answer {:?}", self.text()))
    }

    /// Whether the server says that it ends the connection.
    pub fn closes(&self) -> bool {
        self.header("connection").eq_ignore_ascii_case("close")
    }
}

/// Gets a page on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> RawAnswer {
    Raw::connect(address).get(path)
}

/// A whole `POST /v1/events` in HTTP/1.1, with a length.
pub fn post(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut request = b"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n".to_vec();
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

impl Raw {
    /// Opens a connection.
    pub fn connect(address: SocketAddr) -> Raw {
        let socket = TcpStream::connect(address).expect("the server accepts connections");
        socket.set_nodelay(true).expect("a socket without delay");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket with a timeout");
        socket.set_write_timeout(Some(PATIENCE)).expect("a socket with a timeout");
        let stream = Box::new(socket.try_clone().expect("a second handle of the socket"));
        Raw { socket, stream, rest: Vec::new() }
    }

    /// Opens a connection and does the handshake, with `localhost` for the server's name.
    ///
    /// # Errors
    ///
    /// If the two do not get along. In TLS 1.3 the client is done before the server has
    /// looked at its certificate; what it thinks of that comes with the first answer.
    pub fn secure(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Raw> {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = rustls::ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut raw = Raw::connect(address);
        while session.is_handshaking() {
            session.complete_io(&mut raw.socket)?;
        }
        let socket = raw.socket.try_clone().expect("a second handle of the socket");
        Ok(Raw { stream: Box::new(rustls::StreamOwned::new(session, socket)), ..raw })
    }

    /// Gets a page as the last on this connection.
    pub fn get(&mut self, path: &str) -> RawAnswer {
        self.write(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"));
        self.read().unwrap_or_else(|error| panic!("no answer to GET {path}: {error}"))
    }

    /// Sends bytes. A server that has closed is not an error here: what it
    /// answered before can still be read.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_write(bytes);
    }

    /// Sends bytes; says whether they could be sent.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads the next response.
    ///
    /// # Errors
    ///
    /// If the connection ends before, or nothing comes.
    pub fn read(&mut self) -> io::Result<RawAnswer> {
        loop {
            let answer = self.read_one()?;
            if answer.status != 100 {
                return Ok(answer);
            }
        }
    }

    /// Reads that the body is waited for, which is the answer to `expect: 100-continue`:
    /// from here on the server is at work on the request.
    ///
    /// # Panics
    ///
    /// If another answer comes, or none.
    pub fn read_continue(&mut self) {
        let answer = self.read_one().unwrap_or_else(|error| panic!("no answer: {error}"));
        assert_eq!(answer.status, 100, "the body is waited for");
    }

    /// Reads on, whatever it is, until a text was there; gives all of it.
    ///
    /// # Panics
    ///
    /// If the text never comes.
    pub fn read_through(&mut self, text: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let said = String::from_utf8_lossy(&self.rest).into_owned();
            if said.contains(text) {
                return said;
            }
            match self.stream.read(&mut bytes) {
                Ok(read) if read > 0 => self.rest.extend_from_slice(&bytes[..read]),
                ended => panic!("{text:?} never came: {ended:?}\n{said}"),
            }
        }
    }

    /// Reads the next response after [`Self::closed_within`] has looked for an end.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn read_patiently(&mut self) -> RawAnswer {
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a socket with a timeout");
        self.read().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    fn read_one(&mut self) -> io::Result<RawAnswer> {
        let head = self.read_to(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no status in {first:?}")))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let mut answer = RawAnswer { status, headers, body: Vec::new() };
        if status == 100 || status == 204 {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
            loop {
                let size = self.read_to(b"\r\n")?;
                let size = String::from_utf8_lossy(&size).trim().to_string();
                let size = usize::from_str_radix(&size, 16).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                let chunk = self.read_exactly(size + 2)?;
                if size == 0 {
                    break;
                }
                answer.body.extend_from_slice(&chunk[..size]);
            }
        } else if let Ok(length) = answer.header("content-length").parse() {
            answer.body = self.read_exactly(length)?;
        } else {
            while self.fill()? {}
            answer.body = std::mem::take(&mut self.rest);
        }
        Ok(answer)
    }

    /// Waits until the server closes, and says how long that took; nothing if
    /// it does not within `patience`.
    pub fn closed_within(&mut self, patience: Duration) -> Option<Duration> {
        let begin = Instant::now();
        loop {
            let left = patience.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).expect("a socket with a timeout");
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Some(begin.elapsed()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => return Some(begin.elapsed()),
            }
        }
    }

    /// Reads more; says whether there was any.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let count = self.stream.read(&mut chunk)?;
        self.rest.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    fn read_to(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|window| window == end) {
                let tail = self.rest.split_off(at + end.len());
                return Ok(std::mem::replace(&mut self.rest, tail));
            }
            self.fill_or_fail()?;
        }
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    ///
    /// If the connection ends before.
    pub fn read_exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.rest.len() < count {
            self.fill_or_fail()?;
        }
        let tail = self.rest.split_off(count);
        Ok(std::mem::replace(&mut self.rest, tail))
    }

    fn fill_or_fail(&mut self) -> io::Result<()> {
        if self.fill()? { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }
}
