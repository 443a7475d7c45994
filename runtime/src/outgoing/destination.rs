//! `[outgoing.NAME]` of the configuration: where verdicts go, and which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::private;
use crate::policy::manifest::is_name;
use crate::policy::publisher::Misfit;
use crate::verdict::Decision;

/// Another system that is told verdicts: one of the tables `webhook`, `file` and `otlp-logs`
/// says which. The name is the key of the table: lower-case words joined by hyphens.
///
/// What is changed here takes a restart; files with secrets are read anew for each request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Destination {
    /// Verdicts that it is told; all, if none is named.
    #[schemars(extend("examples" = [["flag", "undetermined", "deny"]]))]
    pub verdicts: Vec<Decision>,
    /// Only entries with a finding, also of a release that is tried out: the finding's `mode`
    /// says that.
    pub findings_only: bool,
    /// Only entries for which one of these policies was asked; published ones are
    /// `PUBLISHER/NAME`, and `*` stands for any run of characters.
    #[schemars(extend("examples" = [["transport-office/*"]]))]
    pub policies: Vec<String>,
    /// Only entries about events of these types; `*` stands for any run of characters, but
    /// not for the types of the runtime's own events.
    #[schemars(extend("examples" = [["mobility.*"]]))]
    pub events: Vec<String>,
    /// Only what the policies of this publisher say, and nothing of others: entries in which
    /// they found something or failed, with a verdict that is made of that alone.
    #[schemars(extend("examples" = ["transport-office"]))]
    pub publisher: String,
    /// Findings have their evidence, and the message that it stands in. Evidence comes of
    /// fields of events, in the form that was granted to the policy's publisher.
    pub evidence: bool,
    /// Where it begins, when nothing was told to it before.
    pub begin: Begin,
    /// Verdicts that are told together.
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_events_max: usize,
    /// Bytes that are told together, about; a single verdict may have more.
    #[schemars(range(min = 1_024, max = 67_108_864))]
    pub batch_bytes_max: usize,
    /// Time that a request may take, with its answer.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
    /// Time until the second attempt, about; it doubles from one to the next.
    #[schemars(range(min = 1, max = 600_000))]
    pub retry_min_ms: u64,
    /// Time between attempts, at most, unless the destination itself asks for more
    /// (`Retry-After`).
    #[schemars(range(min = 1, max = 86_400_000))]
    pub retry_max_ms: u64,
    /// Attempts to tell a verdict that the destination refuses for what it is. After these it
    /// goes into the file of dead letters, and the next one follows. What fails for another
    /// reason is tried without end.
    #[schemars(range(min = 1, max = 1_000))]
    pub attempts_max: u32,
    /// Time that the end of the server waits for what is still to be told. What is not, is
    /// told after the next start.
    #[schemars(range(min = 0, max = 600_000))]
    pub drain_timeout_ms: u64,
    /// As CloudEvents in HTTP requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Webhook")]
    pub webhook: Option<Webhook>,
    /// As CloudEvents in a file, one a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "File")]
    pub file: Option<File>,
    /// As records for a collector of OpenTelemetry (OTLP over HTTP): sequence, verdict,
    /// policies and rules, and nothing of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OtlpLogs")]
    pub otlp_logs: Option<OtlpLogs>,
}

impl Default for Destination {
    fn default() -> Self {
        Destination {
            verdicts: Vec::new(),
            findings_only: false,
            policies: Vec::new(),
            events: Vec::new(),
            publisher: String::new(),
            evidence: false,
            begin: Begin::Now,
            batch_events_max: 100,
            batch_bytes_max: 1 << 20,
            timeout_ms: 10_000,
            retry_min_ms: 500,
            retry_max_ms: 60_000,
            attempts_max: 3,
            drain_timeout_ms: 5_000,
            webhook: None,
            file: None,
            otlp_logs: None,
        }
    }
}

/// Where a destination begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Begin {
    /// With the first entry behind those that are there.
    #[default]
    Now,
    /// With the first entry of the ledger.
    First,
}

