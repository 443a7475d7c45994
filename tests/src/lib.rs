//! Fixtures: the real binary, clients that speak to it, and what they send.

pub mod book;
pub mod browser;
pub mod client;
pub mod collector;
pub mod data;
pub mod documents;
pub mod event;
pub mod files;
pub mod forge;
pub mod h2;
pub mod handmade;
pub mod jwt;
pub mod ledger;
pub mod parse;
pub mod prometheus;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod receiver;
pub mod soak;
pub mod tls;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

pub use client::{Answer, Answers, Remote, Sending};
use raw::Raw;
use rustls::ClientConfig;

/// Longest that anything here may take before a test gives up. Generous: the
/// machine may be slow, and a test that passes never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What the server prints before its address.
const LISTENING: [&str; 2] = ["listening on http://", "listening on https://"];

/// A running `ephor serve --dev`, on a port of its own, ended with the value.
pub struct Ephor {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
    folder: tempfile::TempDir,
    /// How it is spoken to, where it speaks TLS.
    client: Option<Arc<ClientConfig>>,
}

/// A server that ended before it listened.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub log: String,
}

impl Ephor {
    /// Starts the binary with further arguments of `serve`.
    pub fn start(args: &[&str]) -> Ephor {
        Self::start_with("", args)
    }

    /// Starts it with a configuration file of this content, and a data directory of
    /// its own, unless the arguments say otherwise.
    pub fn start_with(config: &str, args: &[&str]) -> Ephor {
        Self::running(Self::launch(&[], None, config, args))
    }

    /// Starts it with this data directory.
    pub fn start_in(data: &Path, config: &str, args: &[&str]) -> Ephor {
        Self::running(Self::try_start_in(data, config, args))
    }

    /// The same, where it may refuse to start.
    ///
    /// # Errors
    ///
    /// If it ends before it listens.
    pub fn try_start_in(data: &Path, config: &str, args: &[&str]) -> Result<Ephor, Refused> {
        Self::launch(&[], Some(data), config, args)
    }

    /// The same, through a program that is given the command line and becomes the
    /// server (`exec`): it may set limits, or enter namespaces.
    ///
    /// # Errors
    ///
    /// If it ends before it listens.
    pub fn try_start_through(program: &[&str], data: &Path, config: &str, args: &[&str]) -> Result<Ephor, Refused> {
        Self::launch(program, Some(data), config, args)
    }

    /// Starts it with TLS, to be spoken to in this way.
    pub fn start_secure(client: &Arc<ClientConfig>, config: &str, args: &[&str]) -> Ephor {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut ephor = Self::running(Self::listening(command(&[], None, config, args, folder.path()), folder));
        ephor.client = Some(Arc::clone(client));
        ephor.wait_until("it is ready", || ephor.raw().get("/readyz").status == 200);
        ephor
    }

    /// A connection to it.
    pub fn raw(&self) -> Raw {
        match &self.client {
            Some(client) => Raw::secure(self.address, client).unwrap_or_else(|error| panic!("no handshake: {error}")),
            None => Raw::connect(self.address),
        }
    }

    /// Starts it where it cannot be ready yet.
    pub fn start_unready(data: &Path, config: &str) -> Ephor {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let command = command(&[], Some(data), config, &[], folder.path());
        Self::running(Self::listening(command, folder))
    }

