//! A web server of the plainest kind: files of a folder, with or without TLS.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves a folder on a port of its own until the test program ends.
pub fn serve(folder: &Path) -> SocketAddr {
    listen(folder, |stream| Box::new(stream))
}

/// The same over TLS, with a certificate for 127.0.0.1 that nobody knows yet; gives
/// it in PEM.
pub fn serve_tls(folder: &Path) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions of TLS");
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).expect("a key that fits"));
    let address = listen(folder, move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
        Box::new(StreamOwned::new(connection, stream))
    });
    (address, made.cert.pem())
}

/// A server that never comes to the end of `path`, and has nothing else.
pub fn serve_endless(path: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            thread::spawn(move || {
                if asked(&mut stream).is_some_and(|asked| asked == path) {
                    let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
                    while sent.is_ok() {
                        sent = stream.write_all(&[b' '; 4096]);
                    }
                } else {
                    let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                }
            });
        }
    });
    address
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

fn listen(folder: &Path, wrap: impl Fn(std::net::TcpStream) -> Box<dyn Stream> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let folder: PathBuf = folder.into();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, folder) = (wrap(stream.expect("a connection")), folder.clone());
            thread::spawn(move || {
                let Some(path) = asked(&mut stream) else { return };
                let found = std::fs::read(folder.join(path.trim_start_matches('/')));
                let status = if found.is_ok() { "200 OK" } else { "404 Not Found" };
                let body = found.unwrap_or_default();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).and_then(|()| stream.flush());
            });
        }
    });
    address
}

/// The path of a request, once its header has come.
fn asked(stream: &mut (impl Read + ?Sized)) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_string();
    lines.find(|line| line.as_ref().map_or(true, String::is_empty))?.ok()?;
    Some(path)
}
