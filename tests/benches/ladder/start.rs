//! Starting and standing still: how long until a server with 20 policies is ready, whose
//! code was compiled before, and what memory a policy takes that is loaded and asked
//! nothing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ephor_tests::{Ephor, binary, raw, target_dir, terminate};

use crate::orders::Orders;
use crate::report::{Goal, Row};
use crate::rounds;
use crate::served::{Native, numbered};
use crate::spine::fresh;

const COLD: u32 = 20;
const LOADED: u32 = 100;

fn folder(name: &str, policies: u32, settings: &str) -> PathBuf {
    let folder = target_dir().join("bench-data").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    for number in 0..policies {
        numbered(&folder, number, "order.placed", settings);
    }
    folder
}

fn serve(policies: &Path) -> Ephor {
    Ephor::start_in(&fresh("started"), "", &["--policies", policies.to_str().expect("a path in UTF-8")])
}

/// From starting the program until `/readyz` says yes. The address is one that was free:
/// whoever waits for a line of output would see it later than it is there.
fn until_ready(policies: &Path) -> Duration {
    let (data, address) = (fresh("started"), free());
    let mut command = Command::new(binary());
    command.args(["serve", "--dev", "--listen", &address.to_string(), "--policies"]).arg(policies);
    command.arg("--data").arg(&data).arg("--cache").arg(target_dir().join("it-cache"));
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the ephor binary starts");
    answered(address, "/readyz");
    let took = begin.elapsed();
    terminate(&child).expect("SIGTERM is sent");
    assert!(child.wait().expect("the own child").success(), "the server ends well");
    let _ = std::fs::remove_dir_all(data);
    took
}

/// The same of a server that does nothing; it takes a free port and says which.
fn until_hello() -> Duration {
    let begin = Instant::now();
    let hello = Native::hello();
    answered(hello.address, "/");
    begin.elapsed()
}

fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address")
}

/// Asks until there is an answer that all is well.
fn answered(address: SocketAddr, path: &str) {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < ephor_tests::PATIENCE, "nobody is ready at {address}");
        if std::net::TcpStream::connect(address).is_ok() && raw::get(address, path).status == 200 {
            return;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

pub(crate) fn report() -> Vec<Row> {
    let orders = Orders::read();
    let twenty = folder("policies-20", COLD, &orders.settings);
    // Now the code of all of them is in the cache.
    assert!(serve(&twenty).stop().success(), "the server ends well");
    let (mut ready, mut hello, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds() {
        let (of_ready, of_hello) = (until_ready(&twenty).as_secs_f64() * 1e3, until_hello().as_secs_f64() * 1e3);
        // The first round warms up.
        if round > 0 {
            ready.push(of_ready);
            hello.push(of_hello);
            more.push(of_ready - of_hello);
        }
    }
    let cold = Row::of("cold_start_20", &more, "until a hyper hello server answers; what it takes more").unit(" ms");
    let cold = cold.with("ms, ready", &ready).with("ms, hello", &hello);
    vec![cold.goal(Goal::AtMost(150.0)).line("cold start"), memory(&orders)]
}

/// Megabytes that each further policy takes. All are other components, with code of their
/// own.
fn memory(orders: &Orders) -> Row {
    let (one, hundred) = (folder("policies-1", 1, &orders.settings), folder("policies-100", LOADED, &orders.settings));
    // Compiled some at a time, so that no start takes minutes; a server that did not do it
    // has nothing of it in its memory.
    for some in (COLD..=LOADED).step_by(COLD as usize) {
        assert!(serve(&folder("policies-some", some, &orders.settings)).stop().success(), "the server ends well");
    }
    let resident = |policies: &Path| {
        let ephor = serve(policies);
        let bytes = ephor.resident_bytes() as f64 / 1e6;
        assert!(ephor.stop().success(), "the server ends well");
        bytes
    };
    let (mut of_one, mut of_hundred, mut each) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds().min(3) {
        let (one, hundred) = (resident(&one), resident(&hundred));
        of_one.push(one);
        of_hundred.push(hundred);
        each.push((hundred - one) / f64::from(LOADED - 1));
    }
    let row = Row::of("memory_per_policy", &each, "resident memory with 1 policy; what each of 99 more takes").unit(" MB");
    row.with("MB, 100", &of_hundred).with("MB, 1", &of_one).goal(Goal::AtMost(2.0)).line("memory, 100 policies")
}
