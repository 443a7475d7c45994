//! Repositories of releases as static files under `/v1/repositories/`: what is in
//! them is signed, so nothing here has to be.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};
use tokio::io::AsyncReadExt as _;

use super::Shared;
use super::body::{FrameSender, ResponseBody, frames};
use super::problem::{Cause, Problem};

/// Bytes of a file that are sent at once, and how many such pieces may wait.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 4;

/// A file of a repository: `NAME/PATH`.
pub(super) async fn get(shared: &Arc<Shared>, method: &Method, path: &str) -> Result<Response<ResponseBody>, Problem> {
    let absent = |detail: String| Problem::new(Cause::NotFound, detail);
    let (name, path) = path.split_once('/').unwrap_or((path, ""));
    let Some(folder) = shared.limits.repositories.get(name) else {
        return Err(absent(format!("No repository {name:?} is served here; `server.repositories` in the configuration names them.")));
    };
    if !is_public(path) {
        return Err(absent("A repository has root.json, and files below metadata/ and targets/.".into()));
    }
    let Some((file, length)) = open(folder, path).await else {
        return Err(absent(format!("The repository {name} has no {path}.")));
    };
    let mut response = match method {
        &Method::HEAD => Response::new(ResponseBody::full("")),
        _ => {
            let (sender, body) = frames(PIECES_MAX);
            tokio::spawn(send(file, length, sender, shared.limits.write_timeout()));
            Response::new(ResponseBody::Stream(body))
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let media = if path.ends_with(".json") { "application/json" } else { "application/octet-stream" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static(if is_immutable(path) { "public, max-age=31536000, immutable" } else { "no-store" }),
    );
    Ok(response)
}

/// Whether a path is one that a repository shows: no file that is hidden, none above.
fn is_public(path: &str) -> bool {
    let safe = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-~".contains(&byte))
    };
    (path == "root.json" || path.starts_with("metadata/") || path.starts_with("targets/")) && path.split('/').all(safe)
}

/// Names with a version or a digest in them never mean anything else.
fn is_immutable(path: &str) -> bool {
    path != "root.json" && path != "metadata/timestamp.json"
}

/// Opens a file, if it is one and in the folder: a link may lead elsewhere.
async fn open(folder: &Path, path: &str) -> Option<(tokio::fs::File, u64)> {
    let folder = tokio::fs::canonicalize(folder).await.ok()?;
    let file = tokio::fs::canonicalize(folder.join(path)).await.ok()?;
    if !file.starts_with(&folder) || !tokio::fs::metadata(&file).await.ok()?.is_file() {
        return None;
    }
    let file = tokio::fs::File::open(file).await.ok()?;
    let length = file.metadata().await.ok()?.len();
    Some((file, length))
}

/// Sends as many bytes as were announced; fewer, and the answer is cut off.
async fn send(file: tokio::fs::File, length: u64, sender: FrameSender, patience: std::time::Duration) {
    let mut file = file.take(length);
    let mut left = length;
    while left > 0 {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece).await {
            Ok(read) if read > 0 => {
                piece.truncate(read);
                left -= read as u64;
                if sender.send(Bytes::from(piece), patience).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
    sender.complete();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sc_17_only_what_a_repository_shows_is_served() {
        for good in ["root.json", "metadata/timestamp.json", "metadata/12.root.json", "targets/releases/fleet-cap/ab.1.0.0+b.json"] {
            assert!(is_public(good), "{good}");
        }
        for bad in [
            "",
            "metadata/",
            ".lock",
            "metadata/.draft",
            "metadata/../.lock",
            "targets/../../x",
            "metadata//etc/passwd",
            "/metadata/x",
            "metadata/%2e%2e/x",
            "metadata/a\\b",
            "keys/root.pem",
        ] {
            assert!(!is_public(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn sc_17_a_link_does_not_lead_out() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = outside.path().join("repository");
        std::fs::create_dir_all(folder.join("metadata")).expect("made");
        std::fs::write(outside.path().join("secret"), "x").expect("written");
        std::fs::write(folder.join("metadata/plain"), "xy").expect("written");
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.join("metadata/link")).expect("linked");
        assert!(open(&folder, "metadata/link").await.is_none());
        assert!(open(&folder, "metadata").await.is_none(), "a folder is no file");
        assert_eq!(open(&folder, "metadata/plain").await.expect("a file").1, 2);
    }
}
