//! TLS at the server's door, and at the other end of it the command line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ephor_tests::h2::H2;
use ephor_tests::raw::Raw;
use ephor_tests::tls::{Authority, Kind, Pair, put};
use ephor_tests::{Ephor, PATIENCE, binary, event, policy, settings};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use crate::{GOOD, LISTED};

/// A folder with the files that a configuration names.
struct Files(tempfile::TempDir);

impl Files {
    /// With a server's certificate, and no more.
    fn new(server: &Pair) -> Files {
        let files = Files(tempfile::tempdir().expect("a folder"));
        server.write(files.path(), "server");
        files
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let file = self.path().join(name);
        put(&file, content);
        file
    }

    /// The configuration, with further keys of `[server.tls]`.
    fn config(&self, more: &str) -> String {
        let path = |name: &str| self.path().join(name);
        let mut config = String::from("[server.tls]\n");
        let _ = writeln!(config, "certificate = {:?}\nkey = {:?}", path("server.pem"), path("server.key"));
        config.push_str(more);
        config
    }
}

/// Whether a client is served on a connection of its own.
fn is_served(ephor: &Ephor, client: &Arc<ClientConfig>) -> bool {
    let Ok(mut raw) = Raw::secure(ephor.address(), client) else { return false };
    raw.write("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
    raw.read().is_ok_and(|answer| answer.status == 200)
}

fn ephor(args: &[&str]) -> Output {
    Command::new(binary()).args(args).stdin(Stdio::null()).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn both_versions_of_http_are_spoken_as_agreed_on() {
    let authority = Authority::new("own");
    let files = Files::new(&authority.sign(Kind::Server, "localhost", 1));
    let ephor = Ephor::start_secure(&authority.client(None), &files.config(""), &[]);
    assert!(ephor.log().contains("listening on https://"), "{}", ephor.log());
    for versions in [[&TLS12], [&TLS13]] {
        let client = |speaks: &[&str]| authority.client_with(None, &versions, speaks);
        for speaks in [["h2", "http/1.1"].as_slice(), &["h2"]] {
            let raw = Raw::secure(ephor.address(), &client(speaks)).expect("a handshake");
            assert!(H2::begin(raw).is_served(1, "/livez"), "{speaks:?}: HTTP/2");
        }
        for speaks in [["http/1.1"].as_slice(), &[]] {
            assert!(is_served(&ephor, &client(speaks)), "{speaks:?}: HTTP/1.1");
        }
        assert!(!is_served(&ephor, &client(&["h2"])), "HTTP/1.1 where HTTP/2 was agreed on");
        assert!(Raw::secure(ephor.address(), &client(&["http/0.9"])).is_err(), "nothing in common");
    }
    assert!(ephor.metric("ephor_tls_handshakes_total", "outcome=\"done\"") >= 8.0);
}

#[test]
fn ht_19_what_is_no_tls_or_an_old_one_is_refused() {
    let authority = Authority::new("own");
    let files = Files::new(&authority.sign(Kind::Server, "localhost", 1));
    let client = authority.client(None);
    let ephor = Ephor::start_secure(&client, &files.config(""), &[]);

    let answer = Raw::connect(ephor.address()).get("/livez");
    assert_eq!((answer.status, answer.text().contains("https://")), (400, true), "{}", answer.text());

    // A whole ClientHello of TLS 1.1 (RFC 4346, section 7.4.1.2).
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x14, 1, 0]);
    let mut hello = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    hello.extend(body);
    let mut old = Raw::connect(ephor.address());
    old.write(hello);
    let alert = old.read_exactly(7).expect("an alert");
    assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert: {alert:?}");
    assert!(old.closed_within(PATIENCE).is_some());

    let mut noise = Raw::connect(ephor.address());
    noise.write([22; 600]);
    assert!(noise.closed_within(PATIENCE).is_some());
    ephor.wait_until("all of it is counted", || {
        let count = |outcome: &str| ephor.metric("ephor_tls_handshakes_total", &format!("outcome=\"{outcome}\""));
        count("clear") == 1.0 && count("failed") >= 2.0
    });
    assert!(is_served(&ephor, &client));
}