/// CloudEvents in HTTP requests (CloudEvents HTTP 1.1 Web Hooks 1.0.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Webhook {
    /// Where to. Redirects are not followed.
    #[schemars(example = &"https://platform.example/verdicts")]
    pub url: String,
    /// The file of what stands in `Authorization`, such as `Bearer …`; relative to the folder
    /// of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
    /// The environment variable of it, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_env: Option<String>,
    /// The file of the secret that requests are signed with (Standard Webhooks 1.0.0):
    /// `whsec_` and base64 of 24 to 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The environment variable of it, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
    /// It may be on this machine or in a private network, and without TLS. Otherwise names
    /// that lead there are not connected to.
    #[serde(default)]
    pub private_targets: bool,
    /// The file of the certificates (PEM) that its own is held to, instead of those that the
    /// system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A file with one CloudEvent a line. What is told is synced before it counts as told, so
/// after a crash at most the last batch is there twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Which; relative to the folder of the configuration. Nothing else may write to it.
    #[schemars(example = &"/var/log/ephor/verdicts.ndjson")]
    pub path: PathBuf,
    /// Bytes beyond which it gets the name with `.1` behind it, and a new one is begun.
    #[serde(default = "rotate_bytes")]
    #[schemars(range(min = 1_024, max = 1u64 << 40))]
    pub rotate_bytes: u64,
    /// Files that are kept, with the one that is written to; the oldest goes.
    #[serde(default = "files_max")]
    #[schemars(range(min = 1, max = 1_000))]
    pub files_max: u32,
}

fn rotate_bytes() -> u64 {
    64 << 20
}

fn files_max() -> u32 {
    10
}

/// A collector of OpenTelemetry (OTLP 1, over HTTP, binary).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OtlpLogs {
    /// Where to, with the path of logs.
    #[schemars(example = &"https://collector.example:4318/v1/logs")]
    pub url: String,
    /// The file of what stands in `Authorization`, such as `Bearer …`; relative to the folder
    /// of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
    /// The environment variable of it, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_env: Option<String>,
    /// It may be on this machine or in a private network, and without TLS.
    #[serde(default)]
    pub private_targets: bool,
    /// The file of the certificates (PEM) that its own is held to, instead of those that the
    /// system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

impl Destination {
    /// The word for what it is.
    pub fn kind(&self) -> &'static str {
        match (&self.webhook, &self.file, &self.otlp_logs) {
            (Some(_), ..) => "webhook",
            (None, Some(_), _) => "file",
            _ => "otlp-logs",
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }

