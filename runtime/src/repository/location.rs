//! Where a repository is, and how its files come from there: bounded, and without
//! leaving the folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::io::AsyncReadExt as _;
use tough::{Bytes, HttpTransport, HttpTransportBuilder, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use super::layout::{METADATA, TARGETS, as_specified};

/// Longest time for one file over a network.
const FILE_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TRIES: u32 = 2;

/// Longest file of each kind, in bytes. A signed length may be smaller and then
/// holds; a stolen key may sign a larger one, and these hold.
const TIMESTAMP_BYTES_MAX: u64 = 64 << 10;
const ROOT_BYTES_MAX: u64 = 512 << 10;
const METADATA_BYTES_MAX: u64 = 32 << 20;
/// Longest blob: a reference list may be large, and is held in memory.
pub(super) const BLOB_BYTES_MAX: u64 = 256 << 20;

/// Bytes of a file that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Where a repository is: a folder, or a URL that begins with `http://` or `https://`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder on this machine.
    Folder(PathBuf),
    /// Below this URL.
    Web(Url),
}

/// A text names no place that a repository could be at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not where a repository can be: name a folder, or a URL that begins with http:// or https://")]
pub struct NotALocation(String);

impl FromStr for Location {
    type Err = NotALocation;

    fn from_str(text: &str) -> Result<Self, NotALocation> {
        if text.is_empty() {
            return Err(NotALocation(text.into()));
        }
        if !text.contains("://") {
            return Ok(Location::Folder(text.into()));
        }
        let mut url: Url = text.parse().map_err(|_| NotALocation(text.into()))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            return Err(NotALocation(text.into()));
        }
        // A base is a folder, and joins below itself only with a slash at its end.
        let path = format!("{}/", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Location::Web(url))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => path.display().fmt(f),
            Location::Web(url) => url.fmt(f),
        }
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What came of a repository's metadata, by its path: what an error is told from.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub files: BTreeMap<String, Vec<u8>>,
    /// The path of the latest one.
    pub last: Option<String>,
}

/// Fetches files of one repository.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    location: Location,
    http: HttpTransport,
    seen: Arc<Mutex<Seen>>,
}

/// A file is longer than anything that this program takes.
#[derive(Debug, thiserror::Error)]
#[error("it is longer than {max} bytes")]
pub(super) struct TooLong {
    pub max: u64,
}

impl Carrier {
    pub fn new(location: &Location) -> Self {
        let http = HttpTransportBuilder::new().timeout(FILE_TIMEOUT).connect_timeout(CONNECT_TIMEOUT).tries(TRIES).build();
        Carrier { location: location.clone(), http, seen: Arc::default() }
    }

    /// The bases of metadata and targets. A folder has no name in them: what is in it
    /// is found by the paths below.
    pub fn bases(&self) -> Result<(Url, Url), url::ParseError> {
        let base = match &self.location {
            Location::Folder(_) => Url::parse("file:///")?,
            Location::Web(url) => url.clone(),
        };
        Ok((base.join(METADATA)?, base.join(TARGETS)?))
    }

    /// What came since the last time that this was asked.
    pub fn take_seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The path of a URL below the repository.
    fn path(&self, url: &Url) -> Option<String> {
        let base = match &self.location {
            Location::Folder(_) => "/",
            Location::Web(base) => base.path(),
        };
        let path = url.path().strip_prefix(base)?;
        Some(match path.strip_prefix(TARGETS) {
            Some(target) => format!("{TARGETS}{}", as_specified(target)),
            None => path.to_string(),
        })
    }
}

#[async_trait]
impl Transport for Carrier {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let other = |problem: String| TransportError::new_with_cause(TransportErrorKind::Other, url.as_str(), problem);
        let path = self.path(&url).ok_or_else(|| other("it is outside of the repository".into()))?;
        let keep = path.starts_with(METADATA);
        if keep {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.files.insert(path.clone(), Vec::new());
            seen.last = Some(path.clone());
        }
        let stream = match &self.location {
            Location::Folder(folder) => read(folder, &path, &url).await?,
            Location::Web(base) => self.http.fetch(base.join(&path).map_err(|error| other(error.to_string()))?).await?,
        };
        let max = bytes_max(&path);
        let (seen, mut bytes) = (Arc::clone(&self.seen), 0u64);
        Ok(Box::pin(stream.map(move |piece| {
            let piece = piece?;
            bytes = bytes.saturating_add(piece.len() as u64);
            if bytes > max {
                return Err(TransportError::new_with_cause(TransportErrorKind::Other, url.as_str(), TooLong { max }));
            }
            if keep && let Some(kept) = seen.lock().unwrap_or_else(PoisonError::into_inner).files.get_mut(&path) {
                kept.extend_from_slice(&piece);
            }
            Ok(piece)
        })))
    }
}

fn bytes_max(path: &str) -> u64 {
    match path {
        "metadata/timestamp.json" => TIMESTAMP_BYTES_MAX,
        path if path.ends_with(".root.json") => ROOT_BYTES_MAX,
        path if path.starts_with(METADATA) => METADATA_BYTES_MAX,
        _ => BLOB_BYTES_MAX,
    }
}

/// A file of a folder, piece by piece.
async fn read(folder: &Path, path: &str, url: &Url) -> Result<TransportStream, TransportError> {
    let error = |kind, problem: String| TransportError::new_with_cause(kind, url.as_str(), problem);
    if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Err(error(TransportErrorKind::Other, "it is outside of the repository".into()));
    }
    let file = folder.join(path);
    let opened = async {
        // A pipe would be waited for without end.
        if !tokio::fs::metadata(&file).await?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        tokio::fs::File::open(&file).await
    };
    let file = match opened.await {
        Ok(file) => file,
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
            return Err(error(TransportErrorKind::FileNotFound, problem.to_string()));
        }
        // tough takes any error here for a root that is not there, and one in the
        // stream for what it is.
        Err(problem) => {
            let problem = error(TransportErrorKind::Other, problem.to_string());
            return Ok(Box::pin(stream::iter([Err(problem)])));
        }
    };
    let url = url.clone();
    Ok(Box::pin(stream::unfold(Some(file), move |file| {
        let url = url.clone();
        async move {
            let mut file = file?;
            let mut piece = vec![0; PIECE_BYTES];
            match file.read(&mut piece).await {
                Ok(0) => None,
                Ok(read) => {
                    piece.truncate(read);
                    Some((Ok(Bytes::from(piece)), Some(file)))
                }
                Err(problem) => {
                    let problem = TransportError::new_with_cause(TransportErrorKind::Other, url.as_str(), problem);
                    Some((Err(problem), None))
                }
            }
        }
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_url() {
        assert_eq!("/srv/a repo".parse(), Ok(Location::Folder("/srv/a repo".into())));
        let Ok(Location::Web(url)) = "https://example.org/a".parse() else { panic!("a URL") };
        assert_eq!(url.as_str(), "https://example.org/a/");
        for bad in ["", "ftp://example.org/", "http://", "https://example.org/?x", "file:///srv"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn sc_17_a_folder_is_not_left() {
        let outside = tempfile::tempdir().expect("a folder");
        std::fs::write(outside.path().join("secret"), "x").expect("written");
        let folder = outside.path().join("repository");
        std::fs::create_dir_all(folder.join("metadata")).expect("made");
        let url = Url::parse("file:///").expect("a URL");
        for path in ["../secret", "metadata/../../secret", "/secret", "metadata//x", "."] {
            assert!(read(&folder, path, &url).await.is_err(), "{path}");
        }
    }
}
