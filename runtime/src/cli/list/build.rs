//! `ephor list build`: a table → a reference list.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use ephor::List;
use ephor::reference::Draft;

use super::super::exit::{self, Exit, Or as _, Outcome};
use super::super::log::replace;
use super::super::table;
use super::rows::{self, Place, Row};

/// Makes a reference list of a table.
///
/// The table is CSV with a line of names (gzipped if its name ends with .gz) or
/// Parquet. The rows have to ascend by their keys, byte by byte, unless --sort is
/// given. A key that is there twice is refused in any case, with both places: which of
/// two rows is meant nobody can tell.
///
/// The same rows under the same name and version give the same file, byte by byte.
#[derive(clap::Args)]
#[command(after_help = exit::help())]
pub struct Args {
    /// The table.
    table: PathBuf,
    /// What policies call the list: lower-case words joined by hyphens.
    #[arg(long)]
    name: String,
    /// The version: a date, a number, whatever its publisher counts by; it stands in
    /// every entry about an event that was judged by the list.
    #[arg(long)]
    version: String,
    /// The column that things are looked up by.
    #[arg(long, value_name = "COLUMN")]
    key: String,
    /// A column that a look-up gives. Of one, its text; of several, a JSON object;
    /// without any, only whether the key is there.
    #[arg(long, value_name = "COLUMN", num_args = 1..)]
    value: Vec<String>,
    /// Sorts the rows first.
    #[arg(long)]
    sort: bool,
    /// Where to write it; replaced whole.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let columns: Vec<&str> = [args.key.as_str()].into_iter().chain(args.value.iter().map(String::as_str)).collect();
    let draft = Draft::new(&args.name, &args.version, &columns).or_exit(Exit::Usage)?;
    let list = build(draft, &args.table, &columns, args.sort).or_exit(Exit::Refused)?;
    if let Some(folder) = args.out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    replace(&args.out, list.bytes())?;
    println!("{}: {}", args.out.display(), in_short(&list));
    Ok(())
}

/// A list in one line.
pub fn in_short(list: &List) -> String {
    let (entries, bytes) = (table::grouped(list.len()), table::size(list.bytes().len() as u64));
    format!("{} {}, {entries} entries, {bytes}, {}", list.name(), list.version(), list.digest())
}

/// A key with its value, and where in the table it is.
type Entry = (String, String, Place);

fn build(mut draft: Draft, file: &Path, columns: &[&str], sort: bool) -> anyhow::Result<List> {
    let mut entries: Vec<Entry> = Vec::new();
    rows::read(file, columns, |Row { place, mut cells }| {
        let values = cells.split_off(1);
        let key = cells.pop().unwrap_or_default();
        if key.is_empty() {
            bail!("{place}: the key is empty");
        }
        entries.push((key, value(&columns[1..], values), place));
        Ok(())
    })?;
    if sort {
        // In the order of the table where keys are equal, so that the message is.
        entries.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    }
    check_order(&entries).with_context(|| file.display().to_string())?;
    for (key, value, place) in &entries {
        draft.push(key, value).with_context(|| format!("{}: {place}", file.display()))?;
    }
    Ok(draft.finish()?)
}

fn check_order(entries: &[Entry]) -> anyhow::Result<()> {
    for pair in entries.windows(2) {
        let [(before, _, first), (key, _, second)] = pair else { continue };
        match before.cmp(key) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => bail!("the key {key:?} is in {first} and in {second}; keep the row that is meant"),
            std::cmp::Ordering::Greater => {
                bail!("{second}: the key {key:?} stands behind {before:?}, which is greater byte by byte; sort the table, or give --sort")
            }
        }
    }
    Ok(())
}

/// What stands in the list for a row's values.
fn value(columns: &[&str], mut values: Vec<String>) -> String {
    if columns.len() < 2 {
        return values.pop().unwrap_or_default();
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let members = columns.iter().zip(&values).map(|(column, value)| format!("{}:{}", quoted(column), quoted(value)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str, columns: &[&str], sort: bool) -> Result<List, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.csv");
        std::fs::write(&path, text).expect("written");
        let draft = Draft::new("sanctions", "1", columns).expect("a draft");
        build(draft, &path, columns, sort).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn one_value_is_its_text_and_several_are_an_object() {
        let text = "id,name,kind\n1,\"A \"\"B\"\"\",x\n2,C,\n";
        assert_eq!(list(text, &["id"], false).expect("a list").get("1"), Some(""));
        assert_eq!(list(text, &["id", "name"], false).expect("a list").get("1"), Some("A \"B\""));
        let several = list(text, &["id", "name", "kind"], false).expect("a list");
        assert_eq!(several.get("1"), Some(r#"{"name":"A \"B\"","kind":"x"}"#));
        assert_eq!(several.get("2"), Some(r#"{"name":"C","kind":""}"#));
    }

    #[test]
    fn order_and_duplicates_are_refused_by_line() {
        for (text, sort, problem) in [
            ("id\n1\n36\n173\n", false, "line 4: the key \"173\" stands behind \"36\""),
            ("id\n1\n1\n", false, "the key \"1\" is in line 2 and in line 3"),
            ("id\n7\n1\n2\n7\n", true, "the key \"7\" is in line 2 and in line 5"),
            ("id,x\n1,a\n,b\n", true, "line 3: the key is empty"),
        ] {
            let error = list(text, &["id"], sort).expect_err("refused");
            assert!(error.contains(problem) && error.contains("list.csv"), "{problem:?} expected, but: {error}");
        }
        let (one, two) = (list("id\n1\n36\n173\n", &["id"], true), list("id\n1\n173\n36\n", &["id"], false));
        assert_eq!(one.expect("a list").bytes(), two.expect("a list").bytes());
    }

    #[test]
    fn what_is_too_long_is_refused_by_line() {
        let long = "x".repeat(70_000);
        let error = list(&format!("id,name\n1,a\n2,{long}\n"), &["id", "name"], false).expect_err("refused");
        assert!(error.contains("line 3") && error.contains("70000 bytes"), "{error}");
    }
}