    /// Starts it without a configuration.
    ///
    /// # Errors
    ///
    /// If it ends before it listens.
    pub fn try_start_bare(data: &Path) -> Result<Ephor, Refused> {
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).stdin(Stdio::null());
        Self::listening(command, tempfile::tempdir().expect("a temporary folder"))
    }

    /// Starts it with this data directory, and kills it so long after, wherever it is
    /// by then.
    pub fn kill_at_start(data: &Path, config: &str, args: &[&str], after: Duration) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = command(&[], Some(data), config, args, folder.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the ephor binary starts");
        thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
    }

    #[track_caller]
    fn running(launched: Result<Ephor, Refused>) -> Ephor {
        launched.unwrap_or_else(|Refused { status, log }| panic!("`ephor serve` ended without printing an address: {status}\n{log}"))
    }

    fn launch(program: &[&str], data: Option<&Path>, config: &str, args: &[&str]) -> Result<Ephor, Refused> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ephor = Self::listening(command(program, data, config, args, folder.path()), folder)?;
        ephor.wait_until("it is ready", || raw::get(ephor.address, "/readyz").status == 200);
        Ok(ephor)
    }

    fn listening(mut command: Command, folder: tempfile::TempDir) -> Result<Ephor, Refused> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the ephor binary starts");

        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for output in outputs {
            let (log, found) = (Arc::clone(&log), found.clone());
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Some((_, rest)) = LISTENING.iter().find_map(|listening| line.split_once(listening)) {
                        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(rest.len());
                        let _ = found.send(rest[..end].parse());
                    }
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    let _ = writeln!(log, "{line}");
                }
            });
        }
        drop(found);
        let address = match address.recv_timeout(PATIENCE) {
            Ok(Ok(address)) => address,
            failed => {
                if !matches!(failed, Err(RecvTimeoutError::Disconnected)) {
                    let _ = child.kill();
                }
                let status = child.wait().expect("the status of the own child");
                let why = match failed {
                    Ok(Err(error)) => format!("printed an address that is none: {error}"),
                    Err(RecvTimeoutError::Timeout) => format!("printed no address within {PATIENCE:?}"),
                    // Both outputs are closed, so everything that it said is here.
                    _ => return Err(Refused { status, log: text(&log) }),
                };
                panic!("`ephor serve` {why}\n{}", text(&log));
            }
        };
        Ok(Ephor { child, address, log, folder, client: None })
    }

    /// Gives its configuration file another content, in one step.
    pub fn reconfigure(&self, config: &str) {
        let (new, file) = (self.folder.path().join("new.toml"), self.folder.path().join("ephor.toml"));
        std::fs::write(&new, config).and_then(|()| std::fs::rename(&new, file)).expect("the configuration can be written");
    }

    /// Sends it a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        send(&self.child, name).expect("the signal is sent");
    }

    /// Kills it (`SIGKILL`): it learns nothing of it.
    pub fn kill(self) {
        drop(self);
    }

    /// Asks it to stop (`SIGTERM`), and says how it ended.
    ///
    /// # Panics
    ///
    /// If it does not end, with what it has printed.
    pub fn stop(self) -> ExitStatus {
        terminate(&self.child).expect("SIGTERM is sent");
        self.ended()
    }

    /// How it ends, once it has been told to.
    ///
    /// # Panics
    ///
    /// If it does not end, with what it has printed.
    pub fn ended(mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the status of the own child") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until it stops\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `http://127.0.0.1:port` and a path; with TLS `https://localhost:port`.
    pub fn url(&self, path: &str) -> String {
        match self.client {
            Some(_) => format!("https://localhost:{}{path}", self.address.port()),
            None => format!("http://{}{path}", self.address),
        }
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Bytes of memory that the process has.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a size in KiB") << 10
    }

    /// Whether the process is still there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks until something holds.
    ///
    /// # Panics
    ///
    /// If it never does, with what the server has printed.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A figure of `/metrics`, summed over the label sets that have `label`
    /// (`outcome="hit"`) in them; 0 if there is none.
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = self.raw().get("/metrics");
        assert_eq!(answer.status, 200, "/metrics answers");
        figure(&answer.text(), name, label)
    }
}

/// Ends the own child, by its handle.
impl Drop for Ephor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- what `ephor serve` on {} printed ---\n{}", self.address, self.log());
        }
    }
}

/// A figure on a page of metrics, summed over the label sets that have `label` in them; 0 if
/// there is none.
pub fn figure(page: &str, name: &str, label: &str) -> f64 {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?,
            None => ("", rest),
        };
        labels.contains(label).then_some(())?;
        rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
    });
    values.sum()
}

