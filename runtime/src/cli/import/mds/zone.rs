//! Time zones: the settings have one as POSIX writes it.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use jiff::tz::TimeZone;

/// Where systems keep their zones (RFC 9636 files).
const ZONES: &str = "/usr/share/zoneinfo";

/// The text for the settings, of one that was given or of a name of the tz database.
pub fn read(given: &str) -> anyhow::Result<String> {
    let is_name = given.contains('/') && !given.contains(',');
    let text = if is_name { of_name(given).with_context(|| format!("--zone {given}"))? } else { given.to_string() };
    if let Err(error) = TimeZone::posix(&text) {
        bail!("--zone: {text:?} is no POSIX time zone, such as EST5EDT,M3.2.0,M11.1.0 or <+08>-8: {error}");
    }
    if is_name {
        eprintln!("{given} is {text} from now on, by this machine's {ZONES}");
    }
    Ok(text)
}

/// The last line of the zone's file, which holds for the times behind all that it lists.
fn of_name(name: &str) -> anyhow::Result<String> {
    let plain = name.split('/').all(|part| !part.is_empty() && !part.contains('.'));
    ensure!(plain, "is no name of a time zone, such as America/New_York");
    let path = Path::new(ZONES).join(name);
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; give the POSIX text, such as EST5EDT,M3.2.0,M11.1.0", path.display()))?;
    let footer = bytes.strip_suffix(b"\n").and_then(|bytes| bytes.rsplit(|byte| *byte == b'\n').next());
    let text = footer.and_then(|footer| std::str::from_utf8(footer).ok()).filter(|text| !text.is_empty() && bytes.starts_with(b"TZif"));
    text.map(str::to_string).with_context(|| format!("{} has no POSIX text at its end; give one", path.display()))
}