    /// Files that have to be there, each with its key behind `outgoing.NAME`.
    pub(crate) fn files(&self) -> Vec<([&'static str; 2], &Path)> {
        let mut files: Vec<([&'static str; 2], &Option<PathBuf>)> = Vec::new();
        if let Some(webhook) = &self.webhook {
            files.push((["webhook", "authorization-file"], &webhook.authorization_file));
            files.push((["webhook", "secret-file"], &webhook.secret_file));
            files.push((["webhook", "ca-file"], &webhook.ca_file));
        }
        if let Some(logs) = &self.otlp_logs {
            files.push((["otlp-logs", "authorization-file"], &logs.authorization_file));
            files.push((["otlp-logs", "ca-file"], &logs.ca_file));
        }
        files.into_iter().filter_map(|(key, file)| Some((key, file.as_deref()?))).collect()
    }

    /// What is wrong with it beyond types and ranges.
    pub(crate) fn problems(&self, name: &str) -> Vec<Misfit> {
        let mut found = Vec::new();
        let mut wrong = |rest: &[&str], message: String| {
            let key = ["outgoing", name].iter().chain(rest).map(ToString::to_string).collect();
            found.push(Misfit { key, message });
        };
        if !is_name(name) {
            wrong(&[], "is not a name; write lower-case words joined by hyphens, such as `fraud-team`".into());
        }
        let kinds = [("webhook", self.webhook.is_some()), ("file", self.file.is_some()), ("otlp-logs", self.otlp_logs.is_some())];
        let given: Vec<&str> = kinds.iter().filter(|(_, given)| *given).map(|(kind, _)| *kind).collect();
        match given.as_slice() {
            [_] => {}
            [] => wrong(
                &[],
                format!(
                    "does not say where to; write one of [outgoing.{name}.webhook], [outgoing.{name}.file] and [outgoing.{name}.otlp-logs]"
                ),
            ),
            [first, second, ..] => {
                wrong(&[second], format!("is there beside `{first}`; a destination has one of them, so give this one another name"));
            }
        }
        if self.retry_min_ms > self.retry_max_ms {
            wrong(&["retry-min-ms"], format!("is {}, but `retry-max-ms` is {}", self.retry_min_ms, self.retry_max_ms));
        }
        if let Some(webhook) = &self.webhook {
            if let Err(problem) = target(&webhook.url, webhook.private_targets) {
                wrong(&["webhook", "url"], problem);
            }
            both(&mut wrong, "webhook", "authorization", webhook.authorization_file.is_some() && webhook.authorization_env.is_some());
            both(&mut wrong, "webhook", "secret", webhook.secret_file.is_some() && webhook.secret_env.is_some());
        }
        if let Some(logs) = &self.otlp_logs {
            if let Err(problem) = target(&logs.url, logs.private_targets) {
                wrong(&["otlp-logs", "url"], problem);
            }
            both(&mut wrong, "otlp-logs", "authorization", logs.authorization_file.is_some() && logs.authorization_env.is_some());
        }
        if let Some(file) = &self.file
            && file.path.file_name().is_none()
        {
            wrong(&["file", "path"], "is no name of a file".into());
        }
        found
    }
}

fn both(wrong: &mut impl FnMut(&[&str], String), table: &str, what: &str, are: bool) {
    if are {
        wrong(&[table, &format!("{what}-env")], format!("is there beside `{what}-file`; write one of them"));
    }
}

/// What is wrong with all of them together: two that write to one file.
pub(crate) fn problems(destinations: &BTreeMap<String, Destination>) -> Vec<Misfit> {
    let mut found: Vec<Misfit> = destinations.iter().flat_map(|(name, destination)| destination.problems(name)).collect();
    let mut paths: BTreeMap<&Path, &str> = BTreeMap::new();
    for (name, path) in destinations.iter().filter_map(|(name, destination)| Some((name, &destination.file.as_ref()?.path))) {
        if let Some(other) = paths.insert(path, name) {
            let key = ["outgoing", name, "file", "path"].map(str::to_string).to_vec();
            found.push(Misfit { key, message: format!("is that of `outgoing.{other}` too; each needs its own") });
        }
    }
    found
}

/// The address that a URL is, if it may be connected to.
pub(super) fn target(text: &str, private_targets: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let https = match url.scheme() {
        "https" => true,
        "http" => false,
        other => return Err(format!("has the scheme {other}; write https://…")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials; write them into a file, and name that as `authorization-file`".into());
    }
    if private_targets {
        return Ok(url);
    }
    if !https {
        return Err("is without TLS; write https://…, or `private-targets = true` if it is in a network of your own".into());
    }
    let address = match url.host() {
        Some(url::Host::Ipv4(address)) => Some(address.into()),
        Some(url::Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    match address.filter(|address| !private::is_public(*address)) {
        Some(address) => {
            Err(format!("names {address}, which is not in the public network; write `private-targets = true` if that is meant"))
        }
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to_may_be_somewhere_else_than_meant() {
        for (url, private, names) in [
            ("https://platform.example/verdicts", false, ""),
            ("http://127.0.0.1:4318/v1/logs", true, ""),
            ("http://platform.example/", false, "without TLS"),
            ("https://10.0.0.1/", false, "private-targets"),
            ("https://[::1]/", false, "private-targets"),
            ("https://169.254.169.254/latest", false, "private-targets"),
            ("https://me:secret@platform.example/", true, "authorization-file"),
            ("ftp://platform.example/", true, "scheme"),
            ("platform", true, "no URL"),
        ] {
            match target(url, private) {
                Ok(_) => assert_eq!(names, "", "{url}"),
                Err(problem) => assert!(!names.is_empty() && problem.contains(names) && !problem.contains("secret"), "{url}: {problem}"),
            }
        }
    }
}