/// HT-19: who has to show a certificate, and shows a wrong one or none, is refused; with the
/// right one, served.
#[test]
fn ht_19_only_the_right_certificate_of_a_client_is_taken() {
    let (servers, clients, others) = (Authority::new("servers"), Authority::new("clients"), Authority::new("others"));
    let files = Files::new(&servers.sign(Kind::Server, "localhost", 1));
    let (right, revoked) = (clients.sign(Kind::Client, "fleet.example", 1), clients.sign(Kind::Client, "sold.example", 2));
    files.put("clients.pem", &clients.pem());
    files.put("revoked.pem", &clients.revoke(&[&revoked]));
    let config = |mode: &str| {
        let path = |name: &str| files.path().join(name);
        files.config(&format!(
            "client-authorities = [{:?}]\nrevoked = [{:?}]\nclient-certificates = \"{mode}\"\n",
            path("clients.pem"),
            path("revoked.pem")
        ))
    };
    let wrong = [
        ("of another authority", others.sign(Kind::Client, "fleet.example", 1)),
        ("of the server's authority", servers.sign(Kind::Client, "fleet.example", 3)),
        ("that has expired", clients.sign(Kind::Expired, "fleet.example", 4)),
        ("that is not valid yet", clients.sign(Kind::Early, "fleet.example", 5)),
        ("that is for servers", clients.sign(Kind::Server, "fleet.example", 6)),
        ("that was revoked", revoked),
    ];
    for mode in ["required", "optional"] {
        let ephor = Ephor::start_secure(&servers.client(Some(&right)), &config(mode), &[]);
        for versions in [[&TLS12], [&TLS13]] {
            let client = |shows: Option<&Pair>| servers.client_with(shows, &versions, &["http/1.1"]);
            for (name, pair) in &wrong {
                assert!(!is_served(&ephor, &client(Some(pair))), "{mode}: a certificate {name}");
            }
            assert_eq!(is_served(&ephor, &client(None)), mode == "optional", "{mode}: none");
            let right = client(Some(&right));
            assert!(is_served(&ephor, &right), "{mode}: the right one");
            assert!(is_served(&ephor, &right), "{mode}: the right one again");
        }
        assert!(ephor.metric("ephor_tls_handshakes_total", "outcome=\"failed\"") >= 12.0);
    }
}

/// New files are taken while connections are open; what cannot be used is not.
#[test]
fn certificates_are_taken_over_while_connections_are_open() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let files = Files::new(&old.sign(Kind::Server, "localhost", 1));
    let ephor = Ephor::start_secure(&old.client(None), &files.config(""), &[]);
    let mut open = ephor.raw();
    let mut asks = |when: &str| {
        open.write("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let answer = open.read().unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(answer.status, 200, "{when}");
    };
    asks("at first");
    let refused = |said: &str| ephor.wait_until(said, || ephor.log().contains("not taken over") && ephor.log().contains(said));

    files.put("server.pem", "no certificate");
    refused("has no certificate");
    let other = new.sign(Kind::Server, "localhost", 2);
    files.put("server.pem", &other.certificate);
    refused("is the key of another certificate");
    new.sign(Kind::ExpiredServer, "localhost", 3).write(files.path(), "server");
    refused("it has expired on 2020-12-");
    assert!(is_served(&ephor, &old.client(None)), "the one before goes on");
    assert!(!is_served(&ephor, &new.client(None)));

    other.write(files.path(), "server");
    ephor.wait_until("the new one is there", || is_served(&ephor, &new.client(None)));
    assert!(!is_served(&ephor, &old.client(None)), "the old one is gone");
    asks("an open connection goes on");

    // Asked for, and not only seen.
    ephor.signal("HUP");
    ephor.wait_until("the signal is heard", || ephor.log().lines().any(|line| line.contains("TLS is ready") && line.contains("SIGHUP")));
    assert!(is_served(&ephor, &new.client(None)));
    asks("after the signal");
}