/// Sends a process of our own SIGTERM.
///
/// # Errors
///
/// If it cannot be sent.
pub fn terminate(child: &Child) -> std::io::Result<()> {
    send(child, "TERM")
}

fn send(child: &Child, signal: &str) -> std::io::Result<()> {
    // The standard library has no signals, and every shell has these.
    let script = format!("kill -{signal} \"$0\"");
    let status = Command::new("sh").args(["-c", &script]).arg(child.id().to_string()).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("kill: {status}"))) }
}

/// The command line of a server, its configuration in a folder.
fn command(program: &[&str], data: Option<&Path>, config: &str, args: &[&str], folder: &Path) -> Command {
    let file = folder.join("ephor.toml");
    std::fs::write(&file, config).expect("the configuration can be written");
    let mut command = match program.split_first() {
        Some((program, first)) => {
            let mut command = Command::new(program);
            command.args(first).arg(binary());
            command
        }
        None => Command::new(binary()),
    };
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--config"]).arg(&file);
    // A ledger of its own, unless the test says where, or that there is none.
    if !args.contains(&"--data") && !args.contains(&"--in-memory") {
        command.arg("--data").arg(data.map_or_else(|| folder.join("data"), Path::to_path_buf));
    }
    // One compile cache for all tests: each guest is compiled once.
    if !args.contains(&"--cache") {
        command.arg("--cache").arg(target_dir().join("it-cache"));
    }
    command.args(args).stdin(Stdio::null());
    command
}

fn text(log: &Mutex<String>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The binary under test.
pub fn binary() -> PathBuf {
    present(profile_dir().join(format!("ephor{}", std::env::consts::EXE_SUFFIX)), "the ephor binary")
}

/// A reference policy: its component.
pub fn policy(name: &str) -> Vec<u8> {
    component("policies", name)
}

/// The settings that a reference policy is published with.
pub fn settings(policy: &str) -> String {
    let path = present(workspace().join("policies").join(policy).join("settings.json"), "the settings of a policy");
    std::fs::read_to_string(path).expect("settings in UTF-8")
}

/// An adversarial policy of `tests/guests`: its component.
pub fn guest(name: &str) -> Vec<u8> {
    component("guests", name)
}

/// Where a built component is: under its policy's name, which has `-` where the
/// name of the source file has `_`.
pub fn component_path(folder: &str, name: &str) -> PathBuf {
    present(target_dir().join(folder).join(format!("{}.wasm", name.replace('_', "-"))), "a component")
}

fn component(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(component_path(folder, name)).expect("a component can be read")
}

fn present(path: PathBuf, what: &str) -> PathBuf {
    assert!(
        path.exists(),
        "{what} is missing: {}\nrun `make test`, which builds the binary, the policies and the guests before the tests",
        path.display()
    );
    path
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace")
}

/// `target/release` or `target/debug`: where the test executable's `deps` is.
pub fn profile_dir() -> PathBuf {
    let executable = std::env::current_exe().expect("a test has an executable");
    let deps = executable.parent().expect("an executable is in a folder");
    deps.parent().expect("test executables are in target/<profile>/deps").to_path_buf()
}

/// `target`.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile is in target").to_path_buf()
}

/// Writes a policy into a folder that `ephor serve --policies` follows: the
/// component, and its settings beside it. Each appears in one step, settings
/// first, as a careful deployment would do it.
pub fn write_policy(folder: &Path, name: &str, component: Option<&[u8]>, settings: Option<&str>) {
    let put = |file: String, bytes: &[u8]| {
        let draft = folder.join(format!(".{file}.draft"));
        std::fs::write(&draft, bytes).expect("a file in the policies folder");
        std::fs::rename(&draft, folder.join(file)).expect("the file gets its name");
    };
    if let Some(settings) = settings {
        put(format!("{name}.settings.json"), settings.as_bytes());
    }
    if let Some(component) = component {
        put(format!("{name}.wasm"), component);
    }
}

/// Fails a test that hangs, with what it was waiting for.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
