//! Somebody between a browser and a server, who changes what is answered on the way.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::raw::Raw;

/// Passes every GET on to a server, and what it answers back, until the test program ends.
/// `change` is given the path and the body of each answer.
pub fn between(server: SocketAddr, change: impl Fn(&str, Vec<u8>) -> Vec<u8> + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, change) = (stream.expect("a connection"), change.clone());
            thread::spawn(move || pass_on(server, stream, change));
        }
    });
    address
}

fn pass_on(server: SocketAddr, mut stream: TcpStream, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let Some(path) = first.split(' ').nth(1).map(str::to_string) else { return };
    // The host stays the one that the browser knows.
    let headers = lines.take_while(|line| !line.is_empty()).filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let headers: String = headers.map(|line| format!("{line}\r\n")).collect();
    let mut raw = Raw::connect(server);
    raw.write(format!("GET {path} HTTP/1.1\r\n{headers}connection: close\r\n\r\n"));
    let Ok(answer) = raw.read() else { return };
    let body = change(&path, answer.body);
    let mut head = format!("HTTP/1.1 {} -\r\n", answer.status);
    for (name, value) in answer.headers.iter().filter(|(name, _)| !["content-length", "transfer-encoding", "connection"].contains(&&**name))
    {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()));
    // A browser that has gone is no failure.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
