//! A browser that looks at the page: headless Chromium, driven by chromedriver (Debian's
//! packages `chromium` and `chromium-driver`). `EPHOR_WITHOUT_BROWSER=1` leaves the tests
//! that need it out.
//!
//! It notes what the console says and every request that the page makes; a test ends with
//! [`Browser::is_quiet`]. Pictures go to `target/screenshots`, for people to look at.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::{PATIENCE, data, target_dir};

/// The variable that leaves tests with a browser out.
pub const WITHOUT: &str = "EPHOR_WITHOUT_BROWSER";

/// The zone that the browser is in: eight hours before UTC, all year.
pub const ZONE: &str = "Asia/Shanghai";

/// A wide window, and the narrowest that the page is made for.
pub const DESKTOP: (u32, u32) = (1_280, 900);
/// See [`DESKTOP`].
pub const PHONE: (u32, u32) = (360, 740);

/// A browser with one window, ended with the value.
pub struct Browser {
    client: Client,
    session: String,
    driver: Child,
    address: SocketAddr,
    window: (u32, u32),
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one with a wide window; nothing where tests are to do without, which is said.
    ///
    /// # Panics
    ///
    /// If there is no browser, with what to install.
    pub async fn start() -> Option<Browser> {
        if std::env::var(WITHOUT).as_deref() == Ok("1") {
            data::left_out("the page in a browser", &format!("{WITHOUT} is set"));
            return None;
        }
        let profile = tempfile::tempdir().expect("a temporary folder");
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TZ", ZONE)
            // What the browser keeps outside of its profile.
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = driver.unwrap_or_else(|error| {
            panic!(
                "chromedriver does not start: {error}\ninstall Debian's packages chromium and chromium-driver, or do without: {WITHOUT}=1"
            )
        });
        let mut said = BufReader::new(driver.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let port = said.find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        // It goes on talking, and must not find its output full.
        thread::spawn(move || said.for_each(drop));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("chromedriver says its port")));
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--no-first-run",
            "--no-default-browser-check",
            "--hide-scrollbars",
            "--lang=en-US",
            &format!("--user-data-dir={}", profile.path().display()),
            &format!("--window-size={},{}", DESKTOP.0, DESKTOP.1),
        ];
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": args },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let connected = ClientBuilder::new(HttpConnector::new())
            .capabilities(Capabilities::from_iter(capabilities))
            .connect(&format!("http://{address}"))
            .await;
        let client = match connected {
            Ok(client) => client,
            Err(error) => {
                let _ = driver.kill();
                let _ = driver.wait();
                panic!(
                    "chromium does not start: {error}\ninstall Debian's packages chromium and chromium-driver, or do without: {WITHOUT}=1"
                )
            }
        };
        let session = client.session_id().await.ok().flatten().expect("a session");
        let mut browser = Browser { client, session, driver, address, window: DESKTOP, _profile: profile };
        browser.resize(DESKTOP);
        // What the browser shows before is its own, and asks for things of its own.
        browser.open("about:blank").await;
        browser.requests();
        Some(browser)
    }

    /// What speaks WebDriver to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Goes to an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Gives the window another size.
    pub fn resize(&mut self, size: (u32, u32)) {
        self.window = size;
        let (width, height) = size;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    /// Makes the system look as if it preferred dark or light colours.
    pub fn prefer(&self, scheme: &str) {
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
    }

    /// What an expression gives in the page.
    pub async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.client.execute(&script, Vec::new()).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text of the first element that a selector finds.
    pub async fn text(&self, selector: &str) -> String {
        let found = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        found.text().await.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    /// Clicks the first element that a selector finds.
    pub async fn click(&self, selector: &str) {
        let found = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
        found.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses a key, such as `\u{e004}` (Tab; WebDriver, 17.4.2), wherever the focus is.
    pub async fn press(&self, key: &str) {
        let focused = self.client.active_element().await.expect("something has the focus");
        focused.send_keys(key).await.unwrap_or_else(|error| panic!("{key:?}: {error}"));
    }

    /// Asks until an expression is true in the page.
    ///
    /// # Panics
    ///
    /// If it never is, with what the console said.
    pub async fn wait_until(&self, what: &str, expression: &str) {
        let begin = Instant::now();
        while self.value(expression).await != Value::Bool(true) {
            assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}\n{:?}", self.log("browser"));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Makes a picture of the whole page, however long it is: `target/screenshots/NAME.png`.
    pub async fn screenshot(&mut self, name: &str) -> PathBuf {
        let window = self.window;
        let height = self.value("document.documentElement.scrollHeight").await.as_u64().unwrap_or_default();
        self.resize((window.0, u32::try_from(height).unwrap_or(window.1).clamp(window.1, 12_000)));
        let picture = self.client.screenshot().await.expect("a picture");
        self.resize(window);
        let folder = target_dir().join("screenshots");
        let path = folder.join(format!("{name}.png"));
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, picture)).expect("target/screenshots can be written");
        path
    }

    /// Asserts that the page does not scroll sideways.
    ///
    /// # Panics
    ///
    /// If it does.
    pub async fn is_within_its_window(&self, what: &str) {
        let wide = self.value("document.documentElement.scrollWidth > document.documentElement.clientWidth").await;
        assert_eq!(wide, false, "{what}: the page does not scroll sideways");
    }

    /// Asserts that axe-core finds nothing serious or critical on the page.
    ///
    /// # Panics
    ///
    /// With what it finds.
    pub async fn is_accessible(&self, what: &str) {
        let path = target_dir().join("tools/axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&path).unwrap_or_else(|error| {
            panic!("{}: {error}\nrun `make browser-tools`, which needs npm, or do without: {WITHOUT}=1", path.display())
        });
        // The library is put into the page by the driver, which its policy does not bind.
        let script = format!(
            "{axe}; const done = arguments[0]; axe.run(document, {{ resultTypes: ['violations'] }}).then(done, (error) => done({{ error: String(error) }}));"
        );
        let result = self.client.execute_async(&script, Vec::new()).await.unwrap_or_else(|error| panic!("axe: {error}"));
        let violations = result["violations"].as_array().unwrap_or_else(|| panic!("axe ran: {result}"));
        let grave = violations.iter().filter(|found| found["impact"] == "serious" || found["impact"] == "critical");
        let said: Vec<String> = grave
            .map(|found| {
                let nodes = found["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
                let nodes: Vec<String> =
                    nodes.iter().take(5).map(|node| format!("{}\n      {}", node["html"], node["failureSummary"])).collect();
                format!("{}: {}\n    {}", found["id"], found["help"], nodes.join("\n    "))
            })
            .collect();
        assert!(said.is_empty(), "{what} is not accessible:\n{}", said.join("\n"));
    }

    /// Asserts that the console had no error so far, and that every request went to this
    /// server.
    ///
    /// # Panics
    ///
    /// With what was said, or asked elsewhere.
    pub fn is_quiet(&self, server: SocketAddr) {
        let errors: Vec<String> =
            self.log("browser").iter().filter(|line| line["level"] == "SEVERE").map(|line| line["message"].to_string()).collect();
        assert!(errors.is_empty(), "the console says:\n{}", errors.join("\n"));
        let requests = self.requests();
        let own = format!("http://{server}/");
        let foreign: Vec<&String> = requests
            .iter()
            .filter(|url| !url.starts_with(&own) && !["data:", "blob:", "chrome:"].iter().any(|own| url.starts_with(own)))
            .collect();
        assert!(foreign.is_empty(), "requests to elsewhere: {foreign:?}");
        assert!(!requests.is_empty(), "requests are seen at all");
    }

    /// Addresses that were asked for since this was called last.
    pub fn requests(&self) -> BTreeSet<String> {
        let log = self.log("performance");
        let messages = log.iter().filter_map(|line| serde_json::from_str::<Value>(line["message"].as_str()?).ok());
        let sent = messages.filter(|message| message["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|message| message["message"]["params"]["request"]["url"].as_str().map(str::to_string)).collect()
    }

    /// What chromedriver has noted since it was asked last.
    fn log(&self, kind: &str) -> Vec<Value> {
        self.command("se/log", &json!({ "type": kind })).as_array().cloned().unwrap_or_default()
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// A command that fantoccini has no word for.
    fn command(&self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut raw = Raw::connect(self.address);
        raw.write(format!(
            "POST /session/{}/{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.session,
            self.address,
            body.len()
        ));
        let answer = raw.read().unwrap_or_else(|error| panic!("chromedriver does not answer to {path}: {error}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["value"].clone()
    }
}

/// Ends the session, with which the browser goes, and then the own child.
impl Drop for Browser {
    fn drop(&mut self) {
        let mut raw = Raw::connect(self.address);
        raw.write(format!("DELETE /session/{} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.session, self.address));
        let _ = raw.read();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