/// Who is revoked, and who is asked for a certificate at all, changes without a restart.
#[test]
fn ht_19_authorities_and_revocations_are_taken_over() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Files::new(&servers.sign(Kind::Server, "localhost", 1));
    let (one, two) = (clients.sign(Kind::Client, "one.example", 1), clients.sign(Kind::Client, "two.example", 2));
    let clients_file = files.put("clients.pem", &clients.pem());
    let list = files.put("revoked.pem", &clients.revoke(&[]));
    let asking = files.config(&format!("client-authorities = [{clients_file:?}]\nrevoked = [{list:?}]\n"));
    let ephor = Ephor::start_secure(&servers.client(None), &files.config(""), &[]);
    // Nobody is asked, so nobody is refused.
    let stranger = Authority::new("others").sign(Kind::Client, "one.example", 1);
    assert!(is_served(&ephor, &servers.client(Some(&stranger))));

    ephor.reconfigure(&asking);
    ephor.wait_until("clients are asked", || !is_served(&ephor, &servers.client(Some(&stranger))));
    assert!(is_served(&ephor, &servers.client(Some(&one))) && is_served(&ephor, &servers.client(Some(&two))));
    let mut open = Raw::secure(ephor.address(), &servers.client(Some(&two))).expect("a handshake");
    assert_eq!(open.get("/livez").status, 200);
    put(&list, &clients.revoke(&[&two]));
    ephor.wait_until("one of them is revoked", || !is_served(&ephor, &servers.client(Some(&two))));
    assert!(open.closed_within(PATIENCE).is_some(), "who is revoked goes on with what was open");
    assert!(is_served(&ephor, &servers.client(Some(&one))));

    // Who is on the list that did not come is not known.
    put(&list, &clients.late_list());
    ephor.wait_until("nobody is known to be right", || !is_served(&ephor, &servers.client(Some(&one))));
    put(&list, &clients.revoke(&[&two]));
    ephor.wait_until("the list has come", || is_served(&ephor, &servers.client(Some(&one))));

    // A configuration whose files are no good changes nothing; nor does one without TLS.
    let broken = files.put("broken.pem", "no certificate");
    ephor.reconfigure(&files.config(&format!("client-authorities = [{broken:?}]\n")));
    ephor.wait_until("it is refused", || ephor.log().contains("broken.pem has no certificate"));
    assert!(!is_served(&ephor, &servers.client(Some(&two))));
    ephor.reconfigure("");
    ephor.wait_until("it is refused", || ephor.log().contains("Needs a restart: server.tls.certificate"));
    assert!(is_served(&ephor, &servers.client(Some(&one))));
}

