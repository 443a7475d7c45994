//! Servers on hyper, as plain as they can be.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use ephor_tests::parse::count_lines;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::rule::{Order, Rule};

type Answer = Result<Response<Full<Bytes>>, Infallible>;

/// Listens for ever, and answers each request with `answer`.
async fn serve<A, F>(answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("listening on http://{}", listener.local_addr().expect("an address"));
    std::io::stdout().flush().expect("somebody reads the address");
    loop {
        let (socket, _) = listener.accept().await.expect("a connection");
        let _ = socket.set_nodelay(true);
        let answer = answer.clone();
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)));
    }
}

pub async fn hello() {
    serve(|_| async { Ok(Response::new(Full::new(Bytes::from_static(b"hello\n")))) }).await;
}

/// An event as far as the rule reads it.
#[derive(Deserialize)]
struct Event {
    data: Order,
}

pub async fn rule(settings: &str) {
    let settings = std::fs::read_to_string(settings).expect("the file of settings");
    let rule = Arc::new(Rule::new(&settings).expect("settings of the rule"));
    serve(move |request| {
        let rule = Arc::clone(&rule);
        async move {
            let body = request.into_body().collect().await.expect("a whole body").to_bytes();
            let event: Event = serde_json::from_slice(&body).expect("an event with an order");
            let verdict: &[u8] = if rule.rejects(&event.data) { b"{\"verdict\":\"deny\"}" } else { b"{\"verdict\":\"allow\"}" };
            Ok(Response::new(Full::new(Bytes::from_static(verdict))))
        }
    })
    .await;
}

/// Each line into a `serde_json::Value`, and the count back.
pub async fn parse() {
    serve(|request| async {
        let count = count_lines(request.into_body()).await;
        Ok(Response::new(Full::new(Bytes::from(format!("{{\"lines\":{count}}}")))))
    })
    .await;
}