/// A handshake has a time, and who is slow holds up nobody else.
#[test]
fn ht_02_a_slow_handshake_is_closed() {
    let authority = Authority::new("own");
    let files = Files::new(&authority.sign(Kind::Server, "localhost", 1));
    let client = authority.client(None);
    let config = files.config("handshake-timeout-ms = 1500\n");
    let ephor = Ephor::start_secure(&client, &config, &[]);
    let mut slow: Vec<Raw> = (0..50).map(|_| Raw::connect(ephor.address())).collect();
    for raw in &mut slow {
        // The head of a record, and the beginning of what it announces.
        raw.write([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
    }
    assert!(is_served(&ephor, &client), "others are not held up");
    for mut raw in slow {
        let closed = raw.closed_within(PATIENCE).expect("closed");
        assert!(closed < Duration::from_secs(30), "closed after {closed:?}");
    }
    assert!(ephor.metric("ephor_tls_handshakes_total", "outcome=\"late\"") >= 50.0);
}

#[test]
fn the_end_of_a_certificate_is_told_in_time() {
    let authority = Authority::new("own");
    let until = SystemTime::now() + Duration::from_secs(5 * 86_400);
    let files = Files::new(&authority.sign_until(Kind::Server, "localhost", 1, until));
    let ephor = Ephor::start_secure(&authority.client(None), &files.config(""), &[]);
    let unix = until.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    assert_eq!(ephor.metric("ephor_tls_certificate_expiry_seconds", "") as u64, unix);
    assert!(ephor.log().contains("The TLS certificate expires soon"), "{}", ephor.log());

    authority.sign(Kind::Server, "localhost", 2).write(files.path(), "server");
    ephor.wait_until("the new one counts", || ephor.metric("ephor_tls_certificate_expiry_seconds", "") as u64 > unix);
    drop(ephor);

    // A server whose certificate is over can be looked at, and its clients say why they do not.
    authority.sign(Kind::ExpiredServer, "localhost", 3).write(files.path(), "server");
    let ca = files.put("ca.pem", &authority.pem());
    let data = tempfile::tempdir().expect("a folder");
    let over = Ephor::start_unready(data.path(), &files.config(""));
    assert!(over.log().contains("The TLS certificate has expired"), "{}", over.log());
    let said = ephor_status(&over, &["--ca", utf8(&ca)]);
    assert_eq!(said.status.code(), Some(4), "{}", text(&said.stderr));
    assert!(text(&said.stderr).contains("expired"), "{}", text(&said.stderr));
}

/// `ephor status` of a server, at the name that is in its certificate.
fn ephor_status(at: &Ephor, args: &[&str]) -> Output {
    let url = format!("https://localhost:{}", at.address().port());
    ephor(&[&["status", "--json", "--at", &url], args].concat())
}

/// A key that everybody can read is said to be; one that is cut off ends the start.
#[test]
fn files_that_are_not_as_they_should_be_are_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let authority = Authority::new("own");
    let pair = authority.sign(Kind::Server, "localhost", 1);
    let files = Files::new(&pair);
    let key = files.path().join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let ephor = Ephor::start_secure(&authority.client(None), &files.config(""), &[]);
    assert!(ephor.log().contains("Everybody on this machine can read the private key"), "{}", ephor.log());
    drop(ephor);

    let data = tempfile::tempdir().expect("a folder");
    for (name, content) in [("server.key", "-----BEGIN PRIVATE KEY-----\nMIIE"), ("server.pem", "")] {
        pair.write(files.path(), "server");
        files.put(name, content);
        let Err(refused) = Ephor::try_start_in(data.path(), &files.config(""), &[]) else { panic!("{name} is taken") };
        assert!(refused.log.contains(name) && refused.log.contains("server.tls."), "{}", refused.log);
        assert!(!refused.log.contains("MIIE"), "nothing of a key is said: {}", refused.log);
    }
}

/// Every verb that speaks to a server takes the same options.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_speaks_tls() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Files::new(&servers.sign(Kind::Server, "localhost", 1));
    let pair = clients.sign(Kind::Client, "fleet.example", 1);
    let (certificate, key) = pair.write(files.path(), "fleet");
    let (ca, theirs) = (files.put("ca.pem", &servers.pem()), files.put("clients.pem", &clients.pem()));
    let config = files.config(&format!("client-authorities = [{theirs:?}]\nclient-certificates = \"required\"\n"));
    let folder = tempfile::tempdir().expect("a folder");
    ephor_tests::write_policy(folder.path(), GOOD, Some(&policy(GOOD)), Some(&settings(GOOD)));
    let server = Ephor::start_secure(&servers.client(Some(&pair)), &config, &["--policies", utf8(folder.path())]);
    let url = server.url("");
    let events = files.path().join("events.ndjson");
    std::fs::write(&events, event::ndjson((0..300).map(|id| event::listing(id, LISTED)))).expect("a file");

    let with = ["--ca", utf8(&ca), "--certificate", utf8(&certificate), "--certificate-key", utf8(&key)];
    let done = |args: &[&str]| {
        let output = ephor(&[args, &with].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    assert!(done(&["send", utf8(&events), "--to", &url]).contains("300 events"));
    assert!(done(&["status", "--at", &url]).contains(" entries"));
    assert!(done(&["release", "status", "--at", &url]).contains(GOOD));
    server.wait_until("all of it is signed", || {
        let checked = ephor(&[["log", "verify", &url, "--json"].as_slice(), &with].concat());
        checked.status.success() && text(&checked.stdout).contains("301")
    });
    assert_eq!(done(&["log", "tail", &url, "--from", "301"]).lines().count(), 1);
    done(&["log", "prove", "7", "--from", &url, "--out", utf8(&files.path().join("proof"))]);
    done(&["log", "export", &url, "--out", utf8(&files.path().join("entries.ndjson"))]);
    let checkpoint = files.path().join("checkpoint");
    std::fs::write(&checkpoint, server.raw().get("/v1/log/checkpoint").body).expect("a file");
    let checkpoint = utf8(&checkpoint);
    done(&["log", "compare", checkpoint, checkpoint, "--from", &url]);
    done(&["policy", "explain", "7", "--server", &url, "--with", utf8(&folder.path().join(format!("{GOOD}.wasm")))]);

    for (name, args, code, said) in [
        ("an authority that the system does not know", &[][..], 4, "name its file with --ca"),
        ("no certificate", &with[..2], 4, "ertificate"),
        ("a certificate without its key", &with[..4], 2, "--certificate-key"),
        ("an authority that is none", &["--ca", utf8(&key)], 2, "has no certificate"),
    ] {
        let output = ephor(&[["status", "--at", &url].as_slice(), args].concat());
        assert_eq!(output.status.code(), Some(code), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{name}: {}", text(&output.stderr));
    }
    let address = server.address().to_string();
    let other = ephor(&[["status", "--at", &format!("https://{address}")].as_slice(), &with].concat());
    assert_eq!(other.status.code(), Some(4), "the certificate is for another name: {}", text(&other.stderr));
    let clear = ephor(&[["status", "--at", &format!("http://{address}")].as_slice(), &with].concat());
    assert_eq!(clear.status.code(), Some(2), "{}", text(&clear.stderr));
    let clear = ephor(&["status", "--at", &format!("http://{address}")]);
    assert!(text(&clear.stderr).contains("https://"), "{}", text(&clear.stderr));
}

/// Beyond this machine there is TLS, here or in front, or there is no server.
#[test]
fn beyond_this_machine_there_is_no_server_in_clear() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ephor.toml");
    // An address that no machine has (RFC 5737): whatever is allowed, nothing is opened.
    let serve = |config: Option<&str>| {
        let mut args = vec!["serve", "--in-memory", "--listen", "192.0.2.1:0"];
        if let Some(config) = config {
            std::fs::write(&file, config).expect("a file");
            args.extend(["--config", utf8(&file)]);
        }
        let output = ephor(&args);
        (output.status.code(), text(&output.stderr))
    };
    for config in [None, Some(""), Some("[server.tls]\nelsewhere = false\n")] {
        let (code, said) = serve(config);
        assert_eq!(code, Some(2), "{config:?}: {said}");
        for part in ["192.0.2.1:0", "[server.tls]", "elsewhere = true", "ephor tls init"] {
            assert!(said.contains(part), "{config:?}: {part} in {said}");
        }
    }
    let authority = Authority::new("own");
    let files = Files::new(&authority.sign(Kind::Server, "localhost", 1));
    // Who is let in is another question (`access`), and answered here.
    let access = "[access.certificates.shop]\nname = \"shop.example\"\nroles = [\"ingest\"]\n";
    for config in ["[server.tls]\nelsewhere = true\n", &files.config("")] {
        let (_, said) = serve(Some(&format!("{config}{access}")));
        assert!(said.contains("cannot listen on 192.0.2.1:0") && !said.contains("elsewhere"), "{config}: {said}");
    }
}

/// What a newcomer does: an authority, a server, a client, all of one's own.
#[test]
fn certificates_of_ones_own_are_made_and_renewed() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let own = folder.path().join("tls");
    let made = |args: &[&str]| {
        let output = ephor(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let said = made(&["tls", "init", utf8(&own), "--name", "localhost", "--name", "127.0.0.1"]);
    let tls = said.split("\n\n").find(|part| part.starts_with("[server.tls]")).expect("what to write").to_string();
    let said = made(&["tls", "client", utf8(&own), "fleet.example"]);
    let asks = said.lines().find(|line| line.starts_with("client-authorities")).expect("what to write").to_string();
    made(&["tls", "client", utf8(&own), "urn:example:fleet 2".replace(' ', "-").as_str()]);
    for file in ["authority.key", "server.key", "fleet.example.key", "urn-example-fleet-2.key"] {
        let mode = std::fs::metadata(own.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let client = |name: &str| {
        let certificate = Some((own.join(format!("{name}.pem")), own.join(format!("{name}.key"))));
        ephor::tls::Client { authorities: Some(own.join("authority.pem")), certificate }.open().expect("a client")
    };
    let config = format!("{tls}\n{asks}\nclient-certificates = \"required\"\n");
    let server = Ephor::start_secure(&client("fleet.example"), &config, &[]);
    assert!(is_served(&server, &client("urn-example-fleet-2")));
    let bare = ephor::tls::Client { authorities: Some(own.join("authority.pem")), certificate: None }.open().expect("a client");
    assert!(!is_served(&server, &bare), "who shows nothing");

    // A next certificate, while the server runs.
    let before = server.metric("ephor_tls_certificate_expiry_seconds", "");
    made(&["tls", "server", utf8(&own), "--days", "400"]);
    // Not by asking: a connection of just now, with a certificate, is told to come again.
    server.wait_until("it is taken", || server.log().contains("TLS files changed"));
    assert!(server.metric("ephor_tls_certificate_expiry_seconds", "") > before);
    assert!(is_served(&server, &client("fleet.example")));

    for (name, args) in [
        ("a second authority in the folder", &["tls", "init", utf8(&own)][..]),
        ("a folder without one", &["tls", "client", utf8(folder.path()), "fleet.example"]),
        ("a name that is none", &["tls", "client", utf8(&own), "two words"]),
        ("the server's name", &["tls", "client", utf8(&own), "server"]),
    ] {
        let output = ephor(args);
        assert_eq!(output.status.code(), Some(2), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}
